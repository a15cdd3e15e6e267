"""A form for any parameter model: one control per field, with the model's own default, range, unit and explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from magicgui.widgets import CheckBox
from magicgui.widgets.bases import ValueWidget
from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from ..errors import InputError, sentence
from ..params import Params
from .controls import WheelGuard, dragged_over, explain, extra, make_control, title, with_chooser, with_slider
from .relevance import has_effect

P = TypeVar("P", bound=Params)
UNGROUPED = "Details"
LABEL_PX = 147  # so that the columns of a form's parts line up


class ParamsForm(QWidget, Generic[P]):
    """Controls for the fields of ``model``.

    Parameters
    ----------
    model
        Any parameter model.
    shown
        Fields that are always visible; the others are folded, one section for each of the model's groups. All are visible where
        it is empty.
    controls
        Ready-made magicgui widgets for single fields, by name.
    files
        Kinds of file such as "CIF file (*.cif)" for the fields that take a path, by name.
    folders
        Fields of those that take a folder, too.
    """

    changed = Signal()
    edited = Signal()  # by hand

    def __init__(
        self,
        model: type[P],
        *,
        shown: Sequence[str] = (),
        controls: Mapping[str, ValueWidget] | None = None,
        files: Mapping[str, str] | None = None,
        folders: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.controls: dict[str, Any] = {
            name: (controls or {}).get(name) or make_control(name, field) for name, field in model.model_fields.items()
        }
        self.sections: dict[str, Section] = {}
        self._rows: dict[str, list[QWidget]] = {}  # label and everything beside it, greyed out together
        self._files, self._folders = files or {}, folders
        self._quiet = False
        self._guard = WheelGuard(self)
        for name, control in self.controls.items():
            explain(control, name, model.model_fields[name])
            control.changed.connect(self._on_edited)
        self._lay_out(shown or list(self.controls))
        self._refresh()

    def _lay_out(self, shown: Sequence[str]) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._page([name for name in self.controls if name in shown]))
        groups: dict[str, list[str]] = {}
        for name, field in self.model.model_fields.items():
            if name not in shown:
                groups.setdefault(extra(field, "group") or UNGROUPED, []).append(name)
        for group, names in groups.items():
            self.sections[group] = Section(group, names, self._page(names))
            layout.addWidget(self.sections[group])

    def _page(self, names: Sequence[str]) -> QWidget:
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 2, 0, 2)
        form.setVerticalSpacing(3)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for name in names:
            control, field = self.controls[name], self.model.model_fields[name]
            if isinstance(control, CheckBox):
                form.addRow(control.native)
                self._rows[name] = [control.native]
                continue
            span = dragged_over(control, field)
            if span:
                row = with_slider(control, *span)
            else:
                files = self._files.get(name)
                row = with_chooser(control, files, name in self._folders) if files else control.native
            self._guard.watch(row)
            self._rows[name] = [add_row(form, title(name, field), row, control.tooltip, LABEL_PX), row]
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
        """Show ``params``; announced as one change."""
        self._quiet = True
        try:
            for name, control in self.controls.items():
                control.value = getattr(params, name)
        finally:
            self._quiet = False
        self._on_changed()

    def _on_edited(self) -> None:
        if not self._quiet:
            self._on_changed()
            self.edited.emit()

    def _on_changed(self) -> None:
        self._refresh()
        self.changed.emit()

    def _refresh(self) -> None:
        """Grey out what has no effect now, and let folded sections say how much in them is not at its default."""
        now = SimpleNamespace(**{name: control.value for name, control in self.controls.items()})
        fields = self.model.model_fields
        for name, parts in self._rows.items():
            acts = has_effect(self.model, name, now)
            for part in parts:
                part.setEnabled(acts)
        for section in self.sections.values():
            section.count(sum(getattr(now, name) != fields[name].default for name in section.names))


class Section(QCollapsible):
    """A folded part of a form."""

    def __init__(self, group: str, names: Sequence[str], page: QWidget) -> None:
        # The arrows are text: icons would keep the colour of the theme at the time they were drawn.
        super().__init__(group, expandedIcon=" ", collapsedIcon=" ")
        self.names = tuple(names)
        self._group, self._page, self._changed = group, page, 0
        self.setDuration(0)
        for part in (self, self.content()):
            if (inner := part.layout()) is not None:
                inner.setContentsMargins(0, 0, 0, 0)
                inner.setSpacing(0)
        self.addWidget(page)
        page.hide()
        self.toggled.connect(self._on_toggled)
        self._title()

    def count(self, changed: int) -> None:
        """Say how many of the section's fields are not at their defaults."""
        if changed != self._changed:
            self._changed = changed
            self._title()

    def _on_toggled(self, open_: bool) -> None:
        self._page.setVisible(open_)  # QCollapsible would leave it in reach of the tabulator key
        self._title()

    def _title(self) -> None:
        note = f" · {self._changed} changed" if self._changed else ""
        self.setText(f"{'▾' if self.isExpanded() else '▸'} {self._group}{note}")


def add_row(form: QFormLayout, text: str, control: QWidget, tooltip: str, width_px: int = 0) -> QLabel:
    """Add ``control`` with a label that is ``width_px`` wide at least; return the label."""
    label = QLabel(text)
    label.setToolTip(tooltip)
    label.setMinimumWidth(width_px)
    form.addRow(label, control)
    return label
