"""detector.py: counting, afterglow, readout, digitisation against their closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.simulation.detector import detect, digitised, with_afterglow


def line(n: int, wait_us: float = 0.0) -> nsi.Scan:
    """Return n positions, the settling time before each second one."""
    columns = np.arange(n) + np.arange(n) // 2 if wait_us else np.arange(n)
    return nsi.Scan(np.stack([np.zeros(n, int), columns], 1), (1, 2 * n), 10.0, 0.0, wait_us)


def read(values: np.ndarray, peak: float = 1.0, **params: float) -> np.ndarray:
    return detect(values, peak, line(len(values)), nsi.AcquisitionParams(**params))


def test_everything_off_changes_no_bit():
    values = np.random.default_rng(0).normal(size=100)
    np.testing.assert_array_equal(read(values), values)


@pytest.mark.parametrize("dose", [0.5, 100, 10_000])
def test_counts_are_poisson(dose):
    n = 40_000
    counts = read(np.full(n, 7.0), 7.0, dose_e_per_px=dose) / 7.0 * dose
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    assert counts.mean() == pytest.approx(dose, abs=5 * np.sqrt(dose / n))
    assert counts.var() == pytest.approx(dose, abs=5 * np.sqrt((dose + 2 * dose**2) / n))


def test_the_dose_is_that_of_the_brightest_position_and_negatives_count_as_zero():
    counts = read(np.repeat([4.0, 2.0, 0.0, -1.0], 10_000), 4.0, dose_e_per_px=100).reshape(4, -1) / 4.0 * 100
    assert counts.mean(1)[:2] == pytest.approx([100, 50], abs=0.5)
    assert (counts[2:] == 0).all()


def test_readout_noise_has_its_standard_deviation_and_leaves_the_counts():
    values = np.full(40_000, 2.0)
    counts = read(values, 2.0, dose_e_per_px=50, seed=3)
    noise = (read(values, 2.0, dose_e_per_px=50, readout_noise_e=3, seed=3) - counts) / 2.0 * 50
    assert noise.std() == pytest.approx(3, rel=5 / np.sqrt(2 * noise.size))
    assert noise.mean() == pytest.approx(0, abs=5 * 3 / np.sqrt(noise.size))
    assert abs(np.corrcoef(noise, counts)[0, 1]) < 5 / np.sqrt(noise.size)
    # the same noise whatever is counted
    dimmer = read(values / 2, 2.0, dose_e_per_px=50, readout_noise_e=3, seed=3) - read(values / 2, 2.0, dose_e_per_px=50, seed=3)
    np.testing.assert_allclose(dimmer / 2.0 * 50, noise, atol=1e-9)


def test_same_seed_same_bits_other_seed_other_counts():
    values = np.full(1000, 1.0)
    first, same, other = (read(values, dose_e_per_px=9, readout_noise_e=1, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).mean() > 0.9


@given(late=st.floats(0, 0.9), time_us=st.floats(0.1, 100), seed=st.integers(0, 99))
def test_afterglow_conserves_the_charge(late, time_us, seed):
    """The beam off for the last second, everything stored has come out."""
    electrons = np.random.default_rng(seed).uniform(0, 100, 400)
    electrons[200:] = 0
    readings = with_afterglow(electrons, line(400), late, time_us)
    left = electrons.sum() * np.exp(-2000 / 100)
    assert readings.sum() == pytest.approx(electrons.sum(), abs=left + 1e-6)
    assert (readings >= -1e-12).all()


@pytest.mark.parametrize("wait_us", [0.0, 15.0])
def test_afterglow_decays_with_its_time_constant(wait_us):
    """A flash at the first position: what comes later is what the store loses during each dwell."""
    scan = line(12, wait_us)
    flash = np.eye(1, 12)[0] * 1000
    readings = with_afterglow(flash, scan, 0.3, 20.0)
    after = scan.times_us[1:] - 10  # from the end of the flash to the start of each dwell
    np.testing.assert_allclose(readings, np.r_[700, 300 * np.exp(-after / 20) * (1 - np.exp(-10 / 20))], rtol=1e-12)


def test_afterglow_smears_counts_after_they_are_counted():
    values = np.full(5000, 1.0)
    counts = read(values, dose_e_per_px=100, seed=4) * 100
    smeared = read(values, dose_e_per_px=100, seed=4, afterglow=0.2, afterglow_time_us=30) * 100
    np.testing.assert_allclose(smeared, with_afterglow(counts, line(5000), 0.2, 30), rtol=1e-12)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("offset", [0, 20])
def test_digitisation_has_its_levels_and_errs_by_half_a_step(bits, offset):
    values = np.random.default_rng(0).uniform(0, 5, 200_000)
    readings = read(values, 5.0, bits=bits, offset_counts=offset)
    step = 5.0 / (0.8 * (2**bits - 1 - offset))  # the brightest position fills four fifths above the offset
    levels = np.unique(np.round(readings / step, 6))
    assert levels.size <= 2**bits
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-5)
    assert np.abs(readings - values).max() <= step / 2 * (1 + 1e-9)


def test_a_given_gain_counts_electrons():
    values = np.full(1000, 1.0)
    counts = read(values, dose_e_per_px=30, seed=1) * 30
    whole = read(values, dose_e_per_px=30, seed=1, bits=8, gain=3, offset_counts=10) * 30
    np.testing.assert_allclose(whole, counts, atol=1e-9)


def test_clipping_saturates():
    np.testing.assert_array_equal(digitised(np.array([-30.0, -1, 0, 100, 255, 1e9]), 1.0, 2.0, 8), [0, 1, 2, 102, 255, 255])
    values = np.array([0.0, 1.0, 2.0, 3.0])
    readings = read(values, 1.0, bits=8)
    assert readings[2] == readings[3] == pytest.approx(1.25)  # the peak at four fifths


def test_the_offset_keeps_negative_noise():
    values = np.zeros(20_000)
    noise = {"dose_e_per_px": 10, "readout_noise_e": 2, "bits": 12, "gain": 5}
    assert read(values, offset_counts=100, **noise).mean() * 10 == pytest.approx(0, abs=5 * 2 / np.sqrt(20_000) + 0.1)
    assert read(values, **noise).min() == 0


@pytest.mark.parametrize(
    ("params", "peak", "said"),
    [
        ({"dose_e_per_px": 10}, 0.0, "no positive intensity"),
        ({"bits": 8}, -1.0, "no positive intensity"),
        ({"readout_noise_e": 1}, 1.0, "readout noise is in electrons, so it needs a dose"),
        ({"bits": 8, "gain": 2}, 1.0, "gain is in counts per electron, so it needs a dose"),
        ({"bits": 8, "offset_counts": 255}, 1.0, "offset must be below 255"),
    ],
)
def test_detect_refuses(params, peak, said):
    with pytest.raises(InputError, match=said):
        read(np.ones(4), peak, **params)
