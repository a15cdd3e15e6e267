"""Drawing on a frame where a scan measures always, never or more densely: with a brush, or as shapes that stay editable."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Shapes
from qtpy.QtCore import QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QGridLayout, QPushButton, QWidget

from ..scan_regions import Regions
from .combos import follow
from .layer_data import REGIONS, Place, notes_of
from .layers import Layers

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

TOOLS = {"Brush": "paint", "Outline": "add_polygon_lasso", "Rectangle": "add_rectangle", "Ellipse": "add_ellipse"}
TIPS = {
    "always": "Draw where every position is measured.",
    "never": "Draw where no position is measured, to spare the specimen.",
    "denser": "Draw where more positions are measured; Densify, under Details, says how many times as many.",
}
DELAY_MS = 60  # a stroke of the brush is many changes


class DrawRegions(QWidget):
    """Buttons for the kinds of regions, and the tool to draw them with."""

    changed = Signal()  # something is to be drawn, or was drawn, erased, moved or deleted

    def __init__(self, viewer: napari.viewer.Viewer, layers: Layers) -> None:
        super().__init__()
        self._viewer, self._layers = viewer, layers
        self._frame: Layer | None = None
        self._kind = ""  # what was drawn last
        self.tool = QComboBox()
        self.tool.addItems(list(TOOLS))
        self.tool.setAccessibleName("Tool")
        self.tool.setToolTip("Brush: paint and erase. Outline, Rectangle, Ellipse: shapes that can be moved and deleted afterwards.")
        self.kinds = {kind: QPushButton(kind.capitalize()) for kind in REGIONS}
        self.erase_button = QPushButton("Erase")
        self.erase_button.setToolTip("Strokes: erase them with the brush; Ctrl+Z takes a stroke back. Shapes: click one, and press Delete.")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for column, (kind, button) in enumerate(self.kinds.items()):
            button.setToolTip(TIPS[kind])
            button.clicked.connect(partial(self._on_kind, kind))
            grid.addWidget(button, 0, column)
        grid.addWidget(self.tool, 1, 0, 1, 2)
        grid.addWidget(self.erase_button, 1, 2)
        self.tool.activated.connect(self._on_tool)
        self.erase_button.clicked.connect(self._on_erase)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY_MS)
        self._delay.timeout.connect(self.changed)
        follow(self, self._on_layers, viewer.layers.events.inserted, viewer.layers.events.removed)

    def set_frame(self, frame: Layer | None) -> None:
        """Draw on ``frame`` from now on; on none, nothing can be drawn."""
        self._frame = frame
        for button in (*self.kinds.values(), self.erase_button, self.tool):
            button.setEnabled(frame is not None)

    def regions(self) -> Regions | None:
        """Return what is drawn on the frame; None where nothing is."""
        if self._frame is None:
            return None
        shape = (int(self._frame.data.shape[-2]), int(self._frame.data.shape[-1]))
        drawn = {kind: np.zeros(shape, dtype=bool) for kind in REGIONS}
        for layer in self._viewer.layers:
            if notes_of(layer).get("role") != "regions":
                continue
            if isinstance(layer, Labels) and tuple(layer.data.shape) == shape:
                for number, kind in enumerate(REGIONS, 1):
                    drawn[kind] |= np.asarray(layer.data) == number
            elif isinstance(layer, Shapes) and len(layer.data):
                drawn[notes_of(layer)["kind"]] |= np.asarray(layer.to_masks(shape), dtype=bool).any(0)
        return Regions(**drawn) if any(mask.any() for mask in drawn.values()) else None

    def _on_tool(self) -> None:
        """Go on with another tool at what is being drawn."""
        if self._kind:
            self._on_kind(self._kind)

    def _on_kind(self, kind: str) -> None:
        self._kind, mode = kind, TOOLS[self.tool.currentText()]
        layer = self._layer(kind if mode != "paint" else "")
        if layer is None:
            return
        if mode == "paint":
            layer.selected_label = list(REGIONS).index(kind) + 1
        self._activate(layer, mode)
        self.changed.emit()

    def _on_erase(self) -> None:
        active = self._viewer.layers.selection.active
        if isinstance(active, Shapes) and notes_of(active).get("role") == "regions":
            self._activate(active, "select")
            return
        self.tool.setCurrentText("Brush")
        layer = self._layer("")
        if layer is not None:
            self._activate(layer, "erase")

    def _activate(self, layer: Any, mode: str) -> None:
        self._viewer.layers.selection.active = layer
        layer.visible = True
        layer.mode = mode

    def _layer(self, kind: str) -> Any:
        """Return the layer of the shapes of one ``kind``, or with "" that of all the strokes; made where there is none."""
        if self._frame is None:
            return None
        shape = tuple(self._frame.data.shape[-2:])
        for layer in self._viewer.layers:
            notes = notes_of(layer)
            fits = not isinstance(layer, Labels) or tuple(layer.data.shape) == shape
            if notes.get("role") == "regions" and notes["kind"] == kind and fits:
                return layer
        return self._layers.add_regions(kind, shape, Place.of_layer(self._frame))

    def _on_layers(self, event: Any) -> None:
        layer = event.value
        if notes_of(layer).get("role") != "regions":
            return
        if event.type == "inserted":
            strokes = () if isinstance(layer, Shapes) else (layer.events.labels_update,)
            follow(self, self._on_drawn, layer.events.set_data, *strokes)
        self._on_drawn()

    def _on_drawn(self, event: object = None) -> None:
        self._delay.start()
