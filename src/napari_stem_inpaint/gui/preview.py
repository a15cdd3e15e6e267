"""The live preview: a frame with its power spectrum and its probe, drawn anew whenever a value changes."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPalette, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from ..params import AcquisitionParams, SimulationParams
from . import jobs
from .newest import Newest
from .picture import draw_label, draw_scale_bar, fitted, font, picture_of

GAP_PX, TEXT_PX, LARGEST_PX = 6, 11, 384
DIMMED, FAINT = 0.35, 0.1


class LivePreview(QWidget):
    """Shows what ``request`` asked for last, as soon as it is computed; where that fails, what was last shown, dimmed."""

    advised = Signal(str)  # what the user should know about the values, or why there is no new preview

    def __init__(self) -> None:
        super().__init__()
        self.pictures = Pictures()
        self.switch = QCheckBox("Live preview")
        self.switch.setToolTip("Compute the frame, its power spectrum and the probe anew whenever a value changes.")
        self.switch.setChecked(True)
        self.size_label = QLabel()
        self.worker = Newest(self, jobs.preview)
        self._asked: tuple[SimulationParams, AcquisitionParams] | None = None
        self._waiting = False  # for the window to be seen
        row = QHBoxLayout()
        row.addWidget(self.switch)
        row.addStretch(1)
        row.addWidget(self.size_label)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.pictures)
        self.switch.toggled.connect(self._on_toggled)
        self.worker.ready.connect(self._on_ready)
        self.worker.failed.connect(self._on_failed)

    def request(self, simulation: SimulationParams, acquisition: AcquisitionParams) -> None:
        """Ask for a preview of these parameters; where the widget is not seen, when it is."""
        self._asked = simulation, acquisition
        self._waiting = not self.isVisible()
        if not self._waiting and self.switch.isChecked():
            self.worker.request(simulation, acquisition)

    def fail(self, sentence: str) -> None:
        """Say why there can be no preview of the values."""
        self.worker.drop()
        self._on_failed(sentence)

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what was asked for meanwhile."""
        super().showEvent(event)
        if self._waiting and self._asked is not None:
            self.request(*self._asked)

    def _on_toggled(self, on: bool) -> None:
        self.pictures.setVisible(on)
        self.size_label.setVisible(on)
        if on and self._asked is not None:
            self.request(*self._asked)
        elif not on:
            self.worker.drop()
            self.advised.emit("")

    def _on_ready(self, preview: jobs.Preview) -> None:
        self.pictures.show_preview(preview)
        rows, columns = preview.image.shape
        extent = f", {rows * preview.pixel_nm:.3g} × {columns * preview.pixel_nm:.3g} nm"
        part = "" if (rows, columns) == preview.of else f" of {preview.of[0]} × {preview.of[1]}"
        self.size_label.setText(f"{rows} × {columns}{part} px{'' if part else extent}")
        self.advised.emit(" ".join(preview.remarks))

    def _on_failed(self, sentence: str) -> None:
        self.pictures.age()
        self.advised.emit(sentence)


class Pictures(QWidget):
    """A large picture, with two small ones beside it, as wide as there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.outdated = False
        self.preview: jobs.Preview | None = None
        self._images: list[QImage | None] = [None, None, None]
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("The frame as it will be acquired; the logarithm of its power spectrum; the probe, square root of its intensity.")
        self.setAccessibleName("Preview")

    def show_preview(self, preview: jobs.Preview) -> None:
        """Show the pictures of ``preview``."""
        self.preview, self.outdated = preview, False
        self._images = [None if grey is None else picture_of(grey) for grey in (preview.image, preview.spectrum, preview.probe)]
        self.update()

    def age(self) -> None:
        """Mark what is shown as not what the values say."""
        self.outdated = True
        self.update()

    def sizeHint(self) -> QSize:
        """Wide enough to show 256 positions one to one."""
        return QSize(256 + GAP_PX + 125, self._side(256 + GAP_PX + 125))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the large picture square."""
        self.setFixedHeight(self._side(self.width()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pictures with what they show."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(font(TEXT_PX))
        side = self._side(self.width())
        small = (side - GAP_PX) // 2
        boxes = [QRectF(0, 0, side, side), *(QRectF(side + GAP_PX, y, small, small) for y in (0, side - small))]
        empty = self.palette().color(QPalette.ColorRole.WindowText)  # the one colour that napari's themes give every widget
        empty.setAlphaF(FAINT)
        for box, image in zip(boxes, self._images, strict=True):
            painter.fillRect(box, empty if image is None else QColor("black"))
            if image is not None:
                painter.setOpacity(DIMMED if self.outdated else 1.0)
                painter.drawImage(fitted(image, box), image)
                painter.setOpacity(1.0)
        self._write(painter, boxes)
        painter.end()

    def _write(self, painter: QPainter, boxes: list[QRectF]) -> None:
        if self.preview is None:
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            painter.drawText(boxes[0], Qt.AlignmentFlag.AlignCenter, "no preview yet")
            return
        image, pixel_nm = self._images[0], self.preview.pixel_nm
        assert image is not None
        shown = fitted(image, boxes[0])
        draw_scale_bar(
            painter, QPointF(shown.left() + 10, shown.bottom() - 10), shown.width() / (image.width() * pixel_nm), shown.width() / 3
        )
        if self.outdated:
            draw_label(painter, boxes[0], "outdated")
        draw_label(painter, boxes[1], f"FFT, ±{0.5 / pixel_nm:.3g} /nm")
        draw_label(painter, boxes[2], f"probe, {self.preview.probe_nm:.2g} nm" if self.preview.probe is not None else "no probe")

    @staticmethod
    def _side(width: int) -> int:
        return min((2 * width - GAP_PX) // 3, LARGEST_PX)
