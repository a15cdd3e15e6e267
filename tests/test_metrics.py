"""metrics.py against the formulas."""

import numpy as np
import pytest

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.metrics import fourier_ring_correlation, frc_limit


def test_closed_forms():
    rng = np.random.default_rng(0)
    r = rng.random((64, 64)).astype(np.float32)
    x = r + np.float32(0.1)
    s = nsi.evaluate(x, reference=r)
    rms = np.sqrt((r.astype(float) ** 2).mean())
    assert s["sre_db"] == pytest.approx(20 * np.log10(rms / 0.1), abs=1e-3)
    assert s["sre_mean_removed_db"] == pytest.approx(20 * np.log10(r.std() / 0.1), abs=1e-3)
    assert s["psnr_db"] == pytest.approx(20 * np.log10((r.max() - r.min()) / 0.1), abs=1e-3)


def test_frames_and_results_are_scored_as_their_images_are():
    x, r = np.random.default_rng(0).random((2, 40, 40))
    assert nsi.evaluate(nsi.Reconstruction(x, None, "x", {}), reference=nsi.Frame(r)) == nsi.evaluate(x, reference=r)


def test_equal_images_are_perfect():
    r = np.random.default_rng(0).random((40, 40))
    s = nsi.evaluate(r, reference=r)
    assert s["sre_db"] == float("inf") == s["psnr_db"]
    assert s["ssim"] == pytest.approx(1)


def test_mask_and_border_look_only_where_they_say():
    r = np.ones((64, 64))
    r[30:34] = 2
    x, mask = r.copy(), np.ones(r.shape, bool)
    x[0, 0], mask[0, 1] = 5, False
    s = nsi.evaluate(x, reference=r, mask=mask)
    assert s["sre_inner_db"] == float("inf") == s["sre_unmeasured_db"]
    assert s["sre_db"] < 40


def test_a_small_or_full_frame_leaves_scores_out():
    r = np.arange(16.0).reshape(4, 4)
    assert set(nsi.evaluate(r + 1, reference=r, mask=np.ones((4, 4), bool))) == {"sre_db", "sre_mean_removed_db", "psnr_db"}


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="same shape"):
        nsi.evaluate(np.ones((4, 4)), reference=np.ones((4, 5)))
    with pytest.raises(InputError, match="NaN"):
        nsi.evaluate(np.full((4, 4), np.nan), reference=np.ones((4, 4)))


def test_fourier_ring_correlation_of_equal_opposite_and_unrelated_images():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 64, 96))
    frequencies, same = fourier_ring_correlation(a, a)
    assert frequencies[-1] == 0.5
    assert len(frequencies) == 32
    assert same == pytest.approx(1.0)
    assert fourier_ring_correlation(a, -2 * a)[1] == pytest.approx(-1.0)
    assert np.abs(fourier_ring_correlation(a, b)[1][8:]).mean() < 0.1
    assert frc_limit(frequencies, same) is None


def test_images_that_differ_beyond_a_frequency_agree_up_to_it():
    rng = np.random.default_rng(1)
    spectrum = np.fft.fft2(rng.random((128, 128)))
    radius = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    other = np.fft.fft2(rng.random((128, 128)))
    a, b = np.fft.ifft2(spectrum).real, np.fft.ifft2(np.where(radius < 0.25, spectrum, other)).real
    limit = frc_limit(*fourier_ring_correlation(a, b))
    assert limit == pytest.approx(0.25, abs=0.02)


def test_fourier_ring_correlation_refuses_what_cannot_be_compared():
    with pytest.raises(InputError, match="same shape"):
        fourier_ring_correlation(np.zeros((16, 16)), np.zeros((16, 17)))
    with pytest.raises(InputError, match="at least 8"):
        fourier_ring_correlation(np.zeros((4, 16)), np.zeros((4, 16)))
