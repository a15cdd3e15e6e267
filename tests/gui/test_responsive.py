"""The window stays usable and small: PyTorch is loaded beside it, a slow denoiser can be stopped, and runs leave nothing behind."""

import gc
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import psutil
import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication

from napari_stem_inpaint.gui.layer_data import notes_of
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget

LEFT = Qt.MouseButton.LeftButton
ACT_S = 0.5
CYCLES, WARM_UP = 50, 10
MOST_GROWTH = 20 << 20

LOADING = """
import gc, sys, threading
import napari_stem_inpaint.gui.preloading as preloading

full = []
gc.callbacks.append(lambda phase, info: full.append(phase) if info["generation"] == 2 else None)
assert preloading.load_libraries() == 2 or sys.platform != "linux"
assert "torch" not in sys.modules
preloading.load_torch()
loaded = len(full)
assert "torch" in sys.modules and gc.isenabled()
[[] for _ in range(20000)]
print(loaded, len(full))
"""

FIRST_RUN = """
import sys
import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import QEventLoop, QThread
from qtpy.QtWidgets import QApplication
from napari_stem_inpaint.gui import jobs
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget

app, viewer, said, where, loop = QApplication([]), ViewerModel(), [], [], QEventLoop()
load = jobs.load_torch

def watched():
    where.append(QThread.currentThread() is app.thread())
    load()

jobs.load_torch = watched
image = np.random.default_rng(0).random((32, 32))
viewer.add_image(image)
viewer.add_labels((image > 0.5).astype(np.uint8))
widget = ReconstructWidget(viewer)
widget.measured_combo.setCurrentIndex(1)
widget.mask_combo.setCurrentIndex(2)
widget.form.controls["solver"].value = "gp"
widget.runner.said.connect(said.append)
widget.runner.ended.connect(loop.quit)
assert "torch" not in sys.modules
widget.run_button.click()
loop.exec()
print(said[0], where, "torch" in sys.modules)
"""


def in_a_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_loading_pytorch_is_not_searched_for_garbage() -> None:
    assert in_a_fresh_process(LOADING) == "0 0"


def test_the_first_run_says_that_it_loads_pytorch_and_does_so_beside_the_window() -> None:
    assert in_a_fresh_process(FIRST_RUN) == "Loading PyTorch… [False] True"


class Slow:
    """A step that takes a while, looking now and then whether it is to end, as the denoisers' layers do."""

    def __init__(self) -> None:
        self.ticks, self.closed = 0, False

    def __call__(self, measurement: Any, params: Any, truth: Any, tick: Any) -> Any:
        rest = threading.Event()
        try:
            while True:
                for _ in range(100):
                    rest.wait(0.02)
                    tick()
                    self.ticks += 1
                yield "Denoising…"
        finally:
            self.closed = True


def test_pause_and_cancel_act_within_a_slow_step(qtbot: Any, docked: ReconstructWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_stem_inpaint.gui import jobs

    slow = Slow()
    monkeypatch.setattr(jobs, "reconstruction", slow)
    qtbot.mouseClick(docked.run_button, LEFT)
    qtbot.waitUntil(lambda: slow.ticks > 3, timeout=5000)
    qtbot.mouseClick(docked.pause_button, LEFT)
    qtbot.wait(int(1000 * ACT_S))
    stood = slow.ticks
    qtbot.wait(200)
    assert slow.ticks == stood
    qtbot.mouseClick(docked.pause_button, LEFT)
    qtbot.waitUntil(lambda: slow.ticks > stood, timeout=5000)
    began = time.perf_counter()
    with qtbot.waitSignal(docked.runner.cancelled, timeout=5000):
        qtbot.mouseClick(docked.cancel_button, LEFT)
    assert time.perf_counter() - began < ACT_S
    assert slow.closed


@pytest.mark.slow
def test_fifty_runs_begun_and_cancelled_leave_nothing_behind(qtbot: Any, docked: ReconstructWidget, window: Any) -> None:
    docked.form.controls["solver"].value = "hqs"
    docked.form.controls["checkpoint"].value = "stem-tiny"
    sizes: list[int] = []
    threads: list[int] = []
    objects: list[int] = []
    names = {layer.name for layer in window.layers}
    for cycle in range(CYCLES):
        with qtbot.waitSignal(docked.runner.stepped, timeout=30000):
            qtbot.mouseClick(docked.run_button, LEFT)
        with qtbot.waitSignal(docked.runner.ended, timeout=5000):
            qtbot.mouseClick(docked.cancel_button, LEFT)
        for layer in [layer for layer in window.layers if notes_of(layer).get("role") == "reconstruction"]:
            window.layers.remove(layer)
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
        if cycle >= WARM_UP - 1:
            sizes.append(psutil.Process().memory_info().rss)
            threads.append(psutil.Process().num_threads())
            objects.append(len(gc.get_objects()))
    growth = float(np.median(sizes[-5:]) - np.median(sizes[:5]))
    print(f"memory grew by {growth / 2**20:.1f} MiB, objects by {objects[-1] - objects[0]:,}, threads {threads[0]} to {threads[-1]}")
    assert {layer.name for layer in window.layers} == names
    assert max(threads[-5:]) <= max(threads[:5]) + 1  # the pool may keep one
    assert growth < MOST_GROWTH
