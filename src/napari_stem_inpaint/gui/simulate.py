"""The widget "Simulate": a simulated frame as a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError
from ..frames import Frame
from ..params import SimulationParams
from . import jobs
from .forms import ParamsForm
from .layers import Layers
from .panel import Panel

if TYPE_CHECKING:
    import napari.viewer

SHOWN = ("crystal", "shape", "pixel_size_nm", "vacancies", "intensity_scatter", "displacement_nm", "seed")


class SimulateWidget(Panel):
    """Simulates a HAADF frame of a crystal."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Simulate", "Add a simulated frame as a layer.")
        self.layers = Layers(napari_viewer)
        self.form = ParamsForm(SimulationParams, shown=SHOWN)
        self.body.addWidget(self.form)
        self.run_button.clicked.connect(self._on_run)
        self.runner.returned.connect(self._on_returned)
        self.runner.ended.connect(self._on_ended)

    def _on_run(self) -> None:
        try:
            params = self.form.values()
        except InputError as error:
            self.say(error)
            return
        self.run(lambda tick: jobs.simulation(params, tick))

    def _on_returned(self, frame: Frame) -> None:
        layer = self.layers.add_frame(frame)
        self.say(f"Added the frame {layer.name}: {frame.shape[0]} × {frame.shape[1]} positions. Next: Scan.")

    def _on_ended(self) -> None:
        self.run_button.setEnabled(True)
