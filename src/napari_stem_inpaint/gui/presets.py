"""A choice among ready-made sets of values that says when the values are no longer one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox

CHANGED = "Changed: "  # in front, where a narrow combo box does not cut it off


class PresetCombo(QComboBox):
    """Chooses one of ``presets``, and says when the values are no longer its own.

    A changed preset is still that one, unless it and the values differ in the field ``decisive``.
    """

    chosen = Signal(object)  # one of the presets' values

    def __init__(self, presets: Mapping[str, Any], tooltip: str, decisive: str = "") -> None:
        super().__init__()
        self._presets, self._decisive = dict(presets), decisive
        self.setPlaceholderText("By hand")
        self.addItems(list(presets))
        self.setToolTip(tooltip)
        self.setAccessibleName("Preset")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.activated.connect(self._on_activated)

    def compare(self, values: Any) -> None:
        """Show which preset ``values`` are; where none, the last one as changed, or one that is alike, or that there is none."""
        presets = list(self._presets.values())
        same = [place for place, preset in enumerate(presets) if preset == values]
        alike = same or [place for place, preset in enumerate(presets) if self._alike(preset, values)]
        if self.currentIndex() not in alike:
            self.setCurrentIndex(alike[0] if alike else -1)
        for place, name in enumerate(self._presets):
            text = CHANGED + name if place == self.currentIndex() and not same else name
            if self.itemText(place) != text:
                self.setItemText(place, text)

    def _alike(self, preset: Any, values: Any) -> bool:
        return not self._decisive or bool(getattr(preset, self._decisive) == getattr(values, self._decisive))

    def _on_activated(self, place: int) -> None:
        self.chosen.emit(list(self._presets.values())[place])
