"""Every step in one dock, clicked in a real window: sample, run, judge; and what cannot be opened."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFileDialog

import napari_stem_inpaint
from napari_stem_inpaint.frames import Frame
from napari_stem_inpaint.gui import sample_data
from napari_stem_inpaint.gui.flow import STEPS, FlowWidget
from napari_stem_inpaint.io import write_frame

LEFT = Qt.MouseButton.LeftButton
MANIFEST = Path(napari_stem_inpaint.__file__).with_name("napari.yaml")


@pytest.fixture
def flow(make_napari_viewer: Any, npe2pm: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlowWidget]:
    """The widget in a window, as the menu opens it."""
    monkeypatch.setattr(sample_data, "SIDE_PX", 64)
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        viewer = make_napari_viewer()
        _, made = viewer.window.add_plugin_dock_widget("napari-stem-inpaint", "From frame to result")
        yield made


def go_to(qtbot: Any, flow: FlowWidget, place: int) -> None:
    qtbot.mouseClick(flow.tabs, LEFT, pos=flow.tabs.tabRect(place).center())
    assert flow.tabs.tabText(flow.tabs.currentIndex()) == STEPS[place]


def test_sample_run_judge(qtbot: Any, flow: FlowWidget) -> None:
    assert flow.tabs.currentIndex() == 0
    page: Any = flow.page(0)
    assert len(page.samples) == 5
    page.samples["srtio3-random"].trigger()
    assert flow.tabs.currentIndex() == 2
    reconstruct, judge = flow.reconstruct, flow.page(3)
    reconstruct.form.controls["solver"].value = "irls"
    with qtbot.waitSignal(judge.runner.returned, timeout=30000):  # type: ignore[attr-defined]
        qtbot.mouseClick(reconstruct.run_button, LEFT)
    go_to(qtbot, flow, 3)
    assert "SRE" in judge.status.text()  # type: ignore[attr-defined]
    assert judge.spectra.cutoff is not None  # type: ignore[attr-defined]


def test_the_samples_are_in_a_menu_below_a_button(qtbot: Any, flow: FlowWidget) -> None:
    page: Any = flow.page(0)
    with qtbot.waitExposed(flow):
        flow.window().show()
    menu = page.sample_button.menu()
    QTimer.singleShot(200, lambda: qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(page.samples["si-line-hop"]).center()))
    qtbot.mouseClick(page.sample_button, LEFT)
    qtbot.waitUntil(lambda: flow.tabs.currentIndex() == 2, timeout=10000)
    assert flow.reconstruct.measured_combo.currentText() == "Si measured"


def test_a_file_leads_to_the_scan_and_that_to_a_result(
    qtbot: Any, flow: FlowWidget, frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frame(tmp_path / "mine.tif", frame)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(tmp_path / "mine.tif"), ""))
    page: Any = flow.page(0)
    qtbot.mouseClick(page.open_button, LEFT)
    assert flow.tabs.currentIndex() == 1
    scan: Any = flow.page(1)
    scan.frame.setCurrentIndex(1)
    with qtbot.waitSignal(scan.runner.returned, timeout=10000):
        qtbot.mouseClick(scan.run_button, LEFT)
    go_to(qtbot, flow, 2)
    assert flow.reconstruct.measured_combo.layer() is not None
    assert flow.reconstruct.run_button.isEnabled()


def test_simulating_leads_to_the_scan(qtbot: Any, flow: FlowWidget) -> None:
    page: Any = flow.page(0)
    qtbot.mouseClick(page.simulate_button, LEFT)
    from napari_stem_inpaint.gui.simulate import SimulateWidget

    (simulate,) = page.findChildren(SimulateWidget)
    simulate.form.controls["shape"].value = (64, 64)
    simulate.acquisition.controls["dose_e_per_px"].value = 50
    with qtbot.waitSignal(simulate.runner.returned, timeout=20000):
        qtbot.mouseClick(simulate.run_button, LEFT)
    assert flow.tabs.currentIndex() == 1
    assert flow.scan.acquisition.values().dose_e_per_px == 50
    assert "with which the frame was simulated" in flow.scan.status.text()


def test_what_is_opened_last_is_worked_on(
    qtbot: Any, flow: FlowWidget, frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page: Any = flow.page(0)
    page.samples["srtio3-random"].trigger()
    assert flow.tabs.currentIndex() == 2
    write_frame(tmp_path / "mine.tif", frame)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(tmp_path / "mine.tif"), ""))
    qtbot.mouseClick(page.open_button, LEFT)
    assert flow.tabs.currentIndex() == 1
    assert flow.scan.frame.currentText() == "lattice"
    with qtbot.waitSignal(flow.scan.runner.returned, timeout=10000):
        qtbot.mouseClick(flow.scan.run_button, LEFT)
    assert "positions: ratio" in flow.reconstruct.status.text()
    with_gaps = replace(frame, image=np.where(np.eye(len(frame.image)) > 0, np.nan, frame.image).astype(np.float32))
    write_frame(tmp_path / "mine.tif", with_gaps)
    qtbot.mouseClick(page.open_button, LEFT)
    assert flow.tabs.currentIndex() == 2
    assert "Where the image is a number" in flow.reconstruct.hint.text()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(tmp_path / "positions.csv"), ""))
    qtbot.mouseClick(page.open_button, LEFT)
    assert "open the image that was measured there" in page.status.text()


def test_what_cannot_be_opened_is_said(qtbot: Any, flow: FlowWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.dm4").write_bytes(b"no microscope wrote this")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(tmp_path / "broken.dm4"), ""))
    page: Any = flow.page(0)
    qtbot.mouseClick(page.open_button, LEFT)
    assert "broken.dm4 cannot be opened" in page.status.text()
    assert flow.tabs.currentIndex() == 0
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: ("", ""))
    qtbot.mouseClick(page.open_button, LEFT)
    assert flow.tabs.currentIndex() == 0


def test_it_is_narrow(flow: FlowWidget) -> None:
    for place in range(len(STEPS)):
        assert flow.page(place).minimumSizeHint().width() <= 420
    assert flow.sizeHint().width() <= 420
    assert np.all([flow.tabs.tabToolTip(place) for place in range(len(STEPS))])
