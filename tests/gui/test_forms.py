"""Forms made from parameter models: every value that the model allows goes in and comes out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin

import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton

from napari_stem_inpaint import params as all_params
from napari_stem_inpaint.denoisers import registry
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.gui.combos import CheckpointChoice
from napari_stem_inpaint.gui.controls import DECIMALS, Slider, title
from napari_stem_inpaint.gui.forms import ParamsForm
from napari_stem_inpaint.gui.relevance import EFFECTS, ON_SURFACES, RULES, any_effect
from napari_stem_inpaint.params import AcquisitionParams, Params, ReconstructionParams, ScanParams, SimulationParams, TrainingParams

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
    assert form.controls["pixel_size_nm"].native.toolTip() == ("Scan step; decides how hard the reconstruction is.\nRange: 0.002 to 1 nm")


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
    assert list(form.sections) == ["Details"]
    details = form.sections["Details"]
    assert not details.isExpanded()
    details.toggleButton().click()
    assert details.isExpanded()
    assert details.text() == "▾ Details"


def test_a_models_groups_are_sections_that_say_how_much_in_them_is_changed(qtbot: Any) -> None:
    form = ParamsForm(SimulationParams, shown=("crystal", "seed"))
    qtbot.addWidget(form)
    form.show()
    assert list(form.sections) == ["Crystal", "Scene", "Frame", "Probe", "Aberrations"]
    assert sum(len(section.names) for section in form.sections.values()) == len(SimulationParams.model_fields) - 2
    for section in form.sections.values():
        inside = form.controls[section.names[0]].native
        assert not inside.isVisible()
        section.toggleButton().click()
        assert inside.isVisible()
        section.toggleButton().click()
        assert not inside.isVisible()
    form.controls["C10"].value = 50.0
    form.controls["C12"].value = 20.0
    assert form.sections["Aberrations"].text() == "▸ Aberrations · 2 changed"
    form.set_values(SimulationParams())
    assert form.sections["Aberrations"].text() == "▸ Aberrations"


def slider(form: ParamsForm[Any], name: str) -> Slider:
    (found,) = [s for s in form.findChildren(Slider) if s.accessibleName() == name]
    return found


def test_a_slider_reaches_small_values_and_both_ends(qtbot: Any) -> None:
    form = ParamsForm(SimulationParams)
    qtbot.addWidget(form)
    for name, low, high in (("vacancies", 0, 0.9), ("C10", -1000, 1000), ("rotation_deg", -180, 180), ("semi_angle_mrad", 2, 60)):
        handle, control = slider(form, name), form.controls[name]
        for place, value in ((handle.minimum(), low), (handle.maximum(), high)):
            handle.setValue(place)
            assert control.value == value
        places = range(handle.minimum(), handle.maximum() + 1)
        values = [handle.value_at(place) for place in places]
        assert values == sorted(values)
        assert [handle.place_of(value) for value in values[:: len(values) // 9]] == list(places[:: len(values) // 9])
    vacancies = slider(form, "vacancies")
    assert vacancies.value_at(1) < 1e-6
    assert 0.9 - vacancies.value_at(vacancies.maximum() - 1) < 0.02


def test_the_number_beside_a_slider_may_go_beyond_it(qtbot: Any) -> None:
    form = ParamsForm(SimulationParams)
    qtbot.addWidget(form)
    _emptied(form.controls["C10"].native)
    qtbot.keyClicks(form.controls["C10"].native, "25000")
    assert form.values().C10 == 25000
    assert slider(form, "C10").value() == slider(form, "C10").maximum()
    form.controls["C10"].value = -1000.0
    assert slider(form, "C10").value() == slider(form, "C10").minimum()
    assert form.values().C10 == -1000


def test_wide_ranges_and_whole_numbers_have_no_slider(qtbot: Any) -> None:
    form = ParamsForm(AcquisitionParams)
    qtbot.addWidget(form)
    names = {s.accessibleName() for s in form.findChildren(Slider)}
    assert {"dose_e_per_px", "drift_nm_per_s", "row_jitter_nm"} <= names
    assert not {"readout_noise_e", "critical_dose_e_per_a2", "seed", "bits"} & names


def test_the_wheel_scrolls_past_controls_without_changing_them(qtbot: Any) -> None:
    form = ParamsForm(SimulationParams)
    qtbot.addWidget(form)
    form.show()
    for widget in (slider(form, "vacancies"), form.controls["vacancies"].native, form.controls["crystal"].native):
        place = QPointF(5, 5)
        turn = QWheelEvent(
            place, widget.mapToGlobal(place), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(widget, turn)
    assert form.values() == SimulationParams()


GREYED = [
    (SimulationParams, {"cif": "x.cif"}, {"crystal"}),
    (SimulationParams, {"dopants": 0.1}, set()),
    (SimulationParams, {"dopants": 0.0}, {"dopant"}),
    (SimulationParams, {"scene": "isolated-atoms"}, {"thickness_nm"}),
    (SimulationParams, {"scene": "crystal"}, {"second_crystal", "misorientation_deg", "particle_nm"}),
    (SimulationParams, {"scene": "surface"}, {"crystal", "thickness_nm", "vacancies", "energy_kev", "C10", "z_exponent"}),
    (SimulationParams, {"scene": "amorphous"}, {"vacancies", "rotation_deg"}),
    (SimulationParams, {"C12": 0.0}, {"phi12"}),
    (SimulationParams, {"contrast": "abf"}, {"z_exponent"}),
    (ScanParams, {"pattern": "random"}, {"hop", "positions"}),
    (ScanParams, {"pattern": "line-hop"}, {"positions"}),
    (ScanParams, {"pattern": "list"}, {"hop", "ratio", "seed"}),
    (ScanParams, {"pattern": "grid"}, {"hop", "seed"}),
    (AcquisitionParams, {}, {"seed", "readout_noise_e", "gain", "drift_direction_deg"}),
    (AcquisitionParams, {"dose_e_per_px": 10.0}, {"gain", "offset_counts", "afterglow_time_us"}),
    (ReconstructionParams, {"solver": "cubic"}, {"checkpoint", "iterations", "start", "withheld"}),
    (TrainingParams, {"minutes": 5.0, "start_from": "stem-tiny"}, {"steps", "network", "frames_share"}),
]
ACTIVE = [
    (SimulationParams, {"dopants": 0.1}, "dopant"),
    (SimulationParams, {"scene": "isolated-atoms"}, "dopant"),
    (SimulationParams, {"scene": "interface"}, "second_crystal"),
    (SimulationParams, {"scene": "grain-boundary"}, "misorientation_deg"),
    (SimulationParams, {"scene": "nanoparticle"}, "particle_nm"),
    (SimulationParams, {"scene": "surface"}, "source_size_nm"),
    (SimulationParams, {"C12": 5.0}, "phi12"),
    (ScanParams, {"pattern": "line-hop"}, "hop"),
    (ScanParams, {"pattern": "list"}, "positions"),
    (AcquisitionParams, {"wander_nm": 0.1}, "seed"),
    (AcquisitionParams, {"bits": 8}, "offset_counts"),
    (ReconstructionParams, {"solver": "irls"}, "withheld"),
    (TrainingParams, {"frames": "mine.tif"}, "frames_share"),
]


@pytest.mark.parametrize(("model", "values", "greyed"), GREYED)
def test_what_has_no_effect_is_greyed(model: type[Params], values: dict[str, Any], greyed: set[str], qtbot: Any) -> None:
    form = ParamsForm(model)
    qtbot.addWidget(form)
    form.set_values(model(**values))
    assert {name for name in greyed if form.controls[name].enabled} == set()


@pytest.mark.parametrize(("model", "values", "active"), ACTIVE)
def test_what_has_an_effect_is_not(model: type[Params], values: dict[str, Any], active: str, qtbot: Any) -> None:
    form = ParamsForm(model)
    qtbot.addWidget(form)
    assert not form.controls[active].enabled or active == "withheld" or values == {"scene": "surface"}
    form.set_values(model(**values))
    assert form.controls[active].enabled


def test_every_rule_is_about_a_field() -> None:
    for model, rules in RULES.items():
        assert set(rules) <= set(model.model_fields)
    assert set(SimulationParams.model_fields) >= ON_SURFACES
    assert set(EFFECTS) <= set(AcquisitionParams.model_fields)
    assert not any_effect(AcquisitionParams(seed=5))


def test_a_file_can_be_chosen_or_typed(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    form = ParamsForm(SimulationParams, files={"cif": "CIF file (*.cif)"})
    qtbot.addWidget(form)
    asked = []
    answers = iter([("/data/mine.cif", ""), ("", "")])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: asked.append(a[-1]) or next(answers))
    (button,) = [b for b in form.findChildren(QPushButton) if b.text() == "…"]
    for _ in range(2):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert form.values().cif == "/data/mine.cif"
    assert asked == ["CIF file (*.cif)"] * 2
    assert not form.controls["crystal"].enabled


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
    assert choice.native.itemText(choice.native.count() - 1) == "From file…"


def test_one_s_own_checkpoints_appear_when_the_choice_is_opened(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.FOLDER, str(tmp_path))
    choice = CheckpointChoice("stem-tiny")
    qtbot.addWidget(choice.native)
    assert "mine" not in choice.choices
    registry.add(registry.installed()["stem-tiny"], "mine")
    QApplication.sendEvent(choice.native, QEvent(QEvent.Type.Enter))
    assert "mine" in choice.choices
    assert choice.native.itemText(choice.native.count() - 1) == "From file…"
    assert choice.value == "stem-tiny"
    choice.value = "mine"
    assert choice.value == "mine"
    for name, said in (("mine", "nm/px"), ("tv", "Total variation")):
        assert said in choice.native.itemData(choice.native.findText(name), Qt.ItemDataRole.ToolTipRole)
