"""What a training looks like while it runs: its charts, and what the denoiser makes of a frame that it has never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from ..denoisers.cards import GAINS_BY
from .curves import TEXT_PX, GainBars, History, LossCurve
from .layer_data import contrast, grey
from .picture import draw_label, fitted, font, picture_of

if TYPE_CHECKING:
    from ..training import TrainingStep
    from ..validation import Sample

GAP_PX = 6
HEIGHT_PX = 112  # whatever the width: in a scroll area the scroll bar would come and go for ever


class TrainingView(QWidget):
    """The loss, the gains and a sample, as the steps tell."""

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.gains, self.sample = LossCurve(), GainBars(), SampleView()
        self.validated_at = 0  # step of the last validation
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self.loss, self.gains, self.sample):
            layout.addWidget(part)

    def begin(self, task: str, best: Mapping[str, float]) -> None:
        """Show an empty chart, and the gains that were the best when the training was stopped."""
        self.gains.by = GAINS_BY[task]
        self.loss.history = History()
        self.gains.show_gains({}, best)
        self.sample.show_sample(None)
        self.validated_at = 0
        self.update()

    def add(self, steps: Sequence[TrainingStep]) -> None:
        """Show these steps too."""
        for step in steps:
            self.loss.history.add(step.elapsed_s, step.loss)
            if step.psnr_gain_db:
                self.validated_at = step.index
                self.gains.show_gains(step.psnr_gain_db, step.psnr_gain_db if step.best else self.gains.best)
            if step.sample is not None:
                self.sample.show_sample(step.sample)
        self.loss.update()

    @property
    def loss_db(self) -> float:
        """Return the loss as the curve ends."""
        return self.loss.history.smoothed()[-1][1] if self.loss.history.points else 0.0


class SampleView(QWidget):
    """What the network sees of a frame, what it makes of that, and the frame."""

    def __init__(self) -> None:
        super().__init__()
        self.sample: Sample | None = None
        self._images: list[QImage] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT_PX)
        self.setAccessibleName("Sample")
        self.setToolTip(
            "A simulated frame of a crystal that training never sees: as the network gets it, as it returned it when last validated, clean."
        )

    def show_sample(self, sample: Sample | None) -> None:
        """Show ``sample``, or that there is none yet."""
        self.sample = sample
        limits = contrast(sample.clean) if sample is not None else (0.0, 1.0)
        self._images = [] if sample is None else [picture_of(grey(i, limits)) for i in (sample.seen, sample.restored, sample.clean)]
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(200, HEIGHT_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pictures with what they show."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(font(TEXT_PX))
        side = min((self.width() - 2 * GAP_PX) // 3, HEIGHT_PX)
        if self.sample is None:
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            painter.drawText(QRectF(self.rect()), Qt.AlignmentFlag.AlignCenter, "a sample comes with the first validation")
        texts = [] if self.sample is None else [*self.sample.words, "clean"]
        for k, (image, text) in enumerate(zip(self._images, texts, strict=True)):
            box = QRectF(k * (side + GAP_PX), 0, side, side)
            painter.drawImage(fitted(image, box), image)
            draw_label(painter, box, text)
        painter.end()
