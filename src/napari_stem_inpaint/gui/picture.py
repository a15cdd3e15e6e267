"""Images side by side with captions, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPainter

from ..errors import InputError

SIDE_PX, GAP_PX, CAPTION_PX = 480, 12, 40
NICE = (1, 2, 5)


def save_side_by_side(path: Path, panels: Sequence[tuple[str, npt.NDArray[np.uint8]]], pixel_size_nm: float | None) -> None:
    """Write grey ``panels`` (caption, ``(Y, X)``) as one PNG; the first carries a scale bar if the pixel size is known.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    width = GAP_PX + len(panels) * (SIDE_PX + GAP_PX)
    height = CAPTION_PX + max(round(SIDE_PX * p.shape[0] / p.shape[1]) for _, p in panels) + GAP_PX
    canvas = QImage(width, height, QImage.Format.Format_RGB32)
    canvas.fill(QColor("white"))
    painter = QPainter(canvas)
    painter.setFont(font(20))
    for k, (caption, pixels) in enumerate(panels):
        left = GAP_PX + k * (SIDE_PX + GAP_PX)
        rows, columns = pixels.shape
        data = np.ascontiguousarray(pixels)
        image = QImage(data.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
        painter.setPen(QColor("black"))
        painter.drawText(QRectF(left, 0, SIDE_PX, CAPTION_PX), Qt.AlignmentFlag.AlignCenter, caption)
        painter.drawImage(QRectF(left, CAPTION_PX, SIDE_PX, SIDE_PX * rows / columns), image)
        if k == 0 and pixel_size_nm:
            foot = QPointF(left + 16, CAPTION_PX + SIDE_PX * rows / columns - 16)
            draw_scale_bar(painter, foot, SIDE_PX / (columns * pixel_size_nm), SIDE_PX / 3)
    painter.end()
    if not canvas.save(str(path)):
        raise InputError(f"{path} cannot be written; choose a folder that exists and is writable.")


def draw_scale_bar(painter: QPainter, foot: QPointF, px_per_nm: float, longest_px: float) -> None:
    """Draw a scale bar of a round length whose lower left corner is ``foot``, in the painter's font."""
    longest = longest_px / px_per_nm
    decade = 10.0 ** np.floor(np.log10(longest))
    length = max(n * decade for n in NICE if n * decade <= longest)
    size = painter.font().pixelSize()
    bar = QRectF(foot.x(), foot.y() - 0.3 * size, length * px_per_nm, 0.3 * size)
    label = QRectF(bar.left(), bar.top() - 1.4 * size, max(bar.width(), 3.2 * size), 1.3 * size)
    painter.fillRect(bar.united(label).adjusted(-0.4 * size, -0.2 * size, 0.4 * size, 0.4 * size), QColor(0, 0, 0, 170))
    painter.fillRect(bar, QColor("white"))
    painter.setPen(QColor("white"))
    painter.drawText(label, Qt.AlignmentFlag.AlignCenter, f"{length:g} nm")


def draw_label(painter: QPainter, box: QRectF, text: str) -> None:
    """Write ``text`` in the upper left corner of ``box``, white on a dark ground, in the painter's font."""
    place = painter.boundingRect(box.adjusted(6, 4, 0, 0), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, text)
    painter.fillRect(place.adjusted(-4, -2, 4, 2), QColor(0, 0, 0, 150))
    painter.setPen(QColor("white"))
    painter.drawText(place, Qt.AlignmentFlag.AlignCenter, text)


def picture_of(grey: npt.NDArray[np.uint8]) -> QImage:
    """Return grey levels ``(Y, X)`` as an image of Qt's, with memory of its own."""
    data = np.ascontiguousarray(grey)
    return QImage(data.data, data.shape[1], data.shape[0], data.shape[1], QImage.Format.Format_Grayscale8).copy()


def fitted(image: QImage, box: QRectF) -> QRectF:
    """Return the largest place in ``box`` that has the image's proportions."""
    scale = min(box.width() / image.width(), box.height() / image.height())
    width, height = image.width() * scale, image.height() * scale
    return QRectF(box.center().x() - width / 2, box.center().y() - height / 2, width, height)


def font(px: int) -> QFont:
    """Return the usual font, ``px`` high."""
    made = QFont()
    made.setPixelSize(px)
    return made
