"""The widget "Reconstruct": choose layers, run, watch, judge."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QMenu, QPushButton, QWidget

from .. import memory
from ..errors import InputError
from ..frames import Iterate, Mask, Reconstruction
from ..io.measurements import MARKED
from ..params import ReconstructionParams
from . import jobs
from .combos import LayerCombo, array_of, follow, is_grey_image, is_mask, plane_name, plane_shown
from .forms import add_row
from .layer_data import holds_nan, notes_of
from .layers import Layers
from .look_back import LookBack
from .panel import LongPanel
from .progress import in_words
from .settings import Settings
from .sources import Plane, Sources

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from napari.layers import Layer
    from qtpy.QtGui import QAction  # type: ignore[attr-defined]

    from ..batch import Done

MASKS = "Mask or positions (*.csv *.tif *.tiff *.png *.npy)"
MOST_NAMED = 3  # planes that failed, in a sentence


def is_measured(layer: Layer) -> bool:
    """Whether ``layer`` is known to be a measured image."""
    return notes_of(layer).get("role") == "measured"


class ReconstructWidget(LongPanel):
    """Reconstructs a measured layer while showing every iterate."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Run", "Reconstruct the measured image; every iterate is shown.")
        self._viewer = napari_viewer
        self.layers = Layers(napari_viewer)
        self.measured_combo = LayerCombo(napari_viewer, is_grey_image, "choose an image", is_measured)
        self.mask_combo = LayerCombo(napari_viewer, is_mask, "choose a mask")
        self.mask_combo.setMinimumContentsLength(5)  # leaves room for the button beside it
        self.mask_button = QPushButton("From…")
        self.mask_actions: dict[str, QAction] = {}
        self.truth_combo = LayerCombo(napari_viewer, is_grey_image, "unknown")
        self.planes_combo = QComboBox()
        self.planes_combo.addItems(["the plane shown", "all"])
        self._queue: list[Plane] = []  # what is reconstructed plane by plane
        self._failures: list[str] = []
        self.settings = Settings()
        self.form, self.quality = self.settings.form, self.settings.quality
        self._partnered: Layer | None = None  # the measured layer whose partners have been looked for
        self._holds_nan = False
        self.look_back = LookBack()
        self._build()
        self.look_back.picked.connect(lambda iterate: self.layers.show_kept(iterate.image, iterate.index))
        self.measured_combo.chosen.connect(self._on_measured_chosen)
        for signal in (self.mask_combo.chosen, self.truth_combo.chosen, self.form.changed, self.planes_combo.currentIndexChanged):
            signal.connect(self._on_choice)
        self.run_button.clicked.connect(self._on_run)
        self.runner.stepped.connect(self._on_stepped)
        self.runner.returned.connect(self._on_returned)
        self.runner.failed.connect(self._on_failed)
        self.runner.cancelled.connect(self._on_cancelled)
        self.runner.ended.connect(self._on_ended)
        follow(self, self._on_choice, napari_viewer.dims.events.current_step)
        self._on_measured_chosen()

    def _build(self) -> None:
        chooser = QWidget()
        self._choices = form = QFormLayout(chooser)
        form.setContentsMargins(0, 0, 0, 0)
        mask = QWidget()
        beside = QHBoxLayout(mask)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.mask_combo)
        beside.addWidget(self.mask_button)
        for label, combo, row, tip in (
            ("Measured", self.measured_combo, self.measured_combo, "The measured image; what it holds at unmeasured positions is ignored."),
            ("Mask", self.mask_combo, mask, "Where it was measured: Labels or image, non-zero = measured."),
            ("Planes", self.planes_combo, self.planes_combo, "Of a stack: the plane shown, or every one after the other."),
            ("Truth", self.truth_combo, self.truth_combo, "The true image, if known; only used for scores."),
        ):
            add_row(form, label, row, tip)
            combo.setAccessibleName(label)
        self._build_mask_menu()
        self.add_group("Layers", chooser)
        self.add_group("Reconstruction", self.settings)
        self.add_group("Course", self.look_back)

    def _build_mask_menu(self) -> None:
        menu = QMenu(self.mask_button)
        for words, tip, slot in (
            ("Where the image is a number", "Unmeasured positions hold NaN.", lambda: self._add_marked("nan")),
            (
                "Where the image is not zero",
                "Unmeasured positions hold 0, and no measured one does.",
                lambda: self._add_marked("zero"),
            ),
            ("From a file…", "Positions as CSV, or a mask image.", self._on_mask_file),
        ):
            action = menu.addAction(words)
            action.setToolTip(tip)
            action.triggered.connect(slot)
            self.mask_actions[words] = action
        menu.setToolTipsVisible(True)
        self.mask_button.setToolTip("Make a mask for the measured image from its own values, or from a file.")
        self.mask_button.setMenu(menu)

    def _on_mask_file(self) -> None:
        layer = self.measured_combo.layer()
        path, _ = QFileDialog.getOpenFileName(self, "Where was it measured?", "", MASKS)
        if path and layer is not None:
            from ..io import read_scan

            self._add_mask(layer, lambda: read_scan(path, (layer.data.shape[-2], layer.data.shape[-1])).mask)

    def _add_marked(self, how: str) -> None:
        layer = self.measured_combo.layer()
        if layer is not None:
            self._add_mask(layer, lambda: MARKED[how](array_of(layer, ())))

    def _add_mask(self, layer: Layer, measured_where: Callable[[], Mask]) -> None:
        """Add, as a layer, the mask that is True where the image in ``layer`` was measured."""
        try:
            mask = measured_where()
        except InputError as error:
            self.say(error)
            return
        self.mask_combo.choose(self.layers.add_mask(mask, layer))
        self.say(f"{np.count_nonzero(mask):,} of {mask.size:,} positions are measured; the mask can be painted on.")

    def _on_measured_chosen(self) -> None:
        """Choose the mask and the truth that belong to the measured layer, where it says so."""
        layer = self.measured_combo.layer()
        if layer is not None and layer != self._partnered:
            notes = notes_of(layer)
            for combo, key in ((self.mask_combo, "set"), (self.truth_combo, "truth")):
                chosen = combo.layer()
                if chosen is not None and notes_of(chosen).get("set" if key == "set" else "id", notes.get(key)) != notes.get(key):
                    combo.choose(None)  # it belongs to another image
            if notes.get("set"):
                self._choose_partner(self.mask_combo, "mask", "set", notes["set"])
            if notes.get("truth"):
                self._choose_partner(self.truth_combo, "frame", "id", notes["truth"])
            self._holds_nan = holds_nan(layer)
            if not self.runner.running:
                self.progress.clear()  # how another image's run went
                self.say("")
        self._partnered = layer
        self._on_choice()

    @staticmethod
    def _choose_partner(combo: LayerCombo, role: str, key: str, value: str) -> None:
        for layer in combo.layers:
            if notes_of(layer).get("role") == role and notes_of(layer).get(key) == value:
                combo.choose(layer)

    def take_over(self, params: ReconstructionParams, measured: Layer | None) -> None:
        """Show ``params`` and choose the layer ``measured``, where there is one."""
        if measured is not None and measured in self.measured_combo.layers:
            self.measured_combo.choose(measured)
        self.form.set_values(params)
        self.say("These are the settings of the result; change some, and run it again.")

    def _on_choice(self, event: object = None) -> None:
        obstacle = self._obstacle()
        self._count_planes()
        self.advise(obstacle or self._what())
        self._enable(obstacle)

    def _enable(self, obstacle: str) -> None:
        self.mask_button.setEnabled(self.measured_combo.layer() is not None)
        self.run_button.setEnabled(not self.runner.running and not obstacle)
        self.show_running()

    def _obstacle(self) -> str:
        measured, mask, truth = self.measured_combo.layer(), self.mask_combo.layer(), self.truth_combo.layer()
        if measured is None:
            return "Choose the measured image: open a file, or make one with Simulate and Scan."
        if mask is None and self._holds_nan:
            return "The image is not a number where it was not measured: choose From… > Where the image is a number."
        if mask is None:
            return "Choose the mask that says which positions were measured, or make one with From…."
        shape = tuple(measured.data.shape[-2:])
        for what, layer in (("mask", mask), ("truth", truth)):
            if layer is not None and tuple(layer.data.shape[-2:]) != shape:
                return f"The {what} must have the measured image's shape {shape}, but its shape is {tuple(layer.data.shape[-2:])}."
        return self.settings.obstacle()

    @property
    def _all_planes(self) -> bool:
        return not self.planes_combo.isHidden() and self.planes_combo.currentIndex() == 1

    def _count_planes(self) -> None:
        layer = self.measured_combo.layer()
        count = 1 if layer is None else int(np.prod(layer.data.shape[:-2]))
        self._choices.setRowVisible(self.planes_combo, count > 1)
        self.planes_combo.setItemText(1, f"all {count}")

    def _what(self) -> str:
        """Return, in a sentence, what will be worked on where that is not plain, and whether memory holds it."""
        layer = self.measured_combo.layer()
        plane = () if layer is None or self._all_planes else plane_shown(self._viewer, layer)
        words = [f"The plane shown will be reconstructed: {plane_name(layer, plane)}."] if layer is not None and plane else []
        with suppress(InputError):
            params = self.form.values()
            pixels = 0 if layer is None else int(np.prod(layer.data.shape[-2:]))
            needed, free = memory.needed_bytes(pixels, params), memory.free_bytes()
            if params.device != "cuda" and needed > memory.USABLE * free:
                words.append(f"It takes about {memory.in_words(needed)} of memory, {memory.in_words(free)} is free: it may be slow.")
        return " ".join(words)

    def _sources(self) -> Sources | None:
        measured, mask = self.measured_combo.layer(), self.mask_combo.layer()
        return None if measured is None or mask is None else Sources(self._viewer, measured, mask, self.truth_combo.layer())

    def _on_run(self) -> None:
        sources = self._sources()
        if sources is None:
            return
        try:
            params = self.form.values()
            start = self._start_all if self._all_planes else self._start_one
            start(sources, params)
        except InputError as error:
            self.progress.clear()
            self.say(error)
            return
        self._on_choice()

    def _start_one(self, sources: Sources, params: ReconstructionParams) -> None:
        measurement, truth = sources.snapshot(sources.shown())
        self._queue = []
        self.layers.begin_result(measurement, sources.measured)
        self._begin()
        self.run(lambda tick: jobs.reconstruction(measurement, params, truth, tick))

    def _start_all(self, sources: Sources, params: ReconstructionParams) -> None:
        items = sources.items()
        self._queue, self._failures = sources.planes(), []
        self.layers.begin_stack(sources.measured)
        self._begin()
        self.run(lambda tick: jobs.reconstructions(items, params, None, tick))

    def _begin(self) -> None:
        self.say("Starting…")
        self.progress.start(len(self._queue) or 1)
        self.look_back.begin()

    def _on_stepped(self, step: Iterate | tuple[Done, ...]) -> None:
        if isinstance(step, tuple):
            for done in step:
                self._on_plane_done(done)
            return
        with self.runner.held():
            visible = self._show(step)
        self.progress.show_step(step)
        self.look_back.add(step)
        gone = "" if visible else " The result layer was deleted; the final result will be added."
        self.say(in_words(step) + gone)

    def _show(self, step: Iterate) -> bool:
        if not self._queue:
            return self.layers.show_iterate(step.image)
        self.layers.show_plane(step.image, self._queue[self.progress.part])
        return True

    def _on_plane_done(self, done: Done) -> None:
        if done.result is not None:
            self.layers.finish_plane(done.result, self._queue[done.place])
        if done.failure:
            self._failures.append(f"{done.name}: {done.failure}")
        self.progress.show_part(done.place + 1)
        self.look_back.begin()

    def _on_returned(self, result: Reconstruction | int) -> None:
        if isinstance(result, Reconstruction):
            self.layers.show_result(result)
            self.say(in_words(result, self.progress.step))
        else:
            self.layers.finish_stack()
            self.say(f"{len(self._queue) - result} of {len(self._queue)} planes reconstructed.{self._failed()}")
        self.progress.stop("done")

    def _failed(self) -> str:
        return f" Failed: {' '.join(self._failures[:MOST_NAMED])}{' …' * (len(self._failures) > MOST_NAMED)}" if self._failures else ""

    def _on_failed(self, sentence: str) -> None:
        self.layers.leave_result()
        self.progress.stop("failed")

    def _on_cancelled(self) -> None:
        kept = self.layers.leave_result()
        stays = f" {self.progress.part} of {len(self._queue)} planes are done." if self._queue else " The last image stays." if kept else ""
        self.say(f"Cancelled.{stays}{self._failed()}")
        self.progress.stop("cancelled")

    def _on_ended(self) -> None:
        self._on_choice()
