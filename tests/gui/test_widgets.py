"""Simulate and Scan, the manifest, sample data, and what importing the widgets costs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import Qt

import napari_stem_inpaint
from napari_stem_inpaint.frames import Frame
from napari_stem_inpaint.gui import sample_data
from napari_stem_inpaint.gui.combos import LayerCombo, is_grey_image
from napari_stem_inpaint.gui.layer_data import notes_of
from napari_stem_inpaint.gui.layers import Layers
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget
from napari_stem_inpaint.gui.scan import ScanWidget
from napari_stem_inpaint.gui.simulate import SimulateWidget

LEFT = Qt.MouseButton.LeftButton
MANIFEST = Path(napari_stem_inpaint.__file__).with_name("napari.yaml")


def test_simulate_scan_and_the_partners_are_found(qtbot: Any, window: Any) -> None:
    viewer = window
    simulate, scan, reconstruct = SimulateWidget(viewer), ScanWidget(viewer), ReconstructWidget(viewer)
    for widget, name in ((simulate, "Simulate"), (scan, "Scan"), (reconstruct, "Reconstruct")):
        viewer.window.add_dock_widget(widget, name=name)
        assert widget.sizeHint().width() <= 420
    assert not scan.run_button.isEnabled()
    simulate.form.controls["shape"].value = (48, 64)
    with qtbot.waitSignal(simulate.runner.returned, timeout=20000):
        qtbot.mouseClick(simulate.run_button, LEFT)
    assert "48 × 64" in simulate.status.text()
    assert simulate.run_button.isEnabled()
    scan.scan.controls["pattern"].value = "line-hop"
    scan.acquisition.controls["dose_e_per_px"].value = 500.0
    with qtbot.waitSignal(scan.runner.returned, timeout=20000):
        qtbot.mouseClick(scan.run_button, LEFT)
    said = scan.status.text()
    assert said.startswith("768 of 3,072 positions: ratio 0.2500, largest gap ")
    assert " px, 0.00768 s, 46,811 e⁻/Å² at each. Scan coils that respond in " in said
    assert said.endswith(" Next: Reconstruct.")
    assert [layer.name for layer in viewer.layers] == ["SrTiO3", "SrTiO3 columns", "SrTiO3 mask", "SrTiO3 measured"]
    assert notes_of(viewer.layers["SrTiO3 measured"])["noise"] == "poisson"
    assert reconstruct.measured_combo.currentText() == "SrTiO3 measured"
    assert reconstruct.mask_combo.currentText() == "SrTiO3 mask"
    assert reconstruct.truth_combo.currentText() == "SrTiO3"


def test_a_ratio_that_leaves_nothing_is_refused_in_words(qtbot: Any, viewer: Any) -> None:
    scan = ScanWidget(viewer)
    qtbot.addWidget(scan)
    viewer.add_image(np.random.default_rng(0).random((16, 16)), name="small")
    scan.scan.controls["ratio"].value = 1e-4
    with qtbot.waitSignal(scan.runner.failed, timeout=5000):
        qtbot.mouseClick(scan.run_button, LEFT)
    assert "leaves no position" in scan.status.text()
    assert scan.run_button.isEnabled()
    scan.scan.controls["ratio"].value = 0.5
    with qtbot.waitSignal(scan.runner.returned, timeout=5000):
        qtbot.mouseClick(scan.run_button, LEFT)


def test_a_plane_of_a_stack_is_scanned_and_stays_its_own_truth(qtbot: Any, viewer: Any, frame: Frame) -> None:
    scan = ScanWidget(viewer)
    qtbot.addWidget(scan)
    viewer.add_image(np.stack([frame.image * k for k in (1, 2, 3)]), name="stack")
    viewer.dims.set_current_step(0, 2)
    assert scan.hint.text() == "The plane shown will be scanned: stack [3/3]."
    with qtbot.waitSignal(scan.runner.returned, timeout=5000):
        qtbot.mouseClick(scan.run_button, LEFT)
    measured = viewer.layers["stack [3/3] measured"]
    known = viewer.layers["stack [3/3] mask"].data > 0
    np.testing.assert_allclose(measured.data[known], 3 * frame.image[known])
    reconstruct = ReconstructWidget(viewer)
    qtbot.addWidget(reconstruct)
    viewer.dims.set_current_step(0, 0)
    sources = reconstruct._sources()
    assert sources is not None
    _, truth = sources.snapshot(sources.shown())
    np.testing.assert_allclose(truth, 3 * frame.image)


def test_a_frame_with_nan_is_refused_in_words(qtbot: Any, viewer: Any) -> None:
    scan = ScanWidget(viewer)
    qtbot.addWidget(scan)
    Layers(viewer).add_frame(Frame(np.full((16, 16), np.nan)))
    with qtbot.waitSignal(scan.runner.failed, timeout=5000):
        qtbot.mouseClick(scan.run_button, LEFT)
    assert "NaN" in scan.status.text()


def test_the_manifest_is_valid_and_every_command_can_be_imported() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert manifest.name == "napari-stem-inpaint"
    contributions = manifest.contributions
    assert [w.display_name for w in contributions.widgets] == [
        "From frame to result",
        "Simulate",
        "Scan",
        "Reconstruct",
        "Reconstruct files",
        "Judge",
        "Train",
    ]
    assert all(command.id.startswith("napari-stem-inpaint.") for command in contributions.commands)
    for reader in contributions.readers:
        assert not {"*.tif", "*.tiff", "*.png", "*.h5", "*.npy"} & set(reader.filename_patterns)


@pytest.mark.parametrize(
    ("kind", "ratio", "noise"),
    [
        ("perfect_srtio3", 0.25, "none"),
        ("line_hop_si", 0.25, "none"),
        ("defective_srtio3", 0.25, "none"),
        ("low_dose_perovskite", 0.25, "poisson"),
        ("nanoparticle", 0.33, "none"),
    ],
)
def test_sample_data_are_complete(kind: str, ratio: float, noise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_data, "SIDE_PX", 64)
    truth, mask, measured = getattr(sample_data, kind)()
    assert [layer[2] for layer in (truth, mask, measured)] == ["image", "labels", "image"]
    assert mask[0].mean() == pytest.approx(ratio, abs=0.01)
    known = mask[0] > 0
    assert measured[1]["metadata"]["stem_inpaint"]["noise"] == noise
    assert np.array_equal(measured[0][known], truth[0][known]) == (noise == "none")
    assert truth[1]["contrast_limits"] == measured[1]["contrast_limits"]
    for _, keywords, _ in (truth, mask, measured):
        assert keywords["scale"] == (0.02, 0.02)
        assert keywords["units"] == ("nm", "nm")
        assert keywords["axis_labels"] == ("y", "x")


def test_samples_widgets_and_files_open_through_napari(
    qtbot: Any, make_napari_viewer: Any, npe2pm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sample_data, "SIDE_PX", 64)
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        viewer = make_napari_viewer()
        viewer.open_sample("napari-stem-inpaint", "srtio3-random")
        _, widget = viewer.window.add_plugin_dock_widget("napari-stem-inpaint", "Reconstruct")
        assert widget.measured_combo.currentText() == "SrTiO3 measured"
        assert widget.mask_combo.currentText() == "SrTiO3 mask"
        assert widget.truth_combo.currentText() == "SrTiO3 truth"
        widget.form.controls["solver"].value = "gp"
        with qtbot.waitSignal(widget.runner.returned, timeout=20000):
            qtbot.mouseClick(widget.run_button, LEFT)
        result = viewer.layers["SrTiO3 reconstructed"]
        assert result.metadata["recipe"]["program"] == "napari-stem-inpaint"
        (saved,) = result.save(str(tmp_path / "result.stem.tif"))
        (opened,) = viewer.open(saved, plugin="napari-stem-inpaint")
        assert tuple(opened.scale) == pytest.approx((0.02, 0.02))


def test_importing_and_building_the_widgets_loads_no_torch() -> None:
    code = """
import sys
import napari_stem_inpaint.gui.reconstruct as r, napari_stem_inpaint.gui.scan as s, napari_stem_inpaint.gui.simulate as m
import napari_stem_inpaint.gui.sample_data, napari_stem_inpaint.gui.files, napari_stem_inpaint.gui.demo
import napari_stem_inpaint.gui.train as t, napari_stem_inpaint.gui.judge as j, napari_stem_inpaint.gui.flow as f
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
viewer = ViewerModel()
widgets = [r.ReconstructWidget(viewer), s.ScanWidget(viewer), m.SimulateWidget(viewer), t.TrainWidget(viewer)]
widgets += [j.JudgeWidget(viewer), f.FlowWidget(viewer)]
print('torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_layers_of_one_file_are_told_apart_by_the_end_of_their_names(qtbot: Any, viewer: Any) -> None:
    combo = LayerCombo(viewer, is_grey_image, "none")
    qtbot.addWidget(combo)
    long = "Average Through Stack Rigid Aligned BTO 2 JEOL"
    for end in ("", " measured", " reconstructed"):
        viewer.add_image(np.zeros((8, 8)), name=long + end)
    texts = [combo.itemText(k) for k in range(combo.count())]
    assert texts == ["none", long, f"{long} measured", f"{long} reconstructed"]
    combo.resize(200, 24)
    shown = []
    for layer in combo.layers:
        combo.choose(layer)
        shown.append(combo.shown_text())
    assert [text[-4:] for text in shown] == ["JEOL", "ured", "cted"]
    assert all("…" in text for text in shown)
    combo.choose(viewer.layers[1])
    assert combo.toolTip() == f"{long} measured"
