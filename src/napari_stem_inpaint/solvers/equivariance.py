"""Equivariant denoising: the denoiser sees moved copies of the image, so that no direction and no place is preferred."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch.nn import functional as F

DenoiseFunction = Callable[[torch.Tensor, float], torch.Tensor]
LARGEST_SHIFT = 8  # px: the coarsest cell of the networks' down-sampling grid
LARGEST_TILT = 5.0  # degrees
DRAWS = 8  # in place of all members of a group that has too many
PAIRS: dict[str, tuple[tuple[int, int], ...]] = {  # of elements of D4, each with what a half turn makes of it, by group
    "rotations": ((0, 2), (1, 3)),
    "mirrors": ((0, 2), (4, 6)),
    "shifts": ((0, 0),),
    "small-rotations": ((0, 0),),
    "all": ((0, 2), (1, 3), (4, 6), (5, 7)),
}


@dataclass(frozen=True)
class Move:
    """A shift by ``top`` and ``left`` px, then ``element`` 0…7 of D4, then a turn by ``degrees``."""

    element: int = 0
    top: int = 0
    left: int = 0
    degrees: float = 0.0


def transform(image: torch.Tensor, element: int) -> torch.Tensor:
    """Apply element 0…7 of the group D4 (four turns, each with or without a mirror) to ``image`` (B, 1, Y, X)."""
    turned = torch.rot90(image, element % 4, (-2, -1))
    return turned.flip(-1) if element >= 4 else turned


def inverse(image: torch.Tensor, element: int) -> torch.Tensor:
    """Undo ``transform`` with the same ``element``."""
    return torch.rot90(image.flip(-1) if element >= 4 else image, -(element % 4), (-2, -1))


def turn(image: torch.Tensor, degrees: float) -> torch.Tensor:
    """Turn ``image`` (B, 1, Y, X) about its centre, by cubic interpolation, reflected at the borders."""
    height, width = image.shape[-2:]
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = image.new_tensor([[c, -s * height / width, 0.0], [s * width / height, c, 0.0]])
    grid = F.affine_grid(matrix.expand(len(image), 2, 3), list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def equivariant(
    denoiser: DenoiseFunction, rng: np.random.Generator, group: str = "all", averaged: Callable[[int], bool] = lambda _: False
) -> DenoiseFunction:
    """Return the group-averaged denoiser, or its Monte-Carlo estimate: one random member of ``group`` per call.

    D_G(x) = mean over g of T_g⁻¹ D(T_g x) (Terris et al. 2023, arXiv 2312.01831). Shifts pad by reflection and crop back; nothing
    wraps around, so borders stay sound. Small rotations turn back only what was removed, so that interpolation spares the image.
    Each random member is followed by its opposite (antithetic draws): what a network errs in one direction it takes back in the next call.

    Parameters
    ----------
    denoiser
        ``denoiser(image (B, 1, Y, X), sigma)``.
    rng
        Draws the members.
    group
        "rotations", "mirrors", "shifts", "small-rotations" or "all" (turns, mirrors and shifts).
    averaged
        Whether the call of this number, from 0, averages over the whole group.
    """
    calls = iter(range(2**62))
    draws = _draws(group, rng)

    def denoise(image: torch.Tensor, sigma: float) -> torch.Tensor:
        moves = _all_members(group, rng) if averaged(next(calls)) else islice(draws, 1)
        return torch.stack([_denoised(denoiser, image, sigma, move) for move in moves]).mean(0)

    return denoise


def _all_members(group: str, rng: np.random.Generator) -> Iterator[Move]:
    members = 2 * len(PAIRS[group])
    return islice(_draws(group, rng), members if members > 2 else DRAWS)


def _draws(group: str, rng: np.random.Generator) -> Iterator[Move]:
    """Draw members for ever: the pairs in random order, over and over; the other of a pair is shifted by half a cell more, or back."""
    while True:
        for pair in rng.permutation(PAIRS[group]).tolist():
            first, other = rng.permutation(pair).tolist()
            top, left = rng.integers(0, LARGEST_SHIFT, 2).tolist() if group in ("shifts", "all") else (0, 0)
            degrees = rng.uniform(-LARGEST_TILT, LARGEST_TILT) if group == "small-rotations" else 0.0
            yield Move(first, top, left, degrees)
            if group in ("shifts", "all"):
                top, left = (top + LARGEST_SHIFT // 2) % LARGEST_SHIFT, (left + LARGEST_SHIFT // 2) % LARGEST_SHIFT
            yield Move(other, top, left, -degrees)


def _denoised(denoiser: DenoiseFunction, image: torch.Tensor, sigma: float, move: Move) -> torch.Tensor:
    if move.degrees:
        turned = turn(image, move.degrees)
        return image + turn(denoiser(turned, sigma) - turned, -move.degrees)
    top, left = move.top % image.shape[-2], move.left % image.shape[-1]  # a reflection is shorter than the image
    moved = transform(F.pad(image, (left, 0, top, 0), mode="reflect"), move.element)
    return inverse(denoiser(moved, sigma), move.element)[..., top:, left:]
