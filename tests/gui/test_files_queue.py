"""Reconstruct files, by clicks: a table of images, each with its state; what fails is named, what is done stays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_stem_inpaint.frames import Iterate, Measurement
from napari_stem_inpaint.gui import jobs
from napari_stem_inpaint.gui.files_queue import FilesWidget
from napari_stem_inpaint.io import write_measurement

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def folder(tmp_path: Path, measurement: Measurement) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    for name in "ab":
        write_measurement(made / f"{name}.stem.tif", measurement)
    (made / "broken.tif").write_bytes(b"II*\0nothing")
    return made


@pytest.fixture
def queue(window: Any) -> FilesWidget:
    made = FilesWidget(window)
    window.window.add_dock_widget(made, name="Reconstruct files")
    made.settings.form.controls["solver"].value = "cubic"
    return made


def states(queue: FilesWidget) -> list[str]:
    cells = [queue.table.item(row, 1) for row in range(queue.table.rowCount())]
    return [cell.text() for cell in cells if cell is not None]


def add_folder(qtbot: Any, queue: FilesWidget, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    qtbot.mouseClick(queue.folder_button, LEFT)


def run(qtbot: Any, queue: FilesWidget) -> None:
    with qtbot.waitSignal(queue.runner.ended, timeout=20000):
        qtbot.mouseClick(queue.run_button, LEFT)


def test_a_folder_is_done_and_what_fails_is_named(
    qtbot: Any, window: Any, queue: FilesWidget, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not queue.run_button.isEnabled()
    assert queue.hint.text() == "Add files or a folder of measurements."
    add_folder(qtbot, queue, folder, monkeypatch)
    assert states(queue) == ["waiting"] * 3
    assert queue.out_line.text() == str(folder / "reconstructed")
    run(qtbot, queue)
    a, b, broken = states(queue)
    assert a == b == "done: cubic interpolation"
    assert broken.startswith("failed: ")
    assert "broken.tif" in broken
    assert queue.status.text().startswith(f"2 of 3 images are in {folder / 'reconstructed'}; 1 failed")
    run(qtbot, queue)
    assert states(queue)[:2] == ["there already"] * 2
    queue.table.cellDoubleClicked.emit(1, 0)
    assert [layer.data.shape for layer in window.layers] == [(64, 64)]
    queue.table.cellDoubleClicked.emit(2, 0)
    assert "broken_reconstructed.tif" in queue.status.text()


def test_images_can_be_taken_off_and_are_not_added_twice(
    qtbot: Any, queue: FilesWidget, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_folder(qtbot, queue, folder, monkeypatch)
    queue.table.selectRow(2)
    qtbot.mouseClick(queue.remove_button, LEFT)
    assert [item.name for item in queue.table.queued] == ["a", "b"]
    add_folder(qtbot, queue, folder, monkeypatch)
    assert [item.name for item in queue.table.queued] == ["a", "b"]
    for _ in range(2):
        queue.table.selectRow(0)
        qtbot.mouseClick(queue.remove_button, LEFT)
    assert not queue.run_button.isEnabled()
    add_folder(qtbot, queue, folder, monkeypatch)
    assert len(queue.table.queued) == 3


def test_images_may_mark_what_is_unmeasured(qtbot: Any, queue: FilesWidget, tmp_path: Path, measurement: Measurement) -> None:
    np.save(tmp_path / "marked.npy", np.where(measurement.mask, measurement.values, np.nan).astype(np.float32))
    queue.add(tmp_path / "marked.npy")
    run(qtbot, queue)
    assert states(queue)[0].endswith("does not say that those are the unmeasured ones; choose that under “Measured”.")
    assert "double click" not in queue.status.text()  # there is nothing to be opened
    assert queue.table.rowHeight(0) > 2 * queue.table.fontMetrics().height()
    queue.mask_combo.setCurrentIndex(1)
    queue.mask_combo.activated.emit(1)
    run(qtbot, queue)
    assert states(queue) == ["done: cubic interpolation"]


def test_a_mask_file_holds_for_all(
    qtbot: Any, queue: FilesWidget, tmp_path: Path, measurement: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "xy":
        np.save(tmp_path / f"{name}.npy", measurement.values)
    np.save(tmp_path / "mask.npy", measurement.mask)
    queue.add(tmp_path / "x.npy", tmp_path / "y.npy")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "mask.npy"), ""))
    queue.mask_combo.activated.emit(3)
    run(qtbot, queue)
    assert states(queue) == ["done: cubic interpolation"] * 2


def test_cancelling_keeps_what_is_done_and_run_goes_on(
    qtbot: Any, queue: FilesWidget, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = jobs.reconstructions

    def slow(items: Any, params: Any, out: Any, tick: Any) -> Any:
        yield from work(items[:1], params, out, tick)
        yield Iterate(1, 9, np.zeros((64, 64), np.float32), 1.0, 0.1, "denoising")
        yield "Denoising…"
        while True:
            tick()
            tick.__self__._cancelled.wait(0.01)

    queue.add(folder)
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "reconstructions", slow)
        qtbot.mouseClick(queue.run_button, LEFT)
        qtbot.waitUntil(lambda: states(queue)[1] == "… step 1 of 9", timeout=10000)
        qtbot.keyClicks(queue.out_line, "elsewhere")  # the results go where they went when the run began
        assert queue.out_line.text() == str(folder / "reconstructed")
        with qtbot.waitSignal(queue.runner.cancelled, timeout=5000):
            qtbot.mouseClick(queue.cancel_button, LEFT)
    assert queue.out_line.isEnabled()
    assert queue.status.text() == "Cancelled with 1 done; Run goes on with the others."
    assert states(queue) == ["done: cubic interpolation", "cancelled", "waiting"]
    run(qtbot, queue)
    assert states(queue)[:2] == ["there already", "done: cubic interpolation"]


def test_a_folder_that_cannot_be_made_is_said(qtbot: Any, queue: FilesWidget, folder: Path) -> None:
    queue.add(folder)
    queue.out_line.setText(str(folder / "no" / "where"))
    run(qtbot, queue)
    assert "cannot be made" in queue.status.text()
    assert queue.run_button.isEnabled()
