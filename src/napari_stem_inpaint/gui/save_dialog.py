"""Asks where to save a file, and sees that its name ends as it must."""

from __future__ import annotations

import re
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

FOLDER = "stem_inpaint_folder"  # a property of the window: where the last file was saved


def ask_where(parent: QWidget, title: str, proposed: str, filters: str) -> str:
    """Return the file that the user names, with an ending of ``filters``, such as "Page (*.pdf *.png);;Table (*.csv)"; empty for none.

    A name without one gets the first ending of the chosen filter. The dialog begins in the folder of the last one.
    """
    window = parent.window()
    path, chosen = QFileDialog.getSaveFileName(parent, title, str(Path(window.property(FOLDER) or "", proposed)), filters)
    if path:
        window.setProperty(FOLDER, str(Path(path).parent))
    if not path or path.lower().endswith(tuple(_endings(filters))):
        return path
    path += _endings(chosen or filters)[0]
    if Path(path).exists():  # the dialog has only asked about the name as it was typed
        answer = QMessageBox.question(parent, title, f"{path} exists already. Replace it?")
        return path if answer == QMessageBox.StandardButton.Yes else ""
    return path


def _endings(filters: str) -> list[str]:
    return re.findall(r"\*(\.[\w.]+)", filters)
