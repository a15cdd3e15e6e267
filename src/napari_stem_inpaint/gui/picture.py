"""Images side by side with captions, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPainter

from ..errors import InputError

SIDE_PX, GAP_PX, CAPTION_PX = 480, 12, 40
NICE = (1, 2, 5)


def grey(image: npt.NDArray[np.floating], limits: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Return ``image`` ``(Y, X)`` as grey levels between ``limits``."""
    low, high = limits
    return np.clip(np.round((image - low) / (high - low) * 255), 0, 255).astype(np.uint8)


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
    painter.setFont(_font(20))
    for k, (caption, pixels) in enumerate(panels):
        left = GAP_PX + k * (SIDE_PX + GAP_PX)
        rows, columns = pixels.shape
        data = np.ascontiguousarray(pixels)
        image = QImage(data.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
        painter.setPen(QColor("black"))
        painter.drawText(QRectF(left, 0, SIDE_PX, CAPTION_PX), Qt.AlignmentFlag.AlignCenter, caption)
        painter.drawImage(QRectF(left, CAPTION_PX, SIDE_PX, SIDE_PX * rows / columns), image)
        if k == 0 and pixel_size_nm:
            _scale_bar(painter, left, CAPTION_PX + SIDE_PX * rows / columns, SIDE_PX / (columns * pixel_size_nm))
    painter.end()
    if not canvas.save(str(path)):
        raise InputError(f"{path} cannot be written; choose a folder that exists and is writable.")


def _scale_bar(painter: QPainter, left: float, bottom: float, px_per_nm: float) -> None:
    longest = SIDE_PX / 3 / px_per_nm
    decade = 10.0 ** np.floor(np.log10(longest))
    length = max(n * decade for n in NICE if n * decade <= longest)
    bar = QRectF(left + 16, bottom - 22, length * px_per_nm, 6)
    label = QRectF(bar.left(), bar.top() - 28, bar.width(), 26)
    painter.fillRect(bar.united(label).adjusted(-8, -4, 8, 8), QColor(0, 0, 0, 170))
    painter.fillRect(bar, QColor("white"))
    painter.setPen(QColor("white"))
    painter.drawText(label, Qt.AlignmentFlag.AlignCenter, f"{length:g} nm")


def _font(px: int) -> QFont:
    font = QFont()
    font.setPixelSize(px)
    return font
