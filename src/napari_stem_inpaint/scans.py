"""Scan patterns: which probe positions are measured, in which order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .frames import Scan
from .params import PatternName, ScanParams

Positions = npt.NDArray[np.intp]


def make_scan(shape: tuple[int, int], params: ScanParams | None = None) -> Scan:
    """Return a scan of a frame of ``shape`` (rows, columns).

    Raises
    ------
    InputError
        If the shape is not two positive numbers or the ratio leaves no position.
    """
    p = params or ScanParams()
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"A scan needs a shape of two positive numbers (rows, columns), but it is {tuple(shape)}.")
    positions = PATTERNS[p.pattern]((int(shape[0]), int(shape[1])), p)
    return Scan(positions, (int(shape[0]), int(shape[1])), p.dwell_time_us)


def random_positions(shape: tuple[int, int], p: ScanParams) -> Positions:
    """Exactly round(ratio · positions) different positions, uniformly at random, visited row by row."""
    size = shape[0] * shape[1]
    count = round(p.ratio * size)
    if count == 0:
        raise InputError(f"A ratio of {p.ratio:g} leaves no position of {size}; raise it to {1 / size:.2g} at least.")
    chosen = np.random.default_rng(p.seed).permutation(size)[:count]
    return np.stack(np.unravel_index(np.sort(chosen), shape), 1)


def line_hop_positions(shape: tuple[int, int], p: ScanParams) -> Positions:
    """Rows in groups of 1/ratio; each group is crossed once, hopping by at most ``hop`` rows between neighbouring columns.

    Exactly one position per column and group (Kovarik et al. 2016, doi 10.1063/1.4965720). Where 1/ratio is not whole, the
    groups' heights alternate between the whole numbers around it; ratios above ½ measure some rows completely.
    """
    rng = np.random.default_rng(p.seed)
    groups = max(1, round(shape[0] * p.ratio))
    edges = np.round(np.linspace(0, shape[0], groups + 1)).astype(int)
    path = []
    for top, bottom in pairwise(edges.tolist()):
        row = int(rng.integers(top, bottom))
        for column in range(shape[1]):
            path.append((row, column))
            row = int(np.clip(row + rng.integers(-p.hop, p.hop + 1), top, bottom - 1))
    return np.array(path, dtype=np.intp)


PATTERNS: dict[PatternName, Callable[[tuple[int, int], ScanParams], Positions]] = {
    "random": random_positions,
    "line-hop": line_hop_positions,
}
