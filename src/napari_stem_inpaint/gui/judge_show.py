"""Ways to look at a result beside its reference: their difference, side by side, under a swipe, along a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from ..errors import InputError
from .combos import is_mask
from .judge_choice import Choice
from .judge_view import ProfileChart
from .layer_data import Place, pixel_size_nm
from .layers import Layers

if TYPE_CHECKING:
    from napari.layers import Layer

LINE = "profile line"
GRID, STACK = "Grid", "Stack"
STEPS = 1000  # of the swipe's slider


class Show(QWidget):
    """The buttons, the swipe's slider, and the chart of a line."""

    said = Signal(object)  # a sentence, or an InputError

    def __init__(self, choice: Choice, layers: Layers) -> None:
        super().__init__()
        self._choice, self._layers = choice, layers
        self._line: Shapes | None = None
        self._pair: tuple[Layer | None, Layer | None] | None = None  # that can be swiped
        self.profile = ProfileChart()
        self.profile.hide()
        self.difference_button, self.grid_button = QPushButton("Difference"), QPushButton(GRID)
        self.swipe_button, self.line_button = QPushButton("Swipe"), QPushButton("Profile")
        self.swipe_button.setCheckable(True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.swipe = QWidget()
        self._build()
        for button, slot in (
            (self.difference_button, self._on_difference),
            (self.grid_button, self._on_grid),
            (self.line_button, self._on_line),
        ):
            button.clicked.connect(slot)
        self.swipe_button.toggled.connect(self._on_swipe)
        self.slider.valueChanged.connect(self._on_swipe)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button, tip in (
            (self.difference_button, "Add result minus reference as a layer."),
            (self.grid_button, "Show all images beside each other with the same contrast, or on top of each other again."),
            (self.swipe_button, "Lay the reference over the left part of the result; the slider moves the border between them."),
            (
                self.line_button,
                "Put a line across the image; drag its ends to where you want it. The values along it are shown below.",
            ),
        ):
            button.setToolTip(tip)
            row.addWidget(button)
        layout.addLayout(row)
        self.slider.setRange(0, STEPS)
        self.slider.setValue(STEPS // 2)
        self.slider.setAccessibleName("Swipe")
        self.slider.setToolTip("Left of the border lies the reference, right of it the result.")
        beside = QHBoxLayout(self.swipe)
        beside.setContentsMargins(0, 0, 0, 0)
        for part in (QLabel("reference"), self.slider, QLabel("result")):
            beside.addWidget(part)
        self.swipe.hide()
        layout.addWidget(self.swipe)
        layout.addWidget(self.profile)

    def enable(self, result: bool, reference: bool) -> None:
        """Let be clicked what can be done with a ``result``, and with a ``reference`` too."""
        self.line_button.setEnabled(result)
        self.difference_button.setEnabled(result and reference)
        self.swipe_button.setEnabled(result and reference)
        pair = (self._choice.result, self._choice.reference) if result and reference else None
        if pair != self._pair:
            self._pair = pair
            self._on_swipe()

    def show_alone(self, result: Layer) -> None:
        """Show ``result`` on top of all images, and hide the others of the same measurement; in a grid, all stay as they are."""
        viewer = self._choice.viewer
        if not self._grid().enabled:
            for other in self._choice.rivals(result):
                other.visible = False
            result.visible = True
            top = max(k for k, layer in enumerate(viewer.layers) if is_mask(layer) or layer == result)
            if viewer.layers[top] != result:
                viewer.layers.move(viewer.layers.index(result), top + 1)
        viewer.layers.selection.active = result

    def _grid(self) -> Any:
        viewer = self._choice.viewer
        return viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid  # before napari 0.9

    def _on_difference(self) -> None:
        result, reference = self._choice.result, self._choice.reference
        try:
            pair = self._choice.pair()
        except InputError as problem:
            self.said.emit(problem)
            return
        if pair is None or result is None or reference is None:
            return
        self._layers.add_difference(pair[0] - pair[1], f"{result.name} − {reference.name}", Place.of_layer(result))
        self.said.emit(
            "Added: blue where the result is lower, red where it is higher than the reference; the most extreme 0.5 % are clipped."
        )

    def _on_grid(self) -> None:
        viewer, result = self._choice.viewer, self._choice.result
        grid = self._grid()
        grid.enabled = not grid.enabled
        if grid.enabled and result is not None:
            self.swipe_button.setChecked(False)
            for layer in (self._choice.reference, self._choice.partner("measured"), *self._choice.results()):
                if layer is not None:
                    layer.visible = True
                    layer.contrast_limits = tuple(result.contrast_limits)
        viewer.reset_view()
        self.grid_button.setText(STACK if grid.enabled else GRID)

    # --- swipe

    def _on_swipe(self, _: object = None) -> None:
        """Cover the result by the reference up to the slider's place; uncover it where that is not wanted or not possible."""
        wanted = self.swipe_button.isChecked() and self.swipe_button.isEnabled()
        self.swipe.setVisible(wanted)
        result, reference = self._choice.result, self._choice.reference
        if not wanted or result is None or reference is None:
            self._layers.end_swipe()
            return
        try:
            image = self._choice.image(reference)
        except InputError as problem:
            self.said.emit(problem)
            return
        self._layers.show_swipe(image, round(image.shape[1] * self.slider.value() / STEPS), result, reference.name)

    # --- line

    def _on_line(self) -> None:
        result, viewer = self._choice.result, self._choice.viewer
        if result is None:
            return
        if self._line is None or self._line not in viewer.layers:
            height, width = result.data.shape[-2:]
            ends = np.array([[height / 2, width / 4], [height / 2, 3 * width / 4]])
            self._line = self._layers.add_line(ends, LINE, Place.of_layer(result), max(1.0, width / 200))
            self._line.events.set_data.connect(self.follow_line)
        viewer.layers.selection.active = self._line
        self._line.mode = "direct"
        self._line.selected_data = {0}  # an end can be dragged at once
        self.follow_line()

    def follow_line(self, event: object = None) -> None:
        """Show the values along the line, if there is one."""
        result = self._choice.result
        there = self._line is not None and self._line in self._choice.viewer.layers
        self.profile.setVisible(there)
        if not there or self._line is None or result is None or not len(self._line.data):
            self.profile.show_profiles({}, 1.0, "")
            return
        try:
            self._show_profile(result, np.asarray(self._line.data[-1], float)[:2, -2:])
        except InputError as problem:
            self.said.emit(problem)

    def _show_profile(self, result: Layer, ends: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
        from ..judge import line_profile

        reference = self._choice.reference
        shown = {"result": result} if reference is None else {"result": result, "reference": reference}
        start, end = (float(ends[0, 0]), float(ends[0, 1])), (float(ends[1, 0]), float(ends[1, 1]))
        profiles = {name: line_profile(self._choice.image(layer), start, end) for name, layer in shown.items()}
        pixel = pixel_size_nm(result.scale, result.units)
        length = float(np.hypot(*((ends[1] - ends[0]) * (pixel or (1.0, 1.0)))))
        self.profile.show_profiles(profiles, max(length, 1e-9), "nm" if pixel else "px")
