"""The Judge widget, clicked: scores, spectra, error, profile, side by side, report, table, copies."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QLabel

import napari_stem_inpaint as nsi
from napari_stem_inpaint import cli, io
from napari_stem_inpaint.frames import Frame, Measurement
from napari_stem_inpaint.gui.judge import JudgeWidget
from napari_stem_inpaint.gui.judge_show import LINE
from napari_stem_inpaint.gui.judge_view import HIGHEST_PX
from napari_stem_inpaint.gui.layer_data import KEY, notes_of
from napari_stem_inpaint.gui.layers import Layers
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget
from napari_stem_inpaint.params import ReconstructionParams

LEFT = Qt.MouseButton.LeftButton


def click(qtbot: Any, button: Any) -> None:
    qtbot.waitUntil(button.isEnabled, timeout=5000)
    qtbot.mouseClick(button, LEFT)


def saved_as(monkeypatch: pytest.MonkeyPatch, path: Path | str) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(path), ""))


@pytest.fixture
def judge(qtbot: Any, widget: ReconstructWidget, viewer: Any) -> JudgeWidget:
    """A Judge widget that was open while a result was made."""
    made = JudgeWidget(viewer)
    qtbot.addWidget(made)
    with qtbot.waitSignal(made.runner.returned, timeout=30000):
        click(qtbot, widget.run_button)
    return made


def result(viewer: Any) -> Any:
    return next(layer for layer in viewer.layers if notes_of(layer).get("role") == "reconstruction")


def test_a_new_result_is_judged_by_itself(judge: JudgeWidget, viewer: Any) -> None:
    assert judge.choice.result_combo.layer() == result(viewer)
    assert judge.choice.reference_combo.currentText() == "lattice"
    assert "against the reference" in judge.status.text()
    assert judge.table.rowCount() == 1
    assert judge.table.item(0, 0).text() == "irls"
    assert float(judge.table.item(0, 1).text()) == pytest.approx(result(viewer).metadata["scores"]["sre_db"], abs=0.06)
    assert judge.table.item(0, 4).text() != "–"
    assert [name for name, _ in judge.spectra.spectra] == ["result", "reference"]


def test_the_circle_follows_the_microscope(qtbot: Any, judge: JudgeWidget) -> None:
    assert judge.spectra.cutoff is None
    judge.microscope.controls["energy_kev"].value = 200
    judge.microscope.controls["semi_angle_mrad"].value = 25
    with qtbot.waitSignal(judge.runner.returned, timeout=10000):
        click(qtbot, judge.run_button)
    assert judge.spectra.cutoff == pytest.approx((0.3987, 0.3987), rel=1e-3)
    assert "beyond 2α/λ" in judge.status.text()


def test_the_error_becomes_a_layer_in_place(qtbot: Any, judge: JudgeWidget, viewer: Any, frame: Frame) -> None:
    click(qtbot, judge.show_group.difference_button)
    error = viewer.layers[-1]
    np.testing.assert_allclose(error.data, result(viewer).data - frame.image, rtol=1e-5, atol=1e-4)
    assert error.contrast_limits[0] == -error.contrast_limits[1]
    assert tuple(error.scale) == (0.02, 0.02)


def test_a_line_is_drawn_once_and_its_profile_follows(qtbot: Any, judge: JudgeWidget, viewer: Any) -> None:
    click(qtbot, judge.show_group.line_button)
    click(qtbot, judge.show_group.line_button)
    (line,) = (layer for layer in viewer.layers if layer.name == LINE)
    assert (line.mode, line.selected_data) == ("direct", {0})
    assert list(judge.show_group.profile.profiles) == ["result", "reference"]
    assert judge.show_group.profile.unit == "nm"
    line.data = [np.array([[10.0, 5.0], [10.0, 25.0]])]
    np.testing.assert_allclose(judge.show_group.profile.profiles["result"], result(viewer).data[10, 5:26], rtol=1e-5)
    assert judge.show_group.profile.length == pytest.approx(0.4)
    viewer.layers.remove(line)
    click(qtbot, judge.show_group.line_button)
    assert LINE in viewer.layers


def test_side_by_side_and_back(qtbot: Any, judge: JudgeWidget, viewer: Any) -> None:
    grid = viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid
    viewer.layers["lattice"].contrast_limits = (0, 1000)
    click(qtbot, judge.show_group.grid_button)
    assert grid.enabled
    assert tuple(viewer.layers["lattice"].contrast_limits) == tuple(result(viewer).contrast_limits)
    click(qtbot, judge.show_group.grid_button)
    assert not grid.enabled


def test_a_swipe_covers_the_result_up_to_the_slider(qtbot: Any, judge: JudgeWidget, viewer: Any, frame: Frame) -> None:
    show, before = judge.show_group, list(viewer.layers)
    click(qtbot, show.swipe_button)
    swiped = viewer.layers[-1]
    assert swiped not in judge.choice.result_combo.layers
    show.slider.setValue(250)
    assert swiped.data.shape == (64, 16)
    np.testing.assert_array_equal(swiped.data[:, :-1], frame.image[:, :15])
    assert tuple(swiped.contrast_limits) == tuple(result(viewer).contrast_limits)
    viewer.layers.remove(swiped)
    show.slider.setValue(750)
    assert viewer.layers[-1].data.shape == (64, 48)
    click(qtbot, show.swipe_button)
    assert list(viewer.layers) == before
    click(qtbot, show.swipe_button)
    viewer.layers.remove("lattice")
    assert list(viewer.layers) == [layer for layer in before if layer.name != "lattice"]
    assert not show.swipe_button.isEnabled()


def test_the_rings_say_up_to_where_the_images_agree(qtbot: Any, judge: JudgeWidget, frame: Frame) -> None:
    frequencies, correlation = judge.rings.rings or (np.empty(0), np.empty(0))
    assert frequencies[-1] == pytest.approx(25.0)
    assert judge.rings.unit == "/nm"
    assert correlation[0] > 0.9
    judge.choice.reference_combo.choose(None)
    with qtbot.waitSignal(judge.runner.returned, timeout=10000):
        click(qtbot, judge.run_button)
    assert judge.rings.rings is None
    assert judge.rings.missing == "needs a reference"
    assert "no reference" in judge.status.text()


def test_a_results_settings_go_back_into_the_form(
    qtbot: Any, docked: ReconstructWidget, window: Any, npe2pm: Any, measurement: Measurement
) -> None:
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(Path(nsi.__file__).with_name("napari.yaml"))):
        judge = JudgeWidget(window)
        window.window.add_dock_widget(judge, name="Judge")
        docked.form.controls["seed"].value = 5
        with qtbot.waitSignal(judge.runner.returned, timeout=30000):
            click(qtbot, docked.run_button)
        first = result(window)
        docked.form.set_values(ReconstructionParams(solver="cubic"))
        docked.measured_combo.choose(None)
        click(qtbot, judge.save_group.again_button)
        assert docked.window().findChildren(ReconstructWidget) == [docked]
        assert docked.form.values() == ReconstructionParams(solver="irls", seed=5)
        assert docked.measured_combo.currentText() == "lattice measured"
        with qtbot.waitSignal(judge.runner.returned, timeout=30000):
            click(qtbot, docked.run_button)
        again = [layer for layer in window.layers if notes_of(layer).get("role") == "reconstruction"][-1]
        assert again is not first
        np.testing.assert_array_equal(again.data, first.data)
        window.window.remove_dock_widget(docked)
        click(qtbot, judge.save_group.again_button)
        (other,) = judge.window().findChildren(ReconstructWidget)
        assert other is not docked
        assert other.form.values() == ReconstructionParams(solver="irls", seed=5)


def test_report_and_table_are_written(qtbot: Any, judge: JudgeWidget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved_as(monkeypatch, tmp_path / "page.pdf")
    with qtbot.waitSignal(judge.runner.returned, timeout=30000):
        click(qtbot, judge.save_group.report_button)
    assert (tmp_path / "page.pdf").read_bytes()[:4] == b"%PDF"
    saved_as(monkeypatch, tmp_path / "scores.csv")
    click(qtbot, judge.save_group.scores_button)
    assert (tmp_path / "scores.csv").read_text().startswith("result,sre_db")
    saved_as(monkeypatch, tmp_path / "table 2.5 nm")
    click(qtbot, judge.save_group.scores_button)
    assert judge.status.text() == f"Saved {tmp_path / 'table 2.5 nm.csv'}."
    assert (tmp_path / "table 2.5 nm.csv").exists()
    saved_as(monkeypatch, tmp_path / "nowhere" / "scores.csv")
    click(qtbot, judge.save_group.scores_button)
    assert "does not exist; make it first" in judge.status.text()
    saved_as(monkeypatch, "")
    click(qtbot, judge.save_group.report_button)
    assert judge.run_button.isEnabled()


@pytest.mark.parametrize("how", ["python", "command"])
def test_what_is_copied_makes_the_result_again(
    qtbot: Any, judge: JudgeWidget, viewer: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    saved_as(monkeypatch, tmp_path / "begin.stem.tif")
    click(qtbot, judge.save_group.python_button if how == "python" else judge.save_group.command_button)
    assert "is on the clipboard" in judge.status.text()
    text = QApplication.clipboard().text()
    if how == "python":
        exec(text, {})
    else:
        assert cli.main(shlex.split(text)[1:]) == 0
    (again,) = io.read("result.tif")
    np.testing.assert_array_equal(again.image, result(viewer).data)


def test_without_its_layers_it_says_what_to_do(qtbot: Any, judge: JudgeWidget, viewer: Any) -> None:
    viewer.layers.remove("lattice measured")
    for button in (judge.save_group.report_button, judge.save_group.python_button):
        click(qtbot, button)
        assert "are gone; open the measurement again" in judge.status.text()


def test_any_two_images_can_be_compared(qtbot: Any, viewer: Any) -> None:
    a, b = (viewer.add_image(np.random.default_rng(k).random((32, 32)), name=f"image {k}") for k in (0, 1))
    made = JudgeWidget(viewer)
    qtbot.addWidget(made)
    assert not made.run_button.isEnabled()
    assert made.hint.text() == "Choose a result: run Reconstruct, or open an image."
    made.choice.result_combo.choose(a)
    made.choice.reference_combo.choose(b)
    with qtbot.waitSignal(made.runner.returned, timeout=10000):
        click(qtbot, made.run_button)
    assert not made.save_group.python_button.isEnabled()
    viewer.add_image(np.zeros((16, 16)), name="other")
    made.choice.reference_combo.choose(viewer.layers["other"])
    assert "must have the result's shape (32, 32)" in made.hint.text()
    assert not made.run_button.isEnabled()


def test_layers_may_go_while_it_judges(qtbot: Any, judge: JudgeWidget, viewer: Any) -> None:
    with qtbot.waitSignal(judge.runner.returned, timeout=10000):
        click(qtbot, judge.run_button)
        viewer.layers.clear()
    assert judge.hint.text() == "Choose a result: run Reconstruct, or open an image."
    assert not judge.show_group.line_button.isEnabled()


def test_several_results_are_compared_in_one_table(qtbot: Any, judge: JudgeWidget, widget: ReconstructWidget, viewer: Any) -> None:
    widget.form.controls["solver"].value = "cubic"
    with qtbot.waitSignal(judge.runner.returned, timeout=30000):
        click(qtbot, widget.run_button)
    assert judge.table.rowCount() == 2
    assert float(judge.table.item(0, 1).text()) > float(judge.table.item(1, 1).text())
    first, second = judge.choice.results()
    assert (first.name, second.name) == ("lattice reconstructed", "lattice reconstructed, cubic")
    judge.table.cellClicked.emit(0, 0)
    assert judge.choice.result_combo.layer() == first
    assert (viewer.layers[-1], first.visible, second.visible) == (first, True, False)
    assert [judge.table.item(row, 0).text() for row in (0, 1)] == ["irls", "cubic"]
    judge.table.cellClicked.emit(1, 0)
    assert (viewer.layers[-1], first.visible, second.visible) == (second, False, True)
    click(qtbot, judge.show_group.grid_button)
    assert first.visible
    judge.table.cellClicked.emit(0, 0)
    assert (judge.choice.result, first.visible, second.visible) == (first, True, True)


def test_a_row_says_of_which_image_where_there_are_several(judge: JudgeWidget, viewer: Any) -> None:
    assert judge.table.item(0, 0).text() == "irls"
    notes = {KEY: {"role": "reconstruction", "of": "gone"}, "recipe": {"reconstruction": {"solver": "cubic"}}}
    other = viewer.add_image(np.zeros((32, 32)), name="another", metadata=notes)
    assert [judge.table.item(row, 0).text() for row in (0, 1)] == ["irls\nlattice", "cubic\nanother"]
    judge.table.cellClicked.emit(1, 0)
    assert other.visible
    assert result(viewer).visible


@pytest.mark.parametrize(("noise", "words"), [(0.0, "the highest frequency, 25 /nm"), (1.0, "They agree up to 1")])
def test_a_single_ring_does_not_say_where_agreement_ends(
    qtbot: Any, viewer: Any, frame: Frame, monkeypatch: pytest.MonkeyPatch, noise: float, words: str
) -> None:
    """Falls off at 12.5 /nm where the images are noisy; a hole of one ring, far below, is nothing."""
    frequencies = np.arange(1, 33) / 64
    correlation = np.where(frequencies < 0.25, 1.0, 1.0 - noise)
    correlation[5] = -1
    monkeypatch.setattr("napari_stem_inpaint.metrics.fourier_ring_correlation", lambda *_: (frequencies, correlation))
    layers = Layers(viewer)
    a, b = (layers.add_frame(Frame(frame.image + k, frame.pixel_size_nm, str(k))) for k in (0, 1))
    made = JudgeWidget(viewer)
    qtbot.addWidget(made)
    made.choice.result_combo.choose(a)
    made.choice.reference_combo.choose(b)
    with qtbot.waitSignal(made.runner.returned, timeout=10000):
        click(qtbot, made.run_button)
    assert words in made.status.text()
    assert "own" not in made.status.text()


def test_rings_below_all_bragg_peaks_do_not_decide(qtbot: Any, judge: JudgeWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    frequencies = np.arange(1, 33) / 64
    correlation = np.where((frequencies > 0.1) & (frequencies < 0.25), 1.0, 0.0)
    monkeypatch.setattr("napari_stem_inpaint.metrics.fourier_ring_correlation", lambda *_: (frequencies, correlation))
    with qtbot.waitSignal(judge.runner.returned, timeout=10000):
        click(qtbot, judge.run_button)
    assert "They agree up to 12.5 /nm" in judge.status.text()


def test_the_table_grows_with_its_rows_up_to_a_limit(judge: JudgeWidget) -> None:
    heights = []
    for rows in (1, 7, 30):
        judge.table.show_scores([("apgd, stem-tiny", "name", {})] * rows, 0)
        heights.append(judge.table.height())
    assert heights[0] < heights[1] <= heights[2] == HIGHEST_PX


def test_results_of_one_solver_are_told_apart_by_their_settings(qtbot: Any, judge: JudgeWidget, widget: ReconstructWidget) -> None:
    widget.form.controls["iterations"].value = 7
    with qtbot.waitSignal(judge.runner.returned, timeout=30000):
        click(qtbot, widget.run_button)
    assert [judge.table.item(row, 0).text() for row in (0, 1)] == ["irls, iterations 24", "irls, iterations 7"]


def test_the_chosen_row_is_in_sight(judge: JudgeWidget) -> None:
    judge.show()
    for chosen in (29, 0):
        judge.table.show_scores([("apgd, stem-tiny", "name", {})] * 30, chosen)
        assert judge.table.viewport().rect().contains(judge.table.visualItemRect(judge.table.item(chosen, 0)).center())


def test_noise_that_is_in_both_is_said(qtbot: Any, judge: JudgeWidget, viewer: Any) -> None:
    assert "The measured pixels are the reference's own" in judge.status.text()
    viewer.layers["lattice"].metadata["simulation"] = {}
    assert not judge.choice.shares_noise()
    viewer.layers["lattice"].metadata["acquisition"] = {}
    assert judge.choice.shares_noise()
    viewer.layers["lattice"].data = viewer.layers["lattice"].data + 1
    assert not judge.choice.shares_noise()


def test_the_words_beside_the_swipe_stand_where_the_images_are(qtbot: Any, judge: JudgeWidget) -> None:
    row = judge.show_group.swipe.layout()
    words = [row.itemAt(k).widget() for k in range(row.count())]
    assert [word.text() for word in words if isinstance(word, QLabel)] == ["reference", "result"]


def test_it_is_narrow(judge: JudgeWidget) -> None:
    assert judge.minimumSizeHint().width() <= 420


def test_a_measurement_of_the_core_and_of_the_layers_agree(judge: JudgeWidget, viewer: Any, measurement: Measurement) -> None:
    taken = judge.choice.measurement()
    np.testing.assert_array_equal(taken.values * taken.mask, measurement.values * measurement.mask)
    assert (taken.noise, taken.pixel_size_nm) == (measurement.noise, measurement.pixel_size_nm)
    assert isinstance(nsi.reconstruct(taken, nsi.ReconstructionParams(solver="cubic")).image, np.ndarray)
