"""Equivariant denoising: each call sees a randomly turned, mirrored and shifted copy of the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

DenoiseFunction = Callable[[torch.Tensor, float], torch.Tensor]
LARGEST_SHIFT = 8  # px: the coarsest cell of the networks' down-sampling grid


def transform(image: torch.Tensor, element: int) -> torch.Tensor:
    """Apply element 0…7 of the group D4 (four turns, each with or without a mirror) to ``image`` (B, 1, Y, X)."""
    turned = torch.rot90(image, element % 4, (-2, -1))
    return turned.flip(-1) if element >= 4 else turned


def inverse(image: torch.Tensor, element: int) -> torch.Tensor:
    """Undo ``transform`` with the same ``element``."""
    return torch.rot90(image.flip(-1) if element >= 4 else image, -(element % 4), (-2, -1))


def equivariant(denoiser: DenoiseFunction, rng: np.random.Generator) -> DenoiseFunction:
    """Return the Monte-Carlo estimate of the group-averaged denoiser: one random transformation per call.

    D_G(x) = T_g⁻¹ D(T_g x), g drawn uniformly (Terris et al. 2023, arXiv 2312.01831). Shifts pad by reflection and crop
    back; nothing wraps around, so borders stay sound.
    """

    def denoise(image: torch.Tensor, sigma: float) -> torch.Tensor:
        element = int(rng.integers(8))
        top, left = (int(rng.integers(0, min(LARGEST_SHIFT, side))) for side in image.shape[-2:])
        moved = transform(F.pad(image, (left, 0, top, 0), mode="reflect"), element)
        return inverse(denoiser(moved, sigma), element)[..., top:, left:]

    return denoise
