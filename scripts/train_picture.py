"""Take the picture of the Train widget, from the real program, by clicking: docs/images/train.png. Takes four minutes."""

import os
import tempfile
import time
from pathlib import Path

import napari
from qtpy.QtCore import QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_stem_inpaint.gui.train import TrainWidget

TRAINED_S = 200.0


def wait(until, seconds: float = 60.0) -> None:
    """Let the window work until ``until()``, and a moment longer."""
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)  # leaves the processor to the training
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        QApplication.processEvents()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STEM_INPAINT_CHECKPOINTS"] = folder
        viewer = napari.Viewer()
        viewer.window.resize(1500, 950)
        widget = TrainWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Train", area="right")
        QTest.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
        wait(lambda: not widget.runner.running, TRAINED_S)
        target = Path(__file__).parents[1] / "docs" / "images" / "train.png"
        widget.grab(QRect(0, 0, widget.width(), widget.status.geometry().bottom() + 10)).save(str(target))
        QTest.mouseClick(widget.stop_button, Qt.MouseButton.LeftButton)
        wait(lambda: not widget.runner.running)
        viewer.close()
