"""Columns in a window, and random numbers that belong to them.

Every random number belongs to a column (or film atom) by its place in the lattice, and to a cause: a column keeps its vacancy, its
displacement, its intensity when the field of view, the pixel or the probe changes, and no cause disturbs another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.special import ndtri

from ..errors import InputError
from .crystals import Array, Species

Ids = npt.NDArray[np.int64]  # (N, 4): grain, cell along 1, cell along 2, column in the cell
OFFSET, GEOMETRY, VACANCY, DOPANT, SCATTER, DISPLACEMENT, STRAIN, FILM = range(8)
MAX_COLUMNS = 5_000_000


@dataclass(frozen=True, eq=False)
class Window:
    """The part of the plane in which columns are wanted: ``extent_nm`` (y, x) of the frame, and a margin around it."""

    extent_nm: tuple[float, float]
    margin_nm: float

    @property
    def low(self) -> Array:
        """Smallest (y, x), nm."""
        return np.full(2, -self.margin_nm)

    @property
    def high(self) -> Array:
        """Largest (y, x), nm."""
        return np.array(self.extent_nm) + self.margin_nm

    def holds(self, positions_nm: Array) -> npt.NDArray[np.bool_]:
        """Which positions are inside."""
        return np.asarray(((positions_nm >= self.low) & (positions_nm < self.high)).all(1))


@dataclass(frozen=True, eq=False)
class Scene:
    """Columns: where, of which kind, how thick, and what is wrong with them.

    ``positions_nm`` (N, 2) as (y, x) from the centre of the frame's first pixel; ``kind`` (N,) points into ``species``;
    ``thickness_nm`` (N,) along the beam; ``factor`` (N,) multiplies the intensity (0: vacancy); ``lift_nm`` (N,) moves the
    atoms along the beam; ``defect`` (N,) names what is not as in the perfect crystal.
    """

    positions_nm: Array
    kind: npt.NDArray[np.intp]
    thickness_nm: Array
    factor: Array
    lift_nm: Array
    ids: Ids
    defect: npt.NDArray[np.str_]
    species: tuple[Species, ...]

    def keep(self, which: npt.NDArray[np.bool_]) -> Scene:
        """Return the scene with only the columns marked True."""
        columns = {name: getattr(self, name)[which] for name in COLUMN_FIELDS}
        return replace(self, **columns)

    def marked(self, which: npt.NDArray[np.bool_], defect: str) -> Scene:
        """Return the scene with the columns marked True named as a defect."""
        return replace(self, defect=np.where(which, np.array(defect, dtype="U16"), self.defect))


COLUMN_FIELDS = ("positions_nm", "kind", "thickness_nm", "factor", "lift_nm", "ids", "defect")


def join(*scenes: Scene) -> Scene:
    """Return one scene with the columns of all."""
    starts = np.cumsum([0, *(len(s.species) for s in scenes)])
    shifted = [replace(s, kind=s.kind + start) for s, start in zip(scenes, starts, strict=False)]
    columns = {name: np.concatenate([getattr(s, name) for s in shifted]) for name in COLUMN_FIELDS}
    return Scene(**columns, species=tuple(k for s in scenes for k in s.species))


def perfect(positions: Array, ids: Ids, kind: npt.NDArray[np.int64], species: tuple[Species, ...], thickness: float, lift: Array) -> Scene:
    """Return a scene without anything wrong with it."""
    n = len(positions)
    return Scene(positions, kind.astype(np.intp), np.full(n, thickness), np.ones(n), lift, ids, np.full(n, "", dtype="U16"), species)


# --- random numbers that belong to a column


def uniform(seed: int, cause: int, ids: Ids, draw: int = 0) -> Array:
    """Return a number in (0, 1) for every row of ``ids``, always the same for the same row (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        state = np.full(len(ids), _mixed(np.array([seed * 64 + cause * 4 + draw], dtype=np.uint64))[0], dtype=np.uint64)
        for column in ids.T:
            state = _mixed(state ^ column.astype(np.uint64))
    return np.asarray((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def _mixed(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def normal(seed: int, cause: int, ids: Ids) -> Array:
    """Return two independent standard normal numbers (N, 2) for every row of ``ids``."""
    return np.stack([ndtri(uniform(seed, cause, ids, draw)) for draw in (0, 1)], 1)


# --- places


def rotation(degrees: float) -> Array:
    """Return the matrix that turns row vectors (y, x) by ``degrees``."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, s], [-s, c]])


def nearest_nm(points: Array, others: Array | None = None) -> Array:
    """Return the distance of each point to the nearest of ``others``, or to its nearest neighbour."""
    distances, _ = cKDTree(points).query(points, k=[2]) if others is None else cKDTree(others).query(points, k=[1])
    return np.asarray(distances, dtype=float)[:, 0]


def tile(vectors: Array, fractions: Array, window: Window, offset_nm: Array, grain: int = 0) -> tuple[Array, Ids]:
    """Repeat a cell over the window; return positions (N, 2) in nm and the columns' ids (N, 4)."""
    corners = np.array([(y, x) for y in (window.low[0], window.high[0]) for x in (window.low[1], window.high[1])])
    cells = (corners - offset_nm) @ np.linalg.inv(vectors)
    low, high = np.floor(cells.min(0)).astype(int) - 1, np.ceil(cells.max(0)).astype(int) + 1
    count = int(np.prod(high - low + 1.0)) * len(fractions)
    if count > MAX_COLUMNS:
        raise InputError(
            f"The field of view would hold about {count:,} columns, more than {MAX_COLUMNS:,}; take a smaller frame or scan step."
        )
    i, j, c = (a.ravel() for a in np.meshgrid(*map(np.arange, [*low, 0], [*(high + 1), len(fractions)]), indexing="ij"))
    positions = (np.stack([i, j], 1) + fractions[c]) @ vectors + offset_nm
    inside = window.holds(positions)
    ids = np.stack([np.full_like(i, grain), i, j, c], 1)[inside]
    return positions[inside], ids
