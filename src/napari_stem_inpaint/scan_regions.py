"""Regions of a frame that a scan measures always, never or more densely; elsewhere its pattern stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .frames import Mask, as_mask

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Regions:
    """Masks ``(Y, X)``, or None where nothing is drawn; where they overlap, never goes before always, and always before denser."""

    always: npt.ArrayLike | None = None
    never: npt.ArrayLike | None = None
    denser: npt.ArrayLike | None = None

    def masks(self, shape: tuple[int, int]) -> tuple[Mask, Mask, Mask]:
        """Return always, never and denser without their overlaps.

        Raises
        ------
        InputError
            If one is no mask of that shape.
        """
        always, never, denser = (
            np.zeros(shape, dtype=bool) if given is None else as_mask(given, shape) for given in (self.always, self.never, self.denser)
        )
        return always & ~never, never, denser & ~always & ~never


def apply_regions(positions: Positions, shape: tuple[int, int], regions: Regions, times: float, seed: int) -> Positions:
    """Return ``positions`` (N, 2) without those in regions never measured, and with those that the other regions ask for.

    What is added is merged into a path that goes row by row, and follows any other path as a pass of its own, row by row.

    Parameters
    ----------
    times
        How many times as many different positions are measured in a denser region, up to all of it; the further ones are random.
    seed
        Chooses them.

    Raises
    ------
    InputError
        If a mask does not fit the shape, or nothing is left.
    """
    always, never, denser = regions.masks(shape)
    kept = positions[~never[tuple(positions.T)]]
    measured = np.zeros(shape, dtype=bool)
    measured[tuple(kept.T)] = True
    added = always & ~measured
    free = np.flatnonzero(denser & ~measured)
    before = int((denser & measured).sum())
    more = min(free.size, round((times - 1) * before))
    added.flat[np.random.default_rng([seed, 1]).permutation(free)[:more]] = True
    further = np.argwhere(added)
    if len(kept) + len(further) == 0:
        raise InputError("Nothing is left to measure: the regions that are never measured cover the whole scan; erase a part of them.")
    together = np.concatenate([kept, further])
    return together[np.lexsort((together[:, 1], together[:, 0]))] if _row_by_row(kept) else together


def _row_by_row(positions: Positions) -> bool:
    """Whether every position lies to the right of, or in a lower row than, the one before."""
    down, right = np.diff(positions, axis=0).T if len(positions) else (np.empty(0), np.empty(0))
    return bool(((down > 0) | ((down == 0) & (right >= 0))).all())
