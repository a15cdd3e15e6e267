"""What every widget of this plugin has: a scrolling form, buttons that stay in sight, and sentences."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFrame, QGroupBox, QHBoxLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ..errors import StemInpaintError
from .worker import Job, Runner

WIDTH_PX = 360


class Panel(QWidget):
    """A form above; ``hint``, ``run_button`` and ``status`` below; and the ``runner`` of its work."""

    def __init__(self, action: str, tooltip: str) -> None:
        super().__init__()
        self.runner = Runner(self)
        content = QWidget()
        self.body = QVBoxLayout(content)
        self.body.setContentsMargins(4, 4, 4, 4)
        self.body.setAlignment(Qt.AlignmentFlag.AlignTop)
        scroll = QScrollArea()
        scroll.setWidget(content)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
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
        layout.addWidget(scroll, 1)
        layout.addLayout(self.foot)
        self.runner.said.connect(self.say)
        self.runner.failed.connect(self.say)

    def sizeHint(self) -> QSize:
        """Narrow enough to leave the image its room."""
        return QSize(WIDTH_PX, super().sizeHint().height())

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


def _sentence_label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
