"""Contrast: how much an atomic column scatters onto the detector, by element and thickness."""

from __future__ import annotations

import math

import numpy as np

from ..params import SimulationParams
from .columns import Scene
from .crystals import Array, Species
from .formation import Atoms
from .probe import wavelength_nm

# Fitted to multislice, all crystals and thicknesses with the same numbers: docs/simulator.md.
DETECTOR_RAD = (0.070, 0.160)
SCREENING_Z = 13.3  # the element that scatters as a bare nucleus would, whatever the exponent
OBJECT_NM = 0.0199  # width of an atom for scattering to high angles, besides its thermal motion
DECHANNELLING_PER_NM = 0.051  # of a column with one Z = 38 every 0.39 nm
DECHANNELLING_EXPONENT = 2.25
SPREADING = 0.30  # of the scattered-out part: its width over semi-angle times thickness

ABF_NM2 = 2.2e-5  # of Z = 1
ABF_EXPONENT = 0.7  # light elements stay visible: Findlay et al., Ultramicroscopy 110 (2010) 903
ABF_VACUUM = 0.58  # part of the beam that reaches a detector of 0.44 to 0.88 of the semi-angle

BOHR_NM = 0.0529177


def cross_section_nm2(number: float, p: SimulationParams) -> float:
    """Return what an atom alone scatters onto (HAADF) or away from (ABF) the detector: part of the beam times nm².

    HAADF: Rutherford's π (1/θ₁² − 1/θ₂²) (γ Z λ² / 2π² a₀)² between the detector's angles, Z² tempered to Z**z_exponent
    (Pennycook & Jesson, Ultramicroscopy 37 (1991) 14).
    """
    if p.contrast == "abf":
        return float(ABF_NM2 * number**ABF_EXPONENT)
    inner, outer = DETECTOR_RAD
    gamma = 1 + p.energy_kev / 510.999
    length = gamma * wavelength_nm(p.energy_kev) ** 2 / (2 * math.pi**2 * BOHR_NM)
    z2 = SCREENING_Z ** (2 - p.z_exponent) * number**p.z_exponent
    return float(math.pi * (inner**-2 - outer**-2) * length**2 * z2)


def dechannelling_per_nm(species: Species) -> float:
    """Return how fast a column loses the beam that it focused onto itself."""
    if species.repeat_nm == 0:
        return 0.0
    strength = sum(a.occupancy * (a.number / 38) ** DECHANNELLING_EXPONENT for a in species.atoms)
    return float(DECHANNELLING_PER_NM * strength * 0.39 / species.repeat_nm)


def repeats(species: Species, thickness_nm: Array) -> Array:
    """Return how many repeats the beam passes: one where the species is a single layer."""
    return np.ones_like(thickness_nm) if species.repeat_nm == 0 else thickness_nm / species.repeat_nm


def _parts(species: Species, p: SimulationParams) -> list[tuple[tuple[float, float], float, float]]:
    """Return (offset, cross-section, rms) of the atoms of a column, those that project onto each other taken together."""
    total: dict[tuple[tuple[float, float], float], float] = {}
    for atom in species.atoms:
        key = ((round(atom.offset_nm[0], 5), round(atom.offset_nm[1], 5)), atom.rms_nm)
        total[key] = total.get(key, 0.0) + atom.occupancy * cross_section_nm2(atom.number, p)
    return [(offset, sigma, rms) for (offset, rms), sigma in total.items()]


def scatterers(scene: Scene, p: SimulationParams) -> Atoms:
    """Return what is deposited for ``scene``: every atom of every column, those above each other as one.

    Of a HAADF column of thickness t, the part (1 − exp(−μt)) / μt is seen by the beam while it is focused on the column, the rest
    after it has spread: μ is ``dechannelling_per_nm``.
    """
    haadf = p.contrast == "haadf"
    positions, weights, rms, diffuse = [np.empty((0, 2))], [np.empty(0)], [np.empty(0)], [np.empty(0)]
    present = scene.factor > 0
    for kind, species in enumerate(scene.species):
        which = present & (scene.kind == kind)
        if not which.any():
            continue
        thickness = scene.thickness_nm[which]
        amount = scene.factor[which] * repeats(species, thickness)
        lost = dechannelling_per_nm(species) * thickness if haadf else np.zeros_like(thickness)
        focused = np.where(lost > 1e-6, -np.expm1(-lost) / np.maximum(lost, 1e-6), 1.0)
        for offset, sigma, rms_nm in _parts(species, p):
            positions.append(scene.positions_nm[which] + np.array(offset))
            weights.append(sigma * amount * focused)
            diffuse.append(sigma * amount * (1 - focused))
            rms.append(np.full(len(amount), math.hypot(rms_nm, OBJECT_NM if haadf else 0.0)))
    spread = SPREADING * p.semi_angle_mrad * 1e-3 * float(scene.thickness_nm.max(initial=0.0))
    return Atoms(np.concatenate(positions), np.concatenate(weights), np.concatenate(rms), np.concatenate(diffuse), spread)


def column_intensities(scene: Scene, p: SimulationParams) -> Array:
    """Return each column's intensity integrated over the plane, part of the beam times nm²."""
    each = np.array([sum(part[1] for part in _parts(s, p)) for s in scene.species])
    amount = np.zeros(len(scene.kind))
    for kind, species in enumerate(scene.species):
        which = scene.kind == kind
        amount[which] = repeats(species, scene.thickness_nm[which])
    return np.asarray(scene.factor * amount * each[scene.kind])
