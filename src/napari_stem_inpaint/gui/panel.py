"""What every widget of this plugin has: a scrolling form, buttons that stay in sight, and sentences."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QMargins, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QGroupBox, QHBoxLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ..errors import StemInpaintError
from .progress import Progress
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
        self.hint, self.status = Sentence(), Sentence()
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

    def changeEvent(self, event: QEvent) -> None:
        """End the work, too, when the dock is closed: napari takes the widget out and keeps it."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.end()
        super().changeEvent(event)

    def end(self) -> None:
        """End the work, if there is any, as nobody looks at it any more."""
        self.runner.cancel()

    def add_group(self, title: str, *widgets: QWidget) -> None:
        """Add ``widgets`` to the form, under a title."""
        group = QGroupBox(title)
        layout = QVBoxLayout(group)
        for widget in widgets:
            layout.addWidget(widget)
        self.body.addWidget(group)

    def advise(self, sentence: str) -> None:
        """Show, above the button, what is missing or what it will work on."""
        if sentence != self.hint.text():
            self.hint.setText(sentence)
            self.hint.clear_height()
            self.hint.setVisible(bool(sentence))

    def say(self, sentence: str | StemInpaintError) -> None:
        """Show, below the button, how the work goes or went."""
        self.status.setText(str(sentence))

    def run(self, job: Job) -> None:
        """Start ``job``; the button rests until it has ended."""
        self.run_button.setEnabled(False)
        self.status.clear_height()
        self.runner.start(job)


class LongPanel(Panel):
    """A panel whose work can be paused and cancelled, with a bar of how far it is."""

    def __init__(self, action: str, tooltip: str) -> None:
        super().__init__(action, tooltip)
        self.progress = Progress()
        self.pause_button, self.cancel_button = QPushButton("Pause"), QPushButton("Cancel")
        self.pause_button.clicked.connect(self._on_pause)
        self.cancel_button.clicked.connect(self._on_cancel)
        self.buttons.addWidget(self.pause_button)
        self.buttons.addWidget(self.cancel_button)
        self.foot.insertWidget(self.foot.indexOf(self.status), self.progress)

    def show_running(self) -> None:
        """Let be paused, resumed or cancelled what is under way."""
        running = self.runner.running
        self.pause_button.setEnabled(running)
        self.cancel_button.setEnabled(running)
        self.pause_button.setText("Resume" if self.runner.paused else "Pause")

    def _on_pause(self) -> None:
        if self.runner.paused:
            self.runner.resume()
        else:
            self.runner.pause()
        self.progress.hold(self.runner.paused)
        self.show_running()

    def _on_cancel(self) -> None:
        self.say("Cancelling…")
        self.runner.cancel()
        self.cancel_button.setEnabled(False)
        self.pause_button.setEnabled(False)


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


class Sentence(QWidget):
    """Words that change often: as high as the longest so far, so that a change costs no new layout of everything around."""

    def __init__(self) -> None:
        super().__init__()
        self._label = QLabel(self)
        self._label.setWordWrap(True)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def text(self) -> str:
        """Return the words."""
        return self._label.text()

    def setText(self, words: str) -> None:
        """Show other words."""
        if words != self.text():
            self._label.setText(words)
            self._fit()

    def clear_height(self) -> None:
        """Be only as high as the words are now."""
        self.setFixedHeight(self._needed())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Follow the width."""
        self._fit()

    def _fit(self) -> None:
        if self._needed() > self.height():
            self.clear_height()
        self._label.setGeometry(self.rect())

    def _needed(self) -> int:
        return self._label.heightForWidth(self.width()) if self.text() else 0
