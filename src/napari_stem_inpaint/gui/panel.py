"""What every widget of this plugin has: a scrolling form, buttons that stay in sight, and sentences."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QMargins, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QGroupBox, QHBoxLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ..errors import StemInpaintError
from .worker import Job, Runner


class Panel(QWidget):
    """``head`` and a form above; ``hint``, ``run_button`` and ``status`` below; and the ``runner`` of its work."""

    width_px = 360

    def __init__(self, action: str, tooltip: str) -> None:
        super().__init__()
        self.runner = Runner(self)
        self.head = QVBoxLayout()
        content = QWidget()
        self.body = QVBoxLayout(content)
        self.body.setContentsMargins(4, 4, 4, 4)
        self.body.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.form_scroll = _Scroll(content)
        self.run_button = QPushButton(action)
        self.run_button.setToolTip(tooltip)
        self.buttons = QHBoxLayout()
        self.buttons.addWidget(self.run_button)
        self.hint, self.status = _sentence_label(), _sentence_label()
        self.hint.hide()
        self.foot = QVBoxLayout()
        self.foot.addWidget(self.hint)
        self.foot.addLayout(self.buttons)
        self.foot.addWidget(self.status)
        layout = QVBoxLayout(self)
        layout.addLayout(self.head)
        layout.addWidget(self.form_scroll)
        layout.addLayout(self.foot)
        layout.addStretch(1)
        self.runner.said.connect(self.say)
        self.runner.failed.connect(self.say)

    def sizeHint(self) -> QSize:
        """Narrow enough to leave the image its room."""
        return QSize(self.width_px, super().sizeHint().height())

    def add_group(self, title: str, *widgets: QWidget) -> None:
        """Add ``widgets`` to the form, under a title."""
        group = QGroupBox(title)
        layout = QVBoxLayout(group)
        for widget in widgets:
            layout.addWidget(widget)
        self.body.addWidget(group)

    def advise(self, sentence: str) -> None:
        """Show, above the button, what is missing or what it will work on."""
        self.hint.setText(sentence)
        self.hint.setVisible(bool(sentence))

    def say(self, sentence: str | StemInpaintError) -> None:
        """Show, below the button, how the work goes or went."""
        self.status.setText(str(sentence))

    def run(self, job: Job) -> None:
        """Start ``job``; the button rests until it has ended."""
        self.run_button.setEnabled(False)
        self.runner.start(job)


class _Scroll(QScrollArea):
    """As high as its content where there is room, scrolling where there is not."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._content = content
        self.setWidget(content)

    def sizeHint(self) -> QSize:
        """Return the content's own, and room for the line that a theme draws around."""
        return self._content.sizeHint().grownBy(QMargins(2, 2, 2, 2))

    def minimumSizeHint(self) -> QSize:
        """Return a width at which nothing of the content is cut off."""
        bar = self.verticalScrollBar()
        width = self._content.minimumSizeHint().width() + (bar.sizeHint().width() if bar is not None else 0) + 2
        return QSize(width, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the content when it grows or shrinks."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def _sentence_label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
