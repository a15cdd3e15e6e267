"""How a reconstruction got where it is: a chart of its errors, and a slider through the iterates that were kept."""

from __future__ import annotations

import math
from collections.abc import Iterable

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from ..frames import Iterate
from .curves import ACCENT, Chart

ABOUT = """SRE by step where the truth is chosen; else the RMS error at withheld measurements.
Faint: trials without a part of the measurements, which find what predicts that part best.
Bright: what is then made of all measurements."""
MOST_BYTES = 256 << 20  # of images that are kept
DOT_PX = 2


class Kept:
    """Iterates of one run; when they become too many, every second one is dropped, but never the newest."""

    def __init__(self) -> None:
        self.iterates: list[Iterate] = []

    def add(self, iterate: Iterate) -> None:
        """Keep one more."""
        self.iterates.append(iterate)
        if sum(one.image.nbytes for one in self.iterates) > MOST_BYTES:
            self.iterates = self.iterates[-1::-2][::-1]


def uses_all(iterate: Iterate) -> bool:
    """Whether all measurements made ``iterate``, with none withheld to judge it by."""
    return iterate.index == iterate.total or "all measurements" in iterate.stage


class ConvergenceChart(Chart):
    """Error at withheld measurements, or SRE where the truth is known, by step."""

    def __init__(self) -> None:
        super().__init__("Convergence", ABOUT)
        self.points: list[tuple[float, float]] = []
        self.tried: list[tuple[float, float]] = []  # those of trials, where it tells them from the rest
        self.title = ""

    def show_iterates(self, iterates: list[Iterate]) -> None:
        """Show what ``iterates`` tell."""
        scored = bool(iterates) and all("sre_db" in one.scores for one in iterates)
        error = "log₁₀ of the RMS error at withheld measurements" if iterates else ""
        self.title = "SRE (dB) by step; faint: trials" if scored else error
        tried = [one for one in iterates if not uses_all(one)]
        self.tried = _points((one.index, one.scores["sre_db"]) for one in tried) if scored else []
        if scored:
            self.points = _points((one.index, one.scores["sre_db"]) for one in iterates if uses_all(one))
        else:
            self.points = _points((one.index, math.log10(max(one.residual, 1e-300))) for one in tried)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the curves, and a dot where the last one ends."""
        painter = QPainter(self)
        axes, points = None, [*self.tried, *self.points]
        if len(points) > 1:
            values = [v for _, v in points]
            margin = max(0.05 * (max(values) - min(values)), 0.05)
            axes = self.axes((points[0][0], points[-1][0]), (min(values) - margin, max(values) + margin))
        self.write(painter, self.title or "convergence", axes, "a single step" if points else "nothing yet")
        if axes is not None:
            painter.setPen(self.ink(0.8))
            for step in (axes.x[0], axes.x[1]):
                self.below(painter, axes, step, f"{step:g}")
            for shown, pen in ((self.tried, QPen(self.ink(0.4), 2)), (self.points, QPen(ACCENT, 2))):
                painter.setPen(pen)
                painter.drawPolyline(QPolygonF([axes.place(k, v) for k, v in shown]))
            if self.points:
                painter.setBrush(ACCENT)
                painter.drawEllipse(axes.place(*self.points[-1]), DOT_PX, DOT_PX)
        painter.end()


def _points(told: Iterable[tuple[int, float]]) -> list[tuple[float, float]]:
    return [(float(index), value) for index, value in told if -200 < value < math.inf]


class LookBack(QWidget):
    """The chart and the slider of one run."""

    picked = Signal(object)  # a kept Iterate

    def __init__(self) -> None:
        super().__init__()
        self.kept = Kept()
        self._shown: Iterate | None = None  # what is looked at while others come
        self.chart, self.slider, self.label = ConvergenceChart(), QSlider(Qt.Orientation.Horizontal), QLabel()
        self.slider.setAccessibleName("Kept iterate")
        self.slider.setToolTip("Look back: shows a kept iterate as a layer of its own.")
        row = QHBoxLayout()
        row.addWidget(self.slider)
        row.addWidget(self.label)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.chart)
        layout.addLayout(row)
        self.slider.valueChanged.connect(self._on_moved)
        self.begin()

    def begin(self) -> None:
        """Forget the run before."""
        self.kept, self._shown = Kept(), None
        self._refresh()

    def add(self, iterate: Iterate) -> None:
        """Keep and show one more iterate."""
        self.kept.add(iterate)
        self._refresh()

    def _refresh(self) -> None:
        iterates, last = self.kept.iterates, max(len(self.kept.iterates) - 1, 0)
        shown = last if self._shown is None else next(k for k, one in enumerate(iterates) if one.index >= self._shown.index)
        self.chart.show_iterates(iterates)
        self.slider.blockSignals(True)
        self.slider.setRange(0, last)
        self.slider.setValue(shown)
        self.slider.blockSignals(False)
        self.slider.setEnabled(len(iterates) > 1)
        self._say(iterates[shown] if iterates else None)

    def _on_moved(self, place: int) -> None:
        iterate = self.kept.iterates[place]
        self._shown = iterate if place < self.slider.maximum() else None
        self._say(iterate)
        self.picked.emit(iterate)

    def _say(self, iterate: Iterate | None) -> None:
        """Name the step, with room for the last one of the run: a change costs no new layout."""
        self.label.ensurePolished()
        size = self.label.fontMetrics().size(0, f"step {max(8888, iterate.total if iterate else 0)}")
        if self.label.minimumSize() != size:
            self.label.setFixedSize(size)
        self.label.setText(f"step {iterate.index}" if iterate else "")
