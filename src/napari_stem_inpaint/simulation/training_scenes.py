"""Random scenes for training: crystals of every kind, with all that can be in a frame, under every usual microscope.

The crystals on which the method is judged never occur; of SrTiO3 and Si, no cell within ``GUARD`` of their projected lattices is
drawn either.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import get_args

import numpy as np
import torch

from ..frames import Scan
from ..params import AcquisitionParams, CrystalName, ScanParams, SceneName, SimulationParams
from ..scans import make_scan
from .acquisition import sample
from .builtin import CRYSTALS
from .crystals import Array, Atom, ProjectedCell, Species, project
from .imaging import image_of
from .movement import read_positions
from .probe import Optics
from .scenes import Cells

GUARD = 0.03  # relative distance of both cell lengths
HELD_OUT: tuple[CrystalName, ...] = ("SrTiO3", "Si", "GaN", "Au", "CeO2", "WS2")  # on which denoisers are judged
DISTORTED = 0.25  # share of the images with scan distortion and a moving specimen
REACH_PX = 12  # no distortion moves a position further
ZONE_AXES = ((0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (1, 1, 2))
SCENE_ODDS: dict[SceneName, float] = {
    "crystal": 0.45, "edge": 0.13, "nanoparticle": 0.06, "twin": 0.05, "grain-boundary": 0.09, "dislocation": 0.05,
    "interface": 0.05, "isolated-atoms": 0.04, "amorphous": 0.03, "surface": 0.05,
}  # fmt: skip


def is_held_out(vectors: Array) -> bool:
    """Whether the cell is, within GUARD, a projected lattice of SrTiO3 [001] or Si [110] (also Si's primitive cell)."""
    a, b = np.sort(np.linalg.norm(vectors, axis=1))
    angle = abs(math.degrees(math.acos(min(1.0, abs(float(vectors[0] @ vectors[1])) / (a * b)))))
    sto, si = (project(name, False, axis).vectors for name, axis in (("SrTiO3", (0, 0, 1)), ("Si", (1, 1, 0))))
    known = [(np.sort(np.linalg.norm(v, axis=1)), 90.0) for v in (sto, si)]
    half_diagonal = float(np.linalg.norm(si.sum(0)) / 2)
    known.append((np.array([half_diagonal, half_diagonal]), 70.5))
    return any(abs(a / k[0] - 1) < GUARD and abs(b / k[1] - 1) < GUARD and abs(angle - degrees) < 3 for k, degrees in known)


def random_cell(rng: np.random.Generator) -> ProjectedCell:
    """Draw a crystal: a built-in one along a low-index axis (one in four), else an invented one."""
    while True:
        if rng.random() < 0.25:
            name = str(rng.choice([n for n in get_args(CrystalName) if n not in HELD_OUT]))
            entry = CRYSTALS[name]  # type: ignore[index]
            cell = project(name, False, (0, 0, 1) if entry.layer else ZONE_AXES[int(rng.integers(len(ZONE_AXES)))])
        else:
            cell = _invented(rng)
        if not is_held_out(cell.vectors):
            return cell


def _invented(rng: np.random.Generator) -> ProjectedCell:
    kind = rng.choice(["square", "rectangle", "hexagonal", "oblique"], p=[0.35, 0.3, 0.15, 0.2])
    a = rng.uniform(0.2, 0.75)
    b = a if kind in ("square", "hexagonal") else a * rng.uniform(0.55, 1.8)
    angle = {"hexagonal": 60.0, "oblique": rng.uniform(60, 120)}.get(str(kind), 90.0)
    vectors = np.array([[a, 0.0], [b * math.cos(math.radians(angle)), b * math.sin(math.radians(angle))]])
    room = abs(np.linalg.det(vectors)) / 0.02  # one column per 0.02 nm² at most
    count = int(min(1 + rng.poisson(1.5), max(1, room), 6))
    fractions = np.empty((0, 2))
    closest = rng.uniform(0.08, 0.14)
    for _ in range(40):
        special = rng.random() < 0.6
        f = rng.choice([0.0, 0.25, 0.5, 0.75, 1 / 3, 2 / 3], size=2) if special else rng.random(2)
        if all(_distance(f - g, vectors) > closest for g in fractions):
            fractions = np.vstack([fractions, f])
        if len(fractions) == count:
            break
    rms, repeat = float(rng.uniform(0.004, 0.011)), float(rng.uniform(0.2, 0.6))
    species = tuple(Species("", (Atom(int(rng.integers(6, 83)), (0.0, 0.0), 0.0, 1.0, rms),), repeat) for _ in fractions)
    return ProjectedCell("invented", vectors, np.zeros(2), fractions, species)


def _distance(difference: Array, vectors: Array) -> float:
    """Shortest periodic distance in nm."""
    shifts = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    return float(np.linalg.norm((difference - np.round(difference) + shifts) @ vectors, axis=1).min())


def random_optics(rng: np.random.Generator) -> dict[str, float]:
    """Draw a microscope, one in three with residual aberrations, whose Nyquist step is not far below the scan step."""
    while True:
        drawn = {
            "pixel_size_nm": float(np.exp(rng.uniform(math.log(0.008), math.log(0.045)))),
            "energy_kev": float(rng.choice([60, 80, 120, 200, 300])),
            "semi_angle_mrad": float(rng.uniform(15, 35)),
            "source_size_nm": float(rng.uniform(0.03, 0.13)),
        }
        if 0.12 < drawn["pixel_size_nm"] * Optics(drawn["energy_kev"], drawn["semi_angle_mrad"], 0.0).cutoff_per_nm < 0.8:
            break
    if rng.random() < 0.33:
        # each up to about a quarter of a wave at the aperture's edge
        theta, wave = drawn["semi_angle_mrad"] * 1e-3, 10 * Optics(drawn["energy_kev"], 1.0, 0.0).wavelength_nm
        for name in ("C10", "C12", "C21", "C23", "C30"):
            order = int(name[1])
            drawn[name] = float(rng.normal(0, 0.12) * wave * (order + 1) / theta ** (order + 1))
        drawn |= {name: float(rng.uniform(0, 6.28)) for name in ("phi12", "phi21", "phi23")}
    return drawn


def random_simulation(shape: tuple[int, int], rng: np.random.Generator) -> tuple[SimulationParams, Cells]:
    """Draw what is looked at, and with which microscope."""
    scene = str(rng.choice(list(SCENE_ODDS), p=list(SCENE_ODDS.values())))
    optics = random_optics(rng)
    extent = max(shape) * optics["pixel_size_nm"]

    def sometimes(odds: float, value: float) -> float:
        return float(value) if rng.random() < odds else 0.0

    cells = random_cell(rng), random_cell(rng)
    if scene == "surface":
        optics = {"pixel_size_nm": 1.0, "source_size_nm": 0.5}
    drawn: dict[str, object] = {
        "scene": scene,
        "shape": shape,
        "thickness_nm": rng.uniform(1, 5) if scene == "amorphous" else rng.uniform(2, 40),
        "rotation_deg": rng.uniform(-180, 180) if rng.random() < 0.6 else float(rng.choice([0.0, 45.0, 90.0])) + rng.normal(0, 2),
        "vacancies": sometimes(0.5, rng.uniform(0, 0.12)),
        "dopants": sometimes(0.25, rng.uniform(0, 0.1)),
        "dopant": str(rng.choice(["C", "Al", "Fe", "Mo", "La", "Pt"])),
        "intensity_scatter": sometimes(0.5, rng.uniform(0, 0.25)),
        "displacement_nm": sometimes(0.5, rng.uniform(0, 0.009)),
        "strain": sometimes(0.25, rng.uniform(0, 0.08)),
        "contamination_nm": sometimes(0.15, rng.uniform(0.2, 2)),
        "misorientation_deg": rng.uniform(2, 45),
        "particle_nm": max(0.4, extent * rng.uniform(0.4, 1.1)),
        "contrast": "abf" if rng.random() < 0.12 else "haadf",
        "z_exponent": rng.uniform(1.4, 2.0),
        "seed": int(rng.integers(2**31)),
        **optics,
    }
    return SimulationParams.model_validate(drawn), cells


def random_image(shape: tuple[int, int], rng: np.random.Generator) -> torch.Tensor:
    """Return a clean image ``(Y, X)`` scaled to about [0, 1]; never an empty one."""
    while True:
        p, cells = random_simulation(shape, rng)
        distorted = p.scene != "surface" and rng.random() < DISTORTED
        image = _distorted(p, cells, rng) if distorted else image_of(p, cells)
        low, peak = float(image.min()), float(image.max())
        if peak - low > 1e-6 * abs(peak):
            break
    black = rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0
    gain = rng.uniform(0.3, 1.05) if rng.random() < 0.3 else 1.0
    scaled: torch.Tensor = black + (gain - black) * image / peak
    return scaled


def _distorted(p: SimulationParams, cells: Cells, rng: np.random.Generator) -> torch.Tensor:
    """Return the image of ``p`` as a scan with jitter, slow noise, drift and flyback lag reads it."""
    scan = _raster(p.shape)
    pixel, seconds = p.pixel_size_nm, float(scan.times_us[-1]) * 1e-6
    effects = AcquisitionParams(
        row_jitter_nm=pixel * rng.exponential(0.25),
        row_jitter_correlation=rng.uniform(0, 0.9),
        scan_noise_nm=pixel * (rng.exponential(0.4) if rng.random() < 0.5 else 0.0),
        drift_nm_per_s=pixel * min(rng.exponential(2.0), 8.0) / seconds,
        drift_direction_deg=rng.uniform(-180, 180),
        flyback_lag_nm=pixel * (rng.exponential(1.5) if rng.random() < 0.3 else 0.0),
        flyback_lag_time_us=scan.dwell_time_us * rng.uniform(2, 20),
        seed=int(rng.integers(2**31)),
    )
    wide = image_of(p, cells, pad_px=REACH_PX).numpy()
    moved = read_positions(scan, effects, (pixel, pixel)) - scan.positions
    read = sample(wide, scan.positions + REACH_PX + moved.clip(-REACH_PX, REACH_PX))
    return torch.as_tensor(read.reshape(p.shape), dtype=torch.float32)


@lru_cache(maxsize=2)
def _raster(shape: tuple[int, int]) -> Scan:
    return make_scan(shape, ScanParams(pattern="grid", ratio=1.0))
