"""The widget "Simulate": a specimen in a microscope, seen while it is being adjusted; a simulated frame with its truth as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFormLayout, QPushButton, QWidget

from ..errors import InputError
from ..params import AcquisitionParams, SimulationParams
from ..simulation.presets import PRESETS, Preset
from . import jobs
from .forms import ParamsForm, add_row
from .layers import Layers
from .panel import Panel
from .presets import PresetCombo
from .preview import LivePreview
from .remembered import remember

if TYPE_CHECKING:
    import napari.viewer

SHOWN = ("crystal", "thickness_nm", "scene", "shape", "pixel_size_nm", "seed")


class SimulateWidget(Panel):
    """Simulates a frame of a specimen, with its columns, and what a scan of all its positions reads."""

    width_px = 410  # the preview then shows 256 positions one to one

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Simulate", "Add the simulated frame and its columns as layers, and what is acquired where anything disturbs it.")
        self.layers = Layers(napari_viewer)
        self.preset = PresetCombo(PRESETS, "Ready-made experiments; choosing one sets every value below.")
        self.preview = LivePreview()
        self.form = ParamsForm(SimulationParams, shown=SHOWN, files={"cif": "CIF file (*.cif)"})
        self.acquisition = ParamsForm(AcquisitionParams, shown=("dose_e_per_px", "seed"))
        remember(self.form, "Simulate")
        remember(self.acquisition, "Simulate")
        self.cancel_button = QPushButton("Cancel")
        self._build()
        self.preset.chosen.connect(self._on_preset_chosen)
        self.form.changed.connect(self._on_changed)
        self.acquisition.changed.connect(self._on_changed)
        self.preview.advised.connect(self.advise)
        self.run_button.clicked.connect(self._on_run)
        self.cancel_button.clicked.connect(self.runner.cancel)
        self.runner.returned.connect(self._on_returned)
        self.runner.cancelled.connect(self._on_cancelled)
        self.runner.ended.connect(self._on_ended)
        self._on_changed()

    def _build(self) -> None:
        chooser = QWidget()
        row = QFormLayout(chooser)
        row.setContentsMargins(0, 0, 0, 0)
        add_row(row, "Preset", self.preset, self.preset.toolTip())
        self.head.addWidget(chooser)
        self.head.addWidget(self.preview)
        self.add_group("Specimen and microscope", self.form)
        self.add_group("Acquisition", self.acquisition)
        self.buttons.addWidget(self.cancel_button)
        self.cancel_button.setEnabled(False)

    def _on_preset_chosen(self, preset: Preset) -> None:
        self.form.blockSignals(True)  # one preview, not two
        self.form.set_values(preset.simulation)
        self.form.blockSignals(False)
        self.acquisition.set_values(preset.acquisition)

    def _on_changed(self) -> None:
        try:
            wanted = Preset(self.form.values(), self.acquisition.values())
        except InputError as error:
            self.preview.fail(str(error))
            return
        self.preset.compare(wanted)
        self.preview.request(wanted.simulation, wanted.acquisition)

    def _on_run(self) -> None:
        try:
            params, acquisition = self.form.values(), self.acquisition.values()
        except InputError as error:
            self.say(error)
            return
        self.cancel_button.setEnabled(True)
        self.run(lambda tick: jobs.simulation(params, acquisition, tick))

    def _on_returned(self, result: jobs.Simulated) -> None:
        layer = self.layers.add_simulated(result.frame, result.acquired)
        also = [f"{len(result.frame.columns):,} columns"] if result.frame.columns is not None else []
        also += ["what a full scan acquires"] if result.acquired is not None else []
        rest = f", with {' and '.join(also)}" if also else ""
        self.advise(" ".join(result.frame.metadata["remarks"]))
        self.say(f"Added the frame {layer.name}: {result.frame.shape[0]} × {result.frame.shape[1]} positions{rest}. Next: Scan.")

    def _on_cancelled(self) -> None:
        self.say("Cancelled.")

    def _on_ended(self) -> None:
        self.run_button.setEnabled(True)
        self.cancel_button.setEnabled(False)
