"""A form for any parameter model: one control per field, with the model's own default, range, unit and explanation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import GenericAlias
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

from magicgui.widgets import CheckBox, FloatSpinBox, create_widget
from magicgui.widgets.bases import ValueWidget
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible

from ..errors import InputError, sentence
from ..params import Params

P = TypeVar("P", bound=Params)
DECIMALS = 8  # typed values keep this many; trailing zeros are not shown
FOLDED, UNFOLDED = "▸ Details", "▾ Details"
LABEL_PX = 120  # so that the columns of a form's parts line up
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
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._page(front))
        if folded:
            # The arrows are text: icons would keep the colour of the theme at the time they were drawn.
            self.details = QCollapsible(FOLDED, expandedIcon=" ", collapsedIcon=" ")
            self.details.toggled.connect(self._on_details_toggled)
            self.details.setDuration(0)
            for part in (self.details, self.details.content()):
                if (inner := part.layout()) is not None:
                    inner.setContentsMargins(0, 0, 0, 0)
            self.details.addWidget(self._page(folded))
            layout.addWidget(self.details)

    def _page(self, names: Sequence[str]) -> QWidget:
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 2, 0, 2)
        form.setVerticalSpacing(3)
        for name in names:
            control = self.controls[name]
            if isinstance(control, CheckBox):
                form.addRow(control.native)
            else:
                add_row(form, title(name, self.model.model_fields[name]), control.native, control.tooltip, LABEL_PX)
        return page

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

    def _on_details_toggled(self, open_: bool) -> None:
        self.details.setText(UNFOLDED if open_ else FOLDED)

    def _on_changed(self) -> None:
        self.changed.emit()


def add_row(form: QFormLayout, text: str, control: QWidget, tooltip: str, width_px: int = 0) -> None:
    """Add ``control`` with a label that is ``width_px`` wide at least."""
    label = QLabel(text)
    label.setToolTip(tooltip)
    label.setMinimumWidth(width_px)
    form.addRow(label, control)


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
        plain: Any = tuple(get_args(side)[0] if get_origin(side) is Annotated else side for side in sides)
        options = {"options": _range(_limits(get_args(sides[0])[1:]), int, 1)}
        annotation = GenericAlias(tuple, plain)
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
    if isinstance(control, CheckBox):
        control.text = title(name, field)
    control.tooltip = f"{field.description}{span}"
    control.native.setMinimumWidth(60)
    control.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
