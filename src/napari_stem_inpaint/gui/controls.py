"""Controls for single fields: what the model's type, limits and unit make of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin

from magicgui.widgets import CheckBox, FloatSpinBox, create_widget
from pydantic.fields import FieldInfo
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSlider,
    QWidget,
)

DECIMALS = 8  # typed values keep this many; trailing zeros are not shown
SLIDER_SPAN = 1000  # a wider range has no slider, unless the model says which part of it to drag over
WORDS = {"cif": "CIF", "minutes": "Time", "frames": "My frames", "frames share": "Share of my frames", "ema decay": "EMA decay"}
NUMBER_PX, BUTTON_PX = 84, 26
SUFFIXES = {
    "nm": "_nm", "keV": "_kev", "mrad": "_mrad", "deg": "_deg", "µs": "_us", "px": "_px", "e⁻/px": "_e_per_px", "s": "_s",
    "e⁻": "_e", "nm/s": "_nm_per_s", "pA": "_pa", "e⁻/Å²": "_e_per_a2",
}  # fmt: skip


def title(name: str, field: FieldInfo) -> str:
    """Return a field's label: its name without the unit's suffix, and the unit."""
    unit = extra(field, "unit")
    words = name.removesuffix(SUFFIXES.get(unit, "\0")).replace("_", " ").replace("phi", "φ")
    words = WORDS.get(words, words if words.startswith("φ") else words[0].upper() + words[1:])
    return f"{words} ({'°' if unit == 'deg' else unit})" if unit else words


def extra(field: FieldInfo, key: str) -> Any:
    """Return what the model notes on a field under ``key``, empty where nothing."""
    notes = field.json_schema_extra
    return notes.get(key, "") if isinstance(notes, dict) else ""


def make_control(name: str, field: FieldInfo) -> Any:
    """Return the magicgui widget for a field, at the field's default."""
    annotation: Any = field.annotation
    options: dict[str, Any] = {}
    if get_origin(annotation) is tuple:
        sides = get_args(annotation)
        plain: Any = tuple(get_args(side)[0] if get_origin(side) is Annotated else side for side in sides)
        options = {"options": _range(_limits(get_args(sides[0])[1:]), int, 1)}
        annotation = GenericAlias(tuple, plain)
    elif annotation in (int, float):
        options = _range(_limits(field.metadata), annotation, field.default)
    control: Any = create_widget(value=field.default, annotation=annotation, name=name, options=options)
    if isinstance(control, FloatSpinBox):
        _show_short(control, options, field.default)
    if get_origin(annotation) is tuple:
        for spin in control.native.findChildren(QAbstractSpinBox):  # two of them stand in one row
            spin.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
            spin.setMinimumWidth(40)
        control.native.layout().setSpacing(6)
    return control


def explain(control: Any, name: str, field: FieldInfo) -> None:
    """Give a control its name, its tooltip (effect and range) and a size that fits a form."""
    limits = _limits(field.metadata)
    unit = extra(field, "unit")
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    span = "" if low is None or high is None else f"\nRange: {low:g} to {high:g}{f' {unit}' if unit else ''}"
    control.name = name
    if isinstance(control, CheckBox):
        control.text = title(name, field)
    control.tooltip = f"{field.description}{span}"
    control.native.setMinimumWidth(60)
    control.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def dragged_over(control: Any, field: FieldInfo) -> tuple[float, float] | None:
    """Return what a slider for the control spans, or None where it should have none."""
    if not isinstance(control, FloatSpinBox):
        return None
    if extra(field, "drag"):
        low, high = extra(field, "drag")
        return float(low), float(high)
    return (control.min, control.max) if control.max - control.min <= SLIDER_SPAN else None


def _limits(metadata: Sequence[Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in metadata:
        for part in (item, *getattr(item, "metadata", ())):
            found |= {key: getattr(part, key) for key in ("ge", "gt", "le", "lt", "multiple_of") if hasattr(part, key)}
    return found


def _range(limits: Mapping[str, float], kind: type, default: float) -> dict[str, float]:
    nudge = 1 if kind is int else 10.0**-DECIMALS
    low = limits["ge"] if "ge" in limits else limits["gt"] + nudge
    high = limits["le"] if "le" in limits else limits["lt"] - nudge
    if kind is int:
        step = limits.get("multiple_of", 1)
    else:
        step = 10.0 ** math.floor(math.log10(abs(default) / 5 or min((high - low) / 50, 100)))
    return {"min": kind(low), "max": kind(high), "step": kind(step)}


def _show_short(control: FloatSpinBox, options: Mapping[str, float], default: float) -> None:
    """Let a float control keep small numbers without showing trailing zeros."""
    spin = control.native
    spin.textFromValue = lambda value: f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    spin.setDecimals(DECIMALS)
    # Again: the first time they were rounded to the control's default of two decimals.
    control.min, control.max, control.step = options["min"], options["max"], options["step"]
    control.value = default


class Slider(QSlider):
    """Drags a float control: the cube of the way from zero (or the lower end), so that small values can be hit."""

    STEPS = 200  # from zero to an end

    def __init__(self, control: FloatSpinBox, low: float, high: float) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._control, self._low, self._high = control, low, high
        self._zero = 0.0 if low < 0 < high else low
        self.setRange(-self.STEPS if low < 0 < high else 0, self.STEPS)
        self.setPageStep(self.STEPS // 10)
        self.setMinimumWidth(50)
        self.setToolTip(control.tooltip or "")
        self.setAccessibleName(control.name)
        self.valueChanged.connect(self._on_moved)
        control.changed.connect(self._on_changed)
        self._on_changed()

    def value_at(self, place: int) -> float:
        """Return the value at a place of the handle, to three digits."""
        way = place / self.STEPS
        reach = self._high - self._zero if way > 0 else self._zero - self._low
        return float(f"{self._zero + math.copysign(abs(way) ** 3, way) * reach:.3g}")

    def place_of(self, value: float) -> int:
        """Return the handle's place that is nearest to ``value``."""
        away = min(max(value, self._low), self._high) - self._zero
        reach = self._high - self._zero if away > 0 else self._zero - self._low
        return round(math.copysign(math.cbrt(abs(away) / reach) if reach else 0.0, away) * self.STEPS)

    def _on_moved(self, place: int) -> None:
        self._control.value = min(max(self.value_at(place), self._control.min), self._control.max)

    def _on_changed(self, value: object = None) -> None:
        if self.value_at(self.value()) != self._control.value:
            self.blockSignals(True)
            self.setValue(self.place_of(self._control.value))
            self.blockSignals(False)


def with_slider(control: FloatSpinBox, low: float, high: float) -> QWidget:
    """Return a row of a slider and the control itself, in which any allowed value can be typed."""
    spin = control.native
    spin.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    spin.setFixedWidth(NUMBER_PX)
    return row_of(Slider(control, low, high), spin)


def with_chooser(control: Any, files: str, folders: bool = False) -> QWidget:
    """Return a row of a line for a path and a button that asks for a file such as "CIF file (*.cif)", or for a folder of them."""
    button = QPushButton("…")
    kind = files.partition(" (")[0]
    button.setToolTip(f"Choose a {kind}{' or a folder of them' if folders else ''}.")
    button.setFixedWidth(BUTTON_PX)

    def ask_file() -> None:
        path, _ = QFileDialog.getOpenFileName(button, f"Choose a {kind}.", str(control.value), files)
        control.value = path or control.value

    def ask_folder() -> None:
        control.value = QFileDialog.getExistingDirectory(button, "Choose a folder.", str(control.value)) or control.value

    if folders:
        menu = QMenu(button)
        menu.addAction("A file…", ask_file)
        menu.addAction("A folder…", ask_folder)
        button.clicked.connect(lambda: menu.popup(button.mapToGlobal(button.rect().bottomLeft())))
    else:
        button.clicked.connect(ask_file)
    return row_of(control.native, button)


def row_of(*widgets: QWidget) -> QWidget:
    """Return ``widgets`` side by side, as one."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(6)
    for widget in widgets:
        layout.addWidget(widget)
    return row


class WheelGuard(QObject):
    """Keeps the mouse wheel, which scrolls the form, from changing the values that it happens to pass over."""

    def watch(self, widget: QWidget) -> None:
        """Guard the controls in ``widget``."""
        for part in (widget, *widget.findChildren(QWidget)):
            if isinstance(part, (QAbstractSpinBox, QComboBox, QSlider)):
                part.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                part.installEventFilter(self)
            if isinstance(part, QLineEdit) and isinstance(part.parent(), QAbstractSpinBox):
                part.setFocusPolicy(Qt.FocusPolicy.ClickFocus)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Hand the wheel to the form behind unless the control has been clicked."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))
