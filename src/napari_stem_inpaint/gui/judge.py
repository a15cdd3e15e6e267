"""The widget "Judge": compare results with each other and with the truth, and take the answer away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Shapes
from qtpy.QtWidgets import QApplication, QFileDialog, QFormLayout, QHBoxLayout, QPushButton, QWidget

from .. import recipes
from ..errors import InputError
from ..frames import Measurement, Reconstruction
from ..params import PLUG_AND_PLAY, JudgeParams
from . import jobs
from .combos import LayerCombo, array_of, follow, is_grey_image, plane_shown
from .forms import ParamsForm, add_row
from .judge_view import ProfileChart, ScoresTable, SpectraView
from .layers import Layers, Place, notes_of, pixel_size_nm
from .panel import Panel
from .remembered import remember

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

LINE = "profile line"
PAGES, TABLES, MEASUREMENTS = "Page (*.pdf *.png)", "Table (*.csv)", "Measurement (*.stem.tif)"


def is_result(layer: Layer) -> bool:
    """Whether ``layer`` is a finished reconstruction."""
    notes = notes_of(layer)
    return notes.get("role") == "reconstruction" and "unfinished" not in notes


class JudgeWidget(Panel):
    """Scores, errors, spectra and profiles of results, and their export."""

    width_px = 380

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Judge", "Score the result, compute its spectrum, and show where it differs from the truth.")
        self._viewer = napari_viewer
        self.layers = Layers(napari_viewer)
        self.result_combo = LayerCombo(napari_viewer, is_grey_image, "choose a result", is_result)
        self.truth_combo = LayerCombo(napari_viewer, is_grey_image, "unknown")
        self.microscope = ParamsForm(JudgeParams)
        remember(self.microscope, "Judge")
        self.table, self.spectra, self.profile = ScoresTable(), SpectraView(), ProfileChart()
        self.error_button, self.grid_button, self.line_button = QPushButton("Error"), QPushButton("Side by side"), QPushButton("Profile")
        self.report_button, self.scores_button = QPushButton("Save report…"), QPushButton("Save scores…")
        self.python_button, self.command_button = QPushButton("Copy as Python"), QPushButton("Copy as command")
        self._chosen: Layer | None = None  # whose partners have been looked for
        self._judged: Layer | None = None  # whose scores are computed
        self._due = False  # whether the chosen one is to be judged as soon as it can be
        self._line: Shapes | None = None
        self._build()
        self.result_combo.chosen.connect(self._on_result_chosen)
        for signal in (self.truth_combo.chosen, self.microscope.changed):
            signal.connect(self._on_choice)
        self.table.picked.connect(lambda row: self.result_combo.choose(self._results()[row]))
        for button, slot in (
            (self.run_button, self._on_run), (self.error_button, self._on_error), (self.grid_button, self._on_grid),
            (self.line_button, self._on_line), (self.report_button, self._on_report), (self.scores_button, self._on_scores),
            (self.python_button, lambda: self._copy(recipes.as_python, "Python script")),
            (self.command_button, lambda: self._copy(recipes.as_command, "command line")),
        ):  # fmt: skip
            button.clicked.connect(slot)
        self.runner.returned.connect(self._on_returned)
        self.runner.ended.connect(self._on_choice)
        follow(self, self._on_choice, napari_viewer.layers.events.removed)
        follow(self, self._on_inserted, napari_viewer.layers.events.inserted)
        self._on_result_chosen()

    def _build(self) -> None:
        chooser = QWidget()
        form = QFormLayout(chooser)
        form.setContentsMargins(0, 0, 0, 0)
        for label, combo, tip in (
            ("Result", self.result_combo, "The image to judge: a reconstruction, or any other."),
            ("Truth", self.truth_combo, "The true image, or another result to compare with."),
        ):
            add_row(form, label, combo, tip)
            combo.setAccessibleName(label)
        self.add_group("Layers", chooser)
        self.add_group("Results", self.table)
        self.add_group("Spectrum", self.spectra, self.microscope)
        self.add_group("Line", self.profile)
        for buttons, title, tips in (
            ((self.error_button, self.grid_button, self.line_button), "Show", (
                "Add the difference to the truth as a layer.",
                "Show all images beside each other with the same contrast, or on top of each other again.",
                "Draw a line across the image; its values are shown above, and follow when it is moved.",
            )),
            ((self.report_button, self.scores_button), "Save", (
                "Write one page with images, spectra, scores and recipe, as PDF or PNG.",
                "Write the table of scores as CSV.",
            )),
            ((self.python_button, self.command_button), "Make it again", (
                "Copy a script that makes this result again.",
                "Copy a command line that makes this result again.",
            )),
        ):  # fmt: skip
            row = QWidget()
            line = QHBoxLayout(row)
            line.setContentsMargins(0, 0, 0, 0)
            for button, tip in zip(buttons, tips, strict=True):
                button.setToolTip(tip)
                line.addWidget(button)
            self.add_group(title, row)

    # --- choices

    def _results(self) -> list[Layer]:
        return [layer for layer in self._viewer.layers if is_result(layer)]

    def _on_result_chosen(self) -> None:
        """Choose the truth that the result was made from, where its layers say so, and judge a new result at once."""
        layer = self.result_combo.layer()
        new = layer is not None and layer != self._chosen
        self._chosen = layer
        if layer is not None and new:
            self._due = False
            measured = self._partner(layer, "measured")
            truth = None if measured is None else notes_of(measured).get("truth")
            for other in self.truth_combo.layers:
                if truth and notes_of(other).get("id") == truth:
                    self.truth_combo.choose(other)
                    self._know_microscope(other)
            self._due = is_result(layer)
        self._on_choice()

    def _on_inserted(self, event: Any) -> None:
        """Wait for a reconstruction that has begun, and choose it when it has ended."""
        layer = event.value
        if "unfinished" in notes_of(layer):

            def ended(event: object = None) -> None:
                if is_result(layer) and layer in self.result_combo.layers and layer != self._chosen:
                    self.result_combo.choose(layer)

            follow(self, ended, layer.events.metadata)
        self._on_choice()

    def _know_microscope(self, frame: Layer) -> None:
        made = frame.metadata.get("simulation")
        if isinstance(made, Mapping) and {"energy_kev", "semi_angle_mrad"} <= made.keys():
            self.microscope.set_values(JudgeParams(energy_kev=made["energy_kev"], semi_angle_mrad=made["semi_angle_mrad"]))

    def _partner(self, result: Layer, role: str) -> Layer | None:
        """Return the measured or mask layer that ``result`` was made from."""
        made_from = notes_of(result).get("of")
        for layer in self._viewer.layers:
            if made_from and notes_of(layer).get("role") == role and notes_of(layer).get("set") == made_from:
                return layer
        return None

    def _on_choice(self, event: object = None) -> None:
        result, truth = self.result_combo.layer(), self.truth_combo.layer()
        obstacle = self._obstacle(result, truth)
        self.advise(obstacle)
        ready = not obstacle and not self.runner.running
        self.run_button.setEnabled(ready)
        self.error_button.setEnabled(ready and truth is not None)
        self.line_button.setEnabled(not obstacle)
        self.report_button.setEnabled(ready)
        self.scores_button.setEnabled(bool(self._results()))
        for button in (self.python_button, self.command_button):
            button.setEnabled(result is not None and "recipe" in result.metadata)
        results = self._results()
        chosen = results.index(result) if result in results else -1
        self.table.show_scores([(_made_by(layer), layer.name, _scores(layer)) for layer in results], chosen)
        if self._due and ready:
            self._due = False
            self._on_run()

    @staticmethod
    def _obstacle(result: Layer | None, truth: Layer | None) -> str:
        if result is None:
            return "Choose a result: run Reconstruct, or open an image."
        shape = tuple(result.data.shape[-2:])
        if truth is not None and tuple(truth.data.shape[-2:]) != shape:
            return f"The truth must have the result's shape {shape}, but its shape is {tuple(truth.data.shape[-2:])}."
        return ""

    # --- judging

    def _on_run(self) -> None:
        result, truth = self.result_combo.layer(), self.truth_combo.layer()
        if result is None:
            return
        try:
            image, reference = self._image(result), None if truth is None else self._image(truth)
            mask = self._partner(result, "mask")
            where = None if mask is None else np.asarray(mask.data) != 0
            params = self.microscope.values()
        except InputError as error:
            self.say(error)
            return
        self._judged = result
        self.run(lambda tick: jobs.judgement(image, reference, where, pixel_size_nm(result.scale, result.units), params, tick))

    def _image(self, layer: Layer) -> npt.NDArray[Any]:
        return np.array(array_of(layer, plane_shown(self._viewer, layer)), np.float32)

    def _on_returned(self, judged: jobs.Judged | str) -> None:
        if isinstance(judged, str):
            self.say(f"Saved {judged}.")
            return
        if self._judged is not None and self._judged in self._viewer.layers and judged.scores:
            self._judged.metadata = {**self._judged.metadata, "scores": dict(judged.scores)}
        self.spectra.show_spectra(judged.spectra, judged.cutoff)
        self._on_line_moved()
        self.say(judged.sentence)

    # --- views

    def _on_error(self) -> None:
        result, truth = self.result_combo.layer(), self.truth_combo.layer()
        if result is None or truth is None:
            return
        try:
            error = self._image(result) - self._image(truth)
        except InputError as problem:
            self.say(problem)
            return
        self.layers.add_difference(error, f"{result.name} − {truth.name}", Place.of_layer(result))
        self.say("Added: blue where the result is lower than the truth, red where it is higher; the most extreme 0.5 % are clipped.")

    def _on_grid(self) -> None:
        grid = self._viewer.canvas.grid if hasattr(self._viewer, "canvas") else self._viewer.grid  # before napari 0.9
        grid.enabled = not grid.enabled
        result = self.result_combo.layer()
        if grid.enabled and result is not None:
            for layer in (self.truth_combo.layer(), self._partner(result, "measured"), *self._results()):
                if layer is not None:
                    layer.contrast_limits = tuple(result.contrast_limits)
        self._viewer.reset_view()
        self.grid_button.setText("On top of each other" if grid.enabled else "Side by side")

    def _on_line(self) -> None:
        result = self.result_combo.layer()
        if result is None:
            return
        if self._line is None or self._line not in self._viewer.layers:
            height, width = result.data.shape[-2:]
            ends = np.array([[height / 2, width / 4], [height / 2, 3 * width / 4]])
            place = Place.of_layer(result).keywords()
            self._line = self._viewer.add_shapes(
                [ends], shape_type="line", edge_color="#ff9f40", edge_width=max(1.0, width / 200), name=LINE, **place
            )
            self._line.events.set_data.connect(self._on_line_moved)
        self._viewer.layers.selection.active = self._line
        self._line.mode = "direct"
        self._on_line_moved()

    def _on_line_moved(self, event: object = None) -> None:
        result = self.result_combo.layer()
        if self._line is None or self._line not in self._viewer.layers or result is None or not len(self._line.data):
            self.profile.show_profiles({}, 1.0, "")
            return
        from ..judge import line_profile

        start, end = (np.asarray(point, float)[-2:] for point in np.asarray(self._line.data[-1])[:2])
        truth = self.truth_combo.layer()
        shown = {"result": result} if truth is None else {"result": result, "truth": truth}
        try:
            profiles = {name: line_profile(self._image(layer), tuple(start), tuple(end)) for name, layer in shown.items()}
        except InputError as error:
            self.say(error)
            return
        pixel = pixel_size_nm(result.scale, result.units)
        length = float(np.hypot(*((end - start) * (pixel or (1.0, 1.0)))))
        self.profile.show_profiles(profiles, max(length, 1e-9), "nm" if pixel else "px")

    # --- export

    def _on_report(self) -> None:
        result, truth = self.result_combo.layer(), self.truth_combo.layer()
        if result is None:
            return
        try:
            measurement = self._measurement(result)
            reference = None if truth is None else self._image(truth)
            image, params = self._image(result), self.microscope.values()
        except InputError as error:
            self.say(error)
            return
        path, _ = QFileDialog.getSaveFileName(self, "Save the report as", f"{result.name}.pdf", PAGES)
        if not path:
            return
        made = Reconstruction(
            image, measurement.pixel_size_nm, result.name, result.metadata.get("recipe", {}), result.metadata.get("scores", {})
        )
        self.run(lambda tick: jobs.report(path, made, measurement, params, reference, tick))

    def _on_scores(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the scores as", "scores.csv", TABLES)
        if path:
            self._try(lambda: jobs.save_scores(path, {layer.name: _scores(layer) for layer in self._results()}), f"Saved {path}.")

    def _copy(self, written: Any, what: str) -> None:
        """Copy ``written`` of the result's recipe; a measurement that lies in no file is saved first."""
        result = self.result_combo.layer()
        if result is None:
            return
        try:
            measurement = self._measurement(result)
            recipes.params_of(result.metadata.get("recipe", {}))
        except InputError as error:
            self.say(error)
            return
        title = "Save the measurement that it begins with as"
        path, _ = QFileDialog.getSaveFileName(self, title, f"{measurement.name}.stem.tif", MEASUREMENTS)
        if not path:
            return

        def copy() -> None:
            from ..io import write_measurement

            write_measurement(path, measurement)
            clipboard = QApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(written(result.metadata["recipe"], path))

        self._try(copy, f"The {what} is on the clipboard; it begins with {path}.")

    def _measurement(self, result: Layer) -> Measurement:
        measured, mask = self._partner(result, "measured"), self._partner(result, "mask")
        if measured is None or mask is None:
            raise InputError(f"The layers that {result.name} was made from are gone; open the measurement again and reconstruct it anew.")
        notes = notes_of(measured)
        return Measurement.from_arrays(
            array_of(measured, plane_shown(self._viewer, measured)),
            np.asarray(array_of(mask, plane_shown(self._viewer, mask))) != 0,
            pixel_size_nm(measured.scale, measured.units),
            notes.get("noise", "unknown"),
            notes.get("name") or measured.name,
        )

    def _try(self, action: Any, done: str) -> None:
        try:
            action()
        except InputError as error:
            self.say(error)
        else:
            self.say(done)


def _made_by(layer: Layer) -> str:
    """Return solver and checkpoint in a word or two."""
    values = layer.metadata.get("recipe", {}).get("reconstruction", {})
    solver = str(values.get("solver", "")) or layer.name
    return f"{solver}, {Path(values['checkpoint']).stem}" if solver in PLUG_AND_PLAY and "checkpoint" in values else solver


def _scores(layer: Layer) -> dict[str, float]:
    recipe = layer.metadata.get("recipe", {})
    withheld = {"withheld_rms": recipe["withheld_rms"]} if recipe.get("withheld_rms") else {}
    return {**layer.metadata.get("scores", {}), **withheld}
