"""A scene as atoms in space, for the multislice engine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..params import SimulationParams
from .columns import FILM, Scene, uniform
from .crystals import Array


def atoms_in_space(scene: Scene, p: SimulationParams) -> tuple[Array, npt.NDArray[np.intp], Array]:
    """Return positions (N, 3) as (y, x, depth) in nm, atomic numbers (N,) and thermal displacements (N,) in nm.

    A column's intensity factor below 1, and a partial occupancy, are the chance of each of its atoms to be there. Film atoms lie
    at random depths in front of the crystal.
    """
    rng = np.random.default_rng([p.seed, 3])
    positions, numbers, rms = [np.empty((0, 3))], [np.empty(0, dtype=np.intp)], [np.empty(0)]
    film_nm = max(p.contamination_nm, p.thickness_nm if p.scene == "amorphous" else 2.0)
    for kind, species in enumerate(scene.species):
        for column in np.flatnonzero(scene.kind == kind):
            for atom in species.atoms:
                if scene.defect[column] == "film":
                    depths = -film_nm * uniform(p.seed, FILM, scene.ids[column : column + 1], 2)
                elif species.repeat_nm == 0:
                    depths = np.array([atom.height_nm])
                else:
                    first = (atom.height_nm + scene.lift_nm[column]) % species.repeat_nm
                    depths = np.arange(first, scene.thickness_nm[column], species.repeat_nm)
                depths = depths[rng.random(len(depths)) < atom.occupancy * scene.factor[column]]
                y, x = scene.positions_nm[column] + np.array(atom.offset_nm)
                positions.append(np.stack([np.full(len(depths), y), np.full(len(depths), x), depths], 1))
                numbers.append(np.full(len(depths), atom.number))
                rms.append(np.full(len(depths), atom.rms_nm))
    together = np.concatenate(positions)
    together[:, 2] -= together[:, 2].min(initial=0.0)
    return together, np.concatenate(numbers), np.concatenate(rms)
