"""A real napari window for pictures: click, wait, take."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH_PX = 1200
PLUGIN = "napari-stem-inpaint"


def opened(widget: str, width: int = 1500, height: int = 950) -> tuple[Any, Any]:
    """Return a viewer, and the plugin's widget of that name in it."""
    viewer = napari.Viewer()
    viewer.window.resize(width, height)
    _, made = viewer.window.add_plugin_dock_widget(PLUGIN, widget)
    wait(lambda: True)
    return viewer, made


def wait(until: Callable[[], bool], seconds: float = 120.0, longer: float = 0.5) -> None:
    """Let the window work until ``until()``, and a moment ``longer``."""
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)  # leaves the processor to the work
    end = time.monotonic() + longer
    while time.monotonic() < end:
        QApplication.processEvents()


def click(button: QWidget) -> None:
    """Click where a user would."""
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def grabbed(viewer: Any, width: int = WIDTH_PX) -> QPixmap:
    """Return the picture of the whole window."""
    return viewer.window._qt_window.grab().scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)


def take(viewer: Any, name: str) -> None:
    """Save the picture of the whole window into docs/images."""
    wait(lambda: True)
    grabbed(viewer).save(str(IMAGES / f"{name}.png"))
    print(name)


def animate(frames: list[QPixmap], name: str, ms: list[int]) -> None:
    """Save ``frames``, shown for ``ms`` each, as an animated picture."""
    pictures = [Image.fromqpixmap(frame).convert("RGB").quantize(96, dither=Image.Dither.NONE) for frame in frames]
    pictures[0].save(IMAGES / f"{name}.gif", save_all=True, append_images=pictures[1:], duration=ms, loop=0, optimize=True)
    print(name, f"{(IMAGES / f'{name}.gif').stat().st_size / 1e6:.1f} MB")
