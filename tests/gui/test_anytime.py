"""Whatever the user does while something runs: nothing raises, nothing hangs, and the button works again or says why not."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from napari_stem_inpaint import training
from napari_stem_inpaint.frames import Frame, Measurement
from napari_stem_inpaint.gui import jobs, judge_jobs, scan_jobs, train_jobs
from napari_stem_inpaint.gui.flow import FlowWidget
from napari_stem_inpaint.gui.judge import JudgeWidget
from napari_stem_inpaint.gui.layer_data import Place, notes_of
from napari_stem_inpaint.gui.layers import Layers
from napari_stem_inpaint.gui.panel import Panel
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget
from napari_stem_inpaint.gui.scan import ScanWidget
from napari_stem_inpaint.gui.simulate import SimulateWidget
from napari_stem_inpaint.gui.train import TrainWidget
from napari_stem_inpaint.params import TrainingParams

LEFT = Qt.MouseButton.LeftButton
ROLES = ("measured", "mask", "frame", "reconstruction")


@pytest.fixture(autouse=True)
def no_notification() -> Iterator[None]:
    """Fail where napari would have shown a notification."""
    told: list[str] = []

    def tell(notification: Any) -> None:
        if "Inconsistent units" not in str(notification):  # napari's own, where the user gives a layer another unit
            told.append(str(notification))

    notification_manager.notification_ready.connect(tell)
    yield
    notification_manager.notification_ready.disconnect(tell)
    assert not told


def with_role(window: Any, role: str) -> Any:
    return next(layer for layer in window.layers if notes_of(layer).get("role") == role)


def results(window: Any) -> list[Any]:
    return [layer for layer in window.layers if notes_of(layer).get("role") == "reconstruction"]


def click(qtbot: Any, button: Any) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, LEFT)


def start(qtbot: Any, docked: ReconstructWidget) -> None:
    with qtbot.waitSignal(docked.runner.stepped, timeout=5000):
        click(qtbot, docked.run_button)


def another_step(qtbot: Any, docked: ReconstructWidget) -> None:
    with qtbot.waitSignal(docked.runner.stepped, timeout=5000):
        pass


def finish(qtbot: Any, docked: ReconstructWidget, fake: Any) -> None:
    """Let the run end, and see that there is a result and that the button is alive."""
    with qtbot.waitSignal(docked.runner.returned, timeout=5000):
        fake.endless = False
    alive(docked)


def alive(panel: Panel) -> None:
    assert not panel.runner.running
    assert panel.run_button.isEnabled() or panel.hint.text()


def dock_of(widget: Any) -> QDockWidget:
    dock = widget.parent()
    while not isinstance(dock, QDockWidget):
        dock = dock.parent()
    return dock


# --- layers


def delete(window: Any, layer: Any) -> None:
    window.layers.remove(layer)


def rename(window: Any, layer: Any) -> None:
    layer.name = "other"


def edit(window: Any, layer: Any) -> None:
    layer.data = np.ones_like(layer.data)


def crop(window: Any, layer: Any) -> None:
    layer.data = layer.data[:20, :30]


def move(window: Any, layer: Any) -> None:
    layer.translate = (3.0, 4.0)
    window.layers.move(window.layers.index(layer), 0)


def scale(window: Any, layer: Any) -> None:
    layer.scale, layer.units = (2.0, 3.0), ("pixel", "pixel")


def hide(window: Any, layer: Any) -> None:
    layer.visible = False


def forget_notes(window: Any, layer: Any) -> None:
    layer.metadata = {}


@pytest.mark.parametrize("changes", [(rename, edit, move, scale, hide), (crop,), (delete,), (forget_notes,)])
def test_any_layer_may_change(
    qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any, changes: tuple[Callable[..., None], ...]
) -> None:
    fake.endless = True
    start(qtbot, docked)
    layers = [with_role(window, role) for role in ROLES]
    for change in changes:
        for layer in layers:
            change(window, layer)
            another_step(qtbot, docked)
    finish(qtbot, docked, fake)
    result = layers[-1] if changes == (forget_notes,) else results(window)[-1]
    assert result.data.shape == (64, 64)
    if docked.run_button.isEnabled():
        click(qtbot, docked.run_button)
        qtbot.waitUntil(lambda: not docked.runner.running, timeout=5000)
        assert docked.status.text() != "Starting…"
        alive(docked)


def test_every_layer_may_go_at_once(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any) -> None:
    fake.endless = True
    start(qtbot, docked)
    window.layers.clear()
    another_step(qtbot, docked)
    assert "was deleted" in docked.status.text()
    finish(qtbot, docked, fake)
    assert len(window.layers) == 1
    assert docked.hint.text().startswith("Choose the measured image")


def test_other_layers_may_come(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any, measurement: Measurement) -> None:
    fake.endless = True
    start(qtbot, docked)
    window.add_image(np.zeros((5, 6, 7)), name="stack")
    window.add_points(np.zeros((3, 2)))
    source = with_role(window, "frame")
    Layers(window).add_measurement(measurement, source, Place.of_layer(source))
    another_step(qtbot, docked)
    finish(qtbot, docked, fake)
    assert docked.measured_combo.currentText() == "lattice measured [1]"


# --- the window


def in_3d(window: Any) -> None:
    window.dims.ndisplay = 3


def in_grid(window: Any) -> None:
    window.canvas.grid.enabled = True


def transposed(window: Any) -> None:
    window.dims.transpose()


def light(window: Any) -> None:
    window.theme = "light"


def zoomed(window: Any) -> None:
    window.scene.camera.zoom *= 4


VIEW_CHANGES = (in_3d, in_grid, transposed, light, zoomed)


def test_the_view_may_change(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any) -> None:
    fake.endless = True
    start(qtbot, docked)
    for change in VIEW_CHANGES:
        change(window)
        another_step(qtbot, docked)
    finish(qtbot, docked, fake)
    assert docked.run_button.isEnabled()


def test_the_plane_of_a_stack_may_change(qtbot: Any, window: Any, fake: Any, measurement: Measurement) -> None:
    fake.endless = True
    window.add_image(np.stack([measurement.values + k for k in range(4)]), name="stack")
    window.add_labels(measurement.mask.astype(np.uint8), name="positions")
    docked = ReconstructWidget(window)
    window.window.add_dock_widget(docked, name="Reconstruct")
    docked.form.controls["solver"].value = "irls"
    docked.measured_combo.choose(window.layers["stack"])
    docked.mask_combo.choose(window.layers["positions"])
    start(qtbot, docked)
    for plane in (1, 3, 0, 2):
        window.dims.set_current_step(0, plane)
        another_step(qtbot, docked)
    finish(qtbot, docked, fake)
    assert results(window)[0].name.startswith("stack [2/4]")
    assert "[3/4]" in docked.hint.text()


@pytest.mark.parametrize("how", ["close button", "remove", "delete", "viewer"])
def test_closing_ends_the_work(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any, how: str) -> None:
    fake.endless = True
    start(qtbot, docked)
    close(docked, window, how)
    qtbot.waitUntil(lambda: fake.closed == 1, timeout=5000)


def close(docked: Any, window: Any, how: str) -> None:
    if how == "close button":
        dock_of(docked).title.close_button.click()  # type: ignore[attr-defined]
    elif how == "viewer":
        window.close()
    else:
        window.window.remove_dock_widget(docked)
        if how == "delete":
            docked.deleteLater()


def test_hiding_the_dock_does_not_end_the_work(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any) -> None:
    fake.endless = True
    start(qtbot, docked)
    dock_of(docked).hide()
    another_step(qtbot, docked)
    dock_of(docked).setFloating(True)
    dock_of(docked).show()
    another_step(qtbot, docked)
    finish(qtbot, docked, fake)


# --- the form and the buttons


def test_parameters_may_change(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any) -> None:
    fake.endless = True
    start(qtbot, docked)
    for solver in ("gp", "hqs", "cubic", "one-pass"):
        docked.form.controls["solver"].value = solver
    docked.form.controls["checkpoint"].value = "not-there"
    docked.truth_combo.choose(None)
    docked.measured_combo.choose(None)
    another_step(qtbot, docked)
    assert not docked.run_button.isEnabled()
    finish(qtbot, docked, fake)


def test_a_double_click_starts_once(qtbot: Any, docked: ReconstructWidget, fake: Any) -> None:
    fake.endless = True
    with qtbot.waitSignal(docked.runner.stepped, timeout=5000):
        qtbot.mouseDClick(docked.run_button, LEFT)
        qtbot.mouseClick(docked.run_button, LEFT)
        docked.run_button.click()
    assert fake.started == 1
    finish(qtbot, docked, fake)


def test_two_widgets_on_the_same_layers(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any) -> None:
    fake.endless = True
    second = ReconstructWidget(window)
    window.window.add_dock_widget(second, name="Second")
    second.form.controls["solver"].value = "irls"
    second.measured_combo.choose(with_role(window, "measured"))
    assert second.mask_combo.currentText() == "lattice mask"
    start(qtbot, docked)
    start(qtbot, second)
    another_step(qtbot, docked)
    another_step(qtbot, second)
    with qtbot.waitSignal(second.runner.cancelled, timeout=2000):
        click(qtbot, second.cancel_button)
    another_step(qtbot, docked)
    finish(qtbot, docked, fake)
    alive(second)
    assert sorted(layer.name for layer in results(window)) == ["lattice reconstructed", "lattice reconstructed [1] (unfinished)"]


# --- faults

FAULTS = [
    ValueError("odd"),
    RuntimeError("shapes differ"),
    torch.cuda.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    np.linalg.LinAlgError("singular"),
    StopIteration(),
    KeyboardInterrupt(),
    SystemExit(1),
]


def test_any_fault_is_told_and_the_button_works_again(qtbot: Any, docked: ReconstructWidget, window: Any, fake: Any) -> None:
    for fault in FAULTS:
        fake.fault = fault
        with qtbot.waitSignal(docked.runner.failed, timeout=5000):
            click(qtbot, docked.run_button)
        assert docked.status.text(), fault
        assert "Traceback" not in docked.status.text()
        assert [layer.name for layer in results(window)] == ["lattice reconstructed (unfinished)"]
        fake.fault = None
        with qtbot.waitSignal(docked.runner.returned, timeout=5000):
            click(qtbot, docked.run_button)
        alive(docked)
        for layer in results(window):
            window.layers.remove(layer)


def test_a_warning_is_no_fault(qtbot: Any, docked: ReconstructWidget, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work = jobs.reconstruction

    def warning(*args: Any) -> Any:
        for step in work(*args):
            warnings.warn("overflow", RuntimeWarning, stacklevel=1)
            yield step
        return (yield from work(*args))

    monkeypatch.setattr(jobs, "reconstruction", warning)
    with qtbot.waitSignal(docked.runner.returned, timeout=5000):
        click(qtbot, docked.run_button)
    alive(docked)


# --- the other widgets


class Held:
    """A job that waits, once begun, until it is released; then the real one is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self._real, self._name = getattr(module, name), name
        self.begun = self.ended = 0
        self.released = False
        monkeypatch.setattr(module, name, self)

    def __call__(self, *args: Any) -> Iterator[Any]:
        tick = args[-2 if self._name == "training" else -1]
        self.begun += 1
        try:
            while not self.released:
                tick()
                tick.__self__._cancelled.wait(0.01)
            return (yield from self._real(*args))
        finally:
            self.ended += 1


WORK: dict[Any, tuple[Any, str]] = {
    ScanWidget: (scan_jobs, "acquisition"),
    SimulateWidget: (jobs, "simulation"),
    JudgeWidget: (judge_jobs, "judgement"),
    TrainWidget: (train_jobs, "training"),
}
SHORT = {"minutes": 0.0, "steps": 3, "batch": 2, "patch_px": 32, "precision": "float32", "device": "cpu", "validate_every": 5}


@pytest.fixture
def small_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(training.NETWORKS, "drunet-tiny", ("drunet", {"channels": (4, 8), "blocks": 1, "contrasts": 2}))
    monkeypatch.setattr(training, "validation_frames", lambda: torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(params=WORK, ids=lambda kind: kind.__name__)
def busy(
    request: Any, window: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, frame: Frame, measurement: Measurement, small_training: None
) -> tuple[Panel, Held]:
    """Each of the other widgets in a window that has layers, at work until it is released."""
    kind = request.param
    layers = Layers(window)
    source = layers.add_frame(frame)
    layers.add_measurement(measurement, source, Place.of_layer(source))
    held = Held(monkeypatch, *WORK[kind])
    panel = kind(window)
    window.window.add_dock_widget(panel, name="Other")
    if kind is JudgeWidget:
        panel.choice.result_combo.choose(with_role(window, "measured"))
        panel.choice.reference_combo.choose(with_role(window, "frame"))
    elif kind is SimulateWidget:
        panel.preview.switch.setChecked(False)
        panel.form.controls["shape"].value = (64, 64)
    elif kind is TrainWidget:
        panel.form.set_values(TrainingParams(**SHORT))
    click(qtbot, panel.run_button)
    qtbot.waitUntil(lambda: held.begun == 1, timeout=5000)
    return panel, held


def ends(qtbot: Any, panel: Panel, held: Held) -> None:
    with qtbot.waitSignal(panel.runner.ended, timeout=30000):
        held.released = True
    alive(panel)
    assert held.ended == 1


@pytest.mark.parametrize("changes", [(rename, edit, move, scale, hide, forget_notes), (crop, delete)])
def test_any_layer_may_change_under_the_others(
    qtbot: Any, window: Any, busy: tuple[Panel, Held], changes: tuple[Callable[..., None], ...]
) -> None:
    layers = [with_role(window, role) for role in ROLES[:-1]]
    for change in changes:
        for layer in layers:
            change(window, layer)
    ends(qtbot, *busy)


def test_the_view_may_change_and_every_layer_go_under_the_others(qtbot: Any, window: Any, busy: tuple[Panel, Held]) -> None:
    for change in VIEW_CHANGES:
        change(window)
    window.layers.clear()
    assert not busy[0].run_button.isEnabled()
    ends(qtbot, *busy)


@pytest.mark.parametrize("how", ["close button", "viewer"])
def test_closing_ends_the_work_of_the_others(qtbot: Any, window: Any, busy: tuple[Panel, Held], how: str) -> None:
    panel, held = busy
    close(panel, window, how)
    if isinstance(panel, TrainWidget):
        held.released = True  # it keeps what was learned
    qtbot.waitUntil(lambda: held.ended == 1, timeout=30000)


@pytest.mark.parametrize("kind", WORK)
def test_any_fault_of_the_others_is_told(
    qtbot: Any, window: Any, frame: Frame, monkeypatch: pytest.MonkeyPatch, kind: Callable[..., Panel]
) -> None:
    def broken(*_: Any) -> Iterator[str]:
        yield "Beginning…"
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(*WORK[kind], broken)
    Layers(window).add_frame(frame)
    panel = kind(window)
    window.window.add_dock_widget(panel, name="Other")
    if isinstance(panel, JudgeWidget):
        panel.choice.result_combo.choose(with_role(window, "frame"))
    for _ in range(2):
        with qtbot.waitSignal(panel.runner.failed, timeout=5000):
            click(qtbot, panel.run_button)
        assert "shapes differ" in panel.status.text()
        alive(panel)


# --- every step in one dock


@pytest.fixture
def flow(window: Any, frame: Frame, measurement: Measurement) -> FlowWidget:
    """The widget with all steps, at Reconstruct."""
    layers = Layers(window)
    source = layers.add_frame(frame)
    layers.add_measurement(measurement, source, Place.of_layer(source))
    made = FlowWidget(window)
    window.window.add_dock_widget(made, name="From frame to result")
    made.reconstruct.form.controls["solver"].value = "irls"
    return made


def go_to(qtbot: Any, flow: FlowWidget, place: int) -> None:
    qtbot.mouseClick(flow.tabs, LEFT, pos=flow.tabs.tabRect(place).center())
    assert flow.tabs.currentIndex() == place


def test_the_tabs_may_be_switched(qtbot: Any, flow: FlowWidget, fake: Any) -> None:
    fake.endless = True
    start(qtbot, flow.reconstruct)
    for place in (0, 3, 1, 2, 3, 0):
        go_to(qtbot, flow, place)
        another_step(qtbot, flow.reconstruct)
    finish(qtbot, flow.reconstruct, fake)
    scan: Any = flow.page(1)
    go_to(qtbot, flow, 1)
    with qtbot.waitSignal(scan.runner.ended, timeout=10000):
        click(qtbot, scan.run_button)
        go_to(qtbot, flow, 3)
    alive(scan)


@pytest.mark.parametrize("how", ["close button", "viewer"])
def test_closing_all_steps_ends_the_work(qtbot: Any, flow: FlowWidget, window: Any, fake: Any, how: str) -> None:
    fake.endless = True
    start(qtbot, flow.reconstruct)
    go_to(qtbot, flow, 1)
    close(flow, window, how)
    qtbot.waitUntil(lambda: fake.closed == 1, timeout=5000)
