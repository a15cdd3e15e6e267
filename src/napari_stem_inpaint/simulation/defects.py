"""What can be wrong with columns: strain, dopants, scattered intensities, displacements, vacancies."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..params import SimulationParams
from .columns import DISPLACEMENT, DOPANT, SCATTER, STRAIN, VACANCY, Scene, normal, uniform
from .crystals import Species, number


def with_defects(scene: Scene, p: SimulationParams) -> Scene:
    """Return ``scene`` with the defects that ``p`` asks for."""
    return _defective(_strained(scene, p), p)


def _strained(scene: Scene, p: SimulationParams) -> Scene:
    """Displace smoothly: three waves of 4 to 12 nm, whose largest gradients add up to ``strain``."""
    if p.strain == 0:
        return scene
    shift = np.zeros_like(scene.positions_nm)
    for n in range(3):
        place = [float(uniform(p.seed, STRAIN, np.array([[n, k, 0, 0]]))[0]) for k in range(4)]
        length, angle, phase, towards = 4 + 8 * place[0], *(2 * math.pi * x for x in place[1:])
        k = 2 * math.pi / length * np.array([math.cos(angle), math.sin(angle)])
        amplitude = p.strain / 3 * length / (2 * math.pi)
        shift += amplitude * np.sin(scene.positions_nm @ k + phase)[:, None] * np.array([math.cos(towards), math.sin(towards)])
    return replace(scene, positions_nm=scene.positions_nm + shift)


def _defective(scene: Scene, p: SimulationParams) -> Scene:
    """Replace elements, scatter intensities, displace and remove columns."""
    crystal_ = scene.defect != "film"
    if p.dopants > 0:
        scene = _doped(scene, (uniform(p.seed, DOPANT, scene.ids) < p.dopants) & crystal_, p.dopant)
    if p.intensity_scatter > 0:
        factor = 1 + p.intensity_scatter * normal(p.seed, SCATTER, scene.ids)[:, 0]
        scene = replace(scene, factor=np.where(crystal_, scene.factor * np.maximum(factor, 0), scene.factor))
    if p.displacement_nm > 0:
        shift = p.displacement_nm * normal(p.seed, DISPLACEMENT, scene.ids) * crystal_[:, None]
        scene = replace(scene, positions_nm=scene.positions_nm + shift)
    if p.vacancies > 0:
        missing = (uniform(p.seed, VACANCY, scene.ids) < p.vacancies) & crystal_
        scene = replace(scene, factor=np.where(missing, 0.0, scene.factor)).marked(missing, "vacancy")
    return scene


def _doped(scene: Scene, which: npt.NDArray[np.bool_], dopant: str) -> Scene:
    """Replace the heaviest element of the columns marked True."""
    z = number(dopant)
    changed = []
    for species in scene.species:
        heaviest = max(atom.number for atom in species.atoms)
        atoms = tuple(replace(a, number=z) if a.number == heaviest else a for a in species.atoms)
        changed.append(Species("+".join([dopant, *species.label.split("+")[1:]]), atoms, species.repeat_nm))
    kind = np.where(which, scene.kind + len(scene.species), scene.kind)
    return replace(scene, kind=kind, species=scene.species + tuple(changed)).marked(which, "dopant")
