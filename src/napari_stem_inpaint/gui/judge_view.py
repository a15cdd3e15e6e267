"""What the Judge widget draws: a table of results, spectra with the probe's cut-off, Fourier rings, a profile along a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem, QWidget

from ..metrics import FRC_THRESHOLD
from .curves import ACCENT, TEXT_PX, Chart, ticks
from .layer_data import COLOURS, ORANGE
from .picture import draw_label, fitted, font, picture_of

COLUMNS = {
    "sre_db": ("SRE", "SRE of the whole frame, in dB: needs a reference."),
    "sre_inner_db": ("inner", "SRE without a border of 16 px, in dB: needs a reference."),
    "ssim": ("SSIM", "Structural similarity, at most 1: needs a reference."),
    "withheld_rms": ("withheld", "RMS error at measurements that were withheld, in units of the image: needs no truth."),
}
FORMATS = {"ssim": "{:.4f}", "withheld_rms": "{:.2g}"}
SPECTRUM_PX, GAP_PX = 150, 6
LOWEST_PX, HIGHEST_PX = 120, 240  # of the table: it grows with its rows in between
CUTOFF = QColor(ORANGE)


class ScoresTable(QTableWidget):
    """A row for each result; a click chooses and shows it."""

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__(0, 1 + len(COLUMNS))
        self.setAccessibleName("Scores")
        self.setHorizontalHeaderLabels(["result", *(name for name, _ in COLUMNS.values())])
        for column, (_, tip) in enumerate(COLUMNS.values(), 1):
            header = self.horizontalHeaderItem(column)
            if header is not None:
                header.setToolTip(tip)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is not None and columns is not None:
            rows.hide()
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(LOWEST_PX)
        self.cellClicked.connect(lambda row, _: self.picked.emit(row))

    def show_scores(self, results: Sequence[tuple[str, str, Mapping[str, float]]], chosen: int) -> None:
        """Show results, each with how it was made, its name and its scores; the row ``chosen`` is marked, -1 marks none."""
        self.setRowCount(len(results))
        for row, (made, name, scores) in enumerate(results):
            texts = [made, *(FORMATS.get(key, "{:.1f}").format(scores[key]) if key in scores else "–" for key in COLUMNS)]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(name)
                self.setItem(row, column, item)
        self.resizeRowsToContents()
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is not None and columns is not None:
            needed = rows.length() + columns.height() + 2 * self.frameWidth()
            self.setFixedHeight(min(max(needed, LOWEST_PX), HIGHEST_PX))
        self.clearSelection()
        if 0 <= chosen < len(results):
            self.selectRow(chosen)
            self.scrollTo(self.model().index(chosen, 0))


class SpectraView(QWidget):
    """Power spectra side by side, with a circle at the highest frequency that the probe carries."""

    def __init__(self) -> None:
        super().__init__()
        self.spectra: list[tuple[str, QImage]] = []
        self.cutoff: tuple[float, float] | None = None  # in parts of the picture's height and width
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(SPECTRUM_PX)
        self.setAccessibleName("Spectra")
        self.setToolTip(
            "Logarithm of the power spectra, six decades. The circle is 2α/λ, beyond which the probe carries nothing: what lies there is "
            "noise, or was invented."
        )

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(200, SPECTRUM_PX)

    def show_spectra(self, spectra: Mapping[str, npt.NDArray[np.uint8]], cutoff: tuple[float, float] | None) -> None:
        """Show grey levels ``(Y, X)`` by caption; ``cutoff`` as parts of height and width, from the middle."""
        self.spectra = [(name, picture_of(grey)) for name, grey in spectra.items()]
        self.cutoff = cutoff
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(font(TEXT_PX))
        side = min((self.width() - GAP_PX) / 2, float(SPECTRUM_PX))
        if not self.spectra:
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "nothing yet")
        for k, (name, image) in enumerate(self.spectra):
            box = fitted(image, QRectF(k * (side + GAP_PX), 0, side, side))
            painter.setClipRect(box)
            painter.drawImage(box, image)
            if self.cutoff is not None:
                painter.setPen(QPen(CUTOFF, 1.5))
                painter.drawEllipse(box.center(), self.cutoff[1] * box.width(), self.cutoff[0] * box.height())
            draw_label(painter, box, name)
        painter.end()


class ProfileChart(Chart):
    """Values along a line, a curve for each image."""

    def __init__(self) -> None:
        super().__init__("Profile", "Values along the line in the layer “profile line”; move its ends, and the curves follow.")
        self.profiles: Mapping[str, npt.NDArray[np.float64]] = {}
        self.unit = ""
        self.length = 1.0

    def show_profiles(self, profiles: Mapping[str, npt.NDArray[np.float64]], length: float, unit: str) -> None:
        """Show profiles by name along a line of ``length`` in ``unit``."""
        self.profiles, self.length, self.unit = profiles, length, unit
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the curves."""
        painter = QPainter(self)
        values = [v for v in self.profiles.values() if v.size > 1]
        axes = None
        if values:
            low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
            margin = 0.05 * (high - low) or 1.0
            axes = self.axes((0.0, self.length), (low - margin, high + margin))
        self.write(painter, "profile", axes)
        if axes is not None:
            painter.setPen(self.ink(0.8))
            marks = ticks(0.0, self.length, 5)
            for mark in marks:
                self.below(painter, axes, mark, f"{mark:g} {self.unit}" if mark == marks[-1] else f"{mark:g}")
            left = self.width() - 6.0
            for (name, profile), colour in reversed(list(zip(self.profiles.items(), COLOURS, strict=False))):
                painter.setPen(QPen(QColor(colour), 1.5))
                step = self.length / max(profile.size - 1, 1)
                painter.drawPolyline(QPolygonF([axes.place(k * step, float(v)) for k, v in enumerate(profile)]))
                left -= painter.fontMetrics().horizontalAdvance(name) + 10
                painter.drawText(QPointF(left, TEXT_PX + 1.0), name)
        painter.end()


class RingChart(Chart):
    """Fourier ring correlation of result and reference, with the threshold of 1/7."""

    def __init__(self) -> None:
        super().__init__(
            "Fourier ring correlation",
            "How far result and reference agree, by spatial frequency: 1 = fully. Where the curve falls below the dashed line, 1/7, they "
            "agree no more.",
        )
        self.rings: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
        self.unit, self.missing = "", "needs a reference"

    def show_rings(self, rings: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None, unit: str) -> None:
        """Show frequencies, in ``unit``, and the correlation at each; None where there is no reference."""
        self.rings, self.unit = rings, unit
        self.update()

    def say_missing(self, why: str) -> None:
        """Say ``why`` there is no curve, while there is none."""
        self.missing = why
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the curve."""
        painter = QPainter(self)
        axes = None
        if self.rings is not None:
            frequencies, correlation = self.rings
            axes = self.axes((0.0, float(frequencies[-1])), (min(0.0, float(correlation.min())), 1.02))
        self.write(painter, "Fourier ring correlation", axes, self.missing)
        if axes is not None and self.rings is not None:
            painter.setPen(self.ink(0.8))
            marks = ticks(*axes.x, 5)
            for mark in marks:
                self.below(painter, axes, mark, f"{mark:g} {self.unit}" if mark == marks[-1] else f"{mark:g}")
            painter.setPen(QPen(self.ink(0.6), 1, Qt.PenStyle.DashLine))
            painter.drawLine(axes.place(0, FRC_THRESHOLD), axes.place(axes.x[1], FRC_THRESHOLD))
            painter.setPen(QPen(ACCENT, 2))
            painter.drawPolyline(QPolygonF([axes.place(float(f), float(c)) for f, c in zip(*self.rings, strict=True)]))
        painter.end()
