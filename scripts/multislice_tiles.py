"""Make multislice reference tiles with abTEM, which the fast simulator is compared with.

    python scripts/multislice_tiles.py [--only NAME ...] [--rounds N] [--configurations N] [--out FOLDER]
    python scripts/multislice_tiles.py --timing [PROBES] [--only NAME ...] [--out FOLDER]

Runs in an environment with abTEM, nothing else of this project: python -m venv abtem_env && abtem_env/bin/pip install abtem.
Each tile NAME.npz is one projected cell, periodic, as a fraction of the incident beam; it is rewritten after every frozen-phonon
configuration, and a rerun adds configurations up to the number asked for. No source size: the comparison adds it.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import abtem
import numpy as np
from abtem.parametrizations import LobatoParametrization
from ase.data import atomic_numbers, chemical_symbols

STEP_NM = 0.024  # below a quarter of wavelength / semi-angle, the Nyquist step of the probe's intensity
REACH_MRAD = 163.0  # what abTEM's antialiasing aperture (2/3 of Nyquist) must let through
BATCH = 8  # wave functions at once: larger ones leave the processor's cache and gain nothing
RMS_NM = {"Sr": 0.0079, "Ti": 0.0070, "O": 0.0090, "Si": 0.0076, "Ga": 0.0082, "As": 0.0076, "Au": 0.0085, "C": 0.0060}


@dataclass(frozen=True)
class Material:
    """One projected cell: ``atoms`` are (element, y, x, height) in fractions of ``cell_nm`` (y, x) and ``repeat_nm``."""

    cell_nm: tuple[float, float]
    repeat_nm: float
    atoms: tuple[tuple[str, float, float, float], ...]
    lateral: tuple[int, int]  # cells (y, x) of the supercell
    repeats: tuple[int, ...]  # along the beam, one per thickness
    planes: int = 2  # lattice planes, and slices, per repeat
    energy_kev: float = 200.0
    semi_angle_mrad: float = 25.0
    detector_mrad: tuple[float, float] = (70.0, 160.0)
    mirrors: str = ""  # of the crystal with its entrance surface: x, y, d (diagonal), through the origin
    per_round: int = 1  # configurations: more where they are cheap


def zinc_blende(a: float, first: str, second: str, **values) -> Material:
    """Return a cell along [110]: rows along [001], columns along [1-10]."""
    atoms = ((first, 0, 0, 0), (first, 0.5, 0.5, 0.5), (second, 0.25, 0, 0.5), (second, 0.75, 0.5, 0))
    return Material((a, a / 2**0.5), a / 2**0.5, atoms, (4, 5), mirrors="x", **values)


MATERIALS = {
    "SrTiO3_001": Material(
        (0.3905, 0.3905),
        0.3905,
        (("Sr", 0, 0, 0), ("O", 0.5, 0.5, 0), ("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0, 0.5), ("O", 0, 0.5, 0.5)),
        (5, 5),
        (13, 26, 51),
        mirrors="xyd",
        per_round=3,
    ),
    "Si_110": zinc_blende(0.5431, "Si", "Si", repeats=(13, 26, 52)),
    "GaAs_110": zinc_blende(0.5653, "Ga", "As", repeats=(13, 25, 50)),
    "Au_001": Material(
        (0.4078, 0.4078),
        0.4078,
        (("Au", 0, 0, 0), ("Au", 0.5, 0.5, 0), ("Au", 0.5, 0, 0.5), ("Au", 0, 0.5, 0.5)),
        (5, 5),
        (12, 25, 49),
        mirrors="xyd",
        per_round=3,
    ),
    "graphene": Material(
        (0.246, 0.246 * 3**0.5),
        0.0,
        (("C", 0, 0, 0), ("C", 0, 1 / 3, 0), ("C", 0.5, 0.5, 0), ("C", 0.5, 5 / 6, 0)),
        (8, 5),
        (1,),
        planes=1,
        energy_kev=80.0,
        semi_angle_mrad=30.0,
        detector_mrad=(60.0, 160.0),
        mirrors="y",
        per_round=20,
    ),
}


def wavelength_angstrom(energy_kev: float) -> float:
    return 12.3984244 / math.sqrt(energy_kev * (2 * 510.99895 + energy_kev))


def grid_points(extent_nm: float, energy_kev: float) -> int:
    """Return the next even number of points that the FFT likes and that is fine enough for the detector."""
    least = math.ceil(10 * extent_nm * 3 * REACH_MRAD * 1e-3 / wavelength_angstrom(energy_kev))
    return min(n for n in (2**i * 3**j * 5**k for i in range(1, 12) for j in range(5) for k in range(4)) if n >= least)


def projected(positions: np.ndarray, numbers: np.ndarray, extent: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a slice's potential, V Å, from its Fourier coefficients.

    abTEM's own infinite projection places atoms by bilinear interpolation: at 0.05 Å per pixel an atom between pixels then scatters a
    fifth less to high angles than one on a pixel. Phases are exact.
    """
    kx, ky = (np.fft.fftfreq(n, length / n) for n, length in zip(shape, extent, strict=True))
    k2 = kx[:, None] ** 2 + ky**2
    total = np.zeros(shape, complex)
    for number in np.unique(numbers):
        x, y = positions[numbers == number].T
        factor = LobatoParametrization().projected_scattering_factor(chemical_symbols[number])(k2)
        total += factor * (np.exp(-2j * np.pi * np.outer(kx, x)) @ np.exp(-2j * np.pi * np.outer(y, ky)))
    return np.fft.ifft2(total).real * (np.prod(shape) / np.prod(extent))


def supercell(m: Material) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return all atoms: positions (x, y) in Å, slice, number and thermal displacement in Å."""
    ny, nx = m.lateral
    y, x, z = (v.ravel()[:, None] for v in np.meshgrid(np.arange(ny), np.arange(nx), np.arange(m.repeats[-1]), indexing="ij"))
    fractions = np.array([a[1:] for a in m.atoms])
    positions = 10 * np.stack([(x + fractions[:, 1]) * m.cell_nm[1], (y + fractions[:, 0]) * m.cell_nm[0]], -1).reshape(-1, 2)
    planes = np.rint((z + fractions[:, 2]) * m.planes).astype(int).ravel()
    symbols = [a[0] for a in m.atoms] * len(y)
    return positions, planes, np.array([atomic_numbers[s] for s in symbols]), np.array([10 * RMS_NM[s] for s in symbols])


def potential(m: Material, seed: int) -> abtem.PotentialArray:
    """Return a frozen-phonon configuration; every lattice plane stays in its slice."""
    positions, planes, numbers, rms = supercell(m)
    positions = positions + np.random.default_rng(seed).normal(size=positions.shape) * rms[:, None]
    extent = 10 * np.array(m.cell_nm[::-1]) * m.lateral[::-1]
    shape = tuple(grid_points(e / 10, m.energy_kev) for e in extent)
    slices = [projected(positions[planes == i], numbers[planes == i], extent, shape) for i in range(m.planes * m.repeats[-1])]
    return abtem.PotentialArray(
        np.array(slices, np.float32),
        slice_thickness=10 * m.repeat_nm / m.planes or 2.0,
        extent=tuple(extent),
        exit_planes=tuple(m.planes * n - 1 for n in m.repeats),
    )


def scan_points(m: Material) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (x, y) in Å that symmetry leaves, and for each pixel (y, x) of the tile which one it is."""
    ny, nx = (math.ceil(length / STEP_NM) for length in m.cell_nm)
    if "x" in m.mirrors:
        nx += 1 - nx % 2  # an odd number leaves fewest
    if "y" in m.mirrors:
        ny += 1 - ny % 2
    i, j = np.indices((ny, nx))
    i = np.minimum(i, ny - i) if "y" in m.mirrors else i
    j = np.minimum(j, nx - j) if "x" in m.mirrors else j
    if "d" in m.mirrors:
        i, j = np.maximum(i, j), np.minimum(i, j)
    kept, which = np.unique(np.stack([i.ravel(), j.ravel()], -1), axis=0, return_inverse=True)
    return 10 * kept[:, ::-1] * m.cell_nm[::-1] / (nx, ny), which.reshape(ny, nx)


def multislice(m: Material, points: np.ndarray, seed: int) -> np.ndarray:
    """Return the fraction of the beam on the detector, (thicknesses, points)."""
    probe = abtem.Probe(energy=1e3 * m.energy_kev, semiangle_cutoff=m.semi_angle_mrad)
    detector = abtem.AnnularDetector(*m.detector_mrad)
    signal = probe.scan(potential(m, seed), scan=abtem.CustomScan(points), detectors=detector, max_batch=BATCH, lazy=False)
    return signal.array.reshape(len(m.repeats), len(points))


def add_configurations(name: str, wanted: int, out: Path) -> None:
    m, file = MATERIALS[name], out / f"{name}.npz"
    points, which = scan_points(m)
    done, seconds, total = 0, 0.0, 0.0
    if file.exists():
        with np.load(file) as old:
            if "positions_nm" not in old or old["image"].shape != (len(m.repeats), *which.shape):
                raise SystemExit(f"{file} was made otherwise: give another folder with --out, or move that file away.")
            done, seconds = int(old["configurations"]), float(old["seconds"])
            total = done * old["image"].astype(float)
    while done < wanted:
        began = time.perf_counter()
        signal = multislice(m, points, done)
        seconds += time.perf_counter() - began
        done += 1
        total = total + signal[:, which]
        save(m, file, total / done, done, seconds, len(points))
        print(f"{name}: {done} configurations, {seconds / done:.1f} s each, {seconds / done / len(points):.3f} s per probe", flush=True)


def save(m: Material, file: Path, image: np.ndarray, configurations: int, seconds: float, probes: int) -> None:
    fractions = np.array([a[1:] for a in m.atoms])
    beside = file.with_suffix(".tmp.npz")
    np.savez_compressed(
        beside,
        image=image.astype(np.float32),
        cell_nm=np.array(m.cell_nm),
        thickness_nm=m.repeat_nm * np.array(m.repeats),
        positions_nm=fractions[:, :2] * m.cell_nm,
        numbers=np.array([atomic_numbers[a[0]] for a in m.atoms]),
        height_nm=fractions[:, 2] * m.repeat_nm,
        repeat_nm=m.repeat_nm,
        energy_kev=m.energy_kev,
        semi_angle_mrad=m.semi_angle_mrad,
        detector_mrad=np.array(m.detector_mrad),
        rms_nm=np.array([RMS_NM[a[0]] for a in m.atoms]),
        configurations=configurations,
        seconds=seconds,
        probes=probes,
        abtem_version=abtem.__version__,
    )
    beside.replace(file)


def timing(names: list[str], probes: int, out: Path) -> None:
    """Print and store seconds per probe position and configuration, processor time of one thread, after a warm-up that plans the FFTs."""
    result = {}
    for name in names:
        m = MATERIALS[name]
        points = scan_points(m)[0]
        points = points[np.arange(probes) % len(points)]
        multislice(m, points[:BATCH], 0)
        began = time.process_time()
        multislice(m, points, 0)
        seconds = (time.process_time() - began) / probes
        slices, *shape = potential(m, 0).shape
        result[name] = {"seconds_per_probe": seconds, "probes": probes, "slices": slices, "points": shape, "threads": 1}
        print(f"{name}: {seconds:.4f} s per probe, {slices} slices of {shape[0]} x {shape[1]}", flush=True)
    (out / "timing.json").write_text(json.dumps(result, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MATERIALS, default=list(MATERIALS))
    parser.add_argument("--rounds", type=int, default=16, help="rounds over the materials; each adds some configurations")
    parser.add_argument("--configurations", type=int, help="configurations of each material, at most")
    parser.add_argument("--timing", type=int, nargs="?", const=64, metavar="PROBES", help="time the multislice and make no tiles")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "data" / "multislice")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.timing:
        timing(options.only, options.timing, options.out)
        return
    for turn in range(1, options.rounds + 1):
        for name in options.only:
            add_configurations(name, min(turn * MATERIALS[name].per_round, options.configurations or 10**9), options.out)


if __name__ == "__main__":
    main()
