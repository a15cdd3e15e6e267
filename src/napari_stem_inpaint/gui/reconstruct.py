"""The widget "Reconstruct": choose layers, run, watch, judge."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QMenu, QPushButton, QToolButton, QWidget

from ..denoisers.registry import exists
from ..errors import InputError
from ..frames import Iterate, Measurement, Reconstruction, as_image
from ..params import ReconstructionParams
from ..reconstruction_presets import ABOUT, QUALITIES, with_own
from . import jobs
from .combos import CheckpointChoice, LayerCombo, array_of, follow, is_grey_image, is_mask, plane_name, plane_shown
from .forms import LABEL_PX, ParamsForm, add_row
from .layers import Layers, notes_of, pixel_size_nm
from .look_back import LookBack
from .panel import Panel
from .presets import PresetCombo
from .progress import Progress, in_words
from .remembered import remember

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from napari.layers import Layer
    from qtpy.QtGui import QAction  # type: ignore[attr-defined]

MASKS = "Mask or positions (*.csv *.tif *.tiff *.png *.npy)"
SHOWN = ("solver", "checkpoint")


def is_measured(layer: Layer) -> bool:
    """Whether ``layer`` is known to be a measured image."""
    return notes_of(layer).get("role") == "measured"


class ReconstructWidget(Panel):
    """Reconstructs a measured layer while showing every iterate."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Run", "Reconstruct the measured image; every iterate is shown.")
        self._viewer = napari_viewer
        self.layers = Layers(napari_viewer)
        self.measured_combo = LayerCombo(napari_viewer, is_grey_image, "choose an image", is_measured)
        self.mask_combo = LayerCombo(napari_viewer, is_mask, "choose a mask")
        self.mask_combo.setMinimumContentsLength(5)  # leaves room for the button beside it
        self.mask_button = QToolButton()
        self.mask_actions: dict[str, QAction] = {}
        self.truth_combo = LayerCombo(napari_viewer, is_grey_image, "unknown")
        networks = {
            name: CheckpointChoice(ReconstructionParams.model_fields[name].default, *first, tasks=(task,))
            for name, task, first in (("checkpoint", "denoise", ()), ("inpainter", "inpaint", ("",)))
        }
        self.form = ParamsForm(ReconstructionParams, shown=SHOWN, controls=networks)
        remember(self.form, "Reconstruct")
        self.quality = PresetCombo(QUALITIES, ABOUT)
        self.quality.setAccessibleName("Quality")
        self._partnered: Layer | None = None  # the measured layer whose partners have been looked for
        self.pause_button, self.cancel_button = QPushButton("Pause"), QPushButton("Cancel")
        self.progress, self.look_back = Progress(), LookBack()
        self._build()
        self.look_back.picked.connect(lambda iterate: self.layers.show_kept(iterate.image, iterate.index))
        self.quality.chosen.connect(self._on_quality_chosen)
        self.measured_combo.chosen.connect(self._on_measured_chosen)
        for signal in (self.mask_combo.chosen, self.truth_combo.chosen, self.form.changed):
            signal.connect(self._on_choice)
        self.run_button.clicked.connect(self._on_run)
        self.pause_button.clicked.connect(self._on_pause)
        self.cancel_button.clicked.connect(self._on_cancel)
        self.runner.stepped.connect(self._on_stepped)
        self.runner.returned.connect(self._on_returned)
        self.runner.failed.connect(self._on_failed)
        self.runner.cancelled.connect(self._on_cancelled)
        self.runner.ended.connect(self._on_ended)
        follow(self, self._on_choice, napari_viewer.dims.events.current_step)
        self._on_measured_chosen()

    def _build(self) -> None:
        chooser = QWidget()
        form = QFormLayout(chooser)
        form.setContentsMargins(0, 0, 0, 0)
        mask = QWidget()
        beside = QHBoxLayout(mask)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.mask_combo)
        beside.addWidget(self.mask_button)
        for label, combo, row, tip in (
            ("Measured", self.measured_combo, self.measured_combo, "The measured image; what it holds at unmeasured positions is ignored."),
            ("Mask", self.mask_combo, mask, "Where it was measured: Labels or image, non-zero = measured."),
            ("Truth", self.truth_combo, self.truth_combo, "The true image, if known; only used for scores."),
        ):
            add_row(form, label, row, tip)
            combo.setAccessibleName(label)
        self._build_mask_menu()
        self.add_group("Layers", chooser)
        chooser = QWidget()
        form = QFormLayout(chooser)
        form.setContentsMargins(0, 0, 0, 0)
        add_row(form, "Quality", self.quality, self.quality.toolTip(), LABEL_PX)
        self.add_group("Reconstruction", chooser, self.form)
        self.add_group("Course", self.look_back)
        self.buttons.addWidget(self.pause_button)
        self.buttons.addWidget(self.cancel_button)
        self.foot.insertWidget(self.foot.indexOf(self.status), self.progress)

    def _build_mask_menu(self) -> None:
        menu = QMenu(self.mask_button)
        for words, tip, slot in (
            ("Where the image is a number", "Unmeasured positions hold NaN.", lambda: self._add_mask(np.isfinite)),
            ("Where the image is not zero", "Unmeasured positions hold 0, and no measured one does.", lambda: self._add_mask(_not_zero)),
            ("From a file…", "Positions as CSV, or a mask image.", self._on_mask_file),
        ):
            action = menu.addAction(words)
            action.setToolTip(tip)
            action.triggered.connect(slot)
            self.mask_actions[words] = action
        menu.setToolTipsVisible(True)
        self.mask_button.setText("From…")
        self.mask_button.setToolTip("Make a mask for the measured image from its own values, or from a file.")
        self.mask_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.mask_button.setMenu(menu)

    def _on_mask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Where was it measured?", "", MASKS)
        if path:
            from ..io import read_scan

            self._add_mask(lambda image: read_scan(path, image.shape).mask)

    def _add_mask(self, measured_where: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> None:
        """Add, as a layer, the mask that is True where the measured image was measured."""
        layer = self.measured_combo.layer()
        if layer is None:
            return
        try:
            mask = measured_where(array_of(layer, plane_shown(self._viewer, layer)))
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
            if notes.get("set"):
                self._choose_partner(self.mask_combo, "mask", "set", notes["set"])
            if notes.get("truth"):
                self._choose_partner(self.truth_combo, "frame", "id", notes["truth"])
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

    def _on_quality_chosen(self, quality: ReconstructionParams) -> None:
        with suppress(InputError):
            quality = with_own(quality, self.form.values())
        self.form.set_values(quality)

    def _on_choice(self, event: object = None) -> None:
        with suppress(InputError):
            self.quality.compare(with_own(self.form.values(), ReconstructionParams()))
        obstacle = self._obstacle()
        self.advise(obstacle or self._what_plane())
        self._enable(obstacle)

    def _enable(self, obstacle: str) -> None:
        self.mask_button.setEnabled(self.measured_combo.layer() is not None)
        running = self.runner.running
        self.run_button.setEnabled(not running and not obstacle)
        self.pause_button.setEnabled(running)
        self.cancel_button.setEnabled(running)
        self.pause_button.setText("Resume" if self.runner.paused else "Pause")

    def _obstacle(self) -> str:
        measured, mask, truth = self.measured_combo.layer(), self.mask_combo.layer(), self.truth_combo.layer()
        if measured is None:
            return "Choose the measured image: open a file, or make one with Simulate and Scan."
        if mask is None:
            return "Choose the mask that says which positions were measured, or make one with From…."
        shape = tuple(measured.data.shape[-2:])
        for what, layer in (("mask", mask), ("truth", truth)):
            if layer is not None and tuple(layer.data.shape[-2:]) != shape:
                return f"The {what} must have the measured image's shape {shape}, but its shape is {tuple(layer.data.shape[-2:])}."
        controls = self.form.controls
        for name in ("checkpoint", "inpainter"):
            wanted = str(controls[name].value)
            if wanted and controls[name].enabled and not exists(wanted):
                return f"The checkpoint {wanted} is not installed; choose another, or a solver without one (gp, irls)."
        return ""

    def _what_plane(self) -> str:
        layer = self.measured_combo.layer()
        plane = () if layer is None else plane_shown(self._viewer, layer)
        return f"The plane shown will be reconstructed: {plane_name(layer, plane)}." if layer is not None and plane else ""

    def _snapshot(self, measured: Layer, mask: Layer, truth: Layer | None) -> tuple[Measurement, np.ndarray[Any, Any] | None]:
        notes = notes_of(measured)
        plane = plane_shown(self._viewer, measured)
        where = array_of(mask, plane_shown(self._viewer, mask))
        if isinstance(mask, Labels):
            where = where != 0
        known = notes.get("known")
        if known is not None and (never := int(np.count_nonzero((where != 0) & ~known))):
            raise InputError(
                f"The mask claims {never:,} positions that were never measured: {measured.name} holds nothing there. Erase them from "
                f"{mask.name}, or scan the frame anew."
            )
        measurement = Measurement.from_arrays(
            array_of(measured, plane),
            where,
            pixel_size_nm(measured.scale, measured.units),
            notes.get("noise", "unknown"),
            notes.get("name") or plane_name(measured, plane),
        )
        if truth is None:
            return measurement, None
        of_truth = tuple(notes.get("plane") or ()) if notes.get("truth") == notes_of(truth).get("id") else ()
        return measurement, as_image(array_of(truth, of_truth or plane_shown(self._viewer, truth)), "truth")

    def _on_run(self) -> None:
        measured, mask = self.measured_combo.layer(), self.mask_combo.layer()
        if measured is None or mask is None:
            return
        try:
            params = self.form.values()
            measurement, truth = self._snapshot(measured, mask, self.truth_combo.layer())
        except InputError as error:
            self.progress.clear()
            self.say(error)
            return
        self.layers.begin_result(measurement, measured)
        self.say("Starting…")
        self.progress.start()
        self.look_back.begin()
        self.run(lambda tick: jobs.reconstruction(measurement, params, truth, tick))
        self._on_choice()

    def _on_pause(self) -> None:
        if self.runner.paused:
            self.runner.resume()
        else:
            self.runner.pause()
        self.progress.hold(self.runner.paused)
        self._on_choice()

    def _on_cancel(self) -> None:
        self.say("Cancelling…")
        self.runner.cancel()
        self.cancel_button.setEnabled(False)
        self.pause_button.setEnabled(False)

    def _on_stepped(self, iterate: Iterate) -> None:
        with self.runner.held():
            visible = self.layers.show_iterate(iterate.image)
        self.progress.show_step(iterate)
        self.look_back.add(iterate)
        gone = "" if visible else " The result layer was deleted; the final result will be added."
        self.say(in_words(iterate) + gone)

    def _on_returned(self, result: Reconstruction) -> None:
        self.layers.show_result(result)
        self.say(in_words(result, self.progress.step))
        self.progress.stop("done")

    def _on_failed(self, sentence: str) -> None:
        self.layers.leave_result()
        self.progress.stop("failed")

    def _on_cancelled(self) -> None:
        kept = self.layers.leave_result()
        self.say("Cancelled." + (" The last image stays." if kept else ""))
        self.progress.stop("cancelled")

    def _on_ended(self) -> None:
        self._on_choice()


def _not_zero(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.isfinite(image) & (image != 0)
