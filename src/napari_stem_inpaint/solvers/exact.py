"""Kriging without noise by the spectrum of an estimate, solved exactly, and how far it is off.

Sharp spectra are so badly conditioned that conjugate gradients do not end. So the frame is cut into patches that are solved directly, each
with the measurements in it and around it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter

from .spectral import Grid, Tick, line_power

FLOOR = 1e-9  # of the power of the highest line
NOISE = 1e-5  # relative to the field: what rounding leaves
TIMES = 2  # the spectrum is taken from the estimate, then from what it led to
INSIDE, MOST, LEAST = 100, 1200, 16  # measurements in a patch, about; in it and around it, at most and at least
FAR = 1e-3  # weight of the mean of all in the local one
SMOOTH = 1.2  # mean distances of measurements: over as much is averaged how far they lie from what their neighbours say


@dataclass(frozen=True)
class Covariance:
    """Of a field: ``values`` (rows·columns) by the difference of two positions, the difference 0 at ``origin``."""

    values: torch.Tensor
    columns: int
    origin: int

    @classmethod
    def of(cls, image: torch.Tensor, width: float, reach: int) -> Covariance:
        """Return that of the spectrum of ``image`` (Y, X), of variance one, for positions less than ``reach`` px apart."""
        grid = Grid.of(image, reach)  # so that nothing wraps around
        power = line_power(image, grid, width, FLOOR)
        values = torch.fft.fftshift(torch.fft.irfft2(torch.complex(power, torch.zeros_like(power)), s=grid.padded))
        rows, columns = grid.padded
        origin = rows // 2 * columns + columns // 2
        values = values.flatten()
        return cls(values / values[origin], columns, origin)

    def between(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the covariance (n, m) of every position of ``a`` (n, 2) with every one of ``b`` (m, 2)."""
        first, second = (positions[:, 0] * self.columns + positions[:, 1] for positions in (a, b))
        return torch.take(self.values, (first + self.origin)[:, None] - second[None])


def kriged_exactly(image: torch.Tensor, y: torch.Tensor, mask: torch.Tensor, width: float, tick: Tick) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what ``y`` (Y, X), noise-free, says at ``mask`` by the spectrum of the estimate ``image``; and how far that is off (Y, X).

    The latter is how far measurements are from what the others say, squared, relative to the kriging variance (Dubrule 1983, doi
    10.1007/BF01033232: without solving anew), a local mean, relative to its median: where a lattice has a vacancy, it is high. Where
    hardly anything is measured near, the estimate stays.
    """
    distance = math.sqrt(mask.numel() / float(mask.sum()))
    side = 2 * math.ceil(math.sqrt(INSIDE) * distance / 2)
    mean = (y * mask).sum() / mask.sum()
    missed = torch.zeros_like(image)
    with _one_thread():
        for turn in range(TIMES):
            covariance = Covariance.of(image, width, 2 * side)  # as far as two positions of a patch are apart
            image = image.clone()
            for top, left in itertools.product(*(range(0, n, side) for n in y.shape)):
                tick()
                empty, near, own = _patch(mask, top, left, side)
                if len(near) < LEAST:
                    continue
                known = covariance.between(near, near)
                known.diagonal().add_(NOISE**2)
                lower, failed = torch.linalg.cholesky_ex(known)
                if failed:
                    continue
                weights = torch.cholesky_solve((y[near[:, 0], near[:, 1]] - mean)[:, None], lower)[:, 0]
                image[empty[:, 0], empty[:, 1]] = mean + weights @ covariance.between(near, empty)
                if turn == TIMES - 1:
                    single = torch.nn.functional.one_hot(own, len(near)).T.to(lower)
                    precision = torch.linalg.solve_triangular(lower, single, upper=False).square().sum(0)
                    left_out = near[own]
                    missed[left_out[:, 0], left_out[:, 1]] = weights[own].square() / precision
    return torch.where(mask > 0, y, image), _local_mean(missed, SMOOTH * distance)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small matrices gain nothing by more, and lose a factor of ten where another program uses the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _patch(mask: torch.Tensor, top: int, left: int, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the positions (n, 2) not measured in a patch of ``side`` px, the measured ones in and around it, which are in it."""
    first, half = torch.tensor([top, left], device=mask.device), side // 2
    empty = (mask[top : top + side, left : left + side] == 0).nonzero() + first
    start = (first - half).clamp(min=0)
    near = (mask[start[0] : top + side + half, start[1] : left + side + half] > 0).nonzero() + start
    away = torch.maximum(first - near, near - first - side + 1).clamp(min=0).square().sum(1)
    if len(near) > MOST:
        nearest = away.argsort(stable=True)[:MOST]
        near, away = near[nearest], away[nearest]
    return empty, near, (away == 0).nonzero()[:, 0]


def _local_mean(missed: torch.Tensor, width: float) -> torch.Tensor:
    """Return the mean of what is above zero, weighted by a Gaussian of ``width`` px and far from all of it that of all, by its median."""
    values, there = missed.cpu().numpy(), (missed > 0).double().cpu().numpy()
    total, count = (gaussian_filter(a, width, mode="constant") for a in (values, there))
    mean = torch.as_tensor((total + FAR * values.sum() / max(1.0, there.sum())) / (count + FAR)).to(missed)
    return mean / mean.median().clamp(min=1e-30)
