"""Where a trained checkpoint is saved: under a name among the user's own, or in a file anywhere."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QWidget

from ..denoisers.cards import SUFFIX
from ..denoisers.registry import CLASSICAL_NAMES, FOLDER, NICKNAME, installed, user_folder
from ..errors import InputError
from .controls import BUTTON_PX
from .save_dialog import ask_where


class SaveChoice(QWidget):
    """A line for a name or a file, and a button that asks for a file."""

    changed = Signal()

    def __init__(self, name: str) -> None:
        super().__init__()
        self.line = QLineEdit(name)
        self.line.setAccessibleName("Name")
        self.button = QPushButton("…")
        self.button.setFixedWidth(BUTTON_PX)
        self.button.setToolTip("Save as a file elsewhere; a denoiser saved under a name is offered by name in Reconstruct.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.line.textChanged.connect(self._on_text_changed)
        self.button.clicked.connect(self._on_clicked)
        self._on_text_changed()

    @property
    def named(self) -> bool:
        """Whether the line holds a name, not a file."""
        text = self.line.text().strip()
        return Path(text).name == text and not text.endswith(SUFFIX)

    def path(self) -> Path:
        """Return the file to write."""
        text = self.line.text().strip()
        if self.named:
            return user_folder() / f"{text}{SUFFIX}"
        return Path(text.removesuffix(SUFFIX) + SUFFIX).expanduser()

    def value(self) -> str:
        """Return what Reconstruct calls the checkpoint: its name, or its file."""
        return self.line.text().strip() if self.named else str(self.path())

    def obstacle(self) -> str:
        """Return what is wrong with the name, in a sentence; empty where nothing."""
        text = self.line.text().strip()
        if self.named and not NICKNAME.fullmatch(text):
            return "Give the denoiser a name of letters, digits, - and _, or choose a file."
        if self.named and text in (*installed(), *CLASSICAL_NAMES):
            return f"{text} came with the program; choose another name."
        return ""

    def make_folder(self) -> None:
        """Make the folder of the user's checkpoints if the file is to lie there.

        Raises
        ------
        InputError
            If that fails.
        """
        if not self.named:
            return
        try:
            user_folder().mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The folder {user_folder()} cannot be made ({error.strerror}); set {FOLDER} to one that can.") from error

    def _on_text_changed(self) -> None:
        self.line.setToolTip(f"A name for the denoiser, or a {SUFFIX} file.\nNow: {self.path()}")
        self.changed.emit()

    def _on_clicked(self) -> None:
        path = ask_where(self, "Save the checkpoint as", str(self.path()), f"Checkpoint (*{SUFFIX})")
        if path:
            self.line.setText(path)
