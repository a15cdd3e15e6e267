"""The widget "Scan": choose or draw which positions of a frame are measured, see them, measure them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from ..errors import InputError
from ..frames import Frame
from ..params import AcquisitionParams, ScanParams
from . import scan_jobs
from .combos import LayerCombo, array_of, follow, is_grey_image, is_mask, plane_name, plane_shown
from .draw_regions import DrawRegions
from .forms import ParamsForm, add_row
from .layer_data import KEY, Place, notes_of, pixel_size_nm
from .layers import Layers
from .newest import Newest
from .panel import Panel
from .remembered import remember
from .save_dialog import ask_where

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from ..scan_report import ScanStatistics

SCANS = "Positions in order (*.csv);;Mask (*.tif *.tiff *.png *.npy)"


def could_be_frame(layer: Layer) -> bool:
    """Whether ``layer`` is a frame, or foreign."""
    return notes_of(layer).get("role") in (None, "frame")


class ScanWidget(Panel):
    """Chooses positions of a frame and measures them."""

    width_px = 380
    scanned = Signal()  # the measured image is there

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Scan", "Add the mask and the measured image as layers.")
        self._viewer = napari_viewer
        self.layers = Layers(napari_viewer)
        self.frame = LayerCombo(napari_viewer, is_grey_image, "choose a frame", could_be_frame)
        self.mask_layer = LayerCombo(napari_viewer, is_mask, "as the pattern below says")
        self.scan = ParamsForm(
            ScanParams, shown=("pattern", "ratio", "border", "hop", "positions", "seed"), files={"positions": "CSV file (*.csv)"}
        )
        remember(self.scan, "Scan")
        self.acquisition = ParamsForm(AcquisitionParams, shown=("dose_e_per_px", "seed"))
        remember(self.acquisition, "Scan")
        self.drawing = DrawRegions(napari_viewer, self.layers)
        self.figures = QLabel()
        self.mask_button, self.path_button, self.save_button = QPushButton("Edit mask"), QPushButton("Show path"), QPushButton("Save…")
        self.planner = Newest(self, scan_jobs.planned)
        self._build()
        self._moved = False  # whether something was changed by hand, so that the mask is shown on the frame
        self._chosen: Layer | None = None  # the frame whose acquisition has been looked for
        self._mask: Layer | None = None  # for which the layers have been shown and hidden
        self._source: tuple[Any, Place, tuple[int, ...]] | None = None
        self.frame.chosen.connect(self._on_frame_chosen)
        self.mask_layer.chosen.connect(self._on_mask_chosen)
        for signal in (self.scan.changed, self.acquisition.changed):
            signal.connect(self._on_choice)
        for signal in (self.scan.edited, self.drawing.changed):
            signal.connect(self._on_moved)
        for button, slot in (
            (self.run_button, self._on_run),
            (self.mask_button, self._on_mask),
            (self.path_button, self._on_path),
            (self.save_button, self._on_save),
        ):
            button.clicked.connect(slot)
        self.planner.ready.connect(self._on_planned)
        self.planner.failed.connect(self._on_not_planned)
        self.runner.returned.connect(self._on_returned)
        self.runner.ended.connect(self._on_choice)
        follow(self, self._on_choice, napari_viewer.dims.events.current_step)
        self._on_frame_chosen()

    def _build(self) -> None:
        chooser = QWidget()
        form = QFormLayout(chooser)
        form.setContentsMargins(0, 0, 0, 0)
        for label, combo, tip in (
            ("Frame", self.frame, "The image of which a part of the positions is measured."),
            (
                "Mask",
                self.mask_layer,
                "A layer that is not zero where it is to be measured, in place of a pattern.",
            ),
        ):
            add_row(form, label, combo, tip)
            combo.setAccessibleName(label)
        self.add_group("Layers", chooser)
        self.add_group("Scan", self.scan)
        self.add_group("Draw on the frame", self.drawing)
        actions = QWidget()
        row = QHBoxLayout(actions)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for button, tip in (
            (self.mask_button, "Turn the pattern into a mask layer, to paint and erase single positions with napari's own tools."),
            (self.path_button, f"Show in which order the first {scan_jobs.MOST_OF_PATH:,} positions are visited."),
            (self.save_button, "Save the positions in order as CSV for a scan generator, or the mask as an image."),
        ):
            button.setToolTip(tip)
            row.addWidget(button)
        self.figures.setWordWrap(True)
        self.figures.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.add_group("Positions", self.figures, actions)
        self.add_group("Acquisition", self.acquisition)

    # --- what would be measured

    def _on_frame_chosen(self) -> None:
        """Acquire a simulated frame as it was acquired when it was simulated, unless that is changed here."""
        layer = self.frame.layer()
        if layer != self._chosen:
            self.layers.end_preview()
        acquisition = None if layer is None or layer == self._chosen else notes_of(layer).get("acquisition")
        self._chosen = layer
        if acquisition is not None:
            self.acquisition.set_values(AcquisitionParams.model_validate(acquisition))
            self.say("Dose, detector and movements are those with which the frame was simulated.")
        self._on_choice()

    def _on_mask_chosen(self) -> None:
        """Show what is drawn, or else what is painted: a mask is measured as it is, whatever is drawn."""
        mask = self.mask_layer.layer()
        if mask != self._mask:
            self._mask = mask
            for layer in self._viewer.layers:
                role = notes_of(layer).get("role")
                wanted = mask is None if role == "regions" else layer == mask
                if role in ("regions", "painted") and layer.visible != wanted:  # to set it ends the painting
                    layer.visible = wanted
        self._on_choice()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what changed meanwhile."""
        super().showEvent(event)
        self._on_choice()

    def hideEvent(self, event: QHideEvent) -> None:
        """Leave nothing on the frame that only this widget explains."""
        super().hideEvent(event)
        self._end_preview()

    def _on_moved(self) -> None:
        self._moved = True
        self._on_choice()

    def _end_preview(self) -> None:
        self._moved = False
        self.planner.drop()
        self.layers.end_preview()

    def _on_choice(self, event: object = None) -> None:
        layer, painted = self.frame.layer(), self.mask_layer.layer() is not None
        ready = layer is not None and not self.runner.running
        self.drawing.set_frame(None if painted else layer)
        self.scan.setEnabled(not painted)
        for button in (self.run_button, self.path_button, self.save_button):
            button.setEnabled(ready)
        self.mask_button.setEnabled(ready and not painted)
        if layer is None:
            self.figures.clear()
            self._end_preview()
            self.advise("Choose a frame: simulate one, or open an image.")
            return
        plane = plane_shown(self._viewer, layer)
        self.advise(f"The plane shown will be scanned: {plane_name(layer, plane)}." if plane else "")
        if self.isVisible() and not self.runner.running:
            self._ask()

    def _ask(self) -> None:
        try:
            self.planner.request(self._plan())
        except InputError as error:
            self._on_not_planned(str(error))

    def _plan(self) -> scan_jobs.Plan:
        layer, painted = self.frame.layer(), self.mask_layer.layer()
        if layer is None:
            raise InputError("Choose a frame first.")
        shape = (int(layer.data.shape[-2]), int(layer.data.shape[-1]))
        mask = None
        if painted is not None:
            mask = np.array(array_of(painted, plane_shown(self._viewer, painted))) != 0
            if mask.shape != shape:
                raise InputError(f"The mask must have the frame's shape {shape}, but its shape is {mask.shape}; choose another.")
        regions = None if painted is not None else self.drawing.regions()
        pixel = pixel_size_nm(layer.scale, layer.units)
        return scan_jobs.Plan(shape, self.scan.values(), regions, mask, pixel, self.acquisition.values())

    def _on_planned(self, made: scan_jobs.Planned) -> None:
        self.figures.setText(_in_words(made.mask.size, made.statistics))
        layer = self.frame.layer()
        if self._moved and layer is not None and self.isVisible() and made.mask.shape == tuple(layer.data.shape[-2:]):
            self.layers.show_preview(made.mask, layer)

    def _on_not_planned(self, sentence: str) -> None:
        self.planner.drop()
        self.layers.end_preview()
        self.figures.setText(sentence)

    # --- what is done with it

    def _on_run(self) -> None:
        layer = self.frame.layer()
        if layer is None:
            return
        try:
            plane = plane_shown(self._viewer, layer)
            made_by = {} if plane else {key: value for key, value in layer.metadata.items() if key != KEY}
            frame = Frame(array_of(layer, plane), pixel_size_nm(layer.scale, layer.units), plane_name(layer, plane), made_by)
            plan = self._plan()
        except InputError as error:
            self.say(error)
            return
        self._source = layer, Place.of_layer(layer), plane
        self._end_preview()
        self.run(lambda tick: scan_jobs.acquisition(frame, plan, tick))

    def _on_path(self) -> None:
        self._with_plan(lambda plan: self.run(lambda tick: scan_jobs.path_of(plan, tick)))

    def _on_save(self) -> None:
        layer = self.frame.layer()
        path = ask_where(self, "Save the scan as", f"{layer.name if layer else 'scan'} positions.csv", SCANS)
        if path:
            self._with_plan(lambda plan: self.run(lambda tick: scan_jobs.save_scan(path, plan, tick)))

    def _on_mask(self) -> None:
        layer = self.frame.layer()
        if layer is None:
            return
        try:
            mask = scan_jobs.planned(self._plan()).mask
        except InputError as error:
            self.say(error)
            return
        self._end_preview()
        made = self.layers.add_painted(mask, f"{layer.name} scan", layer)
        follow(self, self._on_choice, made.events.labels_update, made.events.set_data)
        self.mask_layer.choose(made)
        self.say("Paint and erase positions on the mask; Scan measures exactly what it shows. Ctrl+Z takes a stroke back.")

    def _with_plan(self, action: Any) -> None:
        try:
            action(self._plan())
        except InputError as error:
            self.say(error)

    def _on_returned(self, result: Any) -> None:
        if isinstance(result, str):
            self.say(f"Saved {result}.")
        elif isinstance(result, scan_jobs.Scanned):
            self._show_measured(result)
        else:
            self._show_path(*result)

    def _show_path(self, positions: np.ndarray[Any, Any], count: int) -> None:
        layer = self.frame.layer()
        if layer is None or len(positions) < 2:
            self.say("There is no path of a single position.")
            return
        part = "all" if len(positions) == count else f"the first {len(positions):,} of {count:,}"
        self.layers.show_path(positions, f"{layer.name} path", layer)
        self.say(f"Shows the path of the probe through {part} positions; zoom in to see it.")

    def _show_measured(self, result: scan_jobs.Scanned) -> None:
        assert self._source is not None
        self.layers.add_measurement(result.measurement, *self._source)
        self.say(f"{_in_words(result.measurement.mask.size, result.statistics)} {result.statistics.verdict} Next: Reconstruct.")
        self.scanned.emit()


def _in_words(size: int, made: ScanStatistics) -> str:
    dose = "" if made.dose_at_positions is None else f", {made.dose_at_positions:,.0f} e⁻/Å² at each"
    return (
        f"{made.distinct:,} of {size:,} positions: ratio {made.ratio:.4f}, largest gap {made.largest_gap_px:.1f} px, "
        f"{made.time_s:.3g} s{dose}."
    )
