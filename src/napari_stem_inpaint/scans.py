"""Scan patterns: which probe positions are measured, in which order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .frames import Scan
from .params import PatternName, ScanParams
from .scan_regions import Regions, apply_regions

Positions = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
MAX_VISITS = 2**28


def make_scan(shape: tuple[int, int], params: ScanParams | None = None, regions: Regions | None = None) -> Scan:
    """Return a scan of a frame of ``shape`` (rows, columns); in ``regions`` it differs from the pattern.

    Raises
    ------
    InputError
        If the shape is not two positive numbers or far too large, ratio or regions leave no position, or a list is missing.
    """
    p = params or ScanParams()
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"A scan needs a shape of two positive numbers (rows, columns), but it is {tuple(shape)}.")
    rows, columns = int(shape[0]), int(shape[1])
    if rows * columns * p.visits > MAX_VISITS:
        raise InputError(
            f"{p.visits} visits of a frame of {rows} × {columns} need about {rows * columns * p.visits * 50 / 1e9:.0f} GB; "
            f"take at most {MAX_VISITS:,} positions in all."
        )
    positions = _positions((rows, columns), p)
    if regions is not None:
        positions = apply_regions(positions, (rows, columns), regions, p.densify, p.seed)
    return Scan(np.tile(positions, (p.visits, 1)), (rows, columns), p.dwell_time_us, p.flyback_time_us, p.settling_time_us)


def _positions(shape: Shape, p: ScanParams) -> Positions:
    """Return the pattern's positions; with a border, that goes first, in one round, and counts for the ratio."""
    if not p.border or p.pattern == "list":
        return PATTERNS[p.pattern](shape, p)
    rows, columns = shape
    inside = max(rows - 2, 0) * max(columns - 2, 0)
    around = rows * columns - inside
    ratio = (p.ratio * rows * columns - around) / max(inside, 1)
    if round(ratio * inside) < 1:
        raise InputError(
            f"The outermost rows and columns alone are {around / (rows * columns):.2g} of the positions, so a ratio of {p.ratio:g} "
            "leaves none inside; raise it, or do without the border."
        )
    bottom, right = rows - 1, columns - 1
    walk = [(0, c) for c in range(right)] + [(r, right) for r in range(bottom)]
    walk += [(bottom, c) for c in range(right, 0, -1)] + [(r, 0) for r in range(bottom, 0, -1)]
    rest = PATTERNS[p.pattern]((rows - 2, columns - 2), p.model_copy(update={"ratio": min(ratio, 1.0)}))
    return np.concatenate([np.array(walk, dtype=np.intp), rest + 1])


def wanted(shape: Shape, ratio: float) -> int:
    """Return the number of positions closest to the ratio, at least one."""
    size = shape[0] * shape[1]
    count = round(ratio * size)
    if count == 0:
        raise InputError(f"A ratio of {ratio:g} leaves no position of {size}; raise it to {1 / size:.2g} at least.")
    return count


# --- at random


def random_positions(shape: Shape, p: ScanParams) -> Positions:
    """Exactly the wanted number of different positions, uniformly at random, visited row by row."""
    size = shape[0] * shape[1]
    chosen = np.random.default_rng(p.seed).permutation(size)[: wanted(shape, p.ratio)]
    return np.stack(np.unravel_index(np.sort(chosen), shape), 1)


def line_hop_positions(shape: Shape, p: ScanParams) -> Positions:
    """Rows in groups of 1/ratio; each group is crossed once, hopping by at most ``hop`` rows between neighbouring columns.

    Exactly one position per column and group (Kovarik et al. 2016, doi 10.1063/1.4965720). The first and the last group are half as high,
    so that the frame's edges are no farther from a measured position than any row inside. Groups' heights are whole numbers around
    1/ratio; ratios above ½ measure some rows completely.
    """
    rng = np.random.default_rng(p.seed)
    groups = max(1, round(shape[0] * p.ratio))
    half = max(1, round(shape[0] / max(groups - 1, 1) / 2))
    between = np.round(np.linspace(half, shape[0] - half, groups - 1))
    edges = np.concatenate([[0], between, [shape[0]]]).astype(np.intp)
    hops = rng.integers(-p.hop, p.hop + 1, (shape[1], groups))
    rows = np.empty((groups, shape[1]), dtype=np.intp)
    rows[:, 0] = rng.integers(edges[:-1], edges[1:])
    for column in range(1, shape[1]):
        rows[:, column] = np.clip(rows[:, column - 1] + hops[column], edges[:-1], edges[1:] - 1)
    return np.stack([rows.ravel(), np.tile(np.arange(shape[1]), groups)], 1)


def jittered_grid_positions(shape: Shape, p: ScanParams) -> Positions:
    """One random position in each cell of a grid of about square cells, exactly the wanted number, visited band by band."""
    rng = np.random.default_rng(p.seed)
    count = wanted(shape, p.ratio)
    bands = int(np.clip(round(np.sqrt(count * shape[0] / shape[1])), -(-count // shape[1]), min(shape[0], count)))
    edges = np.round(np.linspace(0, shape[0], bands + 1)).astype(int)
    shares = np.diff(np.round(np.linspace(0, count, bands + 1)).astype(int))
    path = []
    for (top, bottom), cells in zip(pairwise(edges.tolist()), shares.tolist(), strict=True):
        sides = np.round(np.linspace(0, shape[1], cells + 1)).astype(int)
        path.append(np.stack([rng.integers(top, bottom, cells), rng.integers(sides[:-1], sides[1:])], 1))
    return np.concatenate(path).astype(np.intp)


def blue_noise_positions(shape: Shape, p: ScanParams) -> Positions:
    """Exactly the wanted number of positions at random that keep the largest distance from each other, in serpentine bands.

    Positions are drawn in a random order and kept where no kept one is nearer than a distance, which is lowered when nothing fits any
    more (hierarchical Poisson-disc sampling: McCool & Fiume, Graphics Interface 1992).
    """
    from scipy.ndimage import distance_transform_edt

    rng = np.random.default_rng(p.seed)
    count = wanted(shape, p.ratio)
    free, kept = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for distance2 in _lattice_distances(1.3 * shape[0] * shape[1] / count):
        reach = int(np.sqrt(distance2))
        dy, dx = (a.ravel() for a in np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"))
        near = dy**2 + dx**2 < distance2
        disc = near.reshape(2 * reach + 1, -1)
        free = distance_transform_edt(~kept) ** 2 > distance2 - 0.5 if kept.any() else free
        for row, column in rng.permutation(np.argwhere(free)).tolist():
            if not free[row, column]:
                continue
            kept[row, column] = True
            count -= 1
            if count == 0:
                return serpentine(np.argwhere(kept), max(1, round(np.sqrt(1 / p.ratio))))
            top, left = max(row - reach, 0), max(column - reach, 0)
            patch = free[top : row + reach + 1, left : column + reach + 1]
            y, x = top - row + reach, left - column + reach
            patch &= ~disc[y : y + patch.shape[0], x : x + patch.shape[1]]
    raise AssertionError("at distance 1 every position is free")


def _lattice_distances(largest2: float) -> list[int]:
    """Return the squared distances between pixels, from the largest down to 1."""
    reach = int(np.sqrt(largest2)) + 1
    squares = {y * y + x * x for y in range(reach + 1) for x in range(y + 1)}
    return sorted((s for s in squares if 0 < s <= max(largest2, 1)), reverse=True)


# --- rows and grids


def interleaved_rows_positions(shape: Shape, p: ScanParams) -> Positions:
    """Evenly spaced whole rows, every second one first and then those between; of the last only the part that is still wanted."""
    count = wanted(shape, p.ratio)
    rows = -(-count // shape[1])
    spaced = ((np.arange(rows) + 0.5) * shape[0] / rows).astype(int)
    return _whole_rows(np.concatenate([spaced[::2], spaced[1::2]]), shape, count)


def random_rows_positions(shape: Shape, p: ScanParams) -> Positions:
    """Whole rows at random, from the top down; of the last only the part that is still wanted."""
    count = wanted(shape, p.ratio)
    rows = -(-count // shape[1])
    return _whole_rows(np.sort(np.random.default_rng(p.seed).permutation(shape[0])[:rows]), shape, count)


def _whole_rows(rows: npt.NDArray[np.intp], shape: Shape, count: int) -> Positions:
    path = np.stack([np.repeat(rows, shape[1]), np.tile(np.arange(shape[1]), len(rows))], 1)
    return path[:count]


def grid_positions(shape: Shape, p: ScanParams) -> Positions:
    """Every n-th position of every n-th row, row by row; n may differ along rows and columns to come near the ratio."""
    count = wanted(shape, p.ratio)
    best = min(
        ((r, min(shape[1], max(1, round(count / r)))) for r in range(1, shape[0] + 1)),
        key=lambda n: abs(np.log(n[0] * n[1] / count)) + 0.2 * abs(np.log((n[0] / shape[0]) / (n[1] / shape[1]))),
    )
    rows, columns = (((np.arange(n) + 0.5) * side / n).astype(np.intp) for n, side in zip(best, shape, strict=True))
    return np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))], 1)


# --- curves


def spiral_positions(shape: Shape, p: ScanParams) -> Positions:
    """An Archimedean spiral from the centre outwards into the corners at constant speed, its turns as close as the ratio asks.

    Exactly the wanted number of positions: the end is left out. In a frame that is not square the turns are ellipses.
    """

    def path(density: float) -> Floats:
        turns = density * min(shape) / np.sqrt(2) + 0.5
        steps = max(8, int(turns * (shape[0] + shape[1]) * 4))
        along = np.sqrt(np.linspace(0, 1, steps))  # equal lengths of arc
        angle = 2 * np.pi * turns * along
        return np.asarray(np.stack([along * np.sin(angle), along * np.cos(angle)], 1) / np.sqrt(0.5))

    return _densest_enough(shape, p, path)


def fermat_spiral_positions(shape: Shape, p: ScanParams) -> Positions:
    """Points at the golden angle on a Fermat spiral (Vogel, Math. Biosci. 44 (1979) 179), visited turn by turn outwards.

    Exactly the wanted number of positions: the outermost are left out.
    """
    count = wanted(shape, p.ratio)

    def path(density: float) -> Floats:
        k = np.arange(max(1, int(density * shape[0] * shape[1] * 2)))
        radius = np.sqrt((k + 0.5) / len(k)) / np.sqrt(0.5)
        return np.stack([radius * np.sin(k * GOLDEN_ANGLE), radius * np.cos(k * GOLDEN_ANGLE)], 1)

    chosen = _densest_enough(shape, p, path)
    y, x = ((chosen - (np.array(shape) - 1) / 2) / np.array(shape)).T
    # rings as wide as the points' mean distance
    ring = np.hypot(y, x) * np.sqrt(count) // 1
    return chosen[np.lexsort((np.arctan2(y, x), ring))]


def lissajous_positions(shape: Shape, p: ScanParams) -> Positions:
    """A Lissajous figure of n periods down and n + 1 across, n as the ratio asks and not necessarily whole.

    Exactly the wanted number of positions where the figure reaches as many: near a ratio of 1 it may miss some.
    """

    def path(density: float) -> Floats:
        n = density * min(shape)
        t = np.linspace(0, 1, max(16, int((n + 1) * (shape[0] + shape[1]) * 4)))
        return np.stack([np.sin(2 * np.pi * n * t), np.sin(2 * np.pi * (n + 1) * t + 0.5)], 1)

    return _densest_enough(shape, p, path)


def _densest_enough(shape: Shape, p: ScanParams, path: Callable[[float], Floats]) -> Positions:
    """Return the positions on the sparsest path that passes enough of them, in order, cut off at the wanted number.

    ``path(density)`` returns places in [-1, 1]² across the frame, (N, 2); what lies outside is not visited.
    """
    count = wanted(shape, p.ratio)

    def visited(density: float) -> Positions:
        places = (path(density) + 1) / 2 * np.array(shape)
        inside = places[((places >= 0) & (places < np.array(shape))).all(1)]
        flat = np.ravel_multi_index(tuple(inside.astype(np.intp).T), shape)
        _, first = np.unique(flat, return_index=True)
        return np.stack(np.unravel_index(flat[np.sort(first)], shape), 1)

    low, high = 0.0, 0.05
    while len(visited(high)) < count and high < 6:
        low, high = high, 1.5 * high
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if len(visited(middle)) >= count else (middle, high)
    return visited(high)[:count]


def serpentine(positions: Positions, height: int) -> Positions:
    """Return positions band by band of ``height`` rows, to the right in one and to the left in the next."""
    band = positions[:, 0] // height
    return positions[np.lexsort((np.where(band % 2 == 0, positions[:, 1], -positions[:, 1]), band))]


def listed_positions(shape: Shape, p: ScanParams) -> Positions:
    """The user's own positions, in their order, repeated where they repeat."""
    from .io import read_scan

    if not p.positions:
        raise InputError("The pattern list needs a file of positions (row,column); name it, or choose another pattern.")
    return read_scan(p.positions, shape).positions


PATTERNS: dict[PatternName, Callable[[Shape, ScanParams], Positions]] = {
    "random": random_positions,
    "line-hop": line_hop_positions,
    "jittered-grid": jittered_grid_positions,
    "blue-noise": blue_noise_positions,
    "interleaved-rows": interleaved_rows_positions,
    "random-rows": random_rows_positions,
    "grid": grid_positions,
    "spiral": spiral_positions,
    "fermat-spiral": fermat_spiral_positions,
    "lissajous": lissajous_positions,
    "list": listed_positions,
}
