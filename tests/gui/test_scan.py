"""The Scan widget, clicked: what would be measured is shown while it is chosen and drawn; masks, path, export."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

import napari_stem_inpaint as nsi
from napari_stem_inpaint.frames import Frame
from napari_stem_inpaint.gui import scan as scan_widget
from napari_stem_inpaint.gui.layer_data import notes_of
from napari_stem_inpaint.gui.layers import Layers
from napari_stem_inpaint.gui.scan import ScanWidget
from napari_stem_inpaint.io import read_scan
from napari_stem_inpaint.scan_regions import Regions

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def window(make_napari_viewer_proxy: Any) -> Any:
    """A window that is seen: what is not, previews nothing."""
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def scan(qtbot: Any, window: Any, frame: Frame) -> ScanWidget:
    """The widget in a window with a frame."""
    Layers(window).add_frame(frame)
    made = ScanWidget(window)
    window.window.add_dock_widget(made, name="Scan")
    qtbot.waitUntil(lambda: bool(made.figures.text()), timeout=10000)
    return made


def planned(qtbot: Any, scan: ScanWidget) -> None:
    """Wait until nothing is being drawn or computed any more."""
    qtbot.waitUntil(lambda: not scan.drawing._delay.isActive() and not scan.planner.busy, timeout=10000)


def of_role(viewer: Any, role: str) -> list[Any]:
    return [layer for layer in viewer.layers if notes_of(layer).get("role") == role]


def click(qtbot: Any, button: Any) -> None:
    qtbot.waitUntil(button.isEnabled, timeout=5000)
    qtbot.mouseClick(button, LEFT)


def measure(qtbot: Any, scan: ScanWidget) -> Any:
    with qtbot.waitSignal(scan.runner.returned, timeout=10000):
        click(qtbot, scan.run_button)
    return np.asarray(of_role(scan._viewer, "mask")[-1].data) != 0


def test_the_mask_is_shown_on_the_frame_while_values_change(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    assert "1,024 of 4,096 positions: ratio 0.2500" in scan.figures.text()
    assert not of_role(window, "preview")
    scan.scan.controls["ratio"].value = 0.5
    planned(qtbot, scan)
    (preview,) = of_role(window, "preview")
    assert preview.data.mean() == 0.5
    assert preview not in scan.mask_layer.layers
    scan.scan.controls["pattern"].value = "line-hop"
    planned(qtbot, scan)
    np.testing.assert_array_equal(preview.data != 0, nsi.make_scan((64, 64), scan.scan.values()).mask)
    np.testing.assert_array_equal(measure(qtbot, scan), preview.data != 0)
    assert not of_role(window, "preview")


def test_what_cannot_be_scanned_is_said_while_it_is_chosen(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    scan.scan.controls["pattern"].value = "list"
    planned(qtbot, scan)
    assert "needs a file of positions" in scan.figures.text()
    assert not of_role(window, "preview")


def test_brush_strokes_and_shapes_join_the_pattern(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    click(qtbot, scan.drawing.kinds["never"])
    strokes = window.layers.selection.active
    assert (strokes.mode, strokes.selected_label) == ("paint", 2)
    strokes.brush_size = 10
    strokes.paint((20, 20), 2)
    scan.drawing.tool.setCurrentText("Ellipse")
    click(qtbot, scan.drawing.kinds["always"])
    shapes = window.layers.selection.active
    assert shapes.mode == "add_ellipse"
    shapes.add_ellipses(np.array([[40, 40], [40, 50], [50, 50], [50, 40]]))
    planned(qtbot, scan)
    always, never = shapes.to_masks((64, 64))[0], np.asarray(strokes.data) == 2
    assert always.sum() > 50
    assert never.sum() > 50
    expected = nsi.make_scan((64, 64), scan.scan.values(), Regions(always, never)).mask
    np.testing.assert_array_equal(of_role(window, "preview")[0].data != 0, expected)
    np.testing.assert_array_equal(measure(qtbot, scan), expected)


def test_undo_move_and_delete_are_followed(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    click(qtbot, scan.drawing.kinds["denser"])
    strokes = window.layers.selection.active
    strokes.paint((30, 30), 3)
    planned(qtbot, scan)
    assert "ratio 0.2500" not in scan.figures.text()
    strokes.undo()
    planned(qtbot, scan)
    assert "ratio 0.2500" in scan.figures.text()
    scan.drawing.tool.setCurrentText("Rectangle")
    click(qtbot, scan.drawing.kinds["always"])
    shapes = window.layers.selection.active
    shapes.add_rectangles(np.array([[0, 0], [0, 9], [9, 9], [9, 0]]))
    planned(qtbot, scan)
    first = of_role(window, "preview")[0].data.copy()
    shapes.data = [np.asarray(shapes.data[0]) + 30]
    planned(qtbot, scan)
    now = of_role(window, "preview")[0].data
    assert now[31:39, 31:39].all()
    assert not now[:10, :10].all()
    assert not np.array_equal(first, now)
    window.layers.remove(shapes)
    planned(qtbot, scan)
    assert "ratio 0.2500" in scan.figures.text()


def test_a_pattern_becomes_a_mask_that_is_painted_on(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    click(qtbot, scan.mask_button)
    painted = scan.mask_layer.layer()
    assert painted is window.layers.selection.active or painted == window.layers.selection.active
    assert not scan.scan.isEnabled()
    before = painted.data.copy()
    painted.paint((5, 5), 1)
    painted.mode = "erase"
    painted.paint((np.argwhere(before)[100]).tolist(), 0)
    planned(qtbot, scan)
    np.testing.assert_array_equal(measure(qtbot, scan), painted.data != 0)
    assert not np.array_equal(painted.data, before)


def test_what_is_drawn_and_what_is_painted_are_seen_where_they_count(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    click(qtbot, scan.drawing.kinds["never"])
    strokes = window.layers.selection.active
    strokes.paint((20, 20), 2)
    planned(qtbot, scan)
    click(qtbot, scan.mask_button)
    painted = scan.mask_layer.layer()
    assert (strokes.visible, painted.visible, painted.mode) == (False, True, "paint")
    np.testing.assert_array_equal(painted.get_color(7), painted.get_color(1))
    qtbot.keyClick(scan.mask_layer, Qt.Key.Key_Home)
    assert scan.mask_layer.layer() is None
    assert (strokes.visible, painted.visible) == (True, False)
    scan.mask_layer.choose(painted)
    window.layers.remove(painted)
    assert strokes.visible


def test_path_and_export(qtbot: Any, scan: ScanWidget, window: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scan.scan.controls["pattern"].value = "line-hop"
    expected = nsi.make_scan((64, 64), scan.scan.values()).positions
    with qtbot.waitSignal(scan.runner.returned, timeout=10000):
        click(qtbot, scan.path_button)
    with qtbot.waitSignal(scan.runner.returned, timeout=10000):
        click(qtbot, scan.path_button)
    (path,) = of_role(window, "path")
    np.testing.assert_array_equal(np.asarray(path.data[0]), expected)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(tmp_path / "scan.csv"), ""))
    with qtbot.waitSignal(scan.runner.returned, timeout=10000):
        click(qtbot, scan.save_button)
    np.testing.assert_array_equal(read_scan(tmp_path / "scan.csv", (64, 64)).positions, expected)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(tmp_path / "where"), scan_widget.SCANS.split(";;")[1]))
    with qtbot.waitSignal(scan.runner.returned, timeout=10000):
        click(qtbot, scan.save_button)
    assert scan.status.text() == f"Saved {tmp_path / 'where.tif'}."
    np.testing.assert_array_equal(read_scan(tmp_path / "where.tif", (64, 64)).mask, nsi.make_scan((64, 64), scan.scan.values()).mask)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(tmp_path / "no" / "scan.csv"), ""))
    with qtbot.waitSignal(scan.runner.failed, timeout=10000):
        click(qtbot, scan.save_button)
    assert "does not exist; make it first" in scan.status.text()
    qtbot.waitUntil(scan.run_button.isEnabled, timeout=5000)


def test_the_preview_lies_on_the_frame_not_on_what_covers_it(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    measure(qtbot, scan)
    (frame,), (measured,) = of_role(window, "frame"), of_role(window, "measured")
    frame.visible = False
    scan.scan.controls["ratio"].value = 0.5
    planned(qtbot, scan)
    assert of_role(window, "preview")
    assert (frame.visible, measured.visible) == (True, False)
    click(qtbot, scan.mask_button)
    assert not of_role(window, "preview")
    assert (frame.visible, measured.visible) == (True, False)
    scan.hide()
    assert (frame.visible, measured.visible) == (False, True)


def test_the_preview_goes_to_another_frame_with_its_place(qtbot: Any, scan: ScanWidget, window: Any, frame: Frame) -> None:
    scan.scan.controls["ratio"].value = 0.5
    planned(qtbot, scan)
    (first,) = of_role(window, "preview")
    Layers(window).add_frame(Frame(frame.image, (0.05, 0.05), "wider"))
    planned(qtbot, scan)
    (preview,) = of_role(window, "preview")
    assert scan.frame.currentText() == "wider"
    assert (tuple(first.scale), tuple(preview.scale)) == ((0.02, 0.02), (0.05, 0.05))


def test_the_tool_may_be_changed_while_drawing(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    click(qtbot, scan.drawing.kinds["never"])
    assert window.layers.selection.active.mode == "paint"
    qtbot.keyClick(scan.drawing.tool, Qt.Key.Key_R)
    shapes = window.layers.selection.active
    assert scan.drawing.tool.currentText() == "Rectangle"
    assert (shapes.name, shapes.mode) == ("never measured", "add_rectangle")
    click(qtbot, scan.drawing.erase_button)
    assert window.layers.selection.active == shapes
    assert shapes.mode == "select"


def test_nothing_stays_on_the_frame_when_the_widget_goes(qtbot: Any, scan: ScanWidget, window: Any) -> None:
    scan.scan.controls["ratio"].value = 0.1
    planned(qtbot, scan)
    assert of_role(window, "preview")
    scan.hide()
    assert not of_role(window, "preview")
    scan.show()
    scan.scan.controls["ratio"].value = 0.2
    planned(qtbot, scan)
    window.layers.clear()
    assert scan.hint.text().startswith("Choose a frame")
    assert not scan.run_button.isEnabled()


def test_it_is_narrow(scan: ScanWidget) -> None:
    assert scan.minimumSizeHint().width() <= 420
