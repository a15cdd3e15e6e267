"""Small layers, fake work and a watched viewer for the widgets' tests."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import napari.settings
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy

from napari_stem_inpaint.frames import Frame, Iterate, Measurement, Reconstruction
from napari_stem_inpaint.gui import jobs, remembered
from napari_stem_inpaint.gui.layer_data import Place
from napari_stem_inpaint.gui.layers import Layers
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget

SIDE = 64


@pytest.fixture(autouse=True, scope="module")
def libraries_are_not_searched_for_garbage() -> Iterator[None]:
    """Spare every later collection, of which a viewer makes several, what is loaded by now: it takes most of the tests' time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def garbage_is_collected_between_tests() -> Iterator[None]:
    """Never while a signal is disconnected: PySide6 holds a lock meanwhile, and waits for itself if what is collected disconnects, too."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No values of another test, and no settings but this test's own."""
    monkeypatch.setattr(napari.settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    napari.settings._clear_plugin_settings_cache()
    remembered.forget()
    yield
    napari.settings._clear_plugin_settings_cache()
    remembered.forget()


@pytest.fixture
def frame() -> Frame:
    """A lattice with a pixel size."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return Frame(100 * (2 + np.cos(y * 0.5) + np.cos(x * 0.45)), (0.02, 0.02), "lattice")


@pytest.fixture
def measurement(frame: Frame) -> Measurement:
    """A quarter of the lattice's positions, noise-free."""
    mask = np.random.default_rng(0).random(frame.shape) < 0.25
    return Measurement(frame.image, mask, frame.pixel_size_nm, "none", None, "lattice")


@pytest.fixture
def viewer(qapp: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A viewer without a window, as plugins see it: public names only, and only from the window's own thread."""
    monkeypatch.setenv("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "True")
    return PublicOnlyProxy(ViewerModel())


@pytest.fixture
def window(make_napari_viewer_proxy: Callable[..., Any]) -> Any:
    """A viewer with its window, as plugins see it."""
    return make_napari_viewer_proxy()


@pytest.fixture
def widget(viewer: Any, qtbot: Any, frame: Frame, measurement: Measurement) -> ReconstructWidget:
    """A Reconstruct widget with truth, mask and measured layer, set to a solver that needs no checkpoint."""
    made = _reconstruct(viewer, frame, measurement)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def docked(window: Any, frame: Frame, measurement: Measurement) -> ReconstructWidget:
    """The same in a window."""
    made = _reconstruct(window, frame, measurement)
    window.window.add_dock_widget(made, name="Reconstruct")
    return made


def _reconstruct(viewer: Any, frame: Frame, measurement: Measurement) -> ReconstructWidget:
    layers = Layers(viewer)
    source = layers.add_frame(frame)
    layers.add_measurement(measurement, source, Place.of_layer(source))
    made = ReconstructWidget(viewer)
    made.form.controls["solver"].value = "irls"
    return made


@dataclass
class FakeWork:
    """Stands in for the reconstruction: yields ``steps`` images, then returns; ``fault`` is raised after the third."""

    steps: int = 5
    fault: BaseException | None = None
    endless: bool = False
    closed: int = 0
    started: int = 0
    step: int = 0

    def __call__(self, measurement: Measurement, params: Any, truth: Any, tick: Callable[[], None]) -> Iterator[Any]:
        self.started += 1
        try:
            self.step = k = 0
            while self.endless or k < self.steps:
                self.step = k = k + 1
                tick()
                if self.fault is not None and k > 3:
                    raise self.fault
                yield Iterate(k, max(k, self.steps), np.full(measurement.shape, k, np.float32), 1.0, 0.1 * k, "denoising")
            return Reconstruction(np.zeros(measurement.shape, np.float32), measurement.pixel_size_nm, "r", {"outcome": "fake"})
        finally:
            self.closed += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeWork:
    """Replace the reconstruction by work that can be told what to do."""
    work = FakeWork()
    monkeypatch.setattr(jobs, "reconstruction", work)
    return work
