"""Choices that follow the world: the viewer's layers, the installed checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from magicgui.widgets import ComboBox
from napari.layers import Image, Labels
from qtpy.QtCore import QEvent, QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QSizePolicy, QStyle, QStyleOptionComboBox, QStylePainter

from ..denoisers.cards import SUFFIX
from ..denoisers.registry import FOREIGN_SUFFIXES, Known, known
from ..errors import InputError
from .layer_data import notes_of

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

FROM_FILE = "\0file"
VIEWS = ("swipe", "preview", "regions")  # roles of layers that are no data
FILES = f"Checkpoint (*{' *'.join((SUFFIX, *FOREIGN_SUFFIXES))})"


def is_grey_image(layer: Layer) -> bool:
    """Whether ``layer`` holds one number per pixel, in one resolution, and at least two axes, and is not a mere view of another."""
    if notes_of(layer).get("role") in VIEWS:
        return False
    return isinstance(layer, Image) and not layer.rgb and not layer.multiscale and layer.ndim >= 2


def is_mask(layer: Layer) -> bool:
    """Whether ``layer`` could say which positions were measured."""
    if notes_of(layer).get("role") in VIEWS:
        return False
    return is_grey_image(layer) or (isinstance(layer, Labels) and not layer.multiscale and layer.ndim >= 2)


def plane_shown(viewer: Viewer, layer: Layer) -> tuple[int, ...]:
    """Return the indices of the plane of ``layer`` that the viewer shows; empty for a single image."""
    if layer.ndim <= 2:
        return ()
    place = layer.world_to_data(np.asarray(viewer.dims.point)[-layer.ndim :])[:-2]
    return tuple(int(np.clip(round(float(k)), 0, n - 1)) for k, n in zip(place, layer.data.shape, strict=False))


def array_of(layer: Layer, plane: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the image ``(Y, X)`` at ``plane`` of ``layer``.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return np.asarray(layer.data[plane] if plane else layer.data)
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"The layer {layer.name} cannot be read ({error}); open its file again.") from error


def plane_name(layer: Layer, plane: tuple[int, ...]) -> str:
    """Return "name [3/10]" for a plane of a stack, and the name alone for a single image: what it was measured as, or the layer's."""
    return str(notes_of(layer).get("name") or layer.name) + "".join(
        f" [{k + 1}/{n}]" for k, n in zip(plane, layer.data.shape, strict=False)
    )


class LayerCombo(QComboBox):
    """Chooses one of the viewer's layers that ``accepts`` likes, or none ("empty"); a new one that ``wants`` likes is chosen at once."""

    chosen = Signal()  # by the user, or because layers came or went

    def __init__(
        self, viewer: Viewer, accepts: Callable[[Layer], bool], empty: str, wants: Callable[[Layer], bool] = lambda layer: False
    ) -> None:
        super().__init__()
        self._viewer, self._accepts, self._empty, self._wants = viewer, accepts, empty, wants
        self._layers: list[Layer] = []
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        events = viewer.layers.events
        follow(self, self._on_layers_changed, events.inserted, events.removed, events.reordered, events.renamed)
        self.currentIndexChanged.connect(self._on_index_changed)
        self._on_layers_changed()

    @property
    def layers(self) -> list[Layer]:
        """What there is to choose from, newest last."""
        return list(self._layers)

    def layer(self) -> Layer | None:
        """Return the chosen layer."""
        index = self.currentIndex() - 1
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Layer | None) -> None:
        """Choose ``layer``, or none."""
        self.setCurrentIndex(0 if layer is None else self._layers.index(layer) + 1)

    def shown_text(self) -> str:
        """Return the chosen name as far as there is room, without its middle: what tells layers of one file apart stands at the end."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        control, field = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(control, option, field, self).width() - 2  # styles leave 1 px at each side
        return str(self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideMiddle, room))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the box with the shortened name."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.shown_text()
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def _on_layers_changed(self, event: object = None) -> None:
        before, known = self.layer(), self._layers
        self._layers = [layer for layer in self._viewer.layers if self._accepts(layer)]
        self.blockSignals(True)
        self.clear()
        self.addItems([self._empty, *(layer.name for layer in self._layers)])
        new = [layer for layer in self._layers if layer not in known and self._wants(layer)]
        self.choose(new[-1] if new else before if before in self._layers else None)
        self.blockSignals(False)
        self._on_index_changed()

    def _on_index_changed(self, index: int = 0) -> None:
        layer = self.layer()
        self.setToolTip(self._empty if layer is None else layer.name)
        self.chosen.emit()


def follow(owner: QObject, slot: Callable[..., None], *emitters: Any) -> None:
    """Connect napari's ``emitters`` to ``slot`` for as long as ``owner`` lives."""
    for emitter in emitters:
        emitter.connect(slot)

    def forget() -> None:
        for emitter in emitters:
            emitter.disconnect(slot)

    owner.destroyed.connect(forget)


class CheckpointChoice(ComboBox):
    """Every network for the ``tasks`` that has a name, and any file; what each is for is its tooltip."""

    def __init__(self, value: str, *first: str, tasks: tuple[str, ...] = ("denoise",)) -> None:
        self._first, self._tasks = first, tasks
        self._files: list[str] = []
        self._known = self._named()
        super().__init__(value=value, choices=self._labelled())
        self._last = value
        self.changed.connect(self._on_changed)
        self.native.installEventFilter(_Opening(self.native, self.refresh))
        self._explain()

    @property
    def value(self) -> str:
        """Name of a denoiser, or a file."""
        return str(super().value)

    @value.setter
    def value(self, value: str) -> None:
        if value not in (FROM_FILE, *self._first, *self._files, *(one.name for one in self._known)):
            self._files.append(value)
            self._refill()
        ComboBox.value.fset(self, value)  # type: ignore[attr-defined]

    def refresh(self) -> None:
        """Look again what there is."""
        now = self._named()
        if now != self._known:
            self._known = now
            self._refill()

    def _refill(self) -> None:
        """Offer what there is now, in its order: added to what was offered, it would come after the files."""
        value = self.value
        with self.changed.blocked():
            self.choices = ()
            self.choices = self._labelled()
            ComboBox.value.fset(self, value)  # type: ignore[attr-defined]
        self._explain()

    def _named(self) -> list[Known]:
        return [one for one in known() if one.task in self._tasks]

    def _labelled(self) -> list[tuple[str, str]]:
        named = [(one.name, one.name) for one in self._known]
        return [
            *((text or "none", text) for text in self._first),
            *named,
            *((Path(file).name.removesuffix(SUFFIX), file) for file in self._files),
            ("From file…", FROM_FILE),
        ]

    def _explain(self) -> None:
        for one in self._known:
            place = self.native.findText(one.name)
            self.native.setItemData(place, one.summary(), Qt.ItemDataRole.ToolTipRole)

    def _on_changed(self, value: str) -> None:
        if value != FROM_FILE:
            self._last = value
            return
        path, _ = QFileDialog.getOpenFileName(self.native, "Open a checkpoint", "", FILES)
        self.value = path or self._last


class _Opening(QObject):
    """Calls ``then`` when a combo gets the focus or the pointer, before it is opened."""

    def __init__(self, combo: QObject, then: Callable[[], None]) -> None:
        super().__init__(combo)
        self._then = then

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Enter, QEvent.Type.FocusIn):
            self._then()
        return False
