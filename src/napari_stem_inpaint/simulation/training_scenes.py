"""Random scenes for training: lattices of every kind with vacancies, scatter, edges, boundaries and strain.

SrTiO3 and Si, on which the method is judged, never occur: no cell within ``GUARD`` of their projected lattices is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from .crystal import CELLS, Array, Scene, rotation, tile
from .formation import cutoff_per_nm, form_image

GUARD = 0.03  # relative distance of both cell lengths
MARGIN_NM = 1.0


@dataclass(frozen=True)
class Optics:
    """The random microscope of one training image; lengths in nm, keV, mrad."""

    pixel_size_nm: float
    energy_kev: float
    semi_angle_mrad: float
    source_size_nm: float


def is_held_out(vectors: Array) -> bool:
    """Whether the cell is, within GUARD, a projected lattice of SrTiO3 or Si (also Si's primitive cell)."""
    a, b = np.sort(np.linalg.norm(vectors, axis=1))
    angle = abs(math.degrees(math.acos(abs(float(vectors[0] @ vectors[1])) / (a * b))))
    known = [(np.sort(np.linalg.norm(np.array(c.vectors), axis=1)), 90.0) for c in CELLS.values()]
    half_diagonal = float(np.linalg.norm(np.array(CELLS["Si"].vectors).sum(0)) / 2)
    known.append((np.array([half_diagonal, half_diagonal]), 70.5))
    return any(abs(a / k[0] - 1) < GUARD and abs(b / k[1] - 1) < GUARD and abs(angle - degrees) < 3 for k, degrees in known)


def random_cell(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Draw cell vectors (2, 2) in nm, column fractions (C, 2) and weights (C,)."""
    while True:
        kind = rng.choice(["square", "rectangle", "hexagonal", "oblique"], p=[0.35, 0.3, 0.15, 0.2])
        a = rng.uniform(0.2, 0.75)
        b = a if kind in ("square", "hexagonal") else a * rng.uniform(0.55, 1.8)
        angle = {"hexagonal": 60.0, "oblique": rng.uniform(60, 120)}.get(str(kind), 90.0)
        vectors = np.array([[a, 0.0], [b * math.cos(math.radians(angle)), b * math.sin(math.radians(angle))]])
        if not is_held_out(vectors):
            break
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
    z = rng.uniform(6, 82, size=len(fractions)) ** rng.uniform(1.5, 2.0)
    return vectors, fractions, z / z.max()


def _distance(difference: Array, vectors: Array) -> float:
    """Shortest periodic distance in nm."""
    shifts = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    return float(np.linalg.norm((difference - np.round(difference) + shifts) @ vectors, axis=1).min())


def random_lattice(extent_nm: tuple[float, float], rng: np.random.Generator) -> Scene:
    """Fill the field with one random crystal at a random orientation."""
    vectors, fractions, weights = random_cell(rng)
    turn = rng.uniform(0, 360) if rng.random() < 0.6 else rng.choice([0.0, 45.0, 90.0]) + rng.normal(0, 2)
    vectors = vectors @ rotation(turn)
    positions, kind = tile(vectors, fractions, extent_nm, MARGIN_NM, rng.random(2) @ vectors)
    rms = np.full(len(positions), rng.uniform(0.004, 0.011))
    return Scene(positions, weights[kind], rms)


def random_scene(extent_nm: tuple[float, float], rng: np.random.Generator) -> Scene:
    """Draw a scene: one or two crystals, then strain, edge, thickness, vacancies, dopants, scatter, displacements."""
    scene = random_lattice(extent_nm, rng)
    centre = np.array(extent_nm) / 2
    diagonal = float(np.hypot(*extent_nm))

    def across() -> Array:
        """Signed distance of every column to a random line through the field, nm."""
        angle = rng.uniform(0, 2 * math.pi)
        normal = np.array([math.cos(angle), math.sin(angle)])
        return np.asarray((scene.positions_nm - centre) @ normal - rng.normal(0, 0.25) * diagonal)

    if rng.random() < 0.15:  # grain boundary or interface
        side = across() > 0
        left = scene.keep(side)
        scene = random_lattice(extent_nm, rng)
        angle_side = np.array(
            [np.min(np.linalg.norm(left.positions_nm - p, axis=1)) if len(left.weights) else 9.0 for p in scene.positions_nm]
        )
        right = scene.keep(angle_side > 0.15)
        scene = Scene(*(np.concatenate(pair) for pair in zip(_fields(left), _fields(right), strict=True)))
    if rng.random() < 0.25:  # smooth strain
        k = rng.normal(0, 1.0 / diagonal, size=(3, 2))
        shift = sum(np.sin(2 * math.pi * (scene.positions_nm @ q) + rng.uniform(0, 6.28))[:, None] * rng.normal(0, 0.02, 2) for q in k)
        scene = Scene(scene.positions_nm + shift, scene.weights, scene.rms_nm)
    if rng.random() < 0.3:  # slow change of thickness
        q = rng.normal(0, 0.7 / diagonal, size=2)
        slope = 1 + rng.uniform(0, 0.6) * np.sin(2 * math.pi * (scene.positions_nm @ q) + rng.uniform(0, 6.28))
        scene = Scene(scene.positions_nm, scene.weights * slope, scene.rms_nm)
    if rng.random() < 0.2:  # edge against vacuum, sharp or wedge-shaped
        depth = np.clip(across() / rng.choice([1e-6, rng.uniform(0.2, 2.0)]), 0, 1)
        scene = Scene(scene.positions_nm, scene.weights * depth, scene.rms_nm).keep(depth > 0)
    n = len(scene.weights)
    if rng.random() < 0.5:
        scene = scene.keep(rng.random(n) >= rng.uniform(0, 0.12))
        n = len(scene.weights)
    weights, positions = scene.weights, scene.positions_nm
    if rng.random() < 0.5:
        weights = weights * np.maximum(1 + rng.uniform(0, 0.25) * rng.standard_normal(n), 0)
    if rng.random() < 0.25:  # dopants
        weights = np.where(rng.random(n) < rng.uniform(0, 0.1), weights * rng.uniform(0.3, 3.0), weights)
    if rng.random() < 0.5:
        positions = positions + rng.uniform(0, 0.009) * rng.standard_normal((n, 2))
    return Scene(positions, weights, scene.rms_nm)


def _fields(scene: Scene) -> tuple[Array, Array, Array]:
    return scene.positions_nm, scene.weights, scene.rms_nm


def random_optics(rng: np.random.Generator) -> Optics:
    """Draw a microscope and a scan step whose Nyquist frequency is not far below the probe's cut-off."""
    while True:
        optics = Optics(
            pixel_size_nm=float(np.exp(rng.uniform(math.log(0.008), math.log(0.045)))),
            energy_kev=float(rng.choice([60, 80, 120, 200, 300])),
            semi_angle_mrad=float(rng.uniform(15, 35)),
            source_size_nm=float(rng.uniform(0.03, 0.13)),
        )
        if 0.12 < optics.pixel_size_nm * cutoff_per_nm(optics.energy_kev, optics.semi_angle_mrad) < 0.8:
            return optics


def training_batch(batch: int, patch_px: int, rng: np.random.Generator, device: str = "cpu") -> torch.Tensor:
    """Return clean patches ``(B, 1, P, P)`` scaled to about [0, 1]."""
    patches: list[torch.Tensor] = []
    while len(patches) < batch:
        optics = random_optics(rng)
        extent = (patch_px * optics.pixel_size_nm,) * 2
        scene = random_scene(extent, rng)
        if len(scene.weights) == 0:
            continue
        image = form_image(
            scene,
            (patch_px, patch_px),
            optics.pixel_size_nm,
            optics.energy_kev,
            optics.semi_angle_mrad,
            optics.source_size_nm,
            MARGIN_NM,
            device,
        )
        peak = float(image.max())
        if peak <= 0:
            continue
        black = rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0
        gain = rng.uniform(0.3, 1.05) if rng.random() < 0.3 else 1.0
        patch = black + (gain - black) * image / peak
        patches.append(1 - patch if rng.random() < 0.15 else patch)  # dark columns: ABF-like contrast
    return torch.stack(patches)[:, None]
