"""The one-pass network: from a start to an image in one call, told what was measured; and a prior made of it."""

from __future__ import annotations

import numpy as np
import torch

from .equivariance import DenoiseFunction
from .spectral import Tick, gaussian_process

GUIDES = 2
STEPS = 40  # of conjugate gradients


def informed(image: torch.Tensor, y: torch.Tensor, mask: torch.Tensor, noise: float, sigma: float) -> torch.Tensor:
    """Return what a one-pass network sees (1, 1 + GUIDES, Y, X), float32.

    Parameters
    ----------
    image
        The start (Y, X), scaled to about [0, 1].
    y, mask
        The measurement (Y, X), in the same scale; mask 1 = measured.
    noise
        Standard deviation of the measurement's noise.
    sigma
        RMS error of the start.

    The guides are how much each measured value deserves to be believed over the start (0 where not measured), and how far the two
    are apart.
    """
    believed = mask * (sigma**2 / (sigma**2 + noise**2))
    return torch.stack([image, believed, believed * torch.asinh((y - image) / sigma)])[None].float()


def remeasuring(network: DenoiseFunction, ratio: float, width: float, rng: np.random.Generator, tick: Tick) -> DenoiseFunction:
    """Return a prior made of a one-pass network: what it restores from a part of the image's own pixels.

    R(M'x), M' drawn anew in each call (FiRe; Terris, Kamilov and Moreau 2025, arXiv 2411.18970). ``ratio`` is the part of the pixels,
    ``width`` that of the Gaussian process by which they are interpolated, in cycles per px.
    """

    def denoise(image: torch.Tensor, sigma: float) -> torch.Tensor:
        x = image[0, 0]
        mask = torch.as_tensor(rng.random(x.shape) < ratio).to(x)
        relative = sigma / float(x.std().clamp(min=1e-6))
        start = gaussian_process(x * mask, mask, width, max(relative, 1e-3), STEPS, tick)
        error = float((((start - x) * (1 - mask)).square().sum() / (1 - mask).sum()).sqrt())
        error = max(error**2 - sigma**2, (0.1 * error) ** 2, 1e-10) ** 0.5
        return network(informed(start, x * mask, mask, sigma, error), error)

    return denoise
