"""Forms made from parameter models: every value that the model allows goes in and comes out."""

from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_stem_inpaint import params as all_params
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.gui.combos import CheckpointChoice
from napari_stem_inpaint.gui.forms import DECIMALS, ParamsForm, title
from napari_stem_inpaint.params import Params, ReconstructionParams, ScanParams, SimulationParams, TrainingParams

MODELS = [m for m in vars(all_params).values() if isinstance(m, type) and issubclass(m, Params) and m is not Params]


def extreme(model: type[Params], upper: bool) -> Params:
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        limits = {key: getattr(m, key) for m in field.metadata for key in ("ge", "gt", "le", "lt") if hasattr(m, key)}
        tiny = 1 if field.annotation is int else 10.0**-DECIMALS
        if get_origin(field.annotation) is Literal:
            values[name] = get_args(field.annotation)[-1 if upper else 0]
        elif field.annotation is bool:
            values[name] = upper
        elif get_origin(field.annotation) is tuple:
            values[name] = (8192, 8) if upper else (8, 8192)
        elif limits and upper:
            values[name] = limits.get("le", limits.get("lt", 0) - tiny)
        elif limits:
            values[name] = limits.get("ge", limits.get("gt", 0) + tiny)
    return model(**values)


@pytest.mark.parametrize("model", MODELS)
def test_defaults_and_extremes_go_round(model: type[Params], qtbot: Any) -> None:
    form = ParamsForm(model)
    qtbot.addWidget(form)
    assert form.values() == model()
    for params in (extreme(model, True), extreme(model, False), model()):
        form.set_values(params)
        assert form.values() == params


def test_small_numbers_are_kept_and_shown_without_trailing_zeros(qtbot: Any) -> None:
    form = ParamsForm(TrainingParams)
    qtbot.addWidget(form)
    assert form.values().sigma_min == 5e-5
    assert form.controls["sigma_min"].native.text() == "0.00005"
    assert form.controls["sigma_max"].native.text() == "0.5"
    qtbot.keyClicks(_emptied(form.controls["learning_rate"].native), "0.00012")
    assert form.values().learning_rate == 0.00012


def _emptied(spin: Any) -> Any:
    spin.selectAll()
    return spin


def test_labels_carry_the_unit_and_tooltips_the_range() -> None:
    fields = SimulationParams.model_fields
    assert title("pixel_size_nm", fields["pixel_size_nm"]) == "Pixel size (nm)"
    assert title("vacancies", fields["vacancies"]) == "Vacancies"
    assert title("dwell_time_us", ScanParams.model_fields["dwell_time_us"]) == "Dwell time (µs)"


def test_tooltips_say_effect_and_range(qtbot: Any) -> None:
    form = ParamsForm(SimulationParams)
    qtbot.addWidget(form)
    assert form.controls["pixel_size_nm"].native.toolTip() == ("Scan step; decides how hard the reconstruction is.\nRange: 0.002 to 0.1 nm")


def test_what_the_model_refuses_becomes_one_sentence(qtbot: Any) -> None:
    form = ParamsForm(ScanParams)
    qtbot.addWidget(form)
    form.controls["ratio"] = SimpleNamespace(value=3)
    with pytest.raises(InputError, match="ratio: input should be less than or equal to 1") as caught:
        form.values()
    assert "\n" not in str(caught.value)


def test_rare_fields_are_folded(qtbot: Any) -> None:
    form = ParamsForm(ReconstructionParams, shown=("solver", "iterations"))
    qtbot.addWidget(form)
    form.show()
    assert form.controls["solver"].native.isVisible()
    assert not form.details.isExpanded()
    form.details.toggleButton().click()
    assert form.details.isExpanded()
    assert form.details.text() == "▾ Details"


def test_a_change_is_announced(qtbot: Any) -> None:
    form = ParamsForm(SimulationParams)
    qtbot.addWidget(form)
    for name, value in (("seed", 3), ("shape", (64, 32)), ("crystal", "Si"), ("pixel_size_nm", 0.03)):
        with qtbot.waitSignal(form.changed, timeout=1000):
            form.controls[name].value = value


def test_a_checkpoint_file_can_be_chosen(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = CheckpointChoice("stem-tiny")
    answers = iter([("/data/mine.safetensors", ""), ("", "")])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: next(answers))
    choice.native.setCurrentIndex(choice.native.count() - 1)
    assert choice.value == "/data/mine.safetensors"
    assert choice.native.currentText() == "mine"
    choice.native.setCurrentIndex(choice.native.count() - 1)
    assert choice.value == "/data/mine.safetensors"
    choice.value = "stem-tiny"
    assert choice.native.currentText() == "stem-tiny"
