"""Take the pictures of the steps from frame to result, and the animation, from the real program, by clicking."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from qtpy.QtWidgets import QFileDialog
from windows import IMAGES, animate, click, grabbed, opened, take, wait

from napari_stem_inpaint.io import write_measurement
from napari_stem_inpaint.params import ScanParams, SimulationParams
from napari_stem_inpaint.scans import make_scan
from napari_stem_inpaint.simulation.acquisition import acquire
from napari_stem_inpaint.simulation.imaging import simulate

SMALL_PX = 800  # width of the animation
PARTICLE = SimulationParams(shape=(384, 384), pixel_size_nm=0.025, crystal="Au", scene="nanoparticle")


def frame_to_result() -> None:
    """A sample, run, judged: the animation and three pictures."""
    viewer, flow = opened("From frame to result")
    take(viewer, "step_frame")
    frames, ms = [grabbed(viewer, SMALL_PX)], [1500]
    flow.page(0).samples["defective-srtio3-random"].trigger()
    wait(lambda: True)
    frames.append(grabbed(viewer, SMALL_PX))
    ms.append(1500)
    reconstruct, judge = flow.reconstruct, flow.page(3)
    steps = []
    reconstruct.runner.stepped.connect(lambda step: steps.append(step.index))
    click(reconstruct.run_button)
    seen = 0
    while reconstruct.runner.running:
        wait(lambda seen=seen: len(steps) > seen or not reconstruct.runner.running, longer=0.0)
        if len(steps) > seen and len(steps) % 2:
            wait(lambda: True, longer=0.02)
            frames.append(grabbed(viewer, SMALL_PX))
            ms.append(120)
            if 15 < steps[-1] < 35:
                grabbed(viewer).save(str(IMAGES / "step_reconstruct.png"))
        seen = len(steps)
    wait(lambda: "SRE" in judge.status.text())
    frames.append(grabbed(viewer, SMALL_PX))
    ms.append(2500)
    flow.tabs.setCurrentIndex(3)
    click(judge.show_group.swipe_button)
    wait(lambda: True)
    slider = judge.show_group.slider
    for share in (*np.linspace(0.1, 0.9, 9), *np.linspace(0.8, 0.5, 4)):
        slider.setValue(round(slider.minimum() + share * (slider.maximum() - slider.minimum())))
        wait(lambda: True, longer=0.1)
        frames.append(grabbed(viewer, SMALL_PX))
        ms.append(120)
    ms[-1] = 2500
    animate(frames, "session", ms)
    take(viewer, "step_judge")
    viewer.close()


def designed_scan() -> None:
    """A particle, measured densely where it is and not at all in a corner."""
    viewer, flow = opened("From frame to result")
    frame = simulate(PARTICLE)
    viewer.add_image(frame.image, name="gold particle", scale=frame.pixel_size_nm, units=("nm", "nm"))
    flow.tabs.setCurrentIndex(1)
    scan = flow.page(1)
    scan.scan.controls["pattern"].value = "blue-noise"
    scan.scan.controls["ratio"].value = 0.12
    scan.drawing.tool.setCurrentText("Ellipse")
    click(scan.drawing.kinds["denser"])
    place = viewer.layers.selection.active
    place.add_ellipses(np.array([[70, 70], [70, 315], [315, 315], [315, 70]]))
    scan.drawing.tool.setCurrentText("Rectangle")
    click(scan.drawing.kinds["never"])
    viewer.layers.selection.active.add_rectangles(np.array([[5, 5], [5, 120], [60, 120], [60, 5]]))
    wait(lambda: True, longer=2.0)
    viewer.reset_view()
    take(viewer, "step_scan")
    viewer.close()


def stack_with_nan() -> None:
    """Planes that mark what is unmeasured, all reconstructed."""
    planes = []
    for seed in range(6):
        frame = simulate(SimulationParams(shape=(160, 160), vacancies=0.05, seed=seed))
        mask = make_scan(frame.shape, ScanParams(seed=seed)).mask
        planes.append(np.where(mask, frame.image, np.nan).astype(np.float32))
    tifffile.imwrite("series.tif", np.stack(planes), imagej=True, metadata={"axes": "ZYX"})
    viewer, flow = opened("From frame to result")
    QFileDialog.getOpenFileName = staticmethod(lambda *_: ("series.tif", ""))
    click(flow.page(0).open_button)
    flow.tabs.setCurrentIndex(2)
    reconstruct = flow.reconstruct
    reconstruct.measured_combo.setCurrentIndex(1)
    reconstruct.mask_actions["Where the image is a number"].trigger()
    reconstruct.planes_combo.setCurrentIndex(1)
    viewer.layers["series mask"].visible = False
    click(reconstruct.run_button)
    wait(lambda: reconstruct.progress.part == 3 or not reconstruct.runner.running)
    viewer.dims.set_current_step(0, 2)
    take(viewer, "stack")
    click(reconstruct.cancel_button)
    wait(lambda: not reconstruct.runner.running)
    viewer.close()


def files() -> None:
    """A folder of measurements, one of them damaged."""
    data = Path("areas")
    data.mkdir()
    for seed in range(5):
        frame = simulate(SimulationParams(shape=(160, 160), vacancies=0.05, seed=seed))
        write_measurement(data / f"area {seed}.stem.tif", acquire(frame, make_scan(frame.shape, ScanParams(seed=seed))))
    (data / "area 5.tif").write_bytes(b"II*")
    viewer, queue = opened("Reconstruct files")
    queue.settings.form.controls["solver"].value = "one-pass"
    queue.add(data)
    queue.out_line.setText("results")
    click(queue.run_button)
    wait(lambda: not queue.runner.running)
    queue.table.cellDoubleClicked.emit(1, 0)
    take(viewer, "files")
    viewer.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        frame_to_result()
        designed_scan()
        stack_with_nan()
        files()
