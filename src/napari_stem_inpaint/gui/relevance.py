"""Which fields do something, given the others: the forms grey out the rest. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..params import (
    INTERPOLATIONS,
    ONE_PASS,
    PLUG_AND_PLAY,
    AcquisitionParams,
    Params,
    ReconstructionParams,
    ScanParams,
    SimulationParams,
    TrainingParams,
)

Rule = Callable[[Any], bool]  # of an object with the model's fields as attributes

ON_SURFACES = {"scene", "shape", "pixel_size_nm", "source_size_nm", "seed"}
ATOMS_AT_RANDOM = ("rotation_deg", "vacancies", "intensity_scatter", "displacement_nm", "dopants")
OF_THE_STEPS = ("iterations", "data_step", "mean_of_last", "tolerance", "sigma_start", "sigma_end")
RANDOM_PATTERNS = ("random", "line-hop", "jittered-grid", "blue-noise", "random-rows")
EFFECTS = (
    "dose_e_per_px", "readout_noise_e", "afterglow", "bits", "drift_nm_per_s", "wander_nm", "row_jitter_nm", "scan_noise_nm",
    "flyback_lag_nm", "response_time_us", "critical_dose_e_per_a2",
)  # fmt: skip


def _set(name: str) -> Rule:
    return lambda p: bool(getattr(p, name))


RULES: dict[type[Params], dict[str, Rule]] = {
    SimulationParams: {
        "crystal": lambda p: not p.cif,
        "thickness_nm": lambda p: p.scene not in ("nanoparticle", "isolated-atoms"),
        **dict.fromkeys(ATOMS_AT_RANDOM, lambda p: p.scene != "amorphous"),
        "dopant": lambda p: (p.dopants > 0 and p.scene != "amorphous") or p.scene == "isolated-atoms",
        "second_crystal": lambda p: p.scene == "interface",
        "misorientation_deg": lambda p: p.scene == "grain-boundary",
        "particle_nm": lambda p: p.scene == "nanoparticle",
        "z_exponent": lambda p: p.contrast == "haadf",
        **{name: _set(name.replace("phi", "C")) for name in SimulationParams.model_fields if name.startswith("phi")},
    },
    ScanParams: {
        "hop": lambda p: p.pattern == "line-hop",
        "positions": lambda p: p.pattern == "list",
        **dict.fromkeys(("ratio", "border"), lambda p: p.pattern != "list"),
        "seed": lambda p: p.pattern in RANDOM_PATTERNS,
    },
    AcquisitionParams: {
        "readout_noise_e": lambda p: p.dose_e_per_px > 0,
        "afterglow_time_us": lambda p: p.afterglow > 0,
        "gain": lambda p: p.bits > 0 and p.dose_e_per_px > 0,
        "offset_counts": lambda p: p.bits > 0,
        "drift_direction_deg": lambda p: p.drift_nm_per_s > 0,
        "row_jitter_correlation": lambda p: p.row_jitter_nm > 0,
        "flyback_lag_time_us": lambda p: p.flyback_lag_nm > 0,
        "seed": lambda p: any(getattr(p, name) > 0 for name in EFFECTS),
    },
    ReconstructionParams: {
        "checkpoint": lambda p: p.solver in PLUG_AND_PLAY,
        **dict.fromkeys(OF_THE_STEPS, lambda p: p.solver in (*PLUG_AND_PLAY, "fire")),
        "equivariance": lambda p: p.solver in (*PLUG_AND_PLAY, "fire") or (p.solver == "one-pass" and p.averaging == "all"),
        "averaging": lambda p: p.solver in (*PLUG_AND_PLAY, *ONE_PASS) and p.equivariance != "off",
        "inpainter": lambda p: p.solver in ONE_PASS or (p.solver in PLUG_AND_PLAY and p.start in ("auto", "one-pass")),
        "start": lambda p: p.solver in (*PLUG_AND_PLAY, "irls", "fire"),
        "withheld": lambda p: p.solver not in INTERPOLATIONS,
        "noise": lambda p: p.solver not in INTERPOLATIONS,
        "noise_std": lambda p: p.solver not in INTERPOLATIONS and p.noise != "none",
    },
    TrainingParams: {
        "network": lambda p: not p.start_from,
        "frames_share": lambda p: bool(p.frames),
        "steps": lambda p: not p.minutes,
    },
}


def has_effect(model: type[Params], name: str, values: Any) -> bool:
    """Whether the field ``name`` of ``model`` changes anything, given the ``values`` of all fields."""
    if model is SimulationParams and values.scene == "surface" and name not in ON_SURFACES:
        return False
    return name not in RULES.get(model, {}) or RULES[model][name](values)


def any_effect(params: AcquisitionParams) -> bool:
    """Whether an acquisition changes the frame at all."""
    return any(getattr(params, name) > 0 for name in EFFECTS)
