"""The widget "Judge": compare results with each other and with the truth, and take the answer away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QDockWidget, QFormLayout, QWidget

from ..errors import InputError
from ..params import JudgeParams, ReconstructionParams
from . import judge_jobs
from .combos import follow
from .forms import ParamsForm, add_row
from .judge_choice import Choice, is_result
from .judge_save import Save
from .judge_show import Show
from .judge_view import RingChart, ScoresTable, SpectraView
from .layer_data import notes_of, pixel_size_nm
from .layers import Layers
from .panel import Panel
from .reconstruct import ReconstructWidget
from .remembered import PLUGIN, remember

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer


class JudgeWidget(Panel):
    """Scores, spectra and views of results, and their export."""

    width_px = 380

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Judge", "Score the result, compute its spectrum, and how far it agrees with the reference.")
        self._viewer = napari_viewer
        self.layers = Layers(napari_viewer)
        self.choice = Choice(napari_viewer)
        self.microscope = ParamsForm(JudgeParams)
        remember(self.microscope, "Judge")
        self.table, self.spectra, self.rings = ScoresTable(), SpectraView(), RingChart()
        self.show_group = Show(self.choice, self.layers)
        self.save_group = Save(self.choice, self.microscope, self.run)
        self._chosen: Layer | None = None  # whose partners have been looked for
        self._judged: Layer | None = None  # whose scores are computed
        self._judged_plane: tuple[int, ...] = ()
        self._due = False  # whether the chosen one is to be judged as soon as it can be
        self._build()
        self.choice.result_combo.chosen.connect(self._on_result_chosen)
        for signal in (self.choice.reference_combo.chosen, self.microscope.changed):
            signal.connect(self._on_choice)
        self.table.picked.connect(self._on_picked)
        self.run_button.clicked.connect(self._on_run)
        self.show_group.said.connect(self.say)
        self.save_group.said.connect(self.say)
        self.save_group.again.connect(self.run_again)
        self.runner.returned.connect(self._on_returned)
        self.runner.ended.connect(self._on_choice)
        follow(self, self._on_choice, napari_viewer.layers.events.removed, napari_viewer.dims.events.current_step)
        follow(self, self._on_inserted, napari_viewer.layers.events.inserted)
        self._on_result_chosen()

    def _build(self) -> None:
        chooser = QWidget()
        form = QFormLayout(chooser)
        form.setContentsMargins(0, 0, 0, 0)
        for label, combo, tip in (
            ("Result", self.choice.result_combo, "The image to judge: a reconstruction, or any other."),
            ("Reference", self.choice.reference_combo, "The true image where it is known, or another result to compare with."),
        ):
            add_row(form, label, combo, tip)
            combo.setAccessibleName(label)
        self.add_group("Layers", chooser)
        self.add_group("Results", self.table)
        self.add_group("Show", self.show_group)
        self.add_group("Spectrum", self.spectra, self.rings, self.microscope)
        self.add_group("Save", self.save_group.files)
        self.add_group("Make it again", self.save_group.recipe)

    def _on_result_chosen(self) -> None:
        """Choose the truth that the result was made from, where its layers say so, and judge a new result at once."""
        layer = self.choice.result
        new = layer is not None and layer != self._chosen
        self._chosen = layer
        if layer is not None and new:
            self._due = False
            truth = self.choice.truth()
            if truth is not None:
                self.choice.reference_combo.choose(truth)
                self._know_microscope(truth)
            self._due = is_result(layer)
        self._on_choice()

    def _on_picked(self, row: int) -> None:
        """Choose the result of a row, and show it."""
        layer = self.choice.results()[row]
        self.choice.result_combo.choose(layer)
        self.show_group.show_alone(layer)

    def _on_inserted(self, event: Any) -> None:
        """Wait for a reconstruction that has begun, and choose it when it has ended."""
        layer = event.value
        if "unfinished" in notes_of(layer):

            def ended(event: object = None) -> None:
                combo = self.choice.result_combo
                if is_result(layer) and layer in combo.layers and layer != self._chosen:
                    combo.choose(layer)

            follow(self, ended, layer.events.metadata)
        self._on_choice()

    def _know_microscope(self, frame: Layer) -> None:
        made = frame.metadata.get("simulation")
        if isinstance(made, Mapping) and {"energy_kev", "semi_angle_mrad"} <= made.keys():
            self.microscope.set_values(JudgeParams(energy_kev=made["energy_kev"], semi_angle_mrad=made["semi_angle_mrad"]))

    def _on_choice(self, event: object = None) -> None:
        obstacle = self.choice.obstacle()
        self.advise(obstacle)
        ready = not obstacle and not self.runner.running
        self.run_button.setEnabled(ready)
        self.show_group.enable(not obstacle, self.choice.reference is not None)
        self.save_group.enable(ready)
        self.rings.say_missing("needs a reference" if self.choice.reference is None else "nothing yet")
        results = self.choice.results()
        chosen = results.index(self.choice.result) if self.choice.result in results else -1
        self.table.show_scores([(self.choice.label(layer), layer.name, self.choice.scores(layer)) for layer in results], chosen)
        if self._due and ready:
            self._due = False
            self._on_run()

    def _on_run(self) -> None:
        result, reference = self.choice.result, self.choice.reference
        if result is None:
            return
        try:
            image, against = self.choice.image(result), None if reference is None else self.choice.image(reference)
            where, params, shared = self.choice.mask(), self.microscope.values(), self.choice.shares_noise()
        except InputError as error:
            self.say(error)
            return
        self._judged, self._judged_plane = result, self.choice.plane(result)
        pixel_nm = pixel_size_nm(result.scale, result.units)
        self.run(lambda tick: judge_jobs.judgement(image, against, where, pixel_nm, params, shared, tick))

    def _on_returned(self, judged: judge_jobs.Judged | str) -> None:
        if isinstance(judged, str):
            self.say(f"Saved {judged}.")
            return
        if self._judged is not None and self._judged in self._viewer.layers and judged.scores:
            self.layers.note_scores(self._judged, judged.scores, self._judged_plane)
        self.spectra.show_spectra(judged.spectra, judged.cutoff)
        self.rings.show_rings(judged.rings, judged.unit)
        self.show_group.follow_line()
        self.say(judged.sentence)

    def run_again(self, params: ReconstructionParams) -> None:
        """Put ``params`` and the measured layer of the result into the Reconstruct widget that is open, or into a new one beside this."""
        for widget in self.window().findChildren(ReconstructWidget):
            dock = widget.parent()
            if isinstance(dock, QDockWidget):
                dock.show()
                dock.raise_()
                break
        else:
            _, widget = self._viewer.window.add_plugin_dock_widget(PLUGIN, "Reconstruct", tabify=True)
        widget.take_over(params, self.choice.partner("measured"))
