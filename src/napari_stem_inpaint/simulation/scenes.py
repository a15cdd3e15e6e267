"""Scenes: a crystal as it is, its edge, a particle, boundaries, a dislocation, films and single atoms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..params import SceneName, SimulationParams
from .columns import FILM, GEOMETRY, OFFSET, Scene, Window, join, nearest_nm, perfect, rotation, tile, uniform
from .crystals import DEFAULT_RMS_NM, RMS_NM, Array, Atom, ProjectedCell, Species, number, projected_cell, symbol
from .defects import with_defects

CARBON_PER_NM3 = 95.0  # amorphous carbon of 1.9 g/cm³
ON_PLANE_NM = 1e-3
NEAR_NM = 0.6  # a twin's plane is not farther from the middle

Cells = tuple[ProjectedCell, ProjectedCell]  # the crystal, and the one on an interface's other side


def crystals_of(p: SimulationParams) -> Cells:
    """Return the crystals that ``p`` names: the second along its usual zone axis unless one is given."""
    first = projected_cell(p)
    second = projected_cell(p.model_copy(update={"crystal": p.second_crystal, "cif": ""})) if p.scene == "interface" else first
    return first, second


def build_scene(p: SimulationParams, window: Window, cells: Cells | None = None) -> Scene:
    """Return the scene that ``p`` describes, of ``cells`` where they are given, with every column in ``window``."""
    scene = SCENES[p.scene](p, cells or crystals_of(p), window)
    scene = with_defects(scene, p)
    if p.contamination_nm > 0:
        scene = join(scene, film(p, window, p.contamination_nm, CONTAMINATION))
    return scene


def crystal(p: SimulationParams, cells: Cells, window: Window, turn_deg: float = 0.0, grain: int = 0) -> Scene:
    """Fill the window with a crystal at a random offset, which belongs to the seed and the grain."""
    cell = cells[0]
    vectors = cell.vectors @ rotation(p.rotation_deg + turn_deg)
    place = np.array([[grain, 0, 0, 0]])
    offset = np.array([uniform(p.seed, OFFSET, place, draw)[0] for draw in (0, 1)]) @ vectors
    positions, ids = tile(vectors, cell.fractions, window, offset, grain)
    return perfect(positions, ids, ids[:, 3], cell.species, p.thickness_nm, ids[:, 1:3] @ cell.lifts_nm)


def _random(p: SimulationParams, number: int) -> float:
    """Return a number in (0, 1) for the geometry of the scene."""
    return float(uniform(p.seed, GEOMETRY, np.array([[number, 0, 0, 0]]))[0])


def _line(p: SimulationParams, window: Window, angle_deg: float | None = None) -> Callable[[Array], Array]:
    """Return the signed distance (nm) from a line through the middle part of the frame, at a random angle unless one is given."""
    angle = 2 * math.pi * _random(p, 0) if angle_deg is None else math.radians(angle_deg)
    across = np.array([math.cos(angle), math.sin(angle)])
    middle = np.array(window.extent_nm) * (0.35 + 0.3 * np.array([_random(p, 1), _random(p, 2)]))
    return lambda positions: np.asarray((positions - middle) @ across)


def edge(p: SimulationParams, cells: Cells, window: Window) -> Scene:
    """A crystal that ends at a random line, its thickness growing from a third over the first 2 nm; vacuum beyond."""
    scene = crystal(p, cells, window)
    depth = _line(p, window)(scene.positions_nm)
    thickness = scene.thickness_nm * np.clip(1 / 3 + depth / 3.0, 0, 1)
    return replace(scene, thickness_nm=thickness).keep(depth > 0)


def nanoparticle(p: SimulationParams, cells: Cells, window: Window) -> Scene:
    """A faceted particle, as thick in the middle as it is wide, in the middle of the frame."""
    scene = crystal(p, cells, window)
    centre = np.array(window.extent_nm) / 2
    turn = p.rotation_deg + 360 * _random(p, 0) / 8
    facets = np.deg2rad(turn + 45 * np.arange(8))
    distances = (scene.positions_nm - centre) @ np.stack([np.cos(facets), np.sin(facets)])
    radius = p.particle_nm / 2 * np.where(np.arange(8) % 2, 1.0, 0.92)
    inside = (distances <= radius).all(1)
    from_middle = np.linalg.norm(scene.positions_nm - centre, axis=1) / (p.particle_nm / 2)
    thickness = p.particle_nm * np.sqrt(np.clip(1 - from_middle**2, 0.05, None))
    return replace(scene, thickness_nm=thickness).keep(inside)


def twin(p: SimulationParams, cells: Cells, window: Window) -> Scene:
    """Two halves of a crystal, mirror images of each other, sharing the columns on the line between them."""
    vectors = cells[0].vectors @ rotation(p.rotation_deg)
    along = next((d for d in _directions(vectors) if not _is_mirror(vectors, d)), vectors[0])
    along = along / np.linalg.norm(along)
    across = np.array([-along[1], along[0]])
    # wide enough to hold every column whose mirror image is inside the window
    whole = crystal(p, cells, Window(window.extent_nm, float(np.hypot(*window.extent_nm)) + 2 * NEAR_NM + window.margin_nm))
    distance = (whole.positions_nm - np.array(window.extent_nm) / 2) @ across
    around = crystal(p, cells, Window(window.extent_nm, 2.0)).positions_nm  # whatever the window's margin: the same plane
    plane = _twin_plane(around, (around - np.array(window.extent_nm) / 2) @ across)
    one, other = whole.keep(distance > plane - ON_PLANE_NM), whole.keep(distance > plane + ON_PLANE_NM)
    mirrored = other.positions_nm - 2 * (distance[distance > plane + ON_PLANE_NM] - plane)[:, None] * across
    scene = join(one, replace(other, positions_nm=mirrored, ids=other.ids + np.array([1, 0, 0, 0])))
    scene = scene.keep(window.holds(scene.positions_nm))
    away = (scene.positions_nm - np.array(window.extent_nm) / 2) @ across - plane
    return scene.marked(np.abs(away) < 0.15, "twin boundary")


def _twin_plane(positions: Array, distance: Array) -> float:
    """Return where to mirror: on a plane of columns, or midway between two, so that no two columns come too close."""
    near = np.abs(distance) < NEAR_NM
    planes = np.unique(distance[near].round(4))
    between = (planes[1:] + planes[:-1]) / 2

    def closest(plane: float) -> float:
        side = near & (distance > plane + ON_PLANE_NM) & (distance < plane + 0.3)
        if not side.any():
            return 0.0
        if plane in between:
            return 2 * float((distance[side] - plane).min())
        return float(nearest_nm(positions[side], positions[near & (np.abs(distance - plane) < ON_PLANE_NM)]).min())

    # of equals, midway: there diamond keeps all its bonds
    return float(max([*planes, *between], key=lambda plane: (round(closest(plane), 2), plane in between, -abs(plane)), default=0.0))


def _directions(vectors: Array) -> list[Array]:
    return [np.array(n) @ vectors for n in ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2), (3, 1))]


def _is_mirror(vectors: Array, along: Array) -> bool:
    """Whether the lattice is its own mirror image across ``along``."""
    unit = along / np.linalg.norm(along)
    images = (2 * (vectors @ unit)[:, None] * unit - vectors) @ np.linalg.inv(vectors)
    return bool(np.allclose(images, np.round(images), atol=1e-3))


def grain_boundary(p: SimulationParams, cells: Cells, window: Window) -> Scene:
    """Two grains of a crystal, turned against each other; of columns too close to each other only one stays."""
    half = p.misorientation_deg / 2
    return _two(p, window, lambda w: crystal(p, cells, w, -half), crystal(p, cells, window, half, 1), _closest_nm(cells[0]))


def interface(p: SimulationParams, cells: Cells, window: Window) -> Scene:
    """The crystal above, ``second_crystal`` below, strained to the first along the interface where they differ by up to 6 %."""
    first, second = cells
    width = [float(np.abs(c.vectors[:, 1]).max()) for c in cells]
    if abs(width[0] / width[1] - 1) < 0.06:
        second = replace(second, vectors=second.vectors * np.array([1.0, width[0] / width[1]]))
    below = crystal(p, (second, second), window, 0.0, 1)
    return _two(p, window, lambda w: crystal(p, (first, first), w), below, _closest_nm(second), 180.0 - p.rotation_deg)


def _closest_nm(cell: ProjectedCell) -> float:
    """Return the median distance of a cell's columns to their nearest neighbours."""
    cells = np.stack(np.meshgrid([0, -1, 1], [0, -1, 1], indexing="ij"), -1).reshape(-1, 1, 2)  # the cell itself first
    positions = ((cells + cell.fractions) @ cell.vectors).reshape(-1, 2)
    return float(np.median(nearest_nm(positions)[: len(cell.fractions)]))


def _two(
    p: SimulationParams,
    window: Window,
    left_in: Callable[[Window], Scene],
    right: Scene,
    spacing_nm: float,
    angle_deg: float | None = None,
) -> Scene:
    """Join two crystals at a line; of the right one, nothing stays that comes too close to the left one."""
    left = left_in(Window(window.extent_nm, window.margin_nm + spacing_nm))
    side = _line(p, window, angle_deg)
    left, right = left.keep(side(left.positions_nm) > 0), right.keep(side(right.positions_nm) <= 0)
    if len(left.kind) and len(right.kind):
        right = right.keep(nearest_nm(right.positions_nm, left.positions_nm) > 0.7 * spacing_nm)
    scene = join(left.keep(window.holds(left.positions_nm)), right)
    return scene.marked(np.abs(side(scene.positions_nm)) < 0.2, "boundary")


def dislocation(p: SimulationParams, cells: Cells, window: Window) -> Scene:
    """An edge dislocation in the middle of the frame, its Burgers vector the shortest lattice vector.

    Isotropic elasticity, Poisson's ratio 0.3 (Hirth & Lothe, Theory of Dislocations, eq. 3-45).
    """
    wide = crystal(p, cells, Window(window.extent_nm, window.margin_nm + 1.0))
    burgers = min(cells[0].vectors, key=np.linalg.norm) @ rotation(p.rotation_deg)
    b = float(np.linalg.norm(burgers))
    axes = np.stack([burgers / b, np.array([-burgers[1], burgers[0]]) / b])
    core = np.array(window.extent_nm) / 2 + 0.011
    x, y = ((wide.positions_nm - core) @ axes.T).T
    r2, nu = x**2 + y**2 + 1e-6, 0.3
    ux = b / (2 * math.pi) * (np.arctan2(y, x) + x * y / (2 * (1 - nu) * r2))
    uy = -b / (2 * math.pi) * ((1 - 2 * nu) / (4 * (1 - nu)) * np.log(r2 / b**2) + (x**2 - y**2) / (4 * (1 - nu) * r2))
    scene = replace(wide, positions_nm=wide.positions_nm + np.stack([ux, uy], 1) @ axes)
    scene = scene.marked(np.linalg.norm(scene.positions_nm - core, axis=1) < 1.5 * b, "dislocation")
    return scene.keep(window.holds(scene.positions_nm))


# --- films and single atoms


CONTAMINATION, SUPPORT, SINGLE = 1000, 2000, 3000  # "grains" of their own, so that each has its own random numbers


def film(
    p: SimulationParams, window: Window, thickness_nm: float, grain: int, element: str = "C", per_nm3: float = CARBON_PER_NM3
) -> Scene:
    """Amorphous film: atoms at random, ``per_nm3`` of them."""
    return _scattered(p, window, element, thickness_nm * per_nm3, grain + number(element), "film")


def _scattered(p: SimulationParams, window: Window, element: str, per_nm2: float, grain: int, defect: str) -> Scene:
    """Return single atoms scattered over the window, the same number on every square nm (or every larger square)."""
    side = max(1.0, math.sqrt(1 / per_nm2))
    each = max(1, round(per_nm2 * side**2))
    place = Window((window.extent_nm[0] / side, window.extent_nm[1] / side), window.margin_nm / side)
    _, ids = tile(np.eye(2), np.full((each, 2), 0.5), Window(place.extent_nm, place.margin_nm + 0.5), np.zeros(2), grain)
    inside = np.stack([uniform(p.seed, FILM, ids, draw) for draw in (0, 1)], 1)
    positions = (ids[:, 1:3] + inside) * side
    species = Species(element, (Atom(number(element), (0.0, 0.0), 0.0, 1.0, RMS_NM.get(element, DEFAULT_RMS_NM)),), 0.0)
    scene = perfect(positions, ids, np.zeros(len(ids), dtype=np.int64), (species,), 0.0, np.zeros(len(ids)))
    scene = scene.marked(np.ones(len(ids), dtype=bool), defect)
    return scene.keep(window.holds(positions))


def isolated_atoms(p: SimulationParams, cells: Cells, window: Window) -> Scene:
    """Single atoms of the dopant element on the crystal where it is a single layer, else on 2 nm of amorphous carbon."""
    support = crystal(p, cells, window) if cells[0].species[0].repeat_nm == 0 else film(p, window, 2.0, SUPPORT)
    return join(support, _scattered(p, window, p.dopant, 0.5, SINGLE, "isolated atom"))


def amorphous(p: SimulationParams, cells: Cells, window: Window) -> Scene:
    """The crystal's elements without its order: atoms at random in the same numbers."""
    cell = cells[0]
    counts: dict[str, float] = {}
    for species in cell.species:
        for atom in species.atoms:
            counts[symbol(atom.number)] = counts.get(symbol(atom.number), 0.0) + atom.occupancy
    total = sum(counts.values())
    return join(*(film(p, window, p.thickness_nm, SUPPORT, e, cell.atoms_per_nm3 * n / total) for e, n in counts.items()))


SCENES: dict[SceneName, Callable[[SimulationParams, Cells, Window], Scene]] = {
    "crystal": crystal,
    "edge": edge,
    "nanoparticle": nanoparticle,
    "twin": twin,
    "grain-boundary": grain_boundary,
    "dislocation": dislocation,
    "interface": interface,
    "isolated-atoms": isolated_atoms,
    "amorphous": amorphous,
}
