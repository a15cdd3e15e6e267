"""How to reconstruct: the quality, and every parameter beneath it."""

from __future__ import annotations

from contextlib import suppress

from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from ..denoisers.registry import check_header, exists
from ..errors import CheckpointError, InputError
from ..params import ReconstructionParams
from ..reconstruction_presets import ABOUT, QUALITIES, with_own
from .combos import CheckpointChoice
from .forms import LABEL_PX, ParamsForm, add_row
from .presets import PresetCombo
from .remembered import remember

SHOWN = ("solver", "checkpoint")
TASKS = {"checkpoint": "denoise", "inpainter": "inpaint"}  # what the networks are for, by field


class Settings(QWidget):
    """A choice of the quality above the form of ``ReconstructionParams``, which is remembered."""

    def __init__(self) -> None:
        super().__init__()
        networks = {
            name: CheckpointChoice(ReconstructionParams.model_fields[name].default, *first, tasks=(TASKS[name],))
            for name, first in (("checkpoint", ()), ("inpainter", ("",)))
        }
        self.form = ParamsForm(ReconstructionParams, shown=SHOWN, controls=networks)
        remember(self.form, "Reconstruct")
        self.quality = PresetCombo(QUALITIES, ABOUT, "solver")
        self.quality.setAccessibleName("Quality")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        chooser = QWidget()
        row = QFormLayout(chooser)
        row.setContentsMargins(0, 0, 0, 0)
        add_row(row, "Quality", self.quality, self.quality.toolTip(), LABEL_PX)
        layout.addWidget(chooser)
        layout.addWidget(self.form)
        self.quality.chosen.connect(self._on_quality_chosen)
        self.form.changed.connect(self._on_changed)
        self._on_changed()

    def obstacle(self) -> str:
        """Return, in a sentence, which network is missing, damaged or for something else; empty where none is."""
        for name, task in TASKS.items():
            control = self.form.controls[name]
            wanted = str(control.value)
            if not wanted or not control.enabled:
                continue
            if not exists(wanted):
                return f"The checkpoint {wanted} is not installed; choose another, or a solver without one (gp, irls)."
            try:
                check_header(wanted, task)
            except CheckpointError as error:
                return str(error)
        return ""

    def _on_quality_chosen(self, quality: ReconstructionParams) -> None:
        with suppress(InputError):
            quality = with_own(quality, self.form.values())
        self.form.set_values(quality)

    def _on_changed(self) -> None:
        with suppress(InputError):
            self.quality.compare(with_own(self.form.values(), ReconstructionParams()))
