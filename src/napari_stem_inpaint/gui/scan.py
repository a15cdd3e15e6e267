"""The widget "Scan": measure a part of a frame's positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFormLayout, QWidget

from ..errors import InputError
from ..frames import Frame
from ..params import AcquisitionParams, ScanParams
from . import jobs
from .combos import LayerCombo, array_of, follow, is_grey_image, plane_name, plane_shown
from .forms import ParamsForm, add_row
from .layers import KEY, Layers, Place, notes_of, pixel_size_nm
from .panel import Panel

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer


def could_be_frame(layer: Layer) -> bool:
    """Whether ``layer`` is a frame, or foreign."""
    return notes_of(layer).get("role") in (None, "frame")


class ScanWidget(Panel):
    """Chooses positions of a frame and measures them."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Scan", "Add the mask and the measured image as layers.")
        self._viewer = napari_viewer
        self.layers = Layers(napari_viewer)
        self.frame = LayerCombo(napari_viewer, is_grey_image, "choose a frame", could_be_frame)
        self.frame.setAccessibleName("Frame")
        self.scan = ParamsForm(
            ScanParams, shown=("pattern", "ratio", "border", "hop", "positions", "seed"), files={"positions": "CSV file (*.csv)"}
        )
        self.acquisition = ParamsForm(AcquisitionParams, shown=("dose_e_per_px", "seed"))
        chooser = QWidget()
        form = QFormLayout(chooser)
        form.setContentsMargins(0, 0, 0, 0)
        add_row(form, "Frame", self.frame, "The image of which a part of the positions is measured.")
        self.add_group("Layer", chooser)
        self.add_group("Scan", self.scan)
        self.add_group("Acquisition", self.acquisition)
        self._source: tuple[Any, Place, tuple[int, ...]] | None = None
        self.frame.chosen.connect(self._on_choice)
        self.scan.changed.connect(self._on_choice)
        self.run_button.clicked.connect(self._on_run)
        self.runner.returned.connect(self._on_returned)
        self.runner.ended.connect(self._on_choice)
        follow(self, self._on_choice, napari_viewer.dims.events.current_step)
        self._on_choice()

    def _on_choice(self, event: object = None) -> None:
        layer = self.frame.layer()
        self.run_button.setEnabled(layer is not None and not self.runner.running)
        if layer is None:
            self.advise("Choose a frame: simulate one, or open an image.")
        else:
            plane = plane_shown(self._viewer, layer)
            self.advise(f"The plane shown will be scanned: {plane_name(layer, plane)}." if plane else "")

    def _on_run(self) -> None:
        layer = self.frame.layer()
        if layer is None:
            return
        try:
            plane = plane_shown(self._viewer, layer)
            made_by = {} if plane else {key: value for key, value in layer.metadata.items() if key != KEY}
            frame = Frame(array_of(layer, plane), pixel_size_nm(layer.scale, layer.units), plane_name(layer, plane), made_by)
            scan, acquisition = self.scan.values(), self.acquisition.values()
        except InputError as error:
            self.say(error)
            return
        self._source = layer, Place.of_layer(layer), plane
        self.run(lambda tick: jobs.acquisition(frame, scan, acquisition, tick))

    def _on_returned(self, result: jobs.Scanned) -> None:
        assert self._source is not None
        self.layers.add_measurement(result.measurement, *self._source)
        made = result.statistics
        dose = "" if made.dose_at_positions is None else f", {made.dose_at_positions:,.0f} e⁻/Å² at each"
        self.say(
            f"{made.distinct:,} of {result.measurement.mask.size:,} positions measured: ratio {made.ratio:.4f}, "
            f"largest gap {made.largest_gap_px:.1f} px, {made.time_s:.3g} s{dose}. {made.verdict} Next: Reconstruct."
        )
