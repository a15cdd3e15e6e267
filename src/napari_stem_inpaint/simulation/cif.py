"""Crystals from CIF files, through ase."""

from __future__ import annotations

import math
import re
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..io.boundary import checked_file, reading

if TYPE_CHECKING:
    from ase import Atoms


def read_cif(path: str) -> tuple[Atoms, list[dict[str, float]], dict[str, float]]:
    """Return the atoms of the first structure of a CIF file, what occupies each site, and thermal displacements where given.

    Raises
    ------
    InputError
        If the file is missing, holds no structure, or cannot be understood.
    """
    from ase.io.cif import parse_cif

    source = checked_file(path)
    with reading(source), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ase's remarks on what it assumed
        block = next((b for b in parse_cif(str(source)) if b.has_structure()), None)
        if block is None:
            raise InputError(f"{source.name} holds no crystal structure (cell and atom sites); export it again as a CIF with both.")
        try:
            atoms = block.get_atoms(primitive_cell=False, fractional_occupancies=True)
        except KeyError as error:
            raise InputError(f"{source.name} names {error} where a chemical element is expected.") from error
    if len(atoms) == 0 or atoms.cell.volume < 1e-6 or "X" in atoms.get_chemical_symbols():
        raise InputError(f"{source.name} holds no atoms of known elements in a cell with a volume.")
    table = atoms.info.get("occupancy")
    if table:
        kinds = [table[str(kind)] for kind in atoms.arrays["spacegroup_kinds"]]
        contents = [{e: float(o) for e, o in kind.items()} for kind in kinds]
    else:
        contents = [{symbol: 1.0} for symbol in atoms.get_chemical_symbols()]
    return atoms, contents, _thermal(block)


def _thermal(block: object) -> dict[str, float]:
    """Return the mean thermal displacement in nm of each element, from U_iso or B_iso = 8π² U, in Å²."""
    get = block.get  # type: ignore[attr-defined]
    symbols = get("_atom_site_type_symbol") or get("_atom_site_label") or []
    u = get("_atom_site_u_iso_or_equiv")
    b = get("_atom_site_b_iso_or_equiv")
    values = u if u is not None else [x / (8 * math.pi**2) if isinstance(x, (int, float)) else None for x in b or []]
    found: dict[str, list[float]] = {}
    for symbol, value in zip(symbols, values, strict=False):
        element = re.match(r"[A-Z][a-z]?", str(symbol))
        if element and isinstance(value, (int, float)) and 1e-4 < value < 0.2:
            found.setdefault(element[0], []).append(math.sqrt(value) / 10)
    return {element: float(np.mean(rms)) for element, rms in found.items()}
