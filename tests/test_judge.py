"""Spectra, lines and pages: closed forms, and what a reader finds on the page."""

import numpy as np
import pytest
from helpers import measurement
from hypothesis import given
from hypothesis import strategies as st

from napari_stem_inpaint import judge
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.frames import Reconstruction
from napari_stem_inpaint.params import JudgeParams, ReconstructionParams
from napari_stem_inpaint.reconstruction import reconstruct


def wave(side, cycles):
    return 3 + np.cos(2 * np.pi * cycles * np.arange(side) / side)[None, :] * np.ones((side, 1))


@given(st.integers(5, 20))
def test_a_wave_is_a_peak_at_its_frequency(cycles):
    power = judge.power_spectrum(wave(64, cycles))
    row, column = np.unravel_index(np.argmax(power), power.shape)
    assert (row, abs(column - 32)) == (32, cycles)
    assert judge.frequencies_per_nm((64, 64), (0.02, 0.02))[row, column] == pytest.approx(cycles / (64 * 0.02))
    assert power[32, 32] < 1e-3 * power.max()


def test_the_cutoff_is_that_of_the_probe():
    assert judge.cutoff_per_nm(JudgeParams(energy_kev=200, semi_angle_mrad=25)) == pytest.approx(0.05 / 0.00250793, rel=1e-4)
    assert judge.cutoff_per_nm(JudgeParams(energy_kev=200)) is None


def test_what_lies_beyond_the_cutoff_is_counted():
    image = wave(64, 4) + 0.1 * wave(64, 20)
    inside, outside = 4 / (64 * 0.02), 20 / (64 * 0.02)
    middle = (inside + outside) / 2
    assert judge.share_beyond(image, (0.02, 0.02), middle) == pytest.approx(0.01 / 1.01, rel=0.02)
    assert judge.share_beyond(wave(64, 4), (0.02, 0.02), middle) < 1e-6
    assert judge.share_beyond(image, None, middle) is None
    assert judge.share_beyond(image, (0.02, 0.02), 26.0) is None
    assert judge.share_beyond(np.ones((8, 8)), (0.02, 0.02), 10.0) == 0


def test_a_line_reads_what_it_crosses():
    image = np.arange(20.0)[None, :] * np.ones((10, 1))
    np.testing.assert_allclose(judge.line_profile(image, (5, 2), (5, 8), 3), np.arange(2, 9))


@pytest.mark.parametrize("ending", [".pdf", ".png"])
@pytest.mark.parametrize("known", [True, False])
def test_a_page_is_written_whole(tmp_path, ending, known):
    frame, m = measurement()
    made = reconstruct(m, ReconstructionParams(solver="irls"))
    where = tmp_path / f"page{ending}"
    judge.write_report(where, made, m, JudgeParams(energy_kev=200, semi_angle_mrad=25), frame.image if known else None)
    assert where.read_bytes()[:4] in (b"%PDF", b"\x89PNG")
    assert [f.name for f in tmp_path.iterdir()] == [where.name]


def test_the_page_says_what_counts():
    frame, m = measurement()
    made = reconstruct(m, ReconstructionParams(solver="irls"))
    known = judge.report(made, m, JudgeParams(energy_kev=200, semi_angle_mrad=25), frame.image)
    text = known.axes[5].texts[0].get_text()
    for words in ("SRE, whole frame", "withheld measurements", "beyond 2α/λ", "20 pm", "Solver irls, seed 0", "napari-stem-inpaint"):
        assert words in text
    blind = judge.report(Reconstruction(made.image, None, "plain", {}, {}), m, JudgeParams(), None)
    assert "pixel size unknown" in blind.axes[5].texts[0].get_text()
    assert "SRE" not in blind.axes[5].texts[0].get_text()


def test_what_was_not_withheld_is_not_on_the_page():
    _, m = measurement()
    made = reconstruct(m, ReconstructionParams(solver="cubic"))
    assert "withheld" not in judge.report(made, m, JudgeParams(), None).axes[5].texts[0].get_text()


def drawn(axes, value=np.nan):
    (picture,) = axes.images
    return tuple(picture.cmap(picture.norm(np.ma.masked_invalid([value])))[0])


def test_unmeasured_positions_have_a_colour_that_no_value_has():
    _, m = measurement()
    page = judge.report(reconstruct(m, ReconstructionParams(solver="gp")), m, JudgeParams(), None)
    for axes, words in ((page.axes[0], "(unmeasured: blue)"), (page.axes[2], "reconstructed − measured (unmeasured: grey)")):
        assert words in axes.get_title()
        low, high = axes.images[0].get_clim()
        assert drawn(axes) not in {drawn(axes, value) for value in np.linspace(low, high, 300)}
    (scale,) = page.axes[2].child_axes
    assert [tick.get_text() for tick in scale.get_xticklabels()][1] == "0"


@pytest.mark.parametrize(("pixel_size_nm", "unit", "reach"), [(None, "cycles/px", 0.5), ((0.02, 0.02), "1/nm", 25)])
def test_a_spectrum_is_drawn_where_its_frequencies_are(pixel_size_nm, unit, reach):
    _, m = measurement(shape=(64, 65))
    page = judge.report(Reconstruction(m.values, pixel_size_nm, "x", {}, {}), m, JudgeParams(), None)
    assert page.axes[3].get_xlabel() == unit
    left, right, bottom, top = page.axes[3].images[0].get_extent()
    assert (-left, right) == pytest.approx((reach, reach))
    assert (bottom, -top) == pytest.approx((reach * 63 / 64, reach * 65 / 64))


@pytest.mark.parametrize("shape", [(64, 64), (93, 95)])
@pytest.mark.parametrize("known", [True, False])
def test_nothing_on_the_page_overlaps_or_is_cut(shape, known):
    frame, m = measurement(shape=shape)
    page = judge.report(reconstruct(m, ReconstructionParams(solver="gp")), m, JudgeParams(), frame.image if known else None)
    page.draw_without_rendering()
    words = [page._suptitle, *(part for axes in page.axes[:5] for part in (axes.title, axes.xaxis.label))]
    boxes = [part.get_window_extent() for part in words if part.get_text()]
    for k, box in enumerate(boxes):
        assert page.bbox.count_contains(box.corners()) == 4
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_another_shape_is_refused():
    _, m = measurement()
    with pytest.raises(InputError, match="must have the result's shape"):
        judge.report(Reconstruction(np.zeros((4, 4), "f4"), None, "x", {}, {}), m, JudgeParams(), None)


def test_scores_become_a_table(tmp_path):
    judge.write_scores(tmp_path / "scores.csv", {"a, b": {"sre_db": 1.5}, "c": {"ssim": 0.5, "sre_db": 2}})
    assert (tmp_path / "scores.csv").read_text().splitlines() == ["result,sre_db,ssim", '"a, b",1.5,', "c,2,0.5"]
    with pytest.raises(InputError, match=r"must end in \.csv"):
        judge.write_scores(tmp_path / "scores.txt", {})
