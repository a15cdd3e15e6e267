"""Plug-and-Play solvers: a data step and a denoiser in turn. One algorithm, one generator.

Every one is called ``solver(start, denoiser, data_step, sigmas)``:

start
    First image ``(Y, X)``, scaled to about [0, 1].
denoiser
    ``denoiser(image (B, 1, Y, X), sigma)``.
data_step
    ``data_step(image (Y, X), sigma)`` moves an image of error ``sigma`` towards the measurement: the proximal step of the data
    term; with ``sigma`` infinite, its full gradient step.
sigmas
    Denoising strength of each step, relative to the range; the iteration ends with it.

and yields the image ``(Y, X)`` after the denoiser and the one after the data step, in each iteration.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import torch

from .equivariance import DenoiseFunction
from .spectral import Grid, Tick, krige, lattice_power

DataStep = Callable[[torch.Tensor, float], torch.Tensor]
Steps = Iterator[tuple[torch.Tensor, torch.Tensor]]
Solver = Callable[[torch.Tensor, DenoiseFunction, DataStep, Iterable[float]], Steps]
KRIGE_STEPS = 40
EASE = 0.15  # share of the residual that is not believed: with less, gaps and borders are overshot
WEIGHT = 0.23  # lambda of DPIR
MOMENTUM = 0.5  # at most; more helps on defects and hurts on perfect crystals
MEMORY = 0.5  # share of the dual variable that is kept: with 1, what the denoiser errs adds up in it without end
RED_STEP = 0.5  # share of the way to the denoised image that gradient descent goes at once


def hqs(start: torch.Tensor, denoiser: DenoiseFunction, data_step: DataStep, sigmas: Iterable[float]) -> Steps:
    """Half-quadratic splitting (DPIR; Zhang et al. 2021, arXiv 2008.13751, algorithm 1)."""
    u = start
    for sigma in sigmas:
        x = _denoised(denoiser, u, sigma)
        u = data_step(x, sigma)
        yield x, u


def pgd(start: torch.Tensor, denoiser: DenoiseFunction, data_step: DataStep, sigmas: Iterable[float]) -> Steps:
    """Proximal gradient descent, that is forward-backward splitting (Ryu et al. 2019, arXiv 1905.05406)."""
    u = start
    for sigma in sigmas:
        x = _denoised(denoiser, u, sigma)
        u = data_step(x, math.inf)
        yield x, u


def apgd(start: torch.Tensor, denoiser: DenoiseFunction, data_step: DataStep, sigmas: Iterable[float]) -> Steps:
    """Accelerated proximal gradient descent: Nesterov's momentum, with an end, in place of more steps.

    As FISTA (Beck and Teboulle 2009, doi 10.1137/080716542), but the data step is the proximal one and the momentum is bounded:
    where the denoising strength falls, old directions mislead.
    """
    u, z, t = start, start, 1.0
    for sigma in sigmas:
        x = _denoised(denoiser, z, sigma)
        before, u = u, data_step(x, sigma)
        following = (1 + math.sqrt(1 + 4 * t**2)) / 2
        z, t = u + min((t - 1) / following, MOMENTUM) * (u - before), following
        yield x, u


def admm(start: torch.Tensor, denoiser: DenoiseFunction, data_step: DataStep, sigmas: Iterable[float]) -> Steps:
    """Alternating direction method of multipliers (Venkatakrishnan et al. 2013, doi 10.1109/GlobalSIP.2013.6737048), with a leak.

    The published one keeps all of the scaled dual variable where the strength stays the same, and the share that its square falls by
    where it falls (Boyd et al. 2011, doi 10.1561/2200000016, section 3.4.1), which is a half with the default strengths.
    """
    u, dual = start, torch.zeros_like(start)
    for sigma in sigmas:
        x = _denoised(denoiser, u + dual, sigma)
        u = data_step(x - dual, sigma)
        dual = MEMORY * (dual + u - x)
        yield x, u


def drs(start: torch.Tensor, denoiser: DenoiseFunction, data_step: DataStep, sigmas: Iterable[float]) -> Steps:
    """Douglas-Rachford splitting, data step first (Buzzard et al. 2018, arXiv 1705.08983): `admm` begun with the data, its leak too."""
    z = start
    for sigma in sigmas:
        u = data_step(z, sigma)
        dual = MEMORY * (u - z)
        x = _denoised(denoiser, u + dual, sigma)
        z = x - dual
        yield x, u


def red(start: torch.Tensor, denoiser: DenoiseFunction, data_step: DataStep, sigmas: Iterable[float]) -> Steps:
    """Regularisation by denoising, by gradient descent (Romano et al. 2017, arXiv 1611.02862)."""
    u = start
    for sigma in sigmas:
        x = _denoised(denoiser, u, sigma)
        u = data_step(u + RED_STEP * (x - u), sigma)
        yield x, u


SOLVERS: dict[str, Solver] = {"apgd": apgd, "hqs": hqs, "pgd": pgd, "admm": admm, "drs": drs, "red": red}


def mean_of_last(images: Iterable[torch.Tensor], count: int) -> Iterator[torch.Tensor]:
    """Yield the mean of the last ``count`` images in place of each."""
    last: deque[torch.Tensor] = deque(maxlen=count)
    for image in images:
        last.append(image)
        yield image if len(last) == 1 else torch.stack(list(last)).mean(0)


def settled(images: Iterable[torch.Tensor], tolerance: float) -> Iterator[torch.Tensor]:
    """Yield images until one differs from the one before by less than ``tolerance`` (RMS)."""
    before: torch.Tensor | None = None
    for image in images:
        yield image
        if tolerance and before is not None and float((image - before).square().mean().sqrt()) < tolerance:
            return
        before = image


def _denoised(denoiser: DenoiseFunction, u: torch.Tensor, sigma: float) -> torch.Tensor:
    return denoiser(u[None, None].float(), sigma)[0, 0].to(u)


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
    seen, values = mask.float(), y.float()  # corrections are small; single precision halves the time
    grid = Grid.of(values)

    def step(x: torch.Tensor, sigma: float) -> torch.Tensor:
        power = lattice_power(x.float(), grid, width)
        relative = max(noise / sigma, EASE)
        correction = grid.crop(krige((y - x).float(), seen, power, grid, relative, KRIGE_STEPS, tick, 1e-3))
        u = x + correction
        return u if noise else torch.where(mask > 0, y, u)

    return step
