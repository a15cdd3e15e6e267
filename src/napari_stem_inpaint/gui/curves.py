"""Charts of a training: the loss over time, and how much noise is removed at each noise level. Qt's painter, no library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from ..denoisers.cards import GAINS_BY
from .picture import font

HEIGHT_PX, TEXT_PX, LEFT_PX, LINE_PX = 116, 11, 34, 15  # LEFT_PX: at least, for the numbers beside the box
BESIDE_PX = 5  # between the numbers and the box
ACCENT = QColor("#2f8fd8")  # seen on dark and on light ground
MOST_POINTS = 512
TIME_UNITS = (("h", 7200.0, 3600.0), ("min", 120.0, 60.0), ("s", 0.0, 1.0))  # name, from how many seconds on, seconds


class History:
    """A value over time; when the points become too many, neighbours are averaged."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []
        self._every = 1
        self._gathered: list[tuple[float, float]] = []

    def add(self, time_s: float, value: float) -> None:
        """Add a value; times rise."""
        self._gathered.append((time_s, value))
        if len(self._gathered) == self._every:
            self.points.append(_mean(self._gathered))
            self._gathered = []
        if len(self.points) >= 2 * MOST_POINTS:
            self.points = [_mean(self.points[k : k + 2]) for k in range(0, len(self.points), 2)]
            self._every *= 2

    def smoothed(self) -> list[tuple[float, float]]:
        """Return the points with values averaged over the last twentieth of them, and at least five."""
        width = max(5, len(self.points) // 20)
        sums = [0.0]
        for _, value in self.points:
            sums.append(sums[-1] + value)
        first = [max(0, k + 1 - width) for k in range(len(self.points))]
        return [(t, (sums[k + 1] - sums[j]) / (k + 1 - j)) for (k, (t, _)), j in zip(enumerate(self.points), first, strict=True)]


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(t for t, _ in points) / len(points), sum(v for _, v in points) / len(points)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most ``most`` + 1 round numbers, evenly spaced, from ``low`` to ``high``."""
    rough = max(high - low, 1e-9) / most
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(n * decade for n in (1, 2, 5, 10) if n * decade >= rough * (1 - 1e-9))
    return [k * step for k in range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1)]


@dataclass(frozen=True)
class Axes:
    """Where in ``box`` the values between the limits lie."""

    box: QRectF
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> QPointF:
        """Return the point of ``(x, y)``."""
        right = (x - self.x[0]) / (self.x[1] - self.x[0]) * self.box.width()
        up = (y - self.y[0]) / (self.y[1] - self.y[0]) * self.box.height()
        return QPointF(self.box.left() + right, self.box.bottom() - up)


class Chart(QWidget):
    """A box with a title above and numbers beside it; the children draw what is in it."""

    def __init__(self, name: str, tooltip: str) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT_PX)
        self.setAccessibleName(name)
        self.setToolTip(tooltip)

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(200, HEIGHT_PX)

    def ink(self, opacity: float = 1.0) -> QColor:
        """Return the colour of the theme's text."""
        colour = QColor(self.palette().color(QPalette.ColorRole.WindowText))
        colour.setAlphaF(opacity)
        return colour

    def inner(self, left: float = LEFT_PX) -> QRectF:
        """Return the box in which values are drawn, ``left`` px from the border."""
        return QRectF(left, LINE_PX + 2, max(10.0, self.width() - left - 6), HEIGHT_PX - 2 * LINE_PX - 6)

    def axes(self, x: tuple[float, float], y: tuple[float, float]) -> Axes:
        """Return axes with these limits, and room beside them for the widest number."""
        metrics = QFontMetricsF(font(TEXT_PX))
        widest = max((metrics.horizontalAdvance(_number(value)) for value in ticks(*y, 4)), default=0.0)
        return Axes(self.inner(max(LEFT_PX, math.ceil(widest) + BESIDE_PX + 1)), x, y)

    def write(self, painter: QPainter, title: str, axes: Axes | None, missing: str = "nothing yet") -> None:
        """Draw title, horizontal lines and their numbers; where there are no axes, say what is ``missing``."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font(TEXT_PX))
        painter.setPen(self.ink())
        painter.drawText(QRectF(0, 0, self.width(), LINE_PX), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        if axes is None:
            painter.setPen(self.ink(0.6))
            painter.drawText(self.inner(), Qt.AlignmentFlag.AlignCenter, missing)
            return
        for value in ticks(*axes.y, 4):
            y = axes.place(axes.x[0], value).y()
            painter.setPen(QPen(self.ink(0.5 if value == 0 else 0.2), 1))
            painter.drawLine(QPointF(axes.box.left(), y), QPointF(axes.box.right(), y))
            painter.setPen(self.ink(0.8))
            beside = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, y - LINE_PX / 2, axes.box.left() - BESIDE_PX, LINE_PX), beside, _number(value))

    def below(self, painter: QPainter, axes: Axes, x: float, text: str) -> None:
        """Write ``text`` under the box at ``x``, not beyond the widget."""
        width = painter.fontMetrics().horizontalAdvance(text) + 2
        left = min(max(0.0, axes.place(x, axes.y[0]).x() - width / 2), self.width() - width)
        painter.drawText(QRectF(left, axes.box.bottom() + 2, width, LINE_PX), Qt.AlignmentFlag.AlignCenter, text)


class LossCurve(Chart):
    """Error / noise in dB over time: each step faint, their running mean in colour."""

    def __init__(self) -> None:
        super().__init__("Loss", "Mean of 10·log10(error / noise) over a step's patches, in dB; lower is better.")
        self.history = History()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the curve."""
        points, smooth = self.history.points, self.history.smoothed()
        painter = QPainter(self)
        axes = self._axes()
        self.write(painter, "error / noise (dB)", axes)
        if axes is not None:
            unit, _, seconds = next(u for u in TIME_UNITS if axes.x[1] >= u[1])
            marks = ticks(axes.x[0] / seconds, axes.x[1] / seconds, 5)
            painter.setPen(self.ink(0.8))
            for mark in marks:
                self.below(painter, axes, mark * seconds, f"{mark:g} {unit}" if mark == marks[-1] else f"{mark:g}")
            painter.setClipRect(axes.box)
            for shown, pen in ((points, QPen(self.ink(0.3), 1)), (smooth, QPen(ACCENT, 2))):
                painter.setPen(pen)
                painter.drawPolyline(QPolygonF([axes.place(t, v) for t, v in shown]))
        painter.end()

    def _axes(self) -> Axes | None:
        points = self.history.points
        if len(points) < 2:
            return None
        values = sorted(v for _, v in points)
        cut = len(values) // 50  # single steps may lie far out
        low, high = values[cut], values[-1 - cut]
        margin = max(0.05 * (high - low), 0.05)
        return self.axes((points[0][0], max(points[-1][0], points[0][0] + 1e-3)), (low - margin, high + margin))


class GainBars(Chart):
    """Gain in PSNR by noise level or ratio: a bar for the last validation, a line for the best."""

    def __init__(self) -> None:
        super().__init__("PSNR gain", "")
        self.last: Mapping[str, float] = {}
        self.best: Mapping[str, float] = {}
        self.by = GAINS_BY["denoise"]
        self.show_gains({}, {})

    def show_gains(self, last: Mapping[str, float], best: Mapping[str, float]) -> None:
        """Show gains in dB; empty where there are none yet."""
        self.last, self.best = last, best
        rows = [f"{sigma}: {last.get(sigma, math.nan):.2f}, best {best.get(sigma, math.nan):.2f}" for sigma in best or last]
        about = f"How much the PSNR of unseen simulated frames rises, in dB, by {self.by}."
        self.setToolTip("\n".join([about, *rows]).replace("nan", "–"))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars."""
        sigmas = list(self.best or self.last)
        painter = QPainter(self)
        axes = self._axes(sigmas)
        self.write(painter, f"PSNR gain (dB) by {self.by}", axes)
        if axes is not None:
            self._legend(painter)
            for k, sigma in enumerate(sigmas):
                painter.setPen(self.ink(0.8))
                self.below(painter, axes, k + 0.5, _short(float(sigma)))
                if sigma in self.last:
                    painter.fillRect(QRectF(axes.place(k + 0.15, 0), axes.place(k + 0.85, self.last[sigma])).normalized(), ACCENT)
                if sigma in self.best:
                    painter.setPen(QPen(self.ink(), 2))
                    painter.drawLine(axes.place(k + 0.05, self.best[sigma]), axes.place(k + 0.95, self.best[sigma]))
        painter.end()

    def _legend(self, painter: QPainter) -> None:
        right, middle = self.width() - 6, LINE_PX / 2
        painter.fillRect(QRectF(right - 88, middle - 4, 8, 8), ACCENT)
        painter.setPen(QPen(self.ink(), 2))
        painter.drawLine(QPointF(right - 44, middle), QPointF(right - 32, middle))
        painter.setPen(self.ink())
        for left, text in ((right - 76, "last"), (right - 28, "best")):
            painter.drawText(QRectF(left, 0, 30, LINE_PX), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)

    def _axes(self, sigmas: Sequence[str]) -> Axes | None:
        values = [0.0, *self.last.values(), *self.best.values()]
        if not sigmas:
            return None
        margin = max(0.08 * (max(values) - min(values)), 0.05)
        return self.axes((0.0, len(sigmas)), (min(values) - (margin if min(values) < 0 else 0), max(values) + margin))


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _short(sigma: float) -> str:
    """Return 0.0003 as 3e-4, and larger ones as they are."""
    return f"{sigma:g}" if sigma >= 0.01 else f"{sigma:.0e}".replace("e-0", "e-")
