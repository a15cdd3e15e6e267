"""A whole session by mouse in a real window: from napari's menu to the report, counting clicks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QMainWindow, QMenu, QMenuBar, QWidget

import napari_stem_inpaint
from napari_stem_inpaint.gui import sample_data
from napari_stem_inpaint.gui.flow import FlowWidget

LEFT = Qt.MouseButton.LeftButton
MANIFEST = Path(napari_stem_inpaint.__file__).with_name("napari.yaml")


class Mouse:
    """Clicks, and counts them."""

    def __init__(self, qtbot: Any) -> None:
        self.qtbot, self.clicks = qtbot, 0

    def click(self, widget: QWidget, place: QPoint | None = None) -> None:
        """Click where the user would: on something that is seen and enabled."""
        self.qtbot.waitUntil(lambda: widget.isVisible() and widget.isEnabled(), timeout=10000)
        self.clicks += 1
        self.qtbot.mouseClick(widget, LEFT, pos=place or widget.rect().center())

    def pick(self, opener: Callable[[], None], *texts: str) -> None:
        """Open a menu and click through it; the menu may keep the program in a loop of its own."""
        QTimer.singleShot(0, lambda: self._pick(list(texts), 200))
        opener()
        self.qtbot.waitUntil(lambda: QApplication.activePopupWidget() is None, timeout=10000)

    def _pick(self, texts: list[str], patience: int) -> None:
        menu = QApplication.activePopupWidget()
        action = next((a for a in menu.actions() if a.text().replace("&", "") == texts[0]), None) if isinstance(menu, QMenu) else None
        if action is None:
            assert patience, f"no menu offers {texts[0]}"
            QTimer.singleShot(20, lambda: self._pick(texts, patience - 1))
            return
        if texts[1:]:
            QTimer.singleShot(0, lambda: self._pick(texts[1:], 200))
        self.clicks += 1
        self.qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())


@pytest.fixture
def opened(make_napari_viewer: Any, npe2pm: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FlowWidget, Mouse]]:
    """The widget, opened from napari's menu bar."""
    monkeypatch.setattr(sample_data, "SIDE_PX", 96)
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        make_napari_viewer(show=True)
        mouse = Mouse(qtbot)
        window = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow) and w.isVisible())
        bar = window.findChild(QMenuBar)
        plugins = next(a for a in bar.actions() if a.text().replace("&", "") == "Plugins")
        mouse.pick(lambda: mouse.click(bar, bar.actionGeometry(plugins).center()), "STEM Inpaint", "From frame to result")
        (flow,) = window.findChildren(FlowWidget)
        mouse.clicks = 0
        yield flow, mouse


def run_and_report(flow: Any, mouse: Mouse, monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    judge = flow.page(3)
    with mouse.qtbot.waitSignal(judge.runner.returned, timeout=120000):
        mouse.click(flow.reconstruct.run_button)
    mouse.click(flow.tabs, flow.tabs.tabRect(3).center())
    assert "SRE" in judge.status.text()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(page), ""))
    with mouse.qtbot.waitSignal(judge.runner.returned, timeout=60000):
        mouse.click(judge.save_group.report_button)
    assert page.read_bytes()[:4] == b"%PDF"


def test_from_a_sample_to_the_report_in_six_clicks(opened: tuple[Any, Mouse], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flow, mouse = opened
    frame = flow.page(0)
    mouse.pick(lambda: mouse.click(frame.sample_button), "SrTiO3, 25 % random")
    run_and_report(flow, mouse, monkeypatch, tmp_path / "page.pdf")
    assert mouse.clicks <= 6
    table = flow.page(3).table
    assert float(table.item(0, 1).text()) > 40
    assert np.isfinite(float(table.item(0, 4).text()))


def test_from_a_microscope_file_with_a_drawn_mask_to_the_report(
    opened: tuple[Any, Mouse], shared_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flow, mouse = opened
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(shared_data / "files" / "test_STEM_image.dm3"), ""))
    mouse.click(flow.page(0).open_button)
    scan = flow.page(1)
    mouse.click(scan.drawing.kinds["never"])
    canvas = next(w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop" and w.isVisible())
    middle = canvas.rect().center()
    mouse.qtbot.mousePress(canvas, LEFT, pos=middle)
    for step in range(1, 11):
        mouse.qtbot.mouseMove(canvas, middle + QPoint(4 * step, 3 * step))
    mouse.qtbot.mouseRelease(canvas, LEFT, pos=middle + QPoint(40, 30))
    painted = next(layer for layer in flow._viewer.layers if layer.name == "regions")
    drawn = np.asarray(painted.data) == 2
    assert drawn.sum() > 20
    with mouse.qtbot.waitSignal(scan.runner.returned, timeout=20000):
        mouse.click(scan.run_button)
    assert flow.tabs.currentIndex() == 2
    measured = np.asarray(flow.reconstruct.mask_combo.layer().data) != 0
    assert not measured[drawn].any()
    assert measured[~drawn].mean() == pytest.approx(0.25, abs=0.02)
    run_and_report(flow, mouse, monkeypatch, tmp_path / "page.pdf")
    assert mouse.clicks <= 6
