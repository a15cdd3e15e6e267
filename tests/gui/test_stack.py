"""A stack as a queue: every plane in turn, progress over all, a plane that fails is named, and what is done stays."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_stem_inpaint.frames import Measurement
from napari_stem_inpaint.gui import jobs
from napari_stem_inpaint.gui.judge import JudgeWidget
from napari_stem_inpaint.gui.layer_data import notes_of, told
from napari_stem_inpaint.gui.reconstruct import ReconstructWidget
from napari_stem_inpaint.params import ReconstructionParams
from napari_stem_inpaint.reconstruction import reconstruct

LEFT = Qt.MouseButton.LeftButton
COUNT = 4


@pytest.fixture
def stack(measurement: Measurement) -> np.ndarray:
    """Planes with another lattice each, NaN where another part was not measured."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: measurement.shape[0], : measurement.shape[1]]
    planes = [2 + np.cos(0.5 * y + k) + np.cos(0.45 * x) for k in range(COUNT)]
    return np.stack([np.where(rng.random(measurement.shape) < 0.3, plane, np.nan) for plane in planes]).astype(np.float32)


@pytest.fixture
def whole(window: Any, stack: np.ndarray) -> ReconstructWidget:
    """A widget that is to do all planes of a stack."""
    window.add_image(stack, name="series", scale=(1, 0.02, 0.02), units=("pixel", "nm", "nm"))
    made = ReconstructWidget(window)
    window.window.add_dock_widget(made, name="Reconstruct")
    made.form.controls["solver"].value = "cubic"
    made.measured_combo.choose(window.layers["series"])
    made.mask_actions["Where the image is a number"].trigger()
    made.planes_combo.setCurrentIndex(1)
    return made


def result(window: Any) -> Any:
    return next(layer for layer in window.layers if notes_of(layer).get("role") == "reconstruction")


def run(qtbot: Any, widget: ReconstructWidget) -> None:
    with qtbot.waitSignal(widget.runner.ended, timeout=20000):
        qtbot.mouseClick(widget.run_button, LEFT)


def expected(plane: np.ndarray) -> np.ndarray:
    return reconstruct(Measurement.from_arrays(plane, np.isfinite(plane)), ReconstructionParams(solver="cubic")).image


def test_every_plane_is_reconstructed_with_a_recipe_of_its_own(qtbot: Any, window: Any, whole: ReconstructWidget, stack: Any) -> None:
    assert whole.planes_combo.itemText(1) == f"all {COUNT}"
    run(qtbot, whole)
    layer = result(window)
    assert layer.name == "series reconstructed"
    assert layer.data.shape == stack.shape
    assert tuple(layer.scale) == (1, 0.02, 0.02)
    for k, plane in enumerate(stack):
        assert np.array_equal(layer.data[k], expected(plane))
    recipes = [told(layer, "recipe", (k,)) for k in range(COUNT)]
    assert len({recipe["values_sha256"] for recipe in recipes}) == COUNT
    assert "unfinished" not in notes_of(layer)
    assert whole.status.text() == f"{COUNT} of {COUNT} planes reconstructed."
    assert whole.progress.format().startswith("done in")


def test_a_plane_that_fails_is_named_and_the_others_are_done(qtbot: Any, window: Any, whole: ReconstructWidget, stack: Any) -> None:
    window.layers["series mask"].data[2] = 0
    run(qtbot, whole)
    assert whole.status.text().startswith(f"{COUNT - 1} of {COUNT} planes reconstructed. Failed: series [3/4]: ")
    layer = result(window)
    assert np.isnan(layer.data[2]).all()
    assert np.array_equal(layer.data[3], expected(stack[3]))
    assert whole.run_button.isEnabled()


class Slow:
    """Stands in for the queue: ends two planes, then waits."""

    def __call__(self, items: Any, params: Any, out: Any, tick: Any) -> Iterator[Any]:
        from napari_stem_inpaint.batch import Done, reconstruct_each

        for step in reconstruct_each(items, params, out, tick):
            yield (step,) if isinstance(step, Done) else step
            if isinstance(step, Done) and step.place == 1:
                yield "Waiting…"
                while True:
                    tick()
                    tick.__self__._cancelled.wait(0.01)


def test_cancelling_keeps_what_is_done(
    qtbot: Any, window: Any, whole: ReconstructWidget, stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "reconstructions", Slow())
    qtbot.mouseClick(whole.run_button, LEFT)
    qtbot.waitUntil(lambda: whole.progress.part == 2, timeout=10000)
    assert whole.progress.format().startswith("image 3 of 4")
    qtbot.mouseClick(whole.pause_button, LEFT)
    assert whole.progress.format().startswith("paused, image 3 of 4")
    with qtbot.waitSignal(whole.runner.cancelled, timeout=5000):
        qtbot.mouseClick(whole.cancel_button, LEFT)
    assert whole.status.text() == "Cancelled. 2 of 4 planes are done."
    layer = result(window)
    assert layer.name.endswith("(unfinished)")
    assert np.array_equal(layer.data[1], expected(stack[1]))
    assert np.isnan(layer.data[3]).all()


@pytest.mark.parametrize("change", ["delete", "crop"])
def test_the_result_may_go_meanwhile(
    qtbot: Any, window: Any, whole: ReconstructWidget, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(jobs, "reconstructions", Slow())
    qtbot.mouseClick(whole.run_button, LEFT)
    qtbot.waitUntil(lambda: whole.progress.part == 2, timeout=10000)
    if change == "delete":
        window.layers.remove(result(window))
    else:
        result(window).data = np.zeros((2, 5, 5))
    qtbot.wait(200)
    with qtbot.waitSignal(whole.runner.cancelled, timeout=5000):
        qtbot.mouseClick(whole.cancel_button, LEFT)
    assert whole.run_button.isEnabled()


def test_one_plane_and_single_images_are_as_before(qtbot: Any, window: Any, whole: ReconstructWidget, stack: Any) -> None:
    whole.planes_combo.setCurrentIndex(0)
    window.dims.set_current_step(0, 1)
    run(qtbot, whole)
    assert result(window).name == "series [2/4] reconstructed"
    assert np.array_equal(result(window).data, expected(stack[1]))
    window.add_image(stack[0], name="single")
    whole.measured_combo.choose(window.layers["single"])
    assert whole.planes_combo.isHidden()


def test_judge_follows_the_plane_shown(qtbot: Any, window: Any, whole: ReconstructWidget) -> None:
    run(qtbot, whole)
    judge = JudgeWidget(window)
    window.window.add_dock_widget(judge, name="Judge")
    judge.choice.result_combo.choose(result(window))
    judge.choice.reference_combo.choose(window.add_image(np.nan_to_num(window.layers["series"].data, nan=2.0), name="reference"))
    for plane in (1, 3):
        window.dims.set_current_step(0, plane)
        qtbot.waitUntil(lambda: not judge.runner.running, timeout=10000)
        with qtbot.waitSignal(judge.runner.ended, timeout=10000):
            qtbot.mouseClick(judge.run_button, LEFT)
    scores = [told(result(window), "scores", (plane,)).get("sre_db") for plane in range(COUNT)]
    assert [one is not None for one in scores] == [False, True, False, True]
    assert scores[1] != scores[3]
    assert judge.choice.recipe(result(window))["reconstruction"]["solver"] == "cubic"
