"""The Simulate widget, clicked and dragged: presets, the live preview, and the layers that come out."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.gui import jobs
from napari_stem_inpaint.gui.controls import Slider
from napari_stem_inpaint.gui.layer_data import MOST_COLUMNS_SHOWN, columns_layer, frame_layer, notes_of
from napari_stem_inpaint.gui.newest import Newest
from napari_stem_inpaint.gui.simulate import SimulateWidget
from napari_stem_inpaint.params import AcquisitionParams, SimulationParams
from napari_stem_inpaint.simulation.imaging import simulate
from napari_stem_inpaint.simulation.presets import PRESETS

LEFT = Qt.MouseButton.LeftButton
LOWEST_RATE = 4.0  # previews a second on a machine that is busy with something else; alone it is 20 and more
LONGEST_GAP_S = 0.3


@pytest.fixture
def hidden(viewer: Any, qtbot: Any) -> SimulateWidget:
    """A widget that is never seen, so that it computes no previews."""
    made = SimulateWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def seen(make_napari_viewer_proxy: Callable[..., Any], qtbot: Any) -> Iterator[SimulateWidget]:
    """A widget in a window that is seen, with its first preview."""
    window = make_napari_viewer_proxy(show=True)
    made = SimulateWidget(window)
    window.window.add_dock_widget(made, name="Simulate")
    qtbot.waitUntil(lambda: made.preview.pictures.preview is not None, timeout=30000)
    settle(qtbot, made)
    yield made
    settle(qtbot, made)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator["SlowWork"]:
    """Replace the preview by work that waits until it is told to go on."""
    work = SlowWork()
    monkeypatch.setattr(jobs, "preview", work)
    yield work
    work.go.set()


class SlowWork:
    """Answers with the request's first value."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun: list[Any] = []

    def __call__(self, value: Any, *_: Any) -> Any:
        self.begun.append(value)
        self.go.wait(20)
        if isinstance(value, Exception):
            raise value
        return value


def settle(qtbot: Any, widget: SimulateWidget) -> None:
    qtbot.waitUntil(lambda: not widget.preview.worker.busy, timeout=30000)


def preview_threads() -> int:
    return sum(thread.name == "preview" for thread in threading.enumerate())


def choose(qtbot: Any, widget: SimulateWidget, name: str) -> None:
    """Choose a preset as a user does, in the list that the combo box opens."""
    combo = widget.preset
    row = list(PRESETS).index(name)
    combo.showPopup()
    view = combo.view()
    view.setCurrentIndex(combo.model().index(row, 0))
    qtbot.keyClick(view, Qt.Key.Key_Return)


def slider(widget: SimulateWidget, name: str) -> Slider:
    (found,) = [s for s in widget.form.findChildren(Slider) if s.accessibleName() == name]
    return found


def drag(qtbot: Any, handle: Slider, steps: int, after: Callable[[int], None]) -> None:
    """Press the handle and move it over three quarters of the slider, calling ``after`` behind every step."""
    middle = handle.height() // 2
    handle.setValue(0)
    qtbot.mousePress(handle, LEFT, pos=QPoint(8, middle))
    for k in range(steps):
        qtbot.mouseMove(handle, QPoint(round(8 + (handle.width() - 16) * (0.2 + 0.75 * (k + 1) / steps)), middle))
        after(k)
    qtbot.mouseRelease(handle, LEFT, pos=QPoint(round(8 + (handle.width() - 16) * 0.95), middle))


# --- presets


def test_every_preset_sets_both_forms(hidden: SimulateWidget, qtbot: Any) -> None:
    assert hidden.preset.currentText() == "Clean SrTiO3"
    for name, preset in reversed(PRESETS.items()):
        choose(qtbot, hidden, name)
        assert hidden.form.values() == preset.simulation
        assert hidden.acquisition.values() == preset.acquisition
        assert hidden.preset.currentText() == name


def test_a_changed_preset_says_so_and_can_be_restored(hidden: SimulateWidget, qtbot: Any) -> None:
    choose(qtbot, hidden, "Silicon twin")
    hidden.acquisition.controls["wander_nm"].value = 0.2
    assert hidden.preset.currentText() == "Changed: Silicon twin"
    choose(qtbot, hidden, "Silicon twin")
    assert hidden.acquisition.values() == PRESETS["Silicon twin"].acquisition
    assert hidden.preset.currentText() == "Silicon twin"
    hidden.form.controls["seed"].value = 7
    assert hidden.preset.currentText() == "Changed: Silicon twin"
    hidden.form.controls["seed"].value = 0
    assert hidden.preset.currentText() == "Silicon twin"
    choose(qtbot, hidden, "Clean Si")
    hidden.form.controls["crystal"].value = "SrTiO3"
    assert hidden.preset.currentText() == "Clean SrTiO3"
    assert not [k for k in range(hidden.preset.count()) if "Changed" in hidden.preset.itemText(k)]


def test_a_preset_asks_for_one_preview(hidden: SimulateWidget, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(hidden.preview, "request", lambda *request: asked.append(request))
    choose(qtbot, hidden, "Silicon twin")
    assert asked == [(PRESETS["Silicon twin"].simulation, PRESETS["Silicon twin"].acquisition)]


# --- the preview


def test_the_preview_follows_a_dragged_slider(seen: SimulateWidget, qtbot: Any) -> None:
    seen.form.sections["Scene"].toggleButton().click()
    qtbot.waitUntil(lambda: slider(seen, "vacancies").width() > 60, timeout=5000)
    shown: list[jobs.Preview] = []
    beats: list[float] = []
    seen.preview.worker.ready.connect(shown.append)
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start(2)
    values: list[float] = []

    def wait(k: int) -> None:
        qtbot.waitUntil(lambda: len(shown) > k, timeout=10000)
        values.append(seen.form.controls["vacancies"].value)

    began = time.perf_counter()
    drag(qtbot, slider(seen, "vacancies"), 30, wait)
    rate = 30 / (time.perf_counter() - began)
    timer.stop()
    gap = max(np.diff(beats))
    print(f"{rate:.1f} previews a second, longest gap {gap:.3f} s")
    assert values == sorted(set(values))
    assert 0 < values[0] < 0.05
    assert values[-1] > 0.5
    assert len({preview.image.tobytes() for preview in shown[:30]}) > 25  # neighbours may miss the same columns
    assert rate > LOWEST_RATE
    assert gap < LONGEST_GAP_S
    settle(qtbot, seen)
    expected = jobs.preview(seen.form.values(), seen.acquisition.values())
    np.testing.assert_array_equal(seen.preview.pictures.preview.image, expected.image)


def test_bad_input_is_said_and_the_last_good_preview_stays(seen: SimulateWidget, qtbot: Any) -> None:
    good = seen.preview.pictures.preview
    zone = seen.form.controls["zone_axis"]
    for text, words in (("0", "three whole numbers"), ("000", "no direction")):
        zone.value = text
        qtbot.waitUntil(lambda words=words: words in seen.hint.text(), timeout=10000)
        assert seen.preview.pictures.outdated
        assert seen.preview.pictures.preview is good
        assert "Traceback" not in seen.hint.text()
    zone.value = "110"
    qtbot.waitUntil(lambda: not seen.preview.pictures.outdated, timeout=10000)
    assert seen.hint.text() == ""
    assert seen.preview.pictures.preview is not good


def test_what_is_unusual_is_remarked_upon(seen: SimulateWidget, qtbot: Any) -> None:
    seen.form.controls["pixel_size_nm"].value = 0.05
    qtbot.waitUntil(lambda: "Nyquist" in seen.hint.text(), timeout=10000)
    assert not seen.preview.pictures.outdated
    seen.form.controls["pixel_size_nm"].value = 0.02
    qtbot.waitUntil(lambda: seen.hint.isHidden(), timeout=10000)


def test_multislice_is_not_previewed(seen: SimulateWidget, qtbot: Any) -> None:
    seen.form.controls["engine"].value = "multislice"
    qtbot.waitUntil(lambda: "not previewed" in seen.hint.text(), timeout=10000)
    assert seen.preview.pictures.outdated


def test_the_preview_can_be_switched_off_and_on(seen: SimulateWidget, qtbot: Any) -> None:
    qtbot.mouseClick(seen.preview.switch, LEFT, pos=QPoint(8, seen.preview.switch.height() // 2))
    assert seen.preview.pictures.isHidden()
    before = seen.preview.pictures.preview
    seen.form.controls["crystal"].value = "Au"
    assert not seen.preview.worker.busy
    with qtbot.waitSignal(seen.preview.worker.ready, timeout=10000):
        qtbot.mouseClick(seen.preview.switch, LEFT, pos=QPoint(8, seen.preview.switch.height() // 2))
    assert seen.preview.pictures.isVisible()
    assert seen.preview.pictures.preview is not before


def test_nothing_is_computed_while_unseen(hidden: SimulateWidget, qtbot: Any) -> None:
    hidden.form.controls["crystal"].value = "Si"
    assert not hidden.preview.worker.busy
    with qtbot.waitSignal(hidden.preview.worker.ready, timeout=30000):
        hidden.show()
    settle(qtbot, hidden)


@pytest.mark.parametrize("shape", [(256, 256), (64, 32), (8, 200)])
def test_the_picture_has_the_frames_own_size(shape: tuple[int, int]) -> None:
    params = SimulationParams(shape=shape)
    made = jobs.preview(params, AcquisitionParams())
    assert made.image.shape == shape
    np.testing.assert_array_equal(made.image, jobs.grey(simulate(params).image, jobs.contrast(simulate(params).image)))


def test_a_large_frame_is_previewed_by_a_part_of_it() -> None:
    made = jobs.preview(SimulationParams(shape=(2048, 100)), AcquisitionParams())
    assert made.image.shape == (256, 100)
    assert made.of == (2048, 100)
    assert jobs.preview(SimulationParams(shape=(256, 100)), AcquisitionParams()).image.tobytes() == made.image.tobytes()


def test_the_spectrum_has_the_lattices_peaks() -> None:
    made = jobs.preview(SimulationParams(), AcquisitionParams()).spectrum
    per_pixel = 1 / (0.02 * made.shape[0] * 2)  # 1/nm, two frequencies in each picture point
    offset = 1 / 0.3905 / per_pixel / 2
    middle = made.shape[0] // 2
    for y, x in ((middle, round(middle + offset)), (round(middle - offset), middle)):
        assert made[y - 1 : y + 2, x - 1 : x + 2].max() > 200
    assert np.median(made) < 20


def test_the_preview_is_of_what_is_acquired() -> None:
    params, acquisition = SimulationParams(shape=(64, 64)), AcquisitionParams(dose_e_per_px=5)
    clean, noisy = jobs.preview(params, AcquisitionParams()), jobs.preview(params, acquisition)
    assert clean.image.tobytes() != noisy.image.tobytes()
    acquired = jobs.fully_acquired(simulate(params), acquisition)
    assert acquired.mask.all()
    np.testing.assert_array_equal(noisy.image, jobs.grey(acquired.values, jobs.contrast(acquired.values)))


def test_the_probe_is_computed_only_when_it_changes() -> None:
    jobs._probe.cache_clear()
    first = jobs.preview(SimulationParams(), AcquisitionParams())
    for changed in ({"vacancies": 0.1}, {"seed": 3}, {"pixel_size_nm": 0.03}, {"crystal": "Si"}):
        assert jobs.preview(SimulationParams(**changed), AcquisitionParams()).probe is first.probe
    assert jobs._probe.cache_info().misses == 1
    blurred = jobs.preview(SimulationParams(C10=100.0), AcquisitionParams())
    assert blurred.probe_nm > first.probe_nm
    assert jobs._probe.cache_info().misses == 2
    assert jobs.preview(SimulationParams(scene="surface"), AcquisitionParams()).probe is None


def test_a_probe_that_reaches_too_far_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="too far for a live preview"):
        jobs.preview(SimulationParams(C30=4e7), AcquisitionParams())


def test_the_jobs_know_no_qt() -> None:
    code = "import sys; import napari_stem_inpaint.gui.jobs; print([m for m in sys.modules if m.startswith(('PySide', 'qtpy', 'torch'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the newest request wins


def test_the_newest_request_wins(qtbot: Any) -> None:
    work, got, told = SlowWork(), [], []
    newest = Newest(parent := QObject(), work)
    newest.ready.connect(got.append)
    newest.failed.connect(told.append)
    newest.request(1)
    qtbot.waitUntil(lambda: work.begun == [1], timeout=5000)
    for k in range(2, 60):
        newest.request(k)
    work.go.set()
    qtbot.waitUntil(lambda: not newest.busy, timeout=5000)
    assert work.begun == [1, 59]
    assert got[-1] == 59
    assert set(got) <= {1, 59}
    for error, words in ((InputError("Too thick."), "Too thick."), (RuntimeError("shape\nmismatch"), "RuntimeError: shape mismatch")):
        newest.request(error)
        qtbot.waitUntil(lambda: not newest.busy, timeout=5000)
        assert told[-1] == words
    newest.request(60)
    qtbot.waitUntil(lambda: got[-1] == 60, timeout=5000)
    qtbot.waitUntil(lambda: preview_threads() == 0, timeout=5000)
    del parent


def test_a_request_made_while_a_bad_one_is_worked_on_is_met(hidden: SimulateWidget, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go, computed = threading.Event(), []

    def work(simulation: SimulationParams, acquisition: AcquisitionParams) -> jobs.Preview:
        computed.append(simulation.crystal)
        go.wait(20)
        if simulation.crystal == "Si":
            raise InputError("No silicon today.")
        return jobs.preview(simulation, acquisition)

    monkeypatch.setattr(hidden.preview.worker._desk, "_work", work)
    hidden.form.controls["crystal"].value = "Si"
    hidden.show()
    qtbot.waitUntil(lambda: computed == ["Si"], timeout=5000)
    hidden.form.controls["crystal"].value = "Au"
    go.set()
    qtbot.waitUntil(lambda: hidden.preview.pictures.preview is not None, timeout=20000)
    assert computed == ["Si", "Au"]
    assert not hidden.preview.pictures.outdated
    assert hidden.hint.text() == ""


def test_closing_while_computing_leaves_nothing_behind(viewer: Any, qtbot: Any, slow: SlowWork) -> None:
    widget = SimulateWidget(viewer)
    widget.show()
    qtbot.waitUntil(lambda: len(slow.begun) == 1, timeout=5000)
    widget.form.controls["crystal"].value = "Si"
    gone = []
    widget.destroyed.connect(lambda: gone.append(True))
    widget.close()
    widget.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    del widget
    qtbot.waitUntil(lambda: bool(gone), timeout=5000)
    assert preview_threads() == 1
    slow.go.set()
    qtbot.waitUntil(lambda: preview_threads() == 0, timeout=5000)
    assert len(slow.begun) == 1


def test_closing_the_window_while_a_frame_is_computed(make_napari_viewer_proxy: Callable[..., Any], qtbot: Any, slow: SlowWork) -> None:
    window = make_napari_viewer_proxy(show=True)
    window.window.add_dock_widget(SimulateWidget(window), name="Simulate")
    qtbot.waitUntil(lambda: len(slow.begun) == 1, timeout=5000)
    window.close()
    slow.go.set()
    qtbot.waitUntil(lambda: preview_threads() == 0, timeout=5000)


# --- the layers


def run(qtbot: Any, widget: SimulateWidget) -> None:
    with qtbot.waitSignal(widget.runner.returned, timeout=30000):
        qtbot.mouseClick(widget.run_button, LEFT)


def test_the_columns_stand_on_the_atoms(hidden: SimulateWidget, viewer: Any, qtbot: Any) -> None:
    hidden.form.set_values(SimulationParams(crystal="Au", shape=(96, 128), pixel_size_nm=0.02, vacancies=0.1, seed=3))
    run(qtbot, hidden)
    image, columns = viewer.layers["Au"], viewer.layers["Au columns"]
    present = columns.features["defect"].to_numpy() == ""
    inside = ((columns.data > 5) & (columns.data < np.array(image.data.shape) - 6)).all(1)
    assert np.count_nonzero(present & inside) > 50
    for place in columns.data[present & inside]:
        assert [str(unit) for unit in columns.units] == ["nanometer", "nanometer"]
        world = columns.data_to_world(place)
        y, x = np.round(image.world_to_data(world)).astype(int)
        around = image.data[y - 3 : y + 4, x - 3 : x + 4]
        brightest = np.add(np.unravel_index(around.argmax(), around.shape), (y - 3, x - 3))
        assert np.abs(brightest - place).max() <= 0.75
    missing = columns.data[~present & inside]
    level = float(np.median(image.data[tuple(np.round(columns.data[present & inside]).astype(int).T)]))
    assert len(missing) > 3
    assert image.data[tuple(np.round(missing).astype(int).T)].max() < 0.5 * level


def test_the_columns_tell_element_intensity_and_defect(hidden: SimulateWidget, viewer: Any, qtbot: Any) -> None:
    params = SimulationParams(shape=(64, 64), vacancies=0.2, dopants=0.2, seed=1)
    hidden.form.set_values(params)
    run(qtbot, hidden)
    frame, columns = viewer.layers["SrTiO3"], viewer.layers["SrTiO3 columns"]
    truth = simulate(params).columns
    assert list(columns.features.columns) == ["element", "intensity", "defect"]
    np.testing.assert_array_equal(columns.features["element"], truth.elements)
    np.testing.assert_allclose(columns.features["intensity"], truth.intensities)
    colours = {element: {tuple(c) for c in columns.face_color[truth.elements == element]} for element in set(truth.elements)}
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == len(colours)
    assert {str(s) for s in columns.symbol[truth.defects == "vacancy"]} == {"ring"}
    assert {str(s) for s in columns.symbol[truth.defects == ""]} == {"disc"}
    assert columns.axis_labels == frame.axis_labels == ("y", "x")
    assert tuple(columns.scale) == tuple(frame.scale)
    assert viewer.layers.units is not None
    assert columns.metadata["simulation"] == frame.metadata["simulation"]
    assert notes_of(columns)["of"] == notes_of(frame)["id"]
    assert columns.size[0] * columns.scale[0] == pytest.approx(0.05)
    assert columns.visible
    assert viewer.layers.selection.active == frame


def test_very_many_columns_are_hidden_at_first() -> None:
    frame = simulate(SimulationParams(shape=(900, 900), pixel_size_nm=0.015))
    assert len(frame.columns) > MOST_COLUMNS_SHOWN
    assert not columns_layer(frame.columns, frame_layer(frame))[1]["visible"]


def test_what_is_acquired_is_a_layer_of_its_own(hidden: SimulateWidget, viewer: Any, qtbot: Any) -> None:
    hidden.form.controls["shape"].value = (48, 64)
    run(qtbot, hidden)
    assert [layer.name for layer in viewer.layers] == ["SrTiO3", "SrTiO3 columns"]
    viewer.layers.clear()
    hidden.acquisition.controls["dose_e_per_px"].value = 20.0
    run(qtbot, hidden)
    assert [layer.name for layer in viewer.layers] == ["SrTiO3", "SrTiO3 acquired", "SrTiO3 columns"]
    frame, acquired, columns = viewer.layers
    assert hidden.status.text() == (
        f"Added the frame SrTiO3: 48 × 64 positions, with {len(columns.data)} columns and what a full scan acquires. Next: Scan."
    )
    assert np.abs(acquired.data - frame.data).max() > 0.1 * frame.data.max()
    assert acquired.data.mean() == pytest.approx(frame.data.mean(), rel=0.1)
    assert tuple(acquired.contrast_limits) == tuple(frame.contrast_limits)
    assert tuple(acquired.scale) == tuple(frame.scale)
    assert notes_of(acquired)["role"] == "acquired"
    assert acquired.metadata["acquisition"]["dose_e_per_px"] == 20.0
    assert not columns.visible


def test_a_second_frame_has_columns_of_its_own(hidden: SimulateWidget, viewer: Any, qtbot: Any) -> None:
    hidden.form.controls["shape"].value = (32, 32)
    run(qtbot, hidden)
    run(qtbot, hidden)
    assert [layer.name for layer in viewer.layers] == ["SrTiO3", "SrTiO3 columns", "SrTiO3 [1]", "SrTiO3 [1] columns"]


def test_a_surface_has_no_columns(hidden: SimulateWidget, viewer: Any, qtbot: Any) -> None:
    hidden.form.set_values(SimulationParams(scene="surface", shape=(32, 32), pixel_size_nm=1.0))
    run(qtbot, hidden)
    assert [layer.name for layer in viewer.layers] == ["surface"]


def test_what_cannot_be_simulated_is_said_and_can_be_mended(hidden: SimulateWidget, viewer: Any, qtbot: Any) -> None:
    hidden.form.controls["shape"].value = (32, 32)
    hidden.form.controls["cif"].value = "/nowhere/x.cif"
    with qtbot.waitSignal(hidden.runner.failed, timeout=30000):
        qtbot.mouseClick(hidden.run_button, LEFT)
    assert "/nowhere/x.cif" in hidden.status.text()
    assert "Traceback" not in hidden.status.text()
    assert len(viewer.layers) == 0
    hidden.form.controls["cif"].value = ""
    run(qtbot, hidden)
    assert len(viewer.layers) == 2


def test_a_long_simulation_can_be_cancelled(hidden: SimulateWidget, viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(params: Any, acquisition: Any, tick: Callable[[], None]) -> Iterator[str]:
        while True:
            tick()
            yield "Simulating…"

    monkeypatch.setattr(jobs, "simulation", endless)
    assert not hidden.cancel_button.isEnabled()
    with qtbot.waitSignal(hidden.runner.said, timeout=5000):
        qtbot.mouseClick(hidden.run_button, LEFT)
    with qtbot.waitSignal(hidden.runner.cancelled, timeout=5000):
        qtbot.mouseClick(hidden.cancel_button, LEFT)
    assert hidden.status.text() == "Cancelled."
    assert hidden.run_button.isEnabled()
    assert not hidden.cancel_button.isEnabled()
