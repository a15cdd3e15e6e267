"""The Train widget, clicked: train, watch, stop, resume, start afresh, fail, close, and use what was learned."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from npe2 import PluginManifest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QFileDialog, QMenu, QMessageBox

import napari_stem_inpaint
from napari_stem_inpaint import training
from napari_stem_inpaint.denoisers.cards import read_card
from napari_stem_inpaint.denoisers.registry import find_file, load_denoiser
from napari_stem_inpaint.errors import SolverError
from napari_stem_inpaint.gui import train_jobs
from napari_stem_inpaint.gui.curves import MOST_POINTS, GainBars, History, LossCurve, ticks
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget
from napari_stem_inpaint.gui.train import FREE, TrainWidget, use_in_reconstruct
from napari_stem_inpaint.params import TrainingParams
from napari_stem_inpaint.training_presets import OWN, PRESETS

LEFT = Qt.MouseButton.LeftButton
MANIFEST = Path(napari_stem_inpaint.__file__).with_name("napari.yaml")
ENDLESS = 10**6
SHORT = {"minutes": 0.0, "steps": 6, "batch": 2, "patch_px": 32, "precision": "float32", "device": "cpu", "validate_every": 5}
LONGEST_GAP_S = 0.3
STOP_S = 1.0


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Small networks and few validation frames, and a folder of one's own that does not exist yet."""
    monkeypatch.setitem(training.NETWORKS, "drunet-tiny", ("drunet", {"channels": (4, 8), "blocks": 1, "contrasts": 2}))
    monkeypatch.setattr(training, "validation_frames", lambda: torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    monkeypatch.setenv("STEM_INPAINT_CHECKPOINTS", str(tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.fixture
def widget(viewer: Any, qtbot: Any) -> Iterator[TrainWidget]:
    """A widget set to a training of moments."""
    made = TrainWidget(viewer)
    qtbot.addWidget(made)
    set_values(made)
    yield made
    end(qtbot, made)


@pytest.fixture
def docked(window: Any, qtbot: Any) -> TrainWidget:
    """The same in a window, training without end."""
    made = TrainWidget(window)
    window.window.add_dock_widget(made, name="Train")
    set_values(made, steps=ENDLESS)
    start(qtbot, made)
    return made


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the user answers to questions, in order."""
    told: list[bool] = []
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *_: yes if told.pop(0) else no)
    return told


def set_values(widget: TrainWidget, **values: Any) -> None:
    widget.form.set_values(TrainingParams(**(SHORT | values)))


def click(qtbot: Any, button: Any) -> None:
    assert button.isEnabled()
    assert not button.isHidden()
    qtbot.mouseClick(button, LEFT)


def start(qtbot: Any, widget: TrainWidget) -> None:
    with qtbot.waitSignal(widget.runner.stepped, timeout=30000):
        click(qtbot, widget.run_button)


def stop(qtbot: Any, widget: TrainWidget) -> None:
    with qtbot.waitSignal(widget.runner.ended, timeout=10000):
        click(qtbot, widget.stop_button)


def end(qtbot: Any, widget: TrainWidget) -> None:
    if widget.runner.running:
        stop(qtbot, widget)


def run(qtbot: Any, widget: TrainWidget) -> None:
    with qtbot.waitSignal(widget.runner.ended, timeout=60000):
        click(qtbot, widget.run_button)


def saved_step(folder: Path, name: str = "my-denoiser") -> int:
    there = train_jobs.stopped_training(folder / f"{name}.safetensors")
    return there.step if there is not None else -1


# --- a session


def test_a_training_is_watched_stopped_resumed_and_ended(qtbot: Any, make_napari_viewer_proxy: Callable[..., Any], folder: Path) -> None:
    window = make_napari_viewer_proxy(show=True)
    widget = TrainWidget(window)
    window.window.add_dock_widget(widget, name="Train", area="right")
    set_values(widget, steps=ENDLESS)
    assert widget.view.isHidden()
    beats: list[float] = []
    news: list[tuple[float, Any]] = []
    widget.runner.stepped.connect(lambda steps: news.append((time.perf_counter(), steps)))
    timer = QTimer(widget)
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    gc.collect()
    gc.freeze()  # what the tests before this one left, which a user does not have
    timer.start(5)
    click(qtbot, widget.run_button)
    assert not widget.run_button.isEnabled()
    assert not widget.form.isEnabled()
    qtbot.waitUntil(lambda: widget.view.sample.sample is not None and len(news) > 15, timeout=30000)
    assert widget.view.isVisible()
    assert len(widget.view.loss.history.points) > 5
    assert widget.view.gains.last
    assert widget.view.gains.best
    assert widget.view.loss.grab().toImage() != LossCurve().grab().toImage()
    assert "patches/s, data " in widget.status.text()
    assert " left" in widget.progress.format()
    began = time.perf_counter()
    stop(qtbot, widget)
    took = time.perf_counter() - began
    timer.stop()
    gc.unfreeze()
    gap = max(np.diff(beats))
    rate = len(news) / (news[-1][0] - news[0][0])
    print(f"longest gap {gap:.3f} s, {rate:.1f} messages/s, stopped in {took:.2f} s")
    assert gap < LONGEST_GAP_S
    assert took < STOP_S
    assert rate < 11
    reached = [step.index for _, steps in news for step in steps]
    assert reached == list(range(1, len(reached) + 1))  # none was lost
    assert saved_step(folder) == reached[-1]
    assert f"Stopped at step {reached[-1]:,}" in widget.status.text()
    assert str(folder / "my-denoiser.safetensors") in widget.status.text()
    assert widget.run_button.text() == "Resume"
    assert f"step {reached[-1]:,}" in widget.hint.text()
    points = len(widget.view.loss.history.points)
    start(qtbot, widget)
    assert news[-1][1][0].index == reached[-1] + 1
    assert len(widget.view.loss.history.points) >= points
    stop(qtbot, widget)


def test_what_was_learned_is_there_at_the_end(qtbot: Any, widget: TrainWidget, folder: Path) -> None:
    assert widget.run_button.text() == "Train"
    assert widget.use_button.isHidden()
    run(qtbot, widget)
    assert widget.status.text().startswith("Trained at step 6, after ")
    assert widget.status.text().endswith(f" s. The checkpoint is {folder / 'my-denoiser.safetensors'}.")
    assert widget.progress.format() == "done"
    assert "trained to its end" in widget.hint.text()
    card = load_denoiser("my-denoiser").card
    assert card.name == "my-denoiser"
    assert card.training["steps_done"] == 5  # the validation at step 5 or the end
    assert read_card(folder / "my-denoiser.safetensors").training_command.startswith("stem-inpaint train --")
    assert not widget.use_button.isHidden()


def test_closing_and_reopening_the_widget_resumes(qtbot: Any, widget: TrainWidget, viewer: Any, folder: Path) -> None:
    set_values(widget, steps=ENDLESS)
    start(qtbot, widget)
    qtbot.waitUntil(lambda: bool(widget.view.gains.best), timeout=10000)
    stop(qtbot, widget)
    again = TrainWidget(viewer)
    qtbot.addWidget(again)
    assert again.run_button.text() == "Resume"
    assert "stands at" in again.hint.text()
    again.form.controls["learning_rate"].value *= 0.5
    assert "begun with other settings" in again.hint.text()
    click(qtbot, again.recall_button)
    assert again.form.values() == widget.form.values()
    assert again.recall_button.isHidden()
    reached = saved_step(folder)
    start(qtbot, again)
    assert dict(again.view.gains.best)
    stop(qtbot, again)
    assert saved_step(folder) > reached


# --- what goes wrong


def test_other_parameters_are_refused_in_words(qtbot: Any, widget: TrainWidget) -> None:
    run(qtbot, widget)
    widget.form.controls["seed"].value = 3
    run(qtbot, widget)
    assert "with other seed" in widget.status.text()
    assert widget.progress.format() == "failed"
    click(qtbot, widget.recall_button)
    assert widget.form.controls["seed"].value == 0


def test_another_train_widget_begins_with_the_last_values(qtbot: Any, viewer: Any, widget: TrainWidget) -> None:
    widget.form.controls["seed"].value = 11
    again = TrainWidget(viewer)
    qtbot.addWidget(again)
    assert again.form.values() == widget.form.values()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (RuntimeError("CUDA error\nsomewhere"), "RuntimeError: CUDA error somewhere"),
        (RuntimeError("CUDA out of memory\nsomewhere"), "Not enough memory to train like this"),
        (MemoryError(), "Not enough memory to train like this"),
        (SolverError("Training diverged at step 3."), "Training diverged at step 3."),
    ],
)
def test_a_fault_is_one_sentence_and_the_button_works_again(
    qtbot: Any, widget: TrainWidget, monkeypatch: pytest.MonkeyPatch, fault: Exception, words: str
) -> None:
    step = training._Training._step

    def broken(self: Any, *arguments: Any) -> float:
        if self.state.step == 3:
            raise fault
        return step(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(training._Training, "_step", broken)
        run(qtbot, widget)
    assert widget.status.text().startswith(words)
    assert "Traceback" not in widget.status.text()
    assert "\n" not in widget.status.text()
    run(qtbot, widget)
    assert widget.status.text().startswith("Trained at step 6")


def test_frames_that_cannot_be_read_are_refused_in_words(qtbot: Any, widget: TrainWidget, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    widget.form.controls["frames"].value = str(tmp_path / "empty")
    run(qtbot, widget)
    assert "holds no frames to train on" in widget.status.text()
    assert widget.run_button.isEnabled()


def test_a_damaged_state_can_be_begun_afresh(qtbot: Any, widget: TrainWidget, folder: Path, answers: list[bool]) -> None:
    folder.mkdir()
    (folder / "my-denoiser.state.safetensors").write_bytes(b"nonsense")
    widget.save.line.setText("other")
    widget.save.line.setText("my-denoiser")
    assert widget.run_button.text() == "Resume"
    run(qtbot, widget)
    assert "damaged" in widget.status.text()
    answers.append(True)
    with qtbot.waitSignal(widget.runner.returned, timeout=30000):
        click(qtbot, widget.fresh_button)
    assert widget.status.text().startswith("Trained at step 6")


def test_starting_afresh_asks_first(qtbot: Any, widget: TrainWidget, folder: Path, answers: list[bool]) -> None:
    assert not widget.fresh_button.isEnabled()
    run(qtbot, widget)
    answers.append(False)
    click(qtbot, widget.fresh_button)
    assert not widget.runner.running
    assert saved_step(folder) == 6
    widget.form.controls["steps"].value = 3
    answers.append(True)
    with qtbot.waitSignal(widget.runner.ended, timeout=30000):
        click(qtbot, widget.fresh_button)
    assert saved_step(folder) == 3


def test_a_checkpoint_is_not_replaced_unasked(qtbot: Any, widget: TrainWidget, folder: Path, answers: list[bool]) -> None:
    run(qtbot, widget)
    (folder / "my-denoiser.state.safetensors").unlink()
    before = (folder / "my-denoiser.safetensors").read_bytes()
    widget.save.changed.emit()
    assert widget.run_button.text() == "Train"
    answers.append(False)
    click(qtbot, widget.run_button)
    assert not widget.runner.running
    assert (folder / "my-denoiser.safetensors").read_bytes() == before
    answers.append(True)
    run(qtbot, widget)
    assert widget.status.text().startswith("Trained")


# --- where it is saved


@pytest.mark.parametrize(
    ("name", "words"), [("", "Give the denoiser a name"), ("two words", "Give the denoiser a name"), ("stem-tiny", "came with the program")]
)
def test_impossible_names_are_said(widget: TrainWidget, name: str, words: str) -> None:
    widget.save.line.setText(name)
    assert words in widget.hint.text()
    assert not widget.run_button.isEnabled()
    widget.save.line.setText("good")
    assert widget.run_button.isEnabled()
    assert not widget.hint.text()


def test_a_file_elsewhere_can_be_chosen(qtbot: Any, widget: TrainWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "else where"), ""))
    click(qtbot, widget.save.button)
    run(qtbot, widget)
    assert str(tmp_path / "else where.safetensors") in widget.status.text()
    assert load_denoiser(widget.save.value()).card.name == "else where"
    widget.save.line.setText(str(tmp_path / "nowhere" / "a"))
    run(qtbot, widget)
    assert "folder that exists" in widget.status.text()


def test_a_folder_that_cannot_be_made_is_said(qtbot: Any, widget: TrainWidget, folder: Path) -> None:
    folder.write_text("a file")
    click(qtbot, widget.run_button)
    assert "cannot be made" in widget.status.text()
    assert widget.run_button.isEnabled()


def test_the_state_lies_where_training_puts_it(tmp_path: Path) -> None:
    out = tmp_path / "a.b.safetensors"
    params = TrainingParams(**SHORT)
    steps = training.train(params, out)
    next(steps)
    steps.close()
    there = train_jobs.stopped_training(out)
    assert there is not None
    assert (there.step, there.params) == (1, params)
    resumed = training.train(params.model_copy(update={"save_every_s": 7.0, "device": "auto", "workers": 0}), out)
    assert next(resumed).index == 2
    resumed.close()
    assert set(FREE) < set(TrainingParams.model_fields)


# --- closing


@pytest.mark.parametrize("how", ["close button", "remove", "delete", "viewer"])
def test_closing_stops_and_saves(qtbot: Any, docked: TrainWidget, window: Any, folder: Path, how: str) -> None:
    reached: list[int] = []
    docked.runner.stepped.connect(lambda steps: reached.append(steps[-1].index))
    qtbot.waitUntil(lambda: len(reached) > 3, timeout=10000)
    dock = docked.parent()
    while not isinstance(dock, QDockWidget):
        dock = dock.parent()
    if how == "close button":
        dock.title.close_button.click()
    elif how == "remove":
        window.window.remove_dock_widget(docked)
    elif how == "delete":
        window.window.remove_dock_widget(docked)
        docked.deleteLater()
    else:
        window.close()
    last = reached[-1]
    qtbot.waitUntil(lambda: saved_step(folder) >= last, timeout=10000)
    if how in ("close button", "remove"):
        qtbot.waitUntil(lambda: not docked.runner.running, timeout=5000)
    else:
        done = saved_step(folder)
        qtbot.wait(300)
        assert saved_step(folder) == done


# --- presets and the form


def test_every_preset_fills_the_form_and_keeps_the_frames(widget: TrainWidget, qtbot: Any) -> None:
    widget.form.controls["frames"].value = "/my/frames"
    for name, preset in reversed(PRESETS.items()):
        widget.preset.showPopup()
        view = widget.preset.view()
        view.setCurrentIndex(widget.preset.model().index(list(PRESETS).index(name), 0))
        qtbot.keyClick(view, Qt.Key.Key_Return)
        assert widget.form.values() == preset.model_copy(update={"frames": "/my/frames", "device": "cpu"})
        assert widget.preset.currentText() == name
    widget.form.controls["minutes"].value = 7.0
    assert widget.preset.currentText() == "Changed: Try it: 5 minutes"


def test_presets_are_what_they_say() -> None:
    assert [p.minutes for p in PRESETS.values()] == [5, 60, 600, 20]
    for preset in PRESETS.values():
        assert all(getattr(preset, name) == TrainingParams.model_fields[name].default for name in OWN)
    fine = PRESETS["Fine-tune: 20 minutes, on my frames"]
    assert load_denoiser(fine.start_from).card.name == fine.start_from


def test_fine_tuning_on_my_frames_asks_for_them(qtbot: Any, widget: TrainWidget) -> None:
    qtbot.keyClick(widget.preset, Qt.Key.Key_End)
    assert widget.preset.currentText() == "Fine-tune: 20 minutes, on my frames"
    widget.form.controls["minutes"].value = 40.0
    assert "Give a few frames of your own" in widget.hint.text()
    assert not widget.run_button.isEnabled()
    qtbot.keyClicks(widget.form.controls["frames"].native, "/my/frames")
    assert not widget.hint.text()
    assert widget.run_button.isEnabled()
    widget.form.controls["frames"].value = ""
    qtbot.keyClick(widget.preset, Qt.Key.Key_Home)
    widget.form.controls["start_from"].value = "stem-tiny"
    assert "goes on with simulated frames alone" in widget.hint.text()
    assert widget.run_button.isEnabled()


def test_a_damaged_checkpoint_to_start_from_is_told_when_it_is_chosen(widget: TrainWidget, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(find_file("stem-tiny").read_bytes()[:-1])
    widget.form.controls["start_from"].value = str(tmp_path / "cut.safetensors")
    assert "damaged" in widget.hint.text()
    assert not widget.run_button.isEnabled()
    (tmp_path / "theirs.pth").write_bytes(b"PK")
    widget.form.controls["start_from"].value = str(tmp_path / "theirs.pth")
    assert "not trained by this program" in widget.hint.text()
    assert not widget.run_button.isEnabled()


def test_a_classical_method_cannot_be_trained_further(widget: TrainWidget) -> None:
    widget.form.controls["start_from"].value = "tv"
    assert "learns nothing" in widget.hint.text()
    assert not widget.run_button.isEnabled()


def test_frames_are_a_file_or_a_folder(qtbot: Any, widget: TrainWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/a/file.dm4", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/a")
    (menu,) = widget.form.findChildren(QMenu)
    widget.show()
    qtbot.mouseClick(menu.parent(), LEFT)
    qtbot.waitUntil(menu.isVisible, timeout=5000)
    for key, value in ((Qt.Key.Key_Down, "/a/file.dm4"), (Qt.Key.Key_Up, "/a")):
        menu.popup(widget.pos())
        qtbot.keyClick(menu, key)
        qtbot.keyClick(menu, Qt.Key.Key_Return)
        assert widget.form.controls["frames"].value == value


def test_the_panel_is_narrow_and_in_reach_of_the_keyboard(qtbot: Any, widget: TrainWidget) -> None:
    run(qtbot, widget)
    widget.form.sections["Details"].expand(animate=False)
    widget.save.line.setText("/a/very/long/path" * 20)
    assert widget.sizeHint().width() <= 420
    assert widget.minimumSizeHint().width() <= 420
    widget.save.line.setText("my-denoiser")
    reached, part = set(), widget.preset
    for _ in range(300):
        part = part.nextInFocusChain()
        if part.focusPolicy() & Qt.FocusPolicy.TabFocus and part.isEnabled() and not part.isHidden():
            reached.add(part)
    buttons = {widget.run_button, widget.fresh_button, widget.use_button, widget.save.line, widget.save.button}
    assert buttons <= reached


def test_any_height_of_the_window_will_do(qtbot: Any, widget: TrainWidget) -> None:
    run(qtbot, widget)
    widget.show()
    for height in (*range(320, 900, 5), 400):
        widget.resize(380, height)
        QApplication.processEvents()
    assert widget.minimumSizeHint().height() < 450
    assert widget.view.isVisible()


# --- use


def test_the_checkpoint_is_used_in_a_reconstruct_widget(qtbot: Any, window: Any, npe2pm: Any) -> None:
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        widget = TrainWidget(window)
        window.window.add_dock_widget(widget, name="Train")
        set_values(widget)
        run(qtbot, widget)
        click(qtbot, widget.use_button)
        ((name, opened),) = [d for d in window.window.dock_widgets.items() if isinstance(d[1], ReconstructWidget)]
        assert name == f"Reconstruct ({PluginManifest.from_file(MANIFEST).display_name})"  # by which the menu finds it
        assert opened.form.controls["checkpoint"].value == "my-denoiser"
        opened.form.controls["checkpoint"].value = "stem-tiny"
        opened.form.controls["solver"].value = "gp"
        click(qtbot, widget.use_button)
        assert use_in_reconstruct(window, "my-denoiser", "denoise") is opened
        assert opened.form.controls["checkpoint"].value == "my-denoiser"
        assert opened.form.controls["solver"].value == "apgd"


def test_a_one_pass_network_is_trained_and_used_as_such(qtbot: Any, window: Any, npe2pm: Any) -> None:
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        widget = TrainWidget(window)
        window.window.add_dock_widget(widget, name="Train")
        set_values(widget, task="inpaint")
        run(qtbot, widget)
        assert widget.view.gains.by == "measured ratio"
        assert "in one pass" in widget.view.sample.sample.words
        click(qtbot, widget.use_button)
        (opened,) = [w for w in window.window.dock_widgets.values() if isinstance(w, ReconstructWidget)]
        assert (opened.form.controls["inpainter"].value, opened.form.controls["solver"].value) == ("my-denoiser", "one-pass")
        assert "my-denoiser" not in opened.form.controls["checkpoint"].choices


# --- the charts


def test_a_history_is_thinned_and_keeps_its_mean() -> None:
    history = History()
    for k in range(20 * MOST_POINTS):
        history.add(float(k), math.sin(k / 500))
    assert MOST_POINTS <= len(history.points) < 2 * MOST_POINTS
    assert [t for t, _ in history.points] == sorted(t for t, _ in history.points)
    assert history.points[-1][0] > 20 * MOST_POINTS - 100
    smooth = np.array(history.smoothed())
    assert smooth.shape == (len(history.points), 2)
    constant = History()
    for k in range(30):
        constant.add(float(k), -3.0)
    assert {v for _, v in constant.smoothed()} == {-3.0}


@pytest.mark.parametrize(("low", "high", "expected"), [(0, 10, [0, 5, 10]), (-0.3, 0.7, [0, 0.5]), (-31, -3, [-30, -20, -10]), (5, 5, [5])])
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 3) == pytest.approx(expected)


@pytest.mark.parametrize("gains", [{}, {"0.1": 0.0}, {"0.0001": -4.0, "0.1": 12.0, "0.5": 20.0}])
def test_charts_can_be_drawn_whatever_is_known(qtbot: Any, gains: dict[str, float]) -> None:
    bars, curve = GainBars(), LossCurve()
    for chart in (bars, curve):
        qtbot.addWidget(chart)
    bars.show_gains({}, gains)
    bars.grab()
    bars.show_gains(gains, gains)
    bars.grab()
    for k, loss in enumerate((-1.0, -1.0, 5.0)):
        curve.history.add(3600.0 * k, loss)
        curve.grab()
    for sigma in gains:
        assert sigma in bars.toolTip()
