"""Take the picture of the Simulate widget, from the real program, by clicking: docs/images/simulate.png."""

import time
from pathlib import Path

import napari
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_stem_inpaint.gui.simulate import SimulateWidget

PRESET = "Drifting perovskite with vacancies"


def wait(until, seconds: float = 60.0) -> None:
    """Let the window work until ``until()``, and a moment longer."""
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        QApplication.processEvents()


if __name__ == "__main__":
    viewer = napari.Viewer()
    viewer.window.resize(1500, 950)
    widget = SimulateWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Simulate", area="right")
    widget.preset.setCurrentText(PRESET)
    widget.preset.activated.emit(widget.preset.currentIndex())
    widget.form.sections["Scene"].expand(animate=False)
    wait(lambda: not widget.preview.worker.busy)
    QTest.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    wait(lambda: not widget.runner.running)
    for layer in viewer.layers:
        layer.visible = not layer.name.endswith("acquired")
    viewer.camera.zoom *= 2.5
    wait(lambda: True)
    target = Path(__file__).parents[1] / "docs" / "images" / "simulate.png"
    viewer.window._qt_window.grab().scaledToWidth(1200, Qt.TransformationMode.SmoothTransformation).save(str(target))
    viewer.close()
