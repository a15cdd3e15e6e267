"""Crystals: built in or from a CIF file, projected along a zone axis into atomic columns."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..params import SimulationParams
from .builtin import CRYSTALS
from .cif import read_cif

if TYPE_CHECKING:
    from ase import Atoms

Array = npt.NDArray[np.float64]

SAME_COLUMN_NM = 0.03  # atoms closer than this in projection are one column
LARGEST_REPEAT_NM = 40.0

# Thermal displacement at 300 K, standard deviation per axis in nm; Peng et al., Acta Cryst. A52 (1996) 257 for the elements,
# Abramov et al., Acta Cryst. B51 (1995) 942 for SrTiO3; DEFAULT_RMS_NM where nothing is known.
RMS_NM = {
    "Sr": 0.0079, "Ti": 0.0070, "O": 0.0090, "Si": 0.0076, "Ge": 0.0085, "Ga": 0.0082, "As": 0.0076, "Au": 0.0085, "Al": 0.0105,
    "Pt": 0.0065, "Cu": 0.0084, "Fe": 0.0066, "C": 0.0060, "Ba": 0.0075, "Pb": 0.0120, "La": 0.0070, "Mo": 0.0055, "W": 0.0050,
}  # fmt: skip
DEFAULT_RMS_NM = 0.008


@dataclass(frozen=True)
class Atom:
    """An atom of a column: ``offset_nm`` (y, x) from the column's position, ``height_nm`` along the beam within a repeat."""

    number: int
    offset_nm: tuple[float, float]
    height_nm: float
    occupancy: float
    rms_nm: float


@dataclass(frozen=True)
class Species:
    """A kind of atomic column: the atoms of one repeat of ``repeat_nm`` along the beam (0: a single layer)."""

    label: str
    atoms: tuple[Atom, ...]
    repeat_nm: float


@dataclass(frozen=True, eq=False)
class ProjectedCell:
    """A crystal seen along a zone axis.

    ``vectors`` (2, 2) holds the in-plane cell vectors as rows of (y, x) in nm and ``lifts_nm`` (2,) how far a step along each
    moves the atoms along the beam; ``fractions`` (C, 2) are the columns' places in the cell; ``species`` one for each column.
    """

    name: str
    vectors: Array
    lifts_nm: Array
    fractions: Array
    species: tuple[Species, ...]

    @property
    def atoms_per_nm3(self) -> float:
        """Number density of the atoms; single layers count as 0.34 nm thick."""
        area = abs(float(np.linalg.det(self.vectors)))
        return sum(a.occupancy for s in self.species for a in s.atoms) / (area * (self.species[0].repeat_nm or 0.34))


def projected_cell(p: SimulationParams) -> ProjectedCell:
    """Return the crystal that ``p`` names, along the zone axis that it names."""
    name = p.cif or p.crystal
    usual = "001" if p.cif else CRYSTALS[p.crystal].zone_axis
    return project(name, bool(p.cif), parse_zone_axis(p.zone_axis or usual))


def parse_zone_axis(text: str) -> tuple[int, int, int]:
    """Return [uvw] from "110", "1-10", "1 -1 0" or "[1, -1, 0]".

    Raises
    ------
    InputError
        If it is not three whole numbers, or all are zero.
    """
    inner = text.strip().strip("[]()").replace(",", " ")
    words = inner.split() if " " in inner.strip() else re.findall(r"-?\d", inner)
    if len(words) != 3 or not all(re.fullmatch(r"-?\d{1,2}", w) for w in words) or re.sub(r"[\s\d-]", "", inner):
        raise InputError(f"The zone axis must be three whole numbers such as 001 or 1 -1 0, but it is {text!r}.")
    u, v, w = (int(word) for word in words)
    if u == v == w == 0:
        raise InputError("The zone axis 0 0 0 has no direction; give three whole numbers of which one is not zero, such as 001.")
    g = math.gcd(u, v, w)
    return u // g, v // g, w // g


@lru_cache(maxsize=64)
def project(name: str, from_file: bool, zone_axis: tuple[int, int, int]) -> ProjectedCell:
    """Project a built-in crystal, or that of a CIF file, along ``zone_axis``, which points towards the viewer.

    The c axis points up where it lies in the image plane, else b, else a.
    """
    if from_file:
        atoms, occupancies, rms = read_cif(name)
        layer = False
    else:
        entry = CRYSTALS[name]  # type: ignore[index]
        atoms, occupancies, rms, layer = entry.build(), None, {}, entry.layer
    if layer and zone_axis != (0, 0, 1):
        raise InputError(f"{name} is a single layer, seen along 001 only, but the zone axis is {' '.join(map(str, zone_axis))}.")
    return _projected(Path(name).stem if from_file else name, atoms, occupancies, rms, zone_axis, layer)


def _projected(
    name: str, atoms: Atoms, occupancies: list[dict[str, float]] | None, rms: dict[str, float], zone_axis: tuple[int, int, int], layer: bool
) -> ProjectedCell:
    basis = atoms.cell.array / 10  # Å to nm
    integers = _unimodular(zone_axis)
    axes = _image_axes(basis, integers[2] @ basis)
    repeat = float(np.linalg.norm(integers[2] @ basis))
    if repeat > LARGEST_REPEAT_NM:
        raise InputError(
            f"Along {' '.join(map(str, zone_axis))} {name} repeats only after {repeat:.0f} nm; choose a zone axis of lower indices."
        )
    lattice = _reduced(integers[:2] @ basis @ axes.T)
    # The projected cell has the unit cell's volume, so it holds the same atoms, each moved into it.
    places = atoms.positions / 10 @ axes.T
    fractions = places[:, :2] @ np.linalg.inv(lattice[:, :2])
    cells = np.floor(fractions + 1e-6)
    heights = places[:, 2] - cells @ lattice[:, 2]
    heights = heights - heights.min() if layer else np.mod(heights + 1e-7, repeat)
    contents = occupancies or [{symbol: 1.0} for symbol in atoms.get_chemical_symbols()]
    return _columns(name, lattice, fractions - cells, heights, contents, rms, 0.0 if layer else repeat)


def _columns(
    name: str, lattice: Array, fractions: Array, heights: Array, contents: list[dict[str, float]], rms: dict[str, float], repeat: float
) -> ProjectedCell:
    """Gather the atoms that stand above each other into columns; a column stands at the mean of its atoms, heavy ones first."""
    from ase.data import atomic_numbers

    vectors = lattice[:, :2]
    weight = np.array([sum(o * atomic_numbers[e] ** 1.7 for e, o in c.items()) for c in contents])
    free = np.ones(len(fractions), dtype=bool)
    places, species = [], []
    for first in np.argsort(-weight, kind="stable"):
        if not free[first]:
            continue
        away = fractions - fractions[first]
        away = (away - np.round(away)) @ vectors
        members = np.flatnonzero(free & (np.linalg.norm(away, axis=1) < SAME_COLUMN_NM))
        free[members] = False
        centre = weight[members] @ away[members] / weight[members].sum()
        column = tuple(
            Atom(
                atomic_numbers[e],
                tuple((away[m] - centre).round(7)),
                float(heights[m]),
                float(o),
                rms.get(e, RMS_NM.get(e, DEFAULT_RMS_NM)),
            )
            for m in members
            for e, o in contents[m].items()
        )
        elements = sorted({e for m in members for e in contents[m]}, key=lambda e: -atomic_numbers[e])
        places.append(fractions[first] + centre @ np.linalg.inv(vectors))
        species.append(Species("+".join(elements), column, repeat))
    return ProjectedCell(name, vectors, lattice[:, 2], np.array(places), tuple(species))


def _unimodular(zone_axis: tuple[int, int, int]) -> npt.NDArray[np.intp]:
    """Return an integer matrix of determinant ±1 whose last row is ``zone_axis``: two more vectors that span the lattice."""
    u, v, w = zone_axis
    g, s, t = _bezout(u, v)
    if g == 0:
        return np.array([[1, 0, 0], [0, 1, 0], zone_axis])
    _, p, q = _bezout(g, w)
    return np.array([[-t, s, 0], [-q * u // g, -q * v // g, p], zone_axis])


def _bezout(a: int, b: int) -> tuple[int, int, int]:
    """Return g, s, t with g = gcd(a, b) = s a + t b."""
    if b == 0:
        return abs(a), (a > 0) - (a < 0), 0
    g, s, t = _bezout(b, a % b)
    return g, t, s - (a // b) * t


def _image_axes(basis: Array, beam: Array) -> Array:
    """Return unit vectors of the image's y (down), x (right) and of the viewer's direction, as rows."""
    towards = beam / np.linalg.norm(beam)
    flat = basis - (basis @ towards)[:, None] * towards
    in_plane = np.linalg.norm(flat, axis=1) > 0.999 * np.linalg.norm(basis, axis=1)
    up = flat[2] if in_plane[2] else flat[1] if np.linalg.norm(flat[1]) > 1e-3 * np.linalg.norm(basis[1]) else flat[0]
    up = up / np.linalg.norm(up)
    return np.stack([-up, np.cross(up, towards), towards])


def _reduced(lattice: Array) -> Array:
    """Return the two vectors that are shortest in the first two of their three components (Lagrange–Gauss reduction)."""
    a, b = lattice
    while True:
        if a[:2] @ a[:2] > b[:2] @ b[:2]:
            a, b = b, a
        n = np.round((a[:2] @ b[:2]) / (a[:2] @ a[:2]))
        if n == 0:
            return np.stack([a, b])
        b = b - n * a


def number(element: str) -> int:
    """Return the atomic number of a chemical symbol."""
    from ase.data import atomic_numbers

    if element not in atomic_numbers or element == "X":
        raise InputError(f"{element!r} is no chemical element; give a symbol such as La or Au.")
    return int(atomic_numbers[element])


def symbol(atomic_number: int) -> str:
    """Return the chemical symbol of an atomic number."""
    from ase.data import chemical_symbols

    return str(chemical_symbols[atomic_number])
