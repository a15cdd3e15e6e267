"""Plug-and-Play solvers: a data step and a denoising step in turn. One algorithm, one generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch

from .equivariance import DenoiseFunction
from .spectral import Grid, Tick, krige, lattice_power

DataStep = Callable[[torch.Tensor, float], torch.Tensor]
KRIGE_STEPS = 40
EASE = 0.15  # share of the residual that is not believed: with less, gaps and borders are overshot
WEIGHT = 0.23  # lambda of DPIR


def hqs(
    start: torch.Tensor, denoiser: DenoiseFunction, data_step: DataStep, sigmas: Iterable[float]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Half-quadratic splitting with an annealed noise level (DPIR; Zhang et al. 2021, arXiv 2008.13751, algorithm 1).

    Parameters
    ----------
    start
        First image ``(Y, X)``, scaled to about [0, 1].
    denoiser
        ``denoiser(image (B, 1, Y, X), sigma)``.
    data_step
        ``data_step(image (Y, X), sigma)``: moves an image of error ``sigma`` towards the measurement.
    sigmas
        Denoising strength of each step, relative to the range; the iteration ends with it.

    Yields
    ------
    The denoised image and the image after its data step, both ``(Y, X)``.
    """
    u = start
    for sigma in sigmas:
        x = denoiser(u[None, None].float(), sigma)[0, 0].to(u)
        u = data_step(x, sigma)
        yield x, u


def replace_step(y: torch.Tensor, mask: torch.Tensor, noise: float) -> DataStep:
    """Return the proximal step of the measurement alone: each measured pixel is set to the average of image and value.

    u = (mask·y + rho·x) / (mask + rho), rho = lambda·noise²/sigma²; exact where ``noise`` is 0.
    """

    def step(x: torch.Tensor, sigma: float) -> torch.Tensor:
        u = x + mask * (y - x) / (1 + WEIGHT * (noise / sigma) ** 2)
        return u if noise else torch.where(mask > 0, y, u)

    return step


def krige_step(y: torch.Tensor, mask: torch.Tensor, noise: float, width: float, tick: Tick) -> DataStep:
    """Return the kriged data step: the residual at the measured pixels corrects their neighbourhood too.

    u = x + K Mᵀ (M K Mᵀ + (noise/sigma)²)⁻¹ (y − M x), K the covariance of the error of x, whose spectrum is taken from x.
    """
    grid = Grid.of(y)

    def step(x: torch.Tensor, sigma: float) -> torch.Tensor:
        power = lattice_power(x, grid, width)
        relative = max(noise / sigma, EASE)
        u = x + grid.crop(krige(y - x, mask, power, grid, relative, KRIGE_STEPS, tick, 1e-3))
        return u if noise else torch.where(mask > 0, y, u)

    return step
