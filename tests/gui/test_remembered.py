"""What a form begins with: the session's last values, else the settings in napari's preferences."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import napari.settings
import pytest
from napari.settings import get_plugin_settings
from npe2 import PluginManifest

import napari_stem_inpaint
from napari_stem_inpaint.gui import remembered
from napari_stem_inpaint.gui.forms import ParamsForm
from napari_stem_inpaint.params import Params, ReconstructionParams, ScanParams, SimulationParams

MANIFEST = Path(napari_stem_inpaint.__file__).with_name("napari.yaml")


@pytest.fixture
def plugin(npe2pm: Any) -> Iterator[None]:
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        napari.settings._clear_plugin_settings_cache()
        yield


def form_of(qtbot: Any, model: type[Params] = ReconstructionParams, widget: str = "w") -> ParamsForm[Any]:
    form: ParamsForm[Any] = ParamsForm(model)
    qtbot.addWidget(form)
    remembered.remember(form, widget)
    return form


def test_a_form_begins_with_the_last_values_of_the_session(qtbot: Any) -> None:
    first = form_of(qtbot, SimulationParams)
    assert first.values() == SimulationParams()
    first.set_values(SimulationParams(crystal="Si", seed=3))
    first.controls["vacancies"].value = 0.1
    assert form_of(qtbot, SimulationParams).values() == SimulationParams(crystal="Si", seed=3, vacancies=0.1)
    assert form_of(qtbot, SimulationParams, "another").values() == SimulationParams()


def test_what_is_chosen_by_hand_outlives_the_session(qtbot: Any, plugin: None, tmp_path: Path) -> None:
    form = form_of(qtbot)
    form.controls["device"].value = "cpu"
    form.controls["seed"].value = 7
    assert "device: cpu" in (tmp_path / "napari-stem-inpaint.yaml").read_text()
    remembered.forget()
    napari.settings._clear_plugin_settings_cache()
    assert form_of(qtbot).values() == ReconstructionParams(device="cpu")


def test_what_a_preset_sets_does_not(qtbot: Any, plugin: None) -> None:
    form_of(qtbot).set_values(ReconstructionParams(device="cpu"))
    remembered.forget()
    assert form_of(qtbot).values() == ReconstructionParams()


def test_settings_that_make_no_sense_are_left_alone(qtbot: Any, plugin: None) -> None:
    get_plugin_settings("napari-stem-inpaint").scan.dwell_time_us = -1.0
    assert form_of(qtbot, ScanParams).values() == ScanParams()


@pytest.mark.parametrize(("model", "section"), remembered.SECTIONS.items())
def test_the_manifest_says_what_the_parameters_say(model: type[Params], section: str) -> None:
    configurations = PluginManifest.from_file(MANIFEST).contributions.configurations
    assert set(configurations) == set(remembered.SECTIONS.values())
    for name, written in configurations[section].properties.items():
        assert written.default == model.model_fields[name].default
        assert written.description
