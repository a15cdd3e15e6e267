"""A result's recipe as parameters, as Python and as a command line: what it takes to make the result again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .errors import InputError
from .params import ReconstructionParams


def params_of(recipe: Mapping[str, Any]) -> ReconstructionParams:
    """Return the parameters in a recipe.

    Raises
    ------
    InputError
        If it holds none, or some that this version does not know.
    """
    try:
        return ReconstructionParams.model_validate(recipe["reconstruction"])
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            "This recipe holds no parameters that this version knows; it was written by "
            f"{recipe.get('program', 'another program')} {recipe.get('version', '')}".strip()
            + "."
        ) from error


def changed(params: ReconstructionParams) -> dict[str, Any]:
    """Return the parameters that are not the defaults, ready for JSON."""
    return params.model_dump(mode="json", exclude_defaults=True)


def as_python(recipe: Mapping[str, Any], measured: str | Path, mask: str | Path | None = None, out: str | Path = "result.tif") -> str:
    """Return a script that makes the result again.

    Parameters
    ----------
    recipe
        The result's.
    measured, mask
        Files of the measurement; ``mask`` where the first does not know its own.
    out
        Where the script writes the result.
    """
    values = ", ".join(f"{name}={value!r}" for name, value in changed(params_of(recipe)).items())
    files = repr(str(measured)) + (f", {str(mask)!r}" if mask else "")
    return (
        "import napari_stem_inpaint as nsi\n"
        "from napari_stem_inpaint.io import read_measurement, write_reconstruction\n\n"
        f"measurement = read_measurement({files})\n"
        f"result = nsi.reconstruct(measurement, nsi.ReconstructionParams({values}))\n"
        f"write_reconstruction({str(out)!r}, result)\n"
    )


def as_command(recipe: Mapping[str, Any], measured: str | Path, mask: str | Path | None = None, out: str | Path = "result.tif") -> str:
    """Return the command line that makes the result again; arguments as for :func:`as_python`."""
    words = ["stem-inpaint", "reconstruct", str(measured), *(["--mask", str(mask)] if mask else [])]
    for name, value in changed(params_of(recipe)).items():
        words.append(f"--{name.replace('_', '-')}={value}")
    return shlex.join([*words, "--out", str(out)])
