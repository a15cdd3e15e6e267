"""Make the multislice tiles with which the simulator is compared. Needs abTEM, in an environment of its own.

    python scripts/multislice.py [--configurations 8] [--only SrTiO3_001 …] [--out docs/data/multislice]

Each tile is one projected cell: HAADF intensity as a part of the beam, focus on the entrance surface, no aberrations, a point source,
averaged over frozen-phonon configurations. Probe positions that symmetry makes equal are computed once, at one of them. A rerun goes
on with further configurations.
"""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import abtem
import dask
import numpy as np
from ase import Atoms
from ase.build import bulk

RMS_ANGSTROM = {"Sr": 0.079, "Ti": 0.070, "O": 0.090, "Si": 0.076, "Ga": 0.082, "As": 0.076, "Au": 0.085, "C": 0.060}
WAVELENGTH_ANGSTROM = {80: 0.04176, 200: 0.02508}
OUTER_MRAD = 160


@dataclass(frozen=True)
class Material:
    """A cell, how often it is repeated, the tile's probe positions (y, x), its symmetry and the microscope."""

    cell: Atoms
    repeats: tuple[int, int]
    positions: tuple[int, int]
    slice_angstrom: float
    symmetry: tuple[str, ...]
    thicknesses_nm: tuple[float, ...] = (5, 10, 20)
    kev: int = 200
    semi_angle_mrad: int = 25
    inner_mrad: int = 70


def diamond_110(a: float, first: str, second: str) -> Atoms:
    """x along [1-10], y along [001], z along [110]."""
    b = a / np.sqrt(2)
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0.25, 0.5), (0.5, 0.75, 0)]
    return Atoms([first, first, second, second], scaled_positions=places, cell=[b, a, b], pbc=True)


def perovskite(a: float) -> Atoms:
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("SrTiO3", scaled_positions=places, cell=[a, a, a], pbc=True)


def graphene(a: float) -> Atoms:
    bond, row = a / np.sqrt(3), a * np.sqrt(3) / 2
    places = [(0, 0, 1), (0, bond, 1), (a / 2, row, 1), (a / 2, row + bond, 1)]
    return Atoms("C4", positions=places, cell=[a, 2 * row, 2], pbc=True)


MATERIALS = {
    "SrTiO3_001": Material(perovskite(3.905), (5, 5), (16, 16), 3.905 / 2, ("-y", "-x", "transpose")),
    "Si_110": Material(diamond_110(5.431, "Si", "Si"), (5, 4), (24, 16), 5.431 / 8**0.5, ("-x", "1/4-y", "centre")),
    "GaAs_110": Material(diamond_110(5.653, "Ga", "As"), (5, 4), (24, 16), 5.653 / 8**0.5, ("-x", "centre")),
    "Au_001": Material(bulk("Au", "fcc", a=4.078, cubic=True), (5, 5), (20, 20), 4.078 / 2, ("-y", "-x", "transpose", "x+1/2", "y+1/2")),
    "graphene": Material(graphene(2.461), (8, 5), (20, 12), 2.0, ("-x", "centre"), (0,), 80, 30, 60),
}


def orbits(material: Material) -> tuple[np.ndarray, np.ndarray]:
    """Return, for every position, the number of its class, and of each class one position (row, column)."""
    rows, columns = material.positions
    moves = {
        "-y": lambda y, x: (-y, x),
        "-x": lambda y, x: (y, -x),
        "transpose": lambda y, x: (x, y),
        "1/4-y": lambda y, x: (rows // 4 - y, x),
        "centre": lambda y, x: (y + rows // 2, x + columns // 2),
        "x+1/2": lambda y, x: (y, x + columns // 2),
        "y+1/2": lambda y, x: (y + rows // 2, x),
    }
    label = np.full(material.positions, -1)
    first = []
    for start in np.ndindex(*material.positions):
        if label[start] >= 0:
            continue
        todo = [start]
        label[start] = len(first)
        while todo:
            at = todo.pop()
            for name in material.symmetry:
                y, x = moves[name](*at)
                to = (y % rows, x % columns)
                if label[to] < 0:
                    label[to] = len(first)
                    todo.append(to)
        first.append(start)
    return label, np.array(first)


def one_configuration(material: Material, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the tile (T, Y, X) of one frozen-phonon configuration, its thicknesses in nm, and how many probes were computed."""
    lengths = material.cell.cell.lengths()
    layers = [max(1, round(10 * t / lengths[2])) for t in material.thicknesses_nm]
    specimen = material.cell * (*material.repeats, layers[-1])
    sigmas = {element: RMS_ANGSTROM[element] for element in set(specimen.get_chemical_symbols())}
    finest = 2 / 3 / 2 * WAVELENGTH_ANGSTROM[material.kev] / (OUTER_MRAD * 1e-3)
    per_layer = round(lengths[2] / material.slice_angstrom)
    exits = {"exit_planes": tuple(per_layer * n - 1 for n in layers)} if len(layers) > 1 else {}
    potential = abtem.Potential(
        abtem.FrozenPhonons(specimen, num_configs=1, sigmas=sigmas, seed=seed),
        sampling=0.98 * finest, slice_thickness=material.slice_angstrom, projection="infinite", parametrization="kirkland", **exits,
    )  # fmt: skip
    probe = abtem.Probe(energy=material.kev * 1e3, semiangle_cutoff=material.semi_angle_mrad)
    probe.grid.match(potential)
    label, first = orbits(material)
    places = np.stack([first[:, 1] * lengths[0] / material.positions[1], first[:, 0] * lengths[1] / material.positions[0]], 1)
    detector = abtem.AnnularDetector(material.inner_mrad, OUTER_MRAD)
    read = probe.scan(potential, scan=abtem.CustomScan(places), detectors=detector).compute(progress_bar=False).array
    read = np.asarray(read).squeeze()
    read = read[None] if read.ndim == 1 else read if read.shape[0] == len(layers) else read.T
    return read[:, label], np.array(layers) * (lengths[2] / 10 if len(layers) > 1 else 0.0), len(first)


def add_configuration(name: str, folder: Path) -> None:
    """Take one more configuration into the tile's mean."""
    material, path = MATERIALS[name], folder / f"{name}.npz"
    before = dict(np.load(path)) if path.exists() else {"configurations": 0, "seconds": 0.0, "image": 0.0}
    done = int(before["configurations"])
    began = time.perf_counter()
    tile, thickness, probes = one_configuration(material, 100 + done)
    seconds = time.perf_counter() - began
    y, x = material.cell.cell.lengths()[[1, 0]] / 10
    fields = {
        "image": ((before["image"] * done + tile) / (done + 1)).astype(np.float32),
        "cell_nm": (y, x), "thickness_nm": thickness, "configurations": done + 1, "probes": probes,
        "seconds": float(before["seconds"]) + seconds, "energy_kev": material.kev, "semi_angle_mrad": material.semi_angle_mrad,
        "detector_mrad": (material.inner_mrad, OUTER_MRAD), "abtem_version": abtem.__version__,
    }  # fmt: skip
    beside = path.with_suffix(".part.npz")
    np.savez_compressed(beside, **fields)
    beside.replace(path)
    print(f"{name}: configuration {done + 1}, {probes} probes in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configurations", type=int, default=8)
    parser.add_argument("--only", nargs="*", choices=list(MATERIALS), default=list(MATERIALS))
    parser.add_argument("--out", type=Path, default=Path("docs/data/multislice"))
    options = parser.parse_args()
    dask.config.set(scheduler="synchronous")
    options.out.mkdir(parents=True, exist_ok=True)
    for _ in range(options.configurations):
        for material_name in options.only:
            add_configuration(material_name, options.out)
