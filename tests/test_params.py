"""params.py: every field documents itself, and the names in the Literals are those of the dicts."""

from typing import get_args

import pytest
from pydantic import ValidationError

from napari_stem_inpaint import params
from napari_stem_inpaint.denoisers.networks import NETWORKS
from napari_stem_inpaint.errors import sentence
from napari_stem_inpaint.scans import PATTERNS
from napari_stem_inpaint.simulation.builtin import CRYSTALS

MODELS = params.Params.__subclasses__()


@pytest.mark.parametrize("model", MODELS)
def test_every_field_has_default_unit_and_effect(model):
    for name, field in model.model_fields.items():
        assert not field.is_required(), name
        assert field.description.endswith("."), name
        assert "unit" in field.json_schema_extra, name
    assert model().model_dump() == model.model_validate_json(model().model_dump_json()).model_dump()


def test_names_and_dicts_hold_together():
    assert set(get_args(params.CrystalName)) == set(CRYSTALS)
    assert set(get_args(params.PatternName)) == set(PATTERNS)
    assert set(get_args(params.TrainingParams.model_fields["network"].annotation)) == set(NETWORKS)


def test_models_are_frozen_and_know_no_other_names():
    with pytest.raises(ValidationError):
        params.ScanParams().ratio = 0.5
    with pytest.raises(ValidationError):
        params.ScanParams(rato=0.5)


def test_a_wrong_value_becomes_one_sentence():
    with pytest.raises(ValidationError) as caught:
        params.SimulationParams(pixel_size_nm=-1)
    said = sentence(caught.value)
    assert said.startswith("pixel_size_nm: input should be greater than or equal to 0.002")
    assert "got -1" in said
    assert "\n" not in said
