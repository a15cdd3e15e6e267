"""A result's recipe: what it takes to make the result again; as parameters, as Python and as a command line."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from . import __version__
from .denoisers.registry import CLASSICAL_NAMES, find_file
from .errors import InputError
from .frames import Iterate, Measurement
from .params import ONE_PASS, PLUG_AND_PLAY, ReconstructionParams

GIVEN = "given as a callable"


def recipe(measurement: Measurement, params: ReconstructionParams, last: Iterate, denoiser: Callable[..., Any] | None) -> dict[str, Any]:
    """Return, ready for JSON, what it takes to make the result again, and how it went; a ``denoiser`` given by itself is named only."""
    made: dict[str, Any] = {
        "program": "napari-stem-inpaint",
        "version": __version__,
        **inputs(measurement, params),
        "noise": measurement.noise,
        "outcome": last.stage,
        "remarks": list(last.remarks),
        "withheld_rms": last.residual,
    }
    if uses_inpainter(params):
        made["inpainter_sha256"] = _file_sha256(params.inpainter)
    if params.solver in PLUG_AND_PLAY and denoiser is None:
        if params.checkpoint in CLASSICAL_NAMES:
            from .denoisers.classical import classical_card

            made["denoiser"] = f"{params.checkpoint} by {classical_card(params.checkpoint).version}"
        else:
            made["checkpoint_sha256"] = _file_sha256(params.checkpoint)
    elif params.solver in PLUG_AND_PLAY:
        made["denoiser"] = f"{GIVEN}: {getattr(denoiser, '__qualname__', type(denoiser).__qualname__)}"
    return made


def inputs(measurement: Measurement, params: ReconstructionParams) -> dict[str, Any]:
    """Return the part of a recipe that is known before anything is computed."""
    return {
        "reconstruction": params.model_dump(mode="json"),
        "mask_sha256": hashlib.sha256(np.packbits(measurement.mask).tobytes()).hexdigest(),
        "values_sha256": hashlib.sha256(measurement.values.tobytes()).hexdigest(),
    }


def uses_inpainter(params: ReconstructionParams) -> bool:
    """Whether a one-pass network takes part."""
    as_start = params.solver in PLUG_AND_PLAY and (params.start == "one-pass" or (params.start == "auto" and params.inpainter != ""))
    return params.solver in ONE_PASS or as_start


def _file_sha256(checkpoint: str) -> str:
    return hashlib.sha256(find_file(checkpoint).read_bytes()).hexdigest()


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


def repeatable(recipe: Mapping[str, Any]) -> ReconstructionParams:
    """Return the parameters in a recipe that alone make the result again.

    Raises
    ------
    InputError
        If it holds none that this version knows, or the denoiser was a callable.
    """
    denoiser = str(recipe.get("denoiser", ""))
    if denoiser.startswith(GIVEN):
        raise InputError(f"The result's denoiser was {denoiser}, which a recipe cannot hold; call reconstruct with it again.")
    return params_of(recipe)


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

    Raises
    ------
    InputError
        If the recipe does not suffice, as where the denoiser was a callable.
    """
    values = ", ".join(f"{name}={value!r}" for name, value in changed(repeatable(recipe)).items())
    files = repr(str(measured)) + (f", {str(mask)!r}" if mask else "")
    return (
        "import napari_stem_inpaint as nsi\n"
        "from napari_stem_inpaint.io import read_measurement, write_reconstruction\n\n"
        f"measurement = read_measurement({files})\n"
        f"result = nsi.reconstruct(measurement, nsi.ReconstructionParams({values}))\n"
        f"write_reconstruction({str(out)!r}, result)\n"
    )


def as_command(recipe: Mapping[str, Any], measured: str | Path, mask: str | Path | None = None, out: str | Path = "result.tif") -> str:
    """Return the command line that makes the result again; arguments and errors as for :func:`as_python`."""
    words = ["stem-inpaint", "reconstruct", str(measured), *(["--mask", str(mask)] if mask else [])]
    for name, value in changed(repeatable(recipe)).items():
        words.append(f"--{name.replace('_', '-')}={value}")
    return shlex.join([*words, "--out", str(out)])
