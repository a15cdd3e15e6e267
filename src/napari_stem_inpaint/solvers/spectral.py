"""Interpolation with a spectral prior: Gaussian process, Fourier-sparse IRLS, and the kriged data step of Plug-and-Play.

All three solve one problem. The image is a random field whose power spectrum is ``power``; its values at the measured
positions are known to within ``noise``; its best linear estimate is ``K Mᵀ (M K Mᵀ + noise²)⁻¹ y`` with K the covariance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from scipy.fft import next_fast_len

Tick = Callable[[], None]
LINE_FLOOR = 3e-6  # of the power of the highest line
PAD = 16  # px: at least; correlation does not reach further, so nothing wraps around


@dataclass(frozen=True)
class Grid:
    """The frame's padded grid: ``shape`` (Y, X) of the frame, ``padded`` (Y', X'), squared frequency ``k2`` (Y', X'//2 + 1)."""

    shape: tuple[int, int]
    padded: tuple[int, int]
    k2: torch.Tensor

    @classmethod
    def of(cls, frame: torch.Tensor, pad: int = PAD) -> Grid:
        """Return the grid for ``frame`` (Y, X), on its device and in its type, padded by ``pad`` px or a little more."""
        height, width = (next_fast_len(n + pad, real=True) for n in frame.shape)
        ky = torch.fft.fftfreq(height, device=frame.device, dtype=frame.dtype)
        kx = torch.fft.rfftfreq(width, device=frame.device, dtype=frame.dtype)
        return cls((frame.shape[0], frame.shape[1]), (height, width), ky[:, None] ** 2 + kx[None, :] ** 2)

    def filter(self, image: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
        """Return the padded field K image, where image (Y, X) is zero outside the frame."""
        padded = image.new_zeros(self.padded)  # half the time of a transform that pads
        self.crop(padded).copy_(image)
        field: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(padded).mul_(power), s=self.padded)
        return field

    def crop(self, field: torch.Tensor) -> torch.Tensor:
        """Cut the frame out of a padded field."""
        return field[: self.shape[0], : self.shape[1]]


def unit_variance(power: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Scale ``power`` so that the field it describes has variance one."""
    full = 2 * power.sum() - power[:, 0].sum() - (power[:, -1].sum() if grid.padded[1] % 2 == 0 else 0)
    return power * (grid.padded[0] * grid.padded[1] / full)


def gaussian_power(grid: Grid, width: float) -> torch.Tensor:
    """Return the power spectrum of a smooth field of spectral ``width`` (cycles per px), of variance one."""
    return unit_variance(torch.exp(-grid.k2 / width**2), grid)


def krige(
    y: torch.Tensor,
    mask: torch.Tensor,
    power: torch.Tensor,
    grid: Grid,
    noise: float,
    steps: int,
    tick: Tick,
    tolerance: float = 1e-6,
) -> torch.Tensor:
    """Return the padded field that best explains ``y`` (Y, X) at ``mask``; ``noise`` is its standard deviation relative to the field's."""
    return grid.filter(kriging_weights(y, mask, power, grid, noise, steps, tick, tolerance), power)


def kriging_weights(
    y: torch.Tensor,
    mask: torch.Tensor,
    power: torch.Tensor,
    grid: Grid,
    noise: float,
    steps: int,
    tick: Tick,
    tolerance: float = 1e-6,
    first: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the weight (Y, X) of each position of ``mask`` in that field, by conjugate gradients from a ``first`` guess.

    Few ``steps`` regularise as well.
    """

    def applied(weights: torch.Tensor) -> torch.Tensor:
        return (noise**2 * weights).addcmul_(mask, grid.crop(grid.filter(weights, power)))

    b = y * mask
    a = torch.zeros_like(b) if first is None else first.clone()
    r = b.clone() if first is None else b - applied(first)
    p = r.clone()
    rr = (r * r).sum()
    stop = tolerance**2 * float((b * b).sum())
    for _ in range(steps):
        tick()
        if float(rr) <= stop:
            break
        q = applied(p)
        alpha = rr / torch.vdot(p.flatten(), q.flatten())
        a.addcmul_(alpha, p)
        r.addcmul_(alpha, q, value=-1)
        new = torch.vdot(r.flatten(), r.flatten())
        p.mul_(new / rr).add_(r)
        rr = new
    return a


def gaussian_process(y: torch.Tensor, mask: torch.Tensor, width: float, noise: float, steps: int, tick: Tick) -> torch.Tensor:
    """Return the Gaussian-process (Wiener) interpolation of ``y`` (Y, X), whose values at ``mask`` count.

    The prior is a constant plus a field of Gaussian spectrum of ``width`` in cycles per px; ``noise`` is relative to the field.
    """
    grid = Grid.of(y)
    mean, field = kriged(y, mask, gaussian_power(grid, width), grid, noise, steps, tick)
    return mean + grid.crop(field)


def kriged(
    y: torch.Tensor, mask: torch.Tensor, power: torch.Tensor, grid: Grid, noise: float, steps: int, tick: Tick, tolerance: float = 1e-6
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of ``y`` (Y, X) at ``mask`` and the padded field that best explains what is left, as `krige` does."""
    mean = (y * mask).sum() / mask.sum()
    return mean, krige(y - mean, mask, power, grid, noise, steps, tick, tolerance)


def fourier_sparse(
    y: torch.Tensor, mask: torch.Tensor, width: float, noise: float, steps: int, tick: Tick
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the images (Y, X) of iteratively reweighted least squares towards few Fourier coefficients, and the power spectrum of each.

    The first is the Gaussian process'. Each further one takes its power spectrum from the amplitude of the one before
    (Daubechies et al. 2010, doi 10.1002/cpa.20303, with p = 1), plus a smooth floor that keeps defects possible.
    """
    grid = Grid.of(y, 3 * PAD)
    envelope = torch.exp(-grid.k2 / 0.35**2)
    floor = 1e-3 * torch.exp(-grid.k2 / (1.5 * width) ** 2)
    power = gaussian_power(grid, width)
    while True:
        mean, field = kriged(y, mask, power, grid, noise, steps, tick)
        yield mean + grid.crop(field), power
        amplitude = torch.fft.rfft2(field).abs()
        power = unit_variance(amplitude / amplitude.max() * envelope + floor, grid)


def lowest(candidates: Sequence[float], error: Callable[[float], float]) -> float:
    """Return the candidate of (nearly) the lowest ``error``: every third is tried, then the neighbours of the best."""
    tried = {k: error(candidates[k]) for k in range(0, len(candidates), 3)}
    best = min(tried, key=tried.__getitem__)
    for k in (best - 2, best - 1, best + 1, best + 2):
        if 0 <= k < len(candidates):
            tried[k] = error(candidates[k])
    return float(candidates[min(tried, key=tried.__getitem__)])


def line_power(image: torch.Tensor, grid: Grid, width: float, floor: float = LINE_FLOOR) -> torch.Tensor:
    """Return the power spectrum of a field of which ``image`` (Y, X) is a first estimate, of variance one.

    The empirical Wiener filter's (Ghael et al. 1997, doi 10.1117/12.279675): that of the estimate itself, plus a smooth floor of
    spectral ``width`` that keeps possible what it lacks. Where a lattice repeats, its lines stand far above the noise.
    """
    power = torch.fft.rfft2((image - image.mean()) * hann(image), s=grid.padded).abs().square()
    return unit_variance(power / power.max().clamp(min=1e-30) + floor * torch.exp(-grid.k2 / (1.5 * width) ** 2), grid)


def hann(image: torch.Tensor) -> torch.Tensor:
    """Return a window as large as ``image`` (Y, X) that falls to zero at its borders."""
    y, x = (torch.hann_window(n, periodic=False, dtype=image.dtype, device=image.device) for n in image.shape)
    return torch.outer(y, x)


def lattice_power(image: torch.Tensor, grid: Grid, width: float) -> torch.Tensor:
    """Return the power spectrum that the error of ``image`` (Y, X) is expected to have, of variance one.

    Between smooth and lattice-like: a smooth Gaussian of spectral ``width``, raised where ``image`` itself has spectral lines.
    """
    amplitude = torch.fft.rfft2((image - image.mean()) * hann(image), s=grid.padded).abs()
    smooth = torch.exp(-grid.k2 / width**2)
    return unit_variance((amplitude / amplitude.max().clamp(min=1e-30)).sqrt() * smooth + 0.01 * smooth**2, grid)
