"""Crystals as projected columns, and the scenes that fill a field of view with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..params import CrystalName

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """A projected unit cell.

    ``vectors`` (2, 2) holds the two cell vectors as rows of (y, x) in nm; each column is
    ``(fraction along 1, fraction along 2, atomic numbers in the column, rms thermal displacement in nm)``.
    """

    vectors: tuple[tuple[float, float], tuple[float, float]]
    columns: tuple[tuple[float, float, tuple[int, ...], float], ...]


# Lattice constants: SrTiO3 0.3905 nm, Si 0.5431 nm. Thermal displacements at 300 K, nm.
CELLS: dict[CrystalName, Cell] = {
    "SrTiO3": Cell(
        ((0.3905, 0.0), (0.0, 0.3905)),
        ((0.0, 0.0, (38,), 0.0079), (0.5, 0.5, (22, 8), 0.0070), (0.5, 0.0, (8,), 0.0090), (0.0, 0.5, (8,), 0.0090)),
    ),
    "Si": Cell(  # [110]: rows along [001], columns along [1-10]; dumbbells of 0.136 nm
        ((0.5431, 0.0), (0.0, 0.5431 / np.sqrt(2))),
        ((0.0, 0.0, (14,), 0.0076), (0.25, 0.0, (14,), 0.0076), (0.5, 0.5, (14,), 0.0076), (0.75, 0.5, (14,), 0.0076)),
    ),
}


@dataclass(frozen=True)
class Scene:
    """Columns in a field of view: ``positions_nm`` (N, 2) as (y, x), ``weights`` (N,), thermal ``rms_nm`` (N,)."""

    positions_nm: Array
    weights: Array
    rms_nm: Array

    def keep(self, which: npt.NDArray[np.bool_]) -> Scene:
        """Return the scene with only the columns marked True."""
        return Scene(self.positions_nm[which], self.weights[which], self.rms_nm[which])


def tile(
    vectors: Array, fractions: Array, extent_nm: tuple[float, float], margin_nm: float, offset_nm: Array
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Repeat a cell over the field ``[-margin, extent + margin]``.

    Parameters
    ----------
    vectors
        Cell vectors as rows of (y, x), nm, ``(2, 2)``.
    fractions
        Fractional coordinates of the columns, ``(C, 2)``.

    Returns
    -------
    Positions ``(N, 2)`` in nm and, for each, the index of its column in the cell.
    """
    corners = np.array([(y, x) for y in (-margin_nm, extent_nm[0] + margin_nm) for x in (-margin_nm, extent_nm[1] + margin_nm)])
    cells = (corners - offset_nm) @ np.linalg.inv(vectors)
    low, high = np.floor(cells.min(0)).astype(int) - 1, np.ceil(cells.max(0)).astype(int) + 1
    i, j = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1), indexing="ij")
    origins = np.stack([i.ravel(), j.ravel()], 1)
    positions = (origins[:, None, :] + fractions[None]).reshape(-1, 2) @ vectors + offset_nm
    kind = np.tile(np.arange(len(fractions)), len(origins))
    inside = ((positions >= corners.min(0)) & (positions <= corners.max(0))).all(1)
    return positions[inside], kind[inside]


def rotation(degrees: float) -> Array:
    """Return the matrix that turns row vectors (y, x) by ``degrees``."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, s], [-s, c]])


def crystal_scene(
    name: CrystalName, extent_nm: tuple[float, float], margin_nm: float, rotation_deg: float, z_exponent: float, rng: np.random.Generator
) -> Scene:
    """Fill a field of ``extent_nm`` (y, x) plus a margin with a crystal at a random offset.

    A column's weight is the sum of Z**z_exponent over its atoms.
    """
    cell = CELLS[name]
    vectors = np.array(cell.vectors) @ rotation(rotation_deg)
    fractions = np.array([c[:2] for c in cell.columns], dtype=float)
    positions, kind = tile(vectors, fractions, extent_nm, margin_nm, rng.random(2) @ vectors)
    weight = np.array([sum(float(z) ** z_exponent for z in c[2]) for c in cell.columns])
    rms = np.array([c[3] for c in cell.columns])
    return Scene(positions, weight[kind], rms[kind])


def with_defects(
    scene: Scene, vacancies: float, intensity_scatter: float, displacement_nm: float, streams: list[np.random.Generator]
) -> Scene:
    """Remove columns, scatter their weights and displace them; one random stream for each, so they do not interact."""
    n = len(scene.weights)
    keep = streams[0].random(n) >= vacancies
    weights = scene.weights * np.maximum(1 + intensity_scatter * streams[1].standard_normal(n), 0)
    positions = scene.positions_nm + displacement_nm * streams[2].standard_normal((n, 2))
    return Scene(positions, weights, scene.rms_nm).keep(keep)
