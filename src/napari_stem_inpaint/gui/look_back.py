"""How a reconstruction got where it is: a chart of its errors, and a slider through the iterates that were kept."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from ..frames import Iterate
from .curves import ACCENT, Chart

MOST_BYTES = 256 << 20  # of images that are kept


class Kept:
    """Iterates of one run; when they become too many, every second one is dropped, but never the newest."""

    def __init__(self) -> None:
        self.iterates: list[Iterate] = []

    def add(self, iterate: Iterate) -> None:
        """Keep one more."""
        self.iterates.append(iterate)
        if sum(one.image.nbytes for one in self.iterates) > MOST_BYTES:
            self.iterates = self.iterates[-1::-2][::-1]


class ConvergenceChart(Chart):
    """Error at withheld measurements, or SRE where the truth is known, by step."""

    def __init__(self) -> None:
        super().__init__("Convergence", "SRE by step where the truth is chosen; else the RMS error at withheld measurements.")
        self.points: list[tuple[float, float]] = []
        self.title = ""

    def show_iterates(self, iterates: list[Iterate]) -> None:
        """Show what ``iterates`` tell."""
        scored = bool(iterates) and all("sre_db" in one.scores for one in iterates)
        error = "log₁₀ of the RMS error at withheld measurements" if iterates else ""
        self.title = "SRE (dB) by step" if scored else error
        values = [one.scores["sre_db"] if scored else math.log10(max(one.residual, 1e-300)) for one in iterates]
        self.points = [(float(one.index), v) for one, v in zip(iterates, values, strict=True) if -200 < v < math.inf]
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the curve."""
        painter = QPainter(self)
        axes = None
        if len(self.points) > 1:
            values = [v for _, v in self.points]
            margin = max(0.05 * (max(values) - min(values)), 0.05)
            axes = self.axes((self.points[0][0], self.points[-1][0]), (min(values) - margin, max(values) + margin))
        self.write(painter, self.title or "convergence", axes)
        if axes is not None:
            painter.setPen(self.ink(0.8))
            for step in (axes.x[0], axes.x[1]):
                self.below(painter, axes, step, f"{step:g}")
            painter.setPen(QPen(ACCENT, 2))
            painter.drawPolyline(QPolygonF([axes.place(k, v) for k, v in self.points]))
        painter.end()


class LookBack(QWidget):
    """The chart and the slider of one run."""

    picked = Signal(object)  # a kept Iterate

    def __init__(self) -> None:
        super().__init__()
        self.kept = Kept()
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
        self.kept = Kept()
        self._refresh()

    def add(self, iterate: Iterate) -> None:
        """Keep and show one more iterate."""
        self.kept.add(iterate)
        self._refresh()

    def _refresh(self) -> None:
        iterates = self.kept.iterates
        self.chart.show_iterates(iterates)
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(len(iterates) - 1, 0))
        self.slider.setValue(self.slider.maximum())
        self.slider.blockSignals(False)
        self.slider.setEnabled(len(iterates) > 1)
        self._say(iterates[-1] if iterates else None)

    def _on_moved(self, place: int) -> None:
        iterate = self.kept.iterates[place]
        self._say(iterate)
        self.picked.emit(iterate)

    def _say(self, iterate: Iterate | None) -> None:
        """Name the step, with room for the last one of the run: a change costs no new layout."""
        self.label.ensurePolished()
        size = self.label.fontMetrics().size(0, f"step {max(8888, iterate.total if iterate else 0)}")
        if self.label.minimumSize() != size:
            self.label.setFixedSize(size)
        self.label.setText(f"step {iterate.index}" if iterate else "")
