"""The built-in crystals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..params import CrystalName

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Entry:
    """A built-in crystal: how it is built, from where it is usually looked at, and whether it is a single layer."""

    build: Callable[[], Atoms]
    zone_axis: str = "001"
    layer: bool = False


def _spacegroup(symbols: str, basis: list[tuple[float, float, float]], group: int, *cell: float) -> Callable[[], Atoms]:
    def build() -> Atoms:
        from ase.spacegroup import crystal

        lengths = list(cell) * 3 if len(cell) == 1 else [cell[0], cell[0], cell[1]]
        gamma = 120 if 143 <= group <= 194 else 90
        return crystal(symbols.split(), basis, spacegroup=group, cellpar=[*lengths, 90, 90, gamma])

    return build


def _bulk(name: str, structure: str, a: float) -> Callable[[], Atoms]:
    def build() -> Atoms:
        from ase.build import bulk

        return bulk(name, structure, a=a, cubic=True)

    return build


def _sheet(formula: str, a: float) -> Callable[[], Atoms]:
    def build() -> Atoms:
        from ase.build import graphene

        sheet: Atoms = graphene(formula, a=a, vacuum=2.0)
        return sheet

    return build


def _dichalcogenide(formula: str, a: float, thickness: float) -> Callable[[], Atoms]:
    def build() -> Atoms:
        from ase.build import mx2

        sheet: Atoms = mx2(formula, kind="2H", a=a, thickness=thickness, vacuum=2.0)
        return sheet

    return build


_PEROVSKITE = [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.0)]

# Cell lengths in Å at room temperature.
CRYSTALS: dict[CrystalName, Entry] = {
    "SrTiO3": Entry(_spacegroup("Sr Ti O", _PEROVSKITE, 221, 3.905)),
    "BaTiO3": Entry(  # Kwei et al. 1993
        _spacegroup("Ba Ti O O", [(0, 0, 0), (0.5, 0.5, 0.5215), (0.5, 0.5, -0.0253), (0.5, 0, 0.4883)], 99, 3.9925, 4.0365), "100"
    ),
    "PbTiO3": Entry(  # Shirane et al. 1956
        _spacegroup("Pb Ti O O", [(0, 0, 0), (0.5, 0.5, 0.5377), (0.5, 0.5, 0.1118), (0.5, 0, 0.6174)], 99, 3.905, 4.156), "100"
    ),
    "LaAlO3": Entry(_spacegroup("La Al O", _PEROVSKITE, 221, 3.791)),  # pseudocubic
    "MgO": Entry(_bulk("MgO", "rocksalt", 4.212)),
    "TiO2": Entry(_spacegroup("Ti O", [(0, 0, 0), (0.3053, 0.3053, 0)], 136, 4.594, 2.959)),  # rutile
    "CeO2": Entry(_bulk("CeO2", "fluorite", 5.411), "110"),
    "Si": Entry(_bulk("Si", "diamond", 5.431), "110"),
    "Ge": Entry(_bulk("Ge", "diamond", 5.658), "110"),
    "GaAs": Entry(_bulk("GaAs", "zincblende", 5.653), "110"),
    "GaN": Entry(_spacegroup("Ga N", [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.377)], 186, 3.189, 5.186), "110"),
    "Au": Entry(_bulk("Au", "fcc", 4.078)),
    "Al": Entry(_bulk("Al", "fcc", 4.050)),
    "Pt": Entry(_bulk("Pt", "fcc", 3.924), "110"),
    "Cu": Entry(_bulk("Cu", "fcc", 3.615), "110"),
    "Fe": Entry(_bulk("Fe", "bcc", 2.867)),
    "MoS2": Entry(_dichalcogenide("MoS2", 3.160, 3.17), layer=True),
    "WS2": Entry(_dichalcogenide("WS2", 3.153, 3.14), layer=True),
    "graphene": Entry(_sheet("C2", 2.461), layer=True),
    "hBN": Entry(_sheet("BN", 2.504), layer=True),
}
