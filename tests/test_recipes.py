"""A recipe makes its result again: as parameters, as Python, as a command line."""

import shlex

import numpy as np
import pytest
from helpers import identity, measurement
from hypothesis import given
from hypothesis import strategies as st

from napari_stem_inpaint import cli, io, options, recipes
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.params import ReconstructionParams
from napari_stem_inpaint.reconstruction import reconstruct


@pytest.mark.parametrize("how", ["python", "command"])
def test_what_is_copied_makes_the_same_image(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    _, m = measurement()
    io.write_measurement("my measured.stem.tif", m)
    made = reconstruct(m, ReconstructionParams(solver="irls", withheld=0.05, seed=7))
    if how == "python":
        exec(recipes.as_python(made.recipe, "my measured.stem.tif"), {})
    else:
        assert cli.main(shlex.split(recipes.as_command(made.recipe, "my measured.stem.tif"))[1:]) == 0
    (again,) = io.read("result.tif")
    np.testing.assert_array_equal(again.image, made.image)


@given(
    st.sampled_from(["apgd", "fire", "cubic"]), st.integers(1, 1000), st.floats(0, 1e9), st.text(st.characters(codec="utf-8"), max_size=20)
)
def test_every_parameter_survives(solver, iterations, noise_std, checkpoint):
    params = ReconstructionParams(solver=solver, iterations=iterations, noise_std=noise_std, checkpoint=checkpoint)
    recipe = {"reconstruction": params.model_dump(mode="json")}
    assert recipes.params_of(recipe) == params
    words = shlex.split(recipes.as_command(recipe, "m.tif", "mask.tif"))
    assert options.collect(cli._parser().parse_args(words[1:]), ReconstructionParams) == params
    found = {}
    exec(recipes.as_python(recipe, "m.tif").split("\n")[0], found)
    (line,) = (line for line in recipes.as_python(recipe, "m.tif").splitlines() if "ReconstructionParams" in line)
    assert eval(line.split("measurement, ", 1)[1][:-1], found) == params


def test_a_denoiser_of_ones_own_cannot_be_copied():
    _, m = measurement()
    made = reconstruct(m, ReconstructionParams(iterations=1), denoiser=identity)
    for copied in (recipes.as_python, recipes.as_command):
        with pytest.raises(InputError, match="denoiser was given as a callable: identity, which a recipe cannot hold"):
            copied(made.recipe, "m.tif")


@pytest.mark.parametrize(
    "recipe", [{}, {"reconstruction": None}, {"reconstruction": {"solver": "magic"}, "program": "other", "version": "9"}]
)
def test_what_is_no_recipe_is_said(recipe):
    with pytest.raises(InputError, match="holds no parameters that this version knows"):
        recipes.params_of(recipe)
