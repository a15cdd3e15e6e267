"""A form for any parameter model: one control per field, with the model's own default, range, unit and explanation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

from magicgui.widgets import CheckBox, Container, FloatSpinBox, create_widget
from magicgui.widgets.bases import ValueWidget
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible

from ..errors import InputError, sentence
from ..params import Params

P = TypeVar("P", bound=Params)
DECIMALS = 8  # typed values keep this many; trailing zeros are not shown
WIDEST_CONTROL_PX = 210
SUFFIXES = {"nm": "_nm", "keV": "_kev", "mrad": "_mrad", "deg": "_deg", "µs": "_us", "px": "_px", "e⁻/px": "_e_per_px", "s": "_s"}


class ParamsForm(QWidget, Generic[P]):
    """Controls for the fields of ``model``.

    Parameters
    ----------
    model
        Any parameter model.
    shown
        Fields that are always visible; the others are folded under "Details". All are visible where it is empty.
    controls
        Ready-made magicgui widgets for single fields, by name.
    """

    changed = Signal()

    def __init__(self, model: type[P], *, shown: Sequence[str] = (), controls: Mapping[str, ValueWidget] | None = None) -> None:
        super().__init__()
        self.model = model
        self.controls: dict[str, Any] = {
            name: (controls or {}).get(name) or _control(name, field) for name, field in model.model_fields.items()
        }
        for name, control in self.controls.items():
            _explain(control, name, model.model_fields[name])
            control.changed.connect(self._on_changed)
        front = [name for name in self.controls if name in shown or not shown]
        folded = [name for name in self.controls if name not in front]
        # Kept: magicgui's containers are deleted with their last Python reference.
        self._containers = [_container([self.controls[name] for name in names]) for names in (front, folded) if names]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._containers[0].native)
        if folded:
            self.details = QCollapsible("Details")
            self.details.setDuration(0)
            self.details.addWidget(self._containers[1].native)
            layout.addWidget(self.details)

    def values(self) -> P:
        """Return a frozen snapshot.

        Raises
        ------
        InputError
            If the model refuses a value.
        """
        try:
            return self.model(**{name: control.value for name, control in self.controls.items()})
        except ValidationError as error:
            raise InputError(sentence(error)) from error

    def set_values(self, params: P) -> None:
        """Show ``params``."""
        for name, control in self.controls.items():
            control.value = getattr(params, name)

    def _on_changed(self) -> None:
        self.changed.emit()


def title(name: str, field: FieldInfo) -> str:
    """Return a field's label: its name without the unit's suffix, and the unit."""
    unit = _unit(field)
    words = name.removesuffix(SUFFIXES.get(unit, "\0")).replace("_", " ")
    words = words[0].upper() + words[1:]
    return f"{words} ({unit})" if unit else words


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _limits(metadata: Sequence[Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in metadata:
        for part in (item, *getattr(item, "metadata", ())):
            found |= {key: getattr(part, key) for key in ("ge", "gt", "le", "lt", "multiple_of") if hasattr(part, key)}
    return found


def _control(name: str, field: FieldInfo) -> Any:
    annotation: Any = field.annotation
    options: dict[str, Any] = {}
    if get_origin(annotation) is tuple:
        sides = get_args(annotation)
        plain = tuple(get_args(side)[0] if get_origin(side) is Annotated else side for side in sides)
        options = {"options": _range(_limits(get_args(sides[0])[1:]), int, 1)}
        annotation = tuple[plain]
    elif annotation in (int, float):
        options = _range(_limits(field.metadata), annotation, field.default)
    control: Any = create_widget(value=field.default, annotation=annotation, name=name, options=options)
    if isinstance(control, FloatSpinBox):
        _show_short(control, options, field.default)
    return control


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


def _explain(control: Any, name: str, field: FieldInfo) -> None:
    limits = _limits(field.metadata)
    unit = _unit(field)
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    span = "" if low is None or high is None else f"\nRange: {low:g} to {high:g}{f' {unit}' if unit else ''}"
    control.name = name
    control.label = title(name, field)
    if isinstance(control, CheckBox):
        control.text = control.label
    control.tooltip = f"{field.description}{span}"
    native = control.native
    native.setMaximumWidth(WIDEST_CONTROL_PX if not isinstance(control, CheckBox) else 16777215)
    native.setMinimumWidth(60)
    native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def _container(controls: Sequence[Any]) -> Container:
    container: Container = Container(widgets=list(controls), labels=True)
    container.margins = (0, 0, 0, 0)
    return container
