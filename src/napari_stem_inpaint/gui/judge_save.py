"""What is taken away from a result: a page, a table, a script or a command, its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QApplication, QHBoxLayout, QPushButton, QWidget

from .. import recipes
from ..errors import InputError
from ..frames import Reconstruction
from ..params import JudgeParams
from . import judge_jobs
from .forms import ParamsForm
from .judge_choice import Choice
from .layer_data import told
from .save_dialog import ask_where
from .worker import Job

PAGES, TABLES, MEASUREMENTS = "Page (*.pdf *.png)", "Table (*.csv)", "Measurement (*.stem.tif *.tif *.tiff)"


class Save(QWidget):
    """Two rows of buttons."""

    said = Signal(object)  # a sentence, or an InputError
    again = Signal(object)  # the ReconstructionParams of the chosen result, to be edited

    def __init__(self, choice: Choice, microscope: ParamsForm[JudgeParams], run: Callable[[Job], None]) -> None:
        super().__init__()
        self._choice, self._microscope, self._run = choice, microscope, run
        self.report_button, self.scores_button = QPushButton("Save report…"), QPushButton("Save scores…")
        self.again_button = QPushButton("Edit settings")
        self.python_button, self.command_button = QPushButton("Copy Python"), QPushButton("Copy command")
        self.files, self.recipe = QWidget(), QWidget()
        for row, buttons in (
            (self.files, (
                (self.report_button, "Write one page with images, spectra, scores and recipe, as PDF or PNG.", self._on_report),
                (self.scores_button, "Write the table of scores as CSV.", self._on_scores),
            )),
            (self.recipe, (
                (self.again_button, "Put this result's settings into Reconstruct, to change some and run it again.", self._on_again),
                (self.python_button, "Copy a script that makes this result again.", lambda: self._copy(recipes.as_python, "Python script")),
                (self.command_button, "Copy a command line that makes this result again.",
                 lambda: self._copy(recipes.as_command, "command line")),
            )),
        ):  # fmt: skip
            line = QHBoxLayout(row)
            line.setContentsMargins(0, 0, 0, 0)
            line.setSpacing(4)
            for button, tip, slot in buttons:
                button.setToolTip(tip)
                button.clicked.connect(slot)
                line.addWidget(button)

    def enable(self, ready: bool) -> None:
        """Let be clicked what can be done; ``ready``: there is something to judge, and nothing runs."""
        self.report_button.setEnabled(ready)
        self.scores_button.setEnabled(bool(self._choice.results()))
        for button in (self.python_button, self.command_button, self.again_button):
            button.setEnabled(bool(self._recipe()))

    def _on_report(self) -> None:
        result, reference = self._choice.result, self._choice.reference
        if result is None:
            return
        try:
            measurement = self._choice.measurement()
            against = None if reference is None else self._choice.image(reference)
            image, params = self._choice.image(result), self._microscope.values()
        except InputError as error:
            self.said.emit(error)
            return
        path = ask_where(self, "Save the report as", f"{result.name}.pdf", PAGES)
        if not path:
            return
        made = Reconstruction(
            image,
            measurement.pixel_size_nm,
            result.name,
            dict(self._choice.recipe(result)),
            told(result, "scores", self._choice.plane(result)),
        )
        self._run(lambda tick: judge_jobs.report(path, made, measurement, params, against, tick))

    def _on_scores(self) -> None:
        path = ask_where(self, "Save the scores as", "scores.csv", TABLES)
        if path:
            self._try(
                lambda: judge_jobs.save_scores(path, {layer.name: self._choice.scores(layer) for layer in self._choice.results()}),
                f"Saved {path}.",
            )

    def _on_again(self) -> None:
        try:
            self.again.emit(recipes.params_of(self._recipe()))
        except InputError as error:
            self.said.emit(error)

    def _copy(self, written: Callable[..., str], what: str) -> None:
        """Copy ``written`` of the result's recipe; a measurement that lies in no file is saved first."""
        try:
            measurement = self._choice.measurement()
            recipes.repeatable(self._recipe())
        except InputError as error:
            self.said.emit(error)
            return
        path = ask_where(self, "Save the measurement that it begins with as", f"{measurement.name}.stem.tif", MEASUREMENTS)
        if not path:
            return

        def copy() -> None:
            from ..io import write_measurement

            write_measurement(path, measurement)
            clipboard = QApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(written(self._recipe(), path))

        self._try(copy, f"The {what} is on the clipboard; it begins with {path}.")

    def _recipe(self) -> dict[str, Any]:
        result = self._choice.result
        return dict(self._choice.recipe(result))

    def _try(self, action: Callable[[], object], done: str) -> None:
        try:
            action()
        except InputError as error:
            self.said.emit(error)
        else:
            self.said.emit(done)
