"""Where to save: the name ends as it must, nothing is replaced unasked, and the next dialog begins in the same folder."""

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_stem_inpaint.gui.save_dialog import ask_where

FILTERS = "Measurement (*.stem.tif *.tif);;Table (*.csv)"


def ask(qtbot: Any, monkeypatch: pytest.MonkeyPatch, typed: Path | str, chosen: str = "", answer: str = "No") -> str:
    parent = QWidget()
    qtbot.addWidget(parent)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(typed), chosen))
    monkeypatch.setattr(QMessageBox, "question", lambda *a: getattr(QMessageBox.StandardButton, answer))
    return ask_where(parent, "Save", "proposed.csv", FILTERS)


@pytest.mark.parametrize(
    ("typed", "chosen", "becomes"),
    [
        ("a", "", "a.stem.tif"),
        ("a", "Table (*.csv)", "a.csv"),
        ("a 0.25", "Table (*.csv)", "a 0.25.csv"),
        ("a.stem.tif", "", "a.stem.tif"),
        ("a.TIF", "Table (*.csv)", "a.TIF"),
    ],
)
def test_a_missing_ending_is_added(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str, chosen: str, becomes: str
) -> None:
    assert ask(qtbot, monkeypatch, tmp_path / typed, chosen) == str(tmp_path / becomes)


def test_nothing_is_asked_for_when_the_dialog_was_cancelled(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(qtbot, monkeypatch, "") == ""


def test_a_file_of_the_completed_name_is_replaced_only_when_told_so(qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    assert ask(qtbot, monkeypatch, tmp_path / "a", "Table (*.csv)") == ""
    assert ask(qtbot, monkeypatch, tmp_path / "a", "Table (*.csv)", "Yes") == str(tmp_path / "a.csv")


def test_the_next_dialog_begins_where_the_last_file_was_saved(qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    proposed = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (proposed.append(a[2]), (str(tmp_path / "a.csv"), ""))[1])
    for child in (QWidget(window), QWidget(window)):
        ask_where(child, "Save", "proposed.csv", FILTERS)
    assert proposed == ["proposed.csv", str(tmp_path / "proposed.csv")]
