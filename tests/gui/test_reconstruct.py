"""The Reconstruct widget, clicked: run, watch, pause, cancel, fail, delete, close."""

import gc
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLabel

from napari_stem_inpaint.denoisers.cards import Card
from napari_stem_inpaint.denoisers.checkpoint import save_checkpoint
from napari_stem_inpaint.denoisers.networks import DRUNet
from napari_stem_inpaint.denoisers.registry import find_file
from napari_stem_inpaint.frames import Frame, Iterate, Measurement, Scan
from napari_stem_inpaint.gui import jobs, look_back, worker
from napari_stem_inpaint.gui.layer_data import Place, notes_of
from napari_stem_inpaint.gui.layers import Layers
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget
from napari_stem_inpaint.io import write_scan

LEFT = Qt.MouseButton.LeftButton
LONGEST_GAP_S = 0.15
CANCEL_S = 0.5


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A small untrained network."""
    torch.manual_seed(0)
    config = {"channels": (4, 8), "blocks": 1, "contrasts": 2}
    network = DRUNet(**config)
    card = Card(
        name="untrained", description="", architecture="drunet", config=network.config, sigma_range=(5e-5, 0.5),
        pixel_size_range_nm=(0.01, 0.03), training_command="", training_data="",
    )  # fmt: skip
    save_checkpoint(tmp_path / "untrained.safetensors", network.state_dict(), card)
    return str(tmp_path / "untrained.safetensors")


def click(qtbot: Any, button: Any) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, LEFT)


def results(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if notes_of(layer).get("role") == "reconstruction"]


def test_a_clicked_session_keeps_the_window_alive(
    qtbot: Any, make_napari_viewer_proxy: Any, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "INTERVAL_S", 0.03)  # more iterates than a user gets
    window = make_napari_viewer_proxy(show=True)
    docked = ReconstructWidget(window)
    window.window.add_dock_widget(docked, name="Reconstruct")
    side = 192
    y, x = np.mgrid[:side, :side]
    large = Frame(100 * (2 + np.cos(y * 0.5) + np.cos(x * 0.45)), (0.02, 0.02), "large")
    mask = np.random.default_rng(0).random(large.shape) < 0.25
    layers = Layers(window)
    source = layers.add_frame(large)
    layers.add_measurement(Measurement(large.image, mask, large.pixel_size_nm, "none", None, "large"), source, Place.of_layer(source))
    assert docked.measured_combo.currentText() == "large measured"
    assert docked.mask_combo.currentText() == "large mask"
    assert docked.truth_combo.currentText() == "large"
    docked.form.controls["solver"].value = "hqs"
    docked.form.controls["checkpoint"].value = checkpoint
    docked.form.controls["iterations"].value = 12
    seen: list[Any] = []
    sentences: set[str] = set()
    beats: list[float] = []
    docked.runner.stepped.connect(seen.append)

    def beat() -> None:
        sentences.add(docked.status.text().split(":")[0])
        beats.append(time.perf_counter())

    timer = QTimer(docked)
    timer.setInterval(5)
    timer.timeout.connect(beat)
    gc.collect()
    gc.freeze()  # what the tests before this one left would be searched at the end of the run, which a user does not have
    with qtbot.waitSignal(docked.runner.returned, timeout=60000):
        click(qtbot, docked.run_button)
        QApplication.processEvents()  # the answer to the click: the result's layer
        timer.start()
        assert not docked.run_button.isEnabled()
    timer.stop()
    gc.unfreeze()
    gap = max(np.diff(beats))
    print(f"{len(seen)} iterates, longest gap {gap:.3f} s")
    assert len(seen) >= 10
    assert gap < LONGEST_GAP_S
    (layer,) = results(window)
    assert layer.name == "large reconstructed"
    assert tuple(layer.scale) == (0.02, 0.02)
    assert str(layer.units[0]) == "nanometer"
    recipe = layer.metadata["recipe"]
    assert recipe["reconstruction"]["iterations"] == 12
    assert recipe["noise"] == "none"
    assert layer.metadata["scores"]["sre_db"] > 20
    assert "SRE" in docked.status.text()
    assert "Choosing the start" in sentences
    assert docked.progress.format().startswith("done in")
    assert docked.run_button.isEnabled()
    assert not docked.cancel_button.isEnabled()


def test_the_result_is_what_the_core_computes(qtbot: Any, widget: ReconstructWidget, viewer: Any, measurement: Measurement) -> None:
    import napari_stem_inpaint as nsi

    with qtbot.waitSignal(widget.runner.returned, timeout=30000):
        click(qtbot, widget.run_button)
    expected = nsi.reconstruct(measurement, nsi.ReconstructionParams(solver="irls"))
    np.testing.assert_allclose(results(viewer)[0].data, expected.image, rtol=1e-5, atol=1e-4)


def test_command_python_and_window_agree_to_the_last_bit(
    qtbot: Any, viewer: Any, measurement: Measurement, checkpoint: str, tmp_path: Path
) -> None:
    import napari_stem_inpaint as nsi
    from napari_stem_inpaint import cli, io
    from napari_stem_inpaint.gui import files

    measured, result = tmp_path / "measured.stem.tif", tmp_path / "result.tif"
    io.write_measurement(measured, measurement)
    assert cli.main(["reconstruct", str(measured), "--checkpoint", checkpoint, "--iterations", "6", "--out", str(result)]) == 0
    params = nsi.ReconstructionParams(checkpoint=checkpoint, iterations=6)
    by_python = nsi.reconstruct(measurement, params)
    for data, keywords, kind in files.read_layers(str(measured)):
        getattr(viewer, f"add_{kind}")(data, **keywords)
    widget = ReconstructWidget(viewer)
    qtbot.addWidget(widget)
    widget.form.set_values(params)
    with qtbot.waitSignal(widget.runner.returned, timeout=60000):
        click(qtbot, widget.run_button)
    (by_command,) = io.read(result)
    np.testing.assert_array_equal(by_command.image, by_python.image)
    np.testing.assert_array_equal(results(viewer)[0].data, by_python.image)


@pytest.mark.parametrize("paused", [False, True])
def test_cancel_then_run_again(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any, paused: bool) -> None:
    fake.endless = True
    with qtbot.waitSignal(docked.runner.stepped, timeout=5000):
        click(qtbot, docked.run_button)
    if paused:
        click(qtbot, docked.pause_button)
    began = time.perf_counter()
    with qtbot.waitSignal(docked.runner.ended, timeout=2000):
        click(qtbot, docked.cancel_button)
    assert time.perf_counter() - began < CANCEL_S
    qtbot.waitUntil(lambda: fake.closed == 1, timeout=2000)
    assert docked.status.text() == "Cancelled. The last image stays."
    assert docked.progress.format().startswith("cancelled at step")
    assert [layer.name for layer in results(window)] == ["lattice reconstructed (unfinished)"]
    fake.endless = False
    with qtbot.waitSignal(docked.runner.returned, timeout=5000):
        click(qtbot, docked.run_button)
    assert len(results(window)) == 2
    assert docked.pause_button.text() == "Pause"


def test_cancel_acts_within_a_long_real_step(qtbot: Any, widget: ReconstructWidget, viewer: Any, checkpoint: str) -> None:
    side = 512
    values = np.random.default_rng(1).random((side, side), np.float32)
    image = viewer.add_image(values, name="large")
    mask = viewer.add_labels((values > 0.5).astype(np.uint8), name="large mask")
    widget.measured_combo.choose(image)
    widget.mask_combo.choose(mask)
    widget.truth_combo.choose(None)
    click(qtbot, widget.run_button)
    qtbot.waitUntil(lambda: widget.status.text().startswith("Learning"), timeout=20000)
    began = time.perf_counter()
    with qtbot.waitSignal(widget.runner.ended, timeout=2000):
        click(qtbot, widget.cancel_button)
    print(f"cancelled after {time.perf_counter() - began:.3f} s")
    assert time.perf_counter() - began < CANCEL_S
    assert widget.status.text() == "Cancelled."
    assert widget.run_button.isEnabled()


def test_pause_and_resume(qtbot: Any, widget: ReconstructWidget, fake: Any) -> None:
    fake.endless = True
    with qtbot.waitSignal(widget.runner.stepped, timeout=5000):
        click(qtbot, widget.run_button)
    click(qtbot, widget.pause_button)
    assert widget.pause_button.text() == "Resume"
    assert widget.progress.format().startswith("paused")
    before = [-1]

    def rests() -> bool:
        before.append(fake.step)
        return before[-1] == before[-2]

    qtbot.waitUntil(rests, timeout=2000)
    with qtbot.assertNotEmitted(widget.runner.stepped, wait=300):
        pass
    assert fake.step == before[-1]
    with qtbot.waitSignal(widget.runner.stepped, timeout=5000):
        click(qtbot, widget.pause_button)
    assert widget.pause_button.text() == "Pause"
    with qtbot.waitSignal(widget.runner.ended, timeout=2000):
        click(qtbot, widget.cancel_button)


@pytest.mark.parametrize("fault", [ValueError("bad\nvalue"), RuntimeError("out of range"), MemoryError()])
def test_a_failure_is_one_sentence_and_run_stays_usable(qtbot: Any, widget: ReconstructWidget, fake: Any, fault: Exception) -> None:
    fake.fault = fault
    with qtbot.waitSignal(widget.runner.failed, timeout=5000):
        click(qtbot, widget.run_button)
    text = widget.status.text()
    assert text
    assert "\n" not in text
    assert "Traceback" not in text
    assert widget.status.findChild(QLabel).textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByMouse
    assert widget.progress.format().startswith("failed at step")
    fake.fault = None
    with qtbot.waitSignal(widget.runner.returned, timeout=5000):
        click(qtbot, widget.run_button)
    assert widget.status.text() == "Fake: error at withheld positions 1 (RMS)."


def test_a_fault_inside_the_solver_is_told(qtbot: Any, widget: ReconstructWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_stem_inpaint import starts

    def broken(*_: object) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(starts, "fourier_sparse", broken)
    with qtbot.waitSignal(widget.runner.failed, timeout=20000):
        click(qtbot, widget.run_button)
    assert "shapes do not match" in widget.status.text()
    assert widget.run_button.isEnabled()


def test_a_mask_that_marks_nothing_is_refused_in_words(qtbot: Any, widget: ReconstructWidget) -> None:
    widget.mask_combo.layer().data[:] = 0
    click(qtbot, widget.run_button)
    assert "marks no position as measured" in widget.status.text()
    assert widget.run_button.isEnabled()
    assert not widget.runner.running


def test_layers_deleted_or_renamed_during_the_run_do_no_harm(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any) -> None:
    fake.endless = True
    with qtbot.waitSignal(docked.runner.stepped, timeout=5000):
        click(qtbot, docked.run_button)
    window.layers["lattice measured"].name = "other"
    window.layers.remove(window.layers["lattice mask"])
    window.layers.remove(window.layers["other"])
    window.layers.remove(results(window)[0])
    qtbot.waitUntil(lambda: "was deleted" in docked.status.text(), timeout=5000)
    assert not results(window)
    fake.endless = False
    with qtbot.waitSignal(docked.runner.returned, timeout=5000):
        pass
    assert len(results(window)) == 1
    assert not docked.run_button.isEnabled()
    assert docked.hint.text().startswith("Choose the measured image")


def test_closing_the_viewer_ends_the_work(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any) -> None:
    fake.endless = True
    with qtbot.waitSignal(docked.runner.stepped, timeout=5000):
        click(qtbot, docked.run_button)
    window.close()
    qtbot.waitUntil(lambda: fake.closed == 1, timeout=5000)


def test_the_first_image_shown_is_no_pause(qtbot: Any, docked: ReconstructWidget, fake: Any) -> None:
    fake.endless = True
    with qtbot.waitSignal(docked.runner.stepped, timeout=5000):
        click(qtbot, docked.run_button)
    assert docked.pause_button.text() == "Pause"
    click(qtbot, docked.pause_button)
    assert docked.pause_button.text() == "Resume"


def test_removing_the_widget_ends_the_work_and_leaves_the_viewer_usable(
    qtbot: Any, window: Any, docked: ReconstructWidget, fake: Any
) -> None:
    fake.endless = True
    with qtbot.waitSignal(docked.runner.stepped, timeout=5000):
        click(qtbot, docked.run_button)
    gone: list[bool] = []
    docked.destroyed.connect(lambda *_: gone.append(True))
    window.window.remove_dock_widget(docked)
    docked.deleteLater()
    qtbot.waitUntil(lambda: bool(gone), timeout=5000)
    qtbot.waitUntil(lambda: fake.closed == 1, timeout=5000)
    window.add_image(np.zeros((4, 4)), name="later")
    window.layers["later"].name = "renamed"
    window.layers.remove(window.layers["renamed"])


def test_what_is_missing_is_said(viewer: Any, qtbot: Any, measurement: Measurement) -> None:
    widget = ReconstructWidget(viewer)
    qtbot.addWidget(widget)
    widget.form.controls["solver"].value = "gp"
    assert not widget.run_button.isEnabled()
    assert widget.hint.text().startswith("Choose the measured image")
    image = viewer.add_image(measurement.values, name="mine")
    widget.measured_combo.choose(image)
    assert widget.hint.text().startswith("Choose the mask")
    small = viewer.add_labels(np.ones((3, 4), np.uint8), name="small")
    widget.mask_combo.choose(small)
    assert "shape" in widget.hint.text()
    fits = viewer.add_labels(measurement.mask.astype(np.uint8), name="fits")
    widget.mask_combo.choose(fits)
    assert widget.run_button.isEnabled()
    assert not widget.hint.text()
    widget.form.controls["solver"].value = "hqs"
    widget.form.controls["checkpoint"].value = "no-such-checkpoint"
    assert "no-such-checkpoint is not installed" in widget.hint.text()
    assert not widget.run_button.isEnabled()


@pytest.mark.parametrize(
    ("name", "words"),
    [("cut.safetensors", "damaged"), ("text.pth", "was not written by PyTorch"), ("one-pass.safetensors", "a denoiser is needed here")],
)
def test_a_checkpoint_that_cannot_be_used_is_told_when_it_is_chosen(
    widget: ReconstructWidget, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    whole = Path(checkpoint).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "one-pass.safetensors").write_bytes(find_file("stem-one-pass").read_bytes())
    widget.form.controls["solver"].value = "hqs"
    assert widget.run_button.isEnabled()
    choice = widget.form.controls["checkpoint"].native
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / name), ""))
    choice.setCurrentIndex(choice.findText("From file…"))
    assert words in widget.hint.text()
    assert not widget.run_button.isEnabled()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (checkpoint, ""))
    choice.setCurrentIndex(choice.findText("From file…"))
    assert not widget.hint.text()
    assert widget.run_button.isEnabled()


def test_choices_follow_the_layers(viewer: Any, widget: ReconstructWidget) -> None:
    viewer.add_image(np.zeros((8, 8, 3)), rgb=True, name="photo")
    viewer.add_points(np.zeros((1, 2)), name="points")
    names = [widget.measured_combo.itemText(i) for i in range(widget.measured_combo.count())]
    assert names == ["choose an image", "lattice", "lattice measured"]
    viewer.layers["lattice measured"].name = "renamed"
    assert widget.measured_combo.currentText() == "renamed"
    viewer.layers.move(0, 3)
    assert widget.measured_combo.currentText() == "renamed"
    viewer.layers.remove(viewer.layers["renamed"])
    assert widget.measured_combo.layer() is None


def test_a_choice_is_kept_until_a_new_measurement_arrives(viewer: Any, widget: ReconstructWidget, measurement: Measurement) -> None:
    widget.truth_combo.choose(None)
    viewer.add_image(np.zeros((4, 4)), name="something else")
    assert widget.truth_combo.layer() is None
    widget.measured_combo.choose(viewer.layers["lattice"])
    viewer.add_image(np.zeros((4, 4)), name="more")
    assert widget.measured_combo.currentText() == "lattice"
    layers = Layers(viewer)
    layers.add_measurement(measurement, viewer.layers["lattice"], Place())
    assert widget.measured_combo.currentText() == "lattice measured [1]"
    assert widget.mask_combo.currentText() == "lattice mask [1]"
    assert widget.truth_combo.currentText() == "lattice"


def test_the_plane_shown_of_a_stack_is_used(qtbot: Any, viewer: Any, measurement: Measurement, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Measurement] = []

    def note(taken_measurement: Measurement, params: Any, truth: Any, tick: Any) -> Any:
        taken.append(taken_measurement)
        yield "noted"
        raise ValueError("enough")

    monkeypatch.setattr(jobs, "reconstruction", note)
    widget = ReconstructWidget(viewer)
    qtbot.addWidget(widget)
    widget.form.controls["solver"].value = "gp"
    stack = np.stack([measurement.values * (k + 1) for k in range(4)])
    image = viewer.add_image(stack, name="stack", scale=(2, 0.1, 0.1), units=("pixel", "nm", "nm"))
    mask = viewer.add_labels(measurement.mask.astype(np.uint8), name="mask", scale=(0.1, 0.1), units=("nm", "nm"))
    widget.measured_combo.choose(image)
    widget.mask_combo.choose(mask)
    viewer.dims.set_current_step(0, 2)
    assert widget.hint.text() == "The plane shown will be reconstructed: stack [3/4]."
    with qtbot.waitSignal(widget.runner.failed, timeout=5000):
        click(qtbot, widget.run_button)
    np.testing.assert_array_equal(taken[0].values, 3 * measurement.values)
    assert taken[0].name == "stack [3/4]"
    assert taken[0].pixel_size_nm == pytest.approx((0.1, 0.1))


def test_the_panel_is_narrow(widget: ReconstructWidget) -> None:
    widget.form.sections["Details"].expand(animate=False)
    widget.status.setText("A sentence with " + "many words " * 30)
    assert widget.sizeHint().width() <= 420
    assert widget.minimumSizeHint().width() <= 420


@pytest.mark.parametrize("how", ["NaN", "zero", "positions"])
def test_real_subsampled_data_need_no_mask_layer(
    qtbot: Any, viewer: Any, measurement: Measurement, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    words = {"NaN": "Where the image is a number", "zero": "Where the image is not zero", "positions": "From a file…"}[how]
    image = np.where(measurement.mask, measurement.values, np.nan if how == "NaN" else 0).astype(np.float32)
    write_scan(tmp_path / "positions.csv", Scan.from_mask(measurement.mask))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(tmp_path / "positions.csv"), ""))
    viewer.add_image(image, name="mine", scale=(0.02, 0.02), units=("nm", "nm"))
    made = ReconstructWidget(viewer)
    qtbot.addWidget(made)
    assert not made.mask_button.isEnabled()
    made.measured_combo.choose(viewer.layers["mine"])
    assert ("choose From… > Where the image is a number" if how == "NaN" else "or make one with From…") in made.hint.text()
    made.mask_actions[words].trigger()
    assert made.mask_combo.currentText() == "mine mask"
    np.testing.assert_array_equal(viewer.layers["mine mask"].data, measurement.mask)
    made.form.controls["solver"].value = "irls"
    with qtbot.waitSignal(made.runner.returned, timeout=30000):
        click(qtbot, made.run_button)
    (layer,) = results(viewer)
    assert notes_of(layer)["of"] == notes_of(viewer.layers["mine mask"])["set"]
    assert np.isfinite(layer.data).all()


def test_positions_painted_onto_a_mask_are_not_taken_for_measured(
    qtbot: Any, widget: ReconstructWidget, viewer: Any, measurement: Measurement
) -> None:
    mask = viewer.layers["lattice mask"]
    painted = np.array(mask.data)
    painted[tuple(np.argwhere(~measurement.mask)[:7].T)] = 1
    mask.data = painted
    click(qtbot, widget.run_button)
    assert "claims 7 positions that were never measured" in widget.status.text()
    assert not results(viewer)
    erased = measurement.mask.astype(np.uint8)
    erased[tuple(np.argwhere(measurement.mask)[:50].T)] = 0  # leaves less to go by, which is honest
    mask.data = erased
    with qtbot.waitSignal(widget.runner.returned, timeout=30000):
        click(qtbot, widget.run_button)
    assert results(viewer)


def test_one_can_look_back(qtbot: Any, widget: ReconstructWidget, viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "INTERVAL_S", 0.0)
    with qtbot.waitSignal(widget.runner.returned, timeout=30000):
        click(qtbot, widget.run_button)
    slider, kept = widget.look_back.slider, widget.look_back.kept.iterates
    assert slider.value() == slider.maximum() == len(kept) - 1 > 1
    assert widget.look_back.chart.title.startswith("SRE (dB) by step")
    result = results(viewer)[0].data.copy()
    for place in (0, 1):
        slider.setValue(place)
        (shown,) = (layer for layer in viewer.layers if notes_of(layer).get("role") == "iterate")
        np.testing.assert_array_equal(shown.data, kept[place].image)
        assert shown.name == f"lattice reconstructed, step {kept[place].index}"
    np.testing.assert_array_equal(results(viewer)[0].data, result)
    viewer.layers.remove(shown)
    slider.setValue(0)
    assert len([layer for layer in viewer.layers if notes_of(layer).get("role") == "iterate"]) == 1


def test_one_can_look_back_while_others_come(qtbot: Any, widget: ReconstructWidget, viewer: Any, fake: Any) -> None:
    fake.endless = True
    widget.show()
    look = widget.look_back
    click(qtbot, widget.run_button)
    qtbot.waitUntil(lambda: look.slider.maximum() >= 2, timeout=10000)
    qtbot.keyClick(look.slider, Qt.Key.Key_Home)
    (shown,) = (layer for layer in viewer.layers if notes_of(layer).get("role") == "iterate")
    before, name = look.slider.maximum(), shown.name
    qtbot.waitUntil(lambda: look.slider.maximum() >= before + 2, timeout=10000)
    assert look.slider.value() == 0
    assert name.endswith(look.label.text())
    qtbot.keyClick(look.slider, Qt.Key.Key_End)
    qtbot.waitUntil(lambda: look.slider.maximum() >= before + 4, timeout=10000)
    assert look.slider.value() == look.slider.maximum()
    with qtbot.waitSignal(widget.runner.cancelled, timeout=5000):
        click(qtbot, widget.cancel_button)


def test_what_is_looked_at_stays_when_half_is_dropped(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_back, "MOST_BYTES", 10 * 400)
    looked = look_back.LookBack()
    qtbot.addWidget(looked)
    for k in range(1, 60):
        looked.add(Iterate(k, 100, np.zeros((10, 10), np.float32), 1.0, 0.0, ""))
        if k == 8:
            looked.slider.setValue(5)
    assert looked.kept.iterates[looked.slider.value()].index == next(one.index for one in looked.kept.iterates if one.index >= 6)
    assert looked.slider.value() < looked.slider.maximum()


def test_kept_iterates_stay_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_back, "MOST_BYTES", 10 * 400)
    kept = look_back.Kept()
    for k in range(100):
        kept.add(Iterate(k, 100, np.zeros((10, 10), np.float32), 1.0, 0.0, ""))
        assert len(kept.iterates) <= 10
        assert kept.iterates[-1].index == k
    indices = [one.index for one in kept.iterates]
    assert indices == sorted(indices)


def test_quality_sets_the_solver_and_says_when_it_is_changed(qtbot: Any, widget: ReconstructWidget, checkpoint: str) -> None:
    controls = widget.form.controls
    assert (widget.quality.currentIndex(), widget.quality.placeholderText()) == (-1, "By hand")  # irls is no quality's solver
    controls["checkpoint"].value, controls["seed"].value = checkpoint, 5
    for text, solver, averaging in (("Fast", "one-pass", "one"), ("Best", "apgd", "all"), ("Balanced", "apgd", "one")):
        place = next(k for k in range(widget.quality.count()) if text in widget.quality.itemText(k))
        widget.quality.setCurrentIndex(place)
        widget.quality.activated.emit(place)
        assert (controls["solver"].value, controls["averaging"].value) == (solver, averaging)
        assert (controls["checkpoint"].value, controls["seed"].value) == (checkpoint, 5)
        assert widget.quality.currentText().startswith(text)
    controls["iterations"].value += 1
    assert widget.quality.currentText() == "Changed: Balanced"
    for solver, shown in (("one-pass", "Changed: Fast"), ("gp", ""), ("apgd", "Changed: Balanced")):
        solvers = controls["solver"].native
        while solvers.currentText() != solver:
            qtbot.keyClick(solvers, Qt.Key.Key_Down if solvers.findText(solver) > solvers.currentIndex() else Qt.Key.Key_Up)
        assert widget.quality.currentText() == shown


def test_positions_that_do_not_fit_are_said(qtbot: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_scan(tmp_path / "positions.csv", Scan.from_mask(np.ones((9, 9), bool)))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(tmp_path / "positions.csv"), ""))
    viewer.add_image(np.ones((8, 8), np.float32), name="mine")
    made = ReconstructWidget(viewer)
    qtbot.addWidget(made)
    made.measured_combo.choose(viewer.layers["mine"])
    made.mask_actions["From a file…"].trigger()
    assert "is for a frame of 9 x 9, but the frame is 8 x 8" in made.status.text()
    assert made.mask_combo.layer() is None


def test_how_a_run_went_is_not_said_of_another_image(qtbot: Any, widget: ReconstructWidget, viewer: Any, fake: Any) -> None:
    with qtbot.waitSignal(widget.runner.returned, timeout=5000):
        qtbot.mouseClick(widget.run_button, LEFT)
    assert widget.status.text()
    assert "done" in widget.progress.text()
    viewer.add_image(np.ones((64, 64)), name="other")
    widget.measured_combo.choose(viewer.layers["other"])
    assert not widget.status.text()
    assert not widget.progress.text()


def test_a_mask_of_another_image_is_not_kept(qtbot: Any, viewer: Any, widget: ReconstructWidget, measurement: Measurement) -> None:
    assert widget.mask_combo.layer() is not None
    viewer.add_image(measurement.values, name="other")
    widget.measured_combo.choose(viewer.layers["other"])
    assert widget.mask_combo.layer() is None
    assert widget.truth_combo.layer() is None
    assert not widget.run_button.isEnabled()
    viewer.add_labels(measurement.mask.astype(np.uint8), name="drawn")
    widget.mask_combo.choose(viewer.layers["drawn"])
    viewer.add_image(measurement.values, name="third")
    widget.measured_combo.choose(viewer.layers["third"])
    assert widget.mask_combo.layer() == viewer.layers["drawn"]  # nobody said whose it is
    widget.measured_combo.choose(viewer.layers["lattice measured"])
    assert widget.mask_combo.layer() == viewer.layers["lattice mask"]
