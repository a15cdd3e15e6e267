"""Multislice images by abTEM, the optional engine: exact where the convolution is an approximation, and slow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

SLICE_NM = 0.2
LEAST_REACH_MRAD = 100.0  # electrons lost to higher angles must leave the bright field, too
BATCH = 8  # waves at once: more leave the processor's cache
MEMORY_LIMIT_GB = 8.0
SECONDS_PER_POINT = 8e-10  # of one slice, times log2 of the points; measured on one core at 2.5 GHz
ANGSTROM = 10.0  # per nm


def multislice_image(
    atoms_nm: npt.NDArray[np.floating[Any]],
    numbers: npt.NDArray[np.integer[Any]],
    rms_nm: npt.NDArray[np.floating[Any]],
    box_nm: tuple[float, float, float],
    origin_nm: tuple[float, float],
    shape: tuple[int, int],
    pixel_size_nm: float,
    *,
    energy_kev: float,
    semi_angle_mrad: float,
    aberrations: Mapping[str, float],
    detector_mrad: tuple[float, float] = (70.0, 160.0),
    configurations: int = 8,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Return the fraction of the beam on an annular detector, (Y, X), without the source's size.

    Parameters
    ----------
    atoms_nm, numbers, rms_nm
        Atoms (N, 3) as (y, x, z), z the depth from the box's entrance surface; atomic numbers; thermal displacements per axis.
    box_nm
        Extent (y, x, z) of the periodic box that holds the atoms.
    origin_nm
        The frame's first probe position (y, x) inside the box.
    aberrations
        By abTEM's names, in Å and rad, at the box's entrance surface.
    configurations
        Frozen-phonon configurations to average.
    """
    points, slices = _grid(box_nm, energy_kev, detector_mrad)
    _check_memory(points, slices, shape[0] * shape[1] * configurations)
    try:
        abtem, ase = import_module("abtem"), import_module("ase.data")
    except ImportError:
        raise InputError(
            'The multislice engine needs abTEM, which is not installed: pip install "napari-stem-inpaint[multislice]", '
            "or choose the convolution engine."
        ) from None

    factors = abtem.parametrizations.LobatoParametrization()
    extent = np.array(box_nm[:2]) * ANGSTROM
    y, x = (o * ANGSTROM + pixel_size_nm * ANGSTROM * np.arange(n) for o, n in zip(origin_nm, shape, strict=True))
    places = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)  # abTEM's first axis is x
    probe = abtem.Probe(energy=1e3 * energy_kev, semiangle_cutoff=semi_angle_mrad, aberrations=dict(aberrations))
    detector = abtem.AnnularDetector(*detector_mrad)
    which = np.clip(atoms_nm[:, 2] / box_nm[2] * slices, 0, slices - 1).astype(int)
    form = {
        int(n): factors.projected_scattering_factor(ase.chemical_symbols[n])(_frequencies_squared(extent, points))
        for n in np.unique(numbers)
    }
    total = np.zeros(len(places))
    for configuration in range(configurations):
        rng = np.random.default_rng([seed, configuration])
        # displacements along the beam change nothing: a slice is projected
        moved = (atoms_nm[:, :2] + rng.normal(size=(len(atoms_nm), 2)) * rms_nm[:, None]) * ANGSTROM
        layers = np.empty((slices, points[1], points[0]), np.float32)
        for i in range(slices):
            layers[i] = _projected(moved[which == i], numbers[which == i], form, extent, points).T
        potential = abtem.PotentialArray(layers, slice_thickness=box_nm[2] * ANGSTROM / slices, extent=(extent[1], extent[0]))
        for start in range(0, len(places), BATCH):
            scan = abtem.CustomScan(places[start : start + BATCH])
            part = probe.scan(potential, scan=scan, detectors=detector, max_batch=BATCH, lazy=False)
            total[start : start + BATCH] += np.asarray(part.array).ravel()
    return (total / configurations).reshape(shape).astype(np.float32)


def _projected(
    positions: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.integer[Any]],
    form: Mapping[int, npt.NDArray[np.float64]],
    extent: npt.NDArray[np.float64],
    points: tuple[int, int],
) -> npt.NDArray[np.float64]:
    """Return a slice's potential (y, x) in V Å from its Fourier coefficients.

    abTEM's own infinite projection interpolates atoms bilinearly between pixels, which loses a fifth of the high-angle scattering at
    this sampling.
    """
    ky, kx = (np.fft.fftfreq(n, length / n) for n, length in zip(points, extent, strict=True))
    total = np.zeros(points, complex)
    for number in np.unique(numbers):
        y, x = positions[numbers == number].T
        total += form[int(number)] * (np.exp(-2j * np.pi * np.outer(ky, y)) @ np.exp(-2j * np.pi * np.outer(x, kx)))
    scaled: npt.NDArray[np.float64] = np.fft.ifft2(total).real * (np.prod(points) / np.prod(extent))
    return scaled


def _frequencies_squared(extent: npt.NDArray[np.float64], points: tuple[int, int]) -> npt.NDArray[np.float64]:
    ky, kx = (np.fft.fftfreq(n, length / n) for n, length in zip(points, extent, strict=True))
    return np.asarray(ky[:, None] ** 2 + kx**2)


def _grid(box_nm: tuple[float, float, float], energy_kev: float, detector_mrad: tuple[float, float]) -> tuple[tuple[int, int], int]:
    """Return the grid (y, x), with FFT-friendly sizes, and the number of slices."""
    wavelength_nm = 1.23984244 / math.sqrt(energy_kev * (2 * 510.99895 + energy_kev))
    # abTEM keeps two thirds of Nyquist, with a soft edge
    finest = wavelength_nm / (3 * 1.02e-3 * max(detector_mrad[1], LEAST_REACH_MRAD))
    y, x = (_fast_even(math.ceil(length / finest)) for length in box_nm[:2])
    return (y, x), max(1, round(box_nm[2] / SLICE_NM))


def _fast_even(least: int) -> int:
    """Return the smallest even number of factors 2, 3 and 5 from ``least`` on."""
    n = least + least % 2
    while (2 * 3 * 5) ** n.bit_length() % n:
        n += 2
    return n


def _check_memory(points: tuple[int, int], slices: int, probes: int) -> None:
    size = points[0] * points[1]
    gigabytes = (4 * slices + 3 * 8 * BATCH) * size / 1e9  # abTEM holds about three copies of the waves
    if gigabytes > MEMORY_LIMIT_GB:
        hours = SECONDS_PER_POINT * size * math.log2(size) * slices * probes / 3600
        raise InputError(
            f"The multislice engine takes frames that need at most {MEMORY_LIMIT_GB:g} GB; this one needs about {gigabytes:.0f} GB "
            f"and {hours:,.0f} hours on one core: choose fewer or smaller pixels, a thinner specimen, or the convolution engine."
        )
