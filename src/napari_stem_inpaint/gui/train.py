"""The widget "Train": a denoiser or a one-pass network of one's own, seen while it learns."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDockWidget, QFormLayout, QMessageBox, QProgressBar, QPushButton, QWidget

from ..denoisers.registry import find_trainable
from ..errors import CheckpointError, InputError
from ..io import SUFFIXES
from ..params import ONE_PASS, PLUG_AND_PLAY, TrainingParams
from ..training_presets import ON_MY_FRAMES, OWN, PRESETS
from . import train_jobs
from .combos import CheckpointChoice
from .flow import FlowWidget
from .forms import LABEL_PX, ParamsForm, add_row
from .panel import Panel
from .presets import PresetCombo
from .progress import clock
from .reconstruct import ReconstructWidget
from .remembered import remember
from .save_choice import SaveChoice
from .training_view import TrainingView

if TYPE_CHECKING:
    import napari.viewer

    from ..training import TrainingStep

RECONSTRUCT = "Reconstruct (STEM Inpaint)"  # what the menu calls its dock; it finds it by that
SHOWN = ("task", "network", "start_from", "frames", "frames_share", "minutes", "steps")
USED_AS = {"denoise": ("checkpoint", PLUG_AND_PLAY), "inpaint": ("inpainter", ONE_PASS)}  # field and solvers, by task
FREE = ("save_every_s", "device", "workers")  # may change between a stop and a resume
PARTS = 1000  # of the progress bar


class TrainWidget(Panel):
    """Trains a denoiser, can be stopped at any step and resumed, and hands the checkpoint to Reconstruct."""

    width_px = 380

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Train", "Train, or go on where a training of this name was stopped.")
        self._viewer = napari_viewer
        self._stop = threading.Event()
        self._running, self._shown = TrainingParams(), Path()  # what is trained, and the file to which the charts belong
        self.preset = PresetCombo(PRESETS, "Ready-made trainings; choosing one sets every value below but your frames.")
        self.form = ParamsForm(
            TrainingParams,
            shown=SHOWN,
            controls={"start_from": CheckpointChoice("", "", tasks=("denoise", "inpaint"))},
            files={"frames": f"Frames (*{' *'.join(SUFFIXES)})"},
            folders=("frames",),
        )
        self.save = SaveChoice("my-denoiser")
        self.recall_button = QPushButton("Its settings")
        self.stop_button, self.fresh_button = QPushButton("Stop"), QPushButton("Start afresh…")
        self.use_button = QPushButton("Use in Reconstruct")
        self.progress = QProgressBar()
        self.view = TrainingView()
        self._build()
        self.preset.chosen.connect(self._on_preset_chosen)
        for changed in (self.form.changed, self.save.changed):
            changed.connect(self._on_choice)
        for button, slot in (
            (self.run_button, self._on_run), (self.stop_button, self._on_stop), (self.fresh_button, self._on_fresh),
            (self.recall_button, self._on_recall), (self.use_button, self._on_use),
        ):  # fmt: skip
            button.clicked.connect(slot)
        self.runner.stepped.connect(self._on_stepped)
        self.runner.returned.connect(self._on_returned)
        self.runner.failed.connect(self._on_failed)
        self.runner.cancelled.connect(self._on_cancelled)
        self.runner.ended.connect(self._on_choice)
        remember(self.form, "Train", next(iter(PRESETS.values())))

    def _build(self) -> None:
        for widget, label, tip in ((self.preset, "Preset", self.preset.toolTip()), (self.save, "Save as", self.save.line.toolTip())):
            chooser = QWidget()
            row = QFormLayout(chooser)
            row.setContentsMargins(0, 0, 0, 0)
            add_row(row, label, widget, tip, LABEL_PX if widget is self.save else 0)
            if widget is self.preset:
                self.head.addWidget(chooser)
            else:
                self.add_group("Training", self.form, chooser)
        for button, tip in (
            (self.stop_button, "End at this step and keep everything that a resume needs."),
            (self.fresh_button, "Forget the training that was stopped, and begin anew; asks first."),
            (self.recall_button, "Set the values with which the training was begun that was stopped."),
            (self.use_button, "Choose this checkpoint in Reconstruct."),
        ):
            button.setToolTip(tip)
        self.buttons.addWidget(self.stop_button)
        self.buttons.addWidget(self.fresh_button)
        self.foot.insertWidget(self.foot.indexOf(self.hint) + 1, self.recall_button)
        self.foot.insertWidget(self.foot.indexOf(self.status), self.progress)
        self.foot.addWidget(self.use_button)
        self.body.insertWidget(0, self.view)
        self.progress.setRange(0, PARTS)
        self.progress.setFormat("")
        for part in (self.recall_button, self.progress, self.use_button, self.view):
            part.hide()

    def end(self) -> None:
        """Stop, and keep what was learned."""
        self._stop.set()

    # --- choices

    def _on_preset_chosen(self, preset: TrainingParams) -> None:
        self.form.set_values(preset.model_copy(update={name: self.form.controls[name].value for name in OWN}))

    def _on_choice(self) -> None:
        """Say what pressing the button would do, and allow what is possible."""
        running, out = self.runner.running, self.save.path()
        before = train_jobs.stopped_training(out)
        obstacle, other = self.save.obstacle(), False
        try:
            params = self.form.values()
            plain = TrainingParams().model_dump(include=set(OWN))
            self.preset.compare(params.model_copy(update=plain))
            obstacle = obstacle or self._untrainable()
            other = before is not None and before.params is not None and bool(different(before.params, params))
        except InputError as error:
            obstacle = str(error)
        if not running:
            self.advise(obstacle or self._what_lies_there(before, other))
        self.recall_button.setVisible(other and not running)
        self.run_button.setText("Resume" if before is not None else "Train")
        self.run_button.setEnabled(not running and not obstacle)
        self.stop_button.setEnabled(running and not self._stop.is_set())
        self.fresh_button.setEnabled(not running and not obstacle and before is not None)
        self.use_button.setVisible(not running and not obstacle and out.is_file())
        for part in (self.preset, self.form, self.save):
            part.setEnabled(not running)

    def _untrainable(self) -> str:
        start, frames = (self.form.controls[name].value for name in ("start_from", "frames"))
        if start and not frames and list(PRESETS)[self.preset.currentIndex()] == ON_MY_FRAMES:
            return "Give a few frames of your own under My frames: whole ones, not subsampled."
        try:
            if start:
                find_trainable(start)
        except CheckpointError as error:
            return str(error)
        return ""

    def _what_lies_there(self, before: train_jobs.StoppedTraining | None, other: bool) -> str:
        controls = self.form.controls
        if before is not None and before.params is not None:
            name, place = self.save.path().stem, f"step {before.step:,}"
            if other:
                return f"{name} was begun with other settings and stands at {percent(before.progress)}, {place}."
            if before.progress == 1:
                return f"{name} has been trained to its end, {place}; choose another name, or start afresh."
            return f"{name} stands at {percent(before.progress)}, {place}."
        if controls["start_from"].value and not controls["frames"].value:
            return "It goes on with simulated frames alone; to fine-tune on your own, give a few: whole ones, not subsampled."
        return ""

    def _on_recall(self) -> None:
        before = train_jobs.stopped_training(self.save.path())
        if before is not None and before.params is not None:
            self.form.set_values(before.params)

    # --- running

    def _on_run(self) -> None:
        out = self.save.path()
        safe = train_jobs.stopped_training(out) is not None or not out.exists()
        if safe or self._agreed(f"Replace {out.name}?", f"{out} exists. Train a new denoiser in its place?"):
            self._start(out)

    def _on_fresh(self) -> None:
        out = self.save.path()
        if not self._agreed("Start afresh?", f"Forget the training of {out.stem} that was stopped, and begin anew?"):
            return
        try:
            train_jobs.state_file(out).unlink(missing_ok=True)
        except OSError as error:
            self.say(f"{train_jobs.state_file(out)} cannot be deleted ({error.strerror}); choose another name.")
            return
        self._start(out)

    def _agreed(self, title: str, question: str) -> bool:
        return bool(QMessageBox.question(self, title, question) == QMessageBox.StandardButton.Yes)

    def _start(self, out: Path) -> None:
        try:
            params = self.form.values()
            self.save.make_folder()
        except InputError as error:
            self.say(error)
            return
        before = train_jobs.stopped_training(out)
        stop = self._stop = threading.Event()
        if before is None or out != self._shown:
            self.view.begin(params.task, before.best if before is not None else {})
        self._running, self._shown = params, out
        self.progress.setValue(0)
        self.progress.setFormat("preparing")
        self.progress.show()
        self.view.show()
        self.form_scroll.verticalScrollBar().setValue(0)  # to where the charts are
        self.advise("")
        self.say("Starting…")
        self.run(lambda tick: train_jobs.training(params, out, tick, stop.is_set))
        self._on_choice()

    def _on_stop(self) -> None:
        self._stop.set()
        self.stop_button.setEnabled(False)
        self.say("Stopping after this step…")

    def _on_stepped(self, steps: tuple[TrainingStep, ...]) -> None:
        self.view.add(steps)
        last, params = steps[-1], self._running
        progress = min(1.0, last.elapsed_s / (60 * params.minutes) if params.minutes else last.index / params.steps)
        self.progress.setValue(round(progress * PARTS))
        left = last.elapsed_s * (1 - progress) / max(progress, 1e-9)
        self.progress.setFormat(f"{percent(progress)}, {clock(last.elapsed_s)}, about {clock(left)} left" if progress < 1 else "finishing")
        if self._stop.is_set():
            return
        news = (
            f"Step {last.index:,}: error left {self.view.loss_db:.1f} dB, "
            f"{last.patches_per_s:.3g} patches/s, data {percent(last.data_share)}."
        ).replace("-", "−")
        self.say(news if progress < 1 else f"{news} Validating what was learned…")

    def _on_returned(self, result: train_jobs.Trained) -> None:
        done = "" if result.last is None else f" at step {result.last.index:,}, after {clock(result.last.elapsed_s)}"
        if result.last is None and result.stopped:
            self._on_cancelled()
        elif result.stopped:
            self.say(f"Stopped{done}; Resume goes on from there. The checkpoint so far is {result.out}.")
            self.progress.setFormat("stopped")
        else:
            self.say(f"Trained{done}. The checkpoint is {result.out}.")
            self.progress.setValue(PARTS)
            self.progress.setFormat("done")

    def _on_failed(self, sentence: str) -> None:
        self.progress.setFormat("failed")

    def _on_cancelled(self) -> None:
        self.say("Stopped.")
        self.progress.setFormat("stopped")

    def _on_use(self) -> None:
        use_in_reconstruct(self._viewer, self.save.value(), self._running.task)


def percent(part: float) -> str:
    """Return 0.254 as "25 %"."""
    return f"{100 * part:.0f} %"


def different(before: TrainingParams, now: TrainingParams) -> list[str]:
    """Return the fields that keep a training begun with ``before`` from being resumed with ``now``."""
    return [name for name in TrainingParams.model_fields if name not in FREE and getattr(before, name) != getattr(now, name)]


def use_in_reconstruct(viewer: napari.viewer.Viewer, checkpoint: str, task: str) -> ReconstructWidget:
    """Open or raise the Reconstruct widget of ``viewer``, choose ``checkpoint`` (a name or a file) in it, and return it."""
    name, solvers = USED_AS[task]
    widgets = list(viewer.window.dock_widgets.values())
    flows = [flow for flow in widgets if isinstance(flow, FlowWidget)]
    there = [widget for widget in widgets if isinstance(widget, ReconstructWidget)]
    if flows and not there:
        flows[-1].tabs.setCurrentIndex(2)
        there = [flows[-1].reconstruct]
    widget = there[-1] if there else ReconstructWidget(viewer)
    if not there:
        viewer.window.add_dock_widget(widget, name=RECONSTRUCT, tabify=True)
    controls = widget.form.controls
    controls[name].refresh()
    controls[name].value = checkpoint
    if controls["solver"].value not in solvers:
        controls["solver"].value = solvers[0]
    dock = widget.parent()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parent()
    if dock is not None:
        dock.show()
        dock.raise_()
    return widget
