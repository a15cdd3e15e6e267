"""Image formation: atoms deposited in Fourier space to float precision, filtered by the probe, sampled at the scan positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy.fft import next_fast_len

from ..errors import InputError
from .crystals import Array
from .probe import Optics, transfer

SOLID_NM = 0.5  # so far around the frame, every atom is there
FADE_NM = 1.0  # then the atoms give way to their mean density
SMOOTHING_NM = 0.4
SPREAD_TAPS = 5.4  # half-width of the deposited Gaussians in standard deviations: 5e-7 of the peak
MAX_BYTES = 4e9


@dataclass(frozen=True, eq=False)
class Atoms:
    """What is deposited: ``positions_nm`` (N, 2) from the centre of the first pixel, ``weights`` (N,), ``rms_nm`` (N,) their widths.

    ``diffuse`` (N,) is further weight at the same positions, blurred by a Gaussian of ``diffuse_nm``.
    """

    positions_nm: Array
    weights: Array
    rms_nm: Array
    diffuse: Array | None = None
    diffuse_nm: float = 0.0


@dataclass(frozen=True)
class Grid:
    """A frame of ``shape`` with ``margin`` pixels around it, sampled ``oversampling`` times finer where the probe asks for it."""

    shape: tuple[int, int]
    pixel_nm: float
    margin: int
    oversampling: int
    band_per_nm: float

    @classmethod
    def over(cls, shape: tuple[int, int], pixel_nm: float, optics: Optics) -> Grid:
        """Return the grid that holds the field and the probe without aliasing.

        Raises
        ------
        InputError
            If it would not fit into memory.
        """
        margin = math.ceil((optics.radius_nm() + SOLID_NM + FADE_NM) / pixel_nm)
        sigma = optics.source_sigma_nm
        band = min(optics.cutoff_per_nm, math.sqrt(18) / (math.sqrt(2) * math.pi * sigma) if sigma else math.inf)
        grid = cls(shape, pixel_nm, margin, max(1, math.ceil(2 * pixel_nm * band)), band)
        bytes_ = 40.0 * math.prod(grid.deposit) + 24.0 * math.prod(grid.fine)
        if bytes_ > MAX_BYTES:
            raise InputError(
                f"A frame of {shape[0]} × {shape[1]} at {pixel_nm:g} nm needs about {bytes_ / 1e9:.0f} GB "
                f"({pixel_nm * max(shape):.0f} nm of atoms); take fewer positions or a smaller scan step."
            )
        return grid

    @property
    def fine(self) -> tuple[int, int]:
        """Rows and columns of the periodic field, in steps of pixel / oversampling."""
        y, x = (next_fast_len(n + 2 * self.margin, real=True) * self.oversampling for n in self.shape)
        return y, x

    @property
    def extent_nm(self) -> tuple[float, float]:
        """Size of the periodic field."""
        y, x = (n * self.pixel_nm / self.oversampling for n in self.fine)
        return y, x

    @property
    def deposit(self) -> tuple[int, int]:
        """Rows and columns of the grid on which atoms are deposited: half as fine again as the band asks for."""
        y, x = (next_fast_len(math.ceil(3 * self.band_per_nm * length) + 8, real=True) for length in self.extent_nm)
        return y, x

    def frequencies(self, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """Return ky (Y, 1) and kx (1, X/2 + 1) of the fine field in 1/nm."""
        y, x = self.fine
        step = self.pixel_nm / self.oversampling
        return torch.fft.fftfreq(y, step, device=device)[:, None], torch.fft.rfftfreq(x, step, device=device)[None]

    def image(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return the frame (..., Y, X) of a spectrum (..., Y, X/2 + 1) of the fine field, per nm²."""
        step = self.pixel_nm / self.oversampling
        image = torch.fft.irfft2(spectrum, s=self.fine) / step**2
        inside = [slice(self.margin * self.oversampling, (self.margin + n) * self.oversampling, self.oversampling) for n in self.shape]
        frame: torch.Tensor = image[..., inside[0], inside[1]].contiguous()
        return frame


def form_images(batch: list[Atoms], grid: Grid, optics: Optics, device: str = "cpu") -> torch.Tensor:
    """Return the images ``(B, Y, X)`` float32 of a batch under the probe, in weight per nm².

    The spectrum Σ w exp(−2πi k·r − 2π²u²k²) T(k) is evaluated up to the probe's cut-off on a field enlarged on every side.
    Beyond the margin the specimen goes on as its mean density at the margin, so that the probe's far tails are there. The image is
    sampled at points: a pixel beyond Nyquist of the probe aliases, as a real scan does.
    """
    spectrum = resize(deposit(batch, grid, device), grid.deposit, grid.fine)
    if any(a.diffuse is not None and a.diffuse.any() for a in batch):
        spectrum += _diffuse(batch, grid, device)
    return grid.image(spectrum * _transfer(optics, grid, device))


def _diffuse(batch: list[Atoms], grid: Grid, device: str) -> torch.Tensor:
    """Return the spectrum of the diffuse weights: a smooth field, so a coarse grid holds it."""
    narrowest = min(a.diffuse_nm for a in batch)
    coarse = replace(grid, band_per_nm=min(grid.band_per_nm, 0.76 / narrowest if narrowest else math.inf))
    parts = []
    for atoms in batch:
        weights = np.zeros_like(atoms.weights) if atoms.diffuse is None else atoms.diffuse
        some = weights > 0
        parts.append(Atoms(atoms.positions_nm[some], weights[some], atoms.rms_nm[some]))
    spectrum = resize(deposit(parts, coarse, device), coarse.deposit, grid.fine)
    ky, kx = grid.frequencies(device)
    width = torch.tensor([a.diffuse_nm for a in batch], device=device)[:, None, None]
    return spectrum * torch.exp(-2 * (math.pi * width) ** 2 * (ky**2 + kx**2))


@lru_cache(maxsize=16)
def _transfer(optics: Optics, grid: Grid, device: str) -> torch.Tensor:
    ky, kx = grid.frequencies(device)
    return transfer(optics, ky, kx)


def deposit(batch: list[Atoms], grid: Grid, device: str) -> torch.Tensor:
    """Return the atoms' spectrum (B, Y, X/2 + 1) on the deposit grid, right up to ``band_per_nm``.

    Non-uniform FFT by Gaussian gridding (Greengard & Lee, SIAM Review 46 (2004) 443), each atom's thermal motion widening its
    Gaussian.
    """
    sizes, lengths = grid.deposit, grid.extent_nm
    steps = [length / n for length, n in zip(lengths, sizes, strict=True)]
    spread = math.sqrt(2.4)  # in steps: aliases are below 1e-6 up to the band
    origin = grid.margin * grid.pixel_nm
    count = max(len(a.weights) for a in batch)
    fields = torch.zeros(len(batch), *sizes, device=device)
    window = _Window(grid)
    for b, atoms in enumerate(batch):
        weights = torch.as_tensor(atoms.weights * window.at(atoms.positions_nm), dtype=torch.float32, device=device)
        for part in range(0, count, 20_000):
            some = slice(part, part + 20_000)
            _add(fields[b], atoms.positions_nm[some] + origin, weights[some], atoms.rms_nm[some], steps, spread)
    spectrum = torch.fft.rfft2(fields)
    ky, kx = _indices(sizes, device)
    widen = [torch.exp(2 * (math.pi * spread * k / n) ** 2) for k, n in ((ky, sizes[0]), (kx, sizes[1]))]
    inside = (ky / lengths[0]) ** 2 + (kx / lengths[1]) ** 2 <= grid.band_per_nm**2
    spectrum = spectrum * (widen[0] * widen[1] * inside)
    whole: torch.Tensor = spectrum + window.surroundings(spectrum)
    return whole


def _add(field: torch.Tensor, positions_nm: Array, weights: torch.Tensor, rms_nm: Array, steps: list[float], spread: float) -> None:
    """Add a Gaussian for every atom to ``field``, as a product of its profiles along the two axes."""
    if not len(weights):
        return
    profiles, places = [], []
    for axis, step in enumerate(steps):
        sigma = np.sqrt(spread**2 + (rms_nm / step) ** 2)
        half = math.ceil(SPREAD_TAPS * float(sigma.max()) - 0.5)
        at = positions_nm[:, axis] / step
        nearest = np.rint(at)
        taps = torch.arange(-half, half + 1, device=field.device)
        away = taps - torch.as_tensor(at - nearest, dtype=torch.float32, device=field.device)[:, None]
        sigma_ = torch.as_tensor(sigma, dtype=torch.float32, device=field.device)[:, None]
        profiles.append(torch.exp(-0.5 * (away / sigma_) ** 2) / (sigma_ * math.sqrt(2 * math.pi)))
        places.append((torch.as_tensor(nearest, dtype=torch.int64, device=field.device)[:, None] + taps) % field.shape[axis])
    index = places[0][:, :, None] * field.shape[1] + places[1][:, None, :]
    values = (weights[:, None] * profiles[0])[:, :, None] * profiles[1][:, None, :]
    if field.is_cuda:  # three times slower, but always in the same order
        field.view(-1).index_put_((index.reshape(-1),), values.reshape(-1), accumulate=True)
    else:
        field.view(-1).scatter_add_(0, index.reshape(-1), values.reshape(-1))


class _Window:
    """How much of every place is atoms (1 in and near the frame), the rest being mean density."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.middle = SOLID_NM + FADE_NM / 2
        self.width = FADE_NM / 5.5

    def along(self, axis: int, place_nm: Array) -> Array:
        """Return the window's profile along an axis."""
        from scipy.special import ndtr

        extent = (self.grid.shape[axis] - 1) * self.grid.pixel_nm
        outside = np.maximum(-place_nm, place_nm - extent)
        reach = self.grid.margin * self.grid.pixel_nm - SOLID_NM - FADE_NM
        return np.asarray(ndtr((self.middle + reach - outside) / self.width))

    def at(self, positions_nm: Array) -> Array:
        """Return the window at positions (N, 2)."""
        return self.along(0, positions_nm[:, 0]) * self.along(1, positions_nm[:, 1])

    def surroundings(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return the spectrum of what is beyond: the smoothed density of the atoms near the margin, continued."""
        lengths = self.grid.extent_nm
        coarse = [min(n, 2 * round(length / 0.16)) for n, length in zip(self.grid.deposit, lengths, strict=True)]
        origin = self.grid.margin * self.grid.pixel_nm
        places = [np.arange(n) * length / n - origin for n, length in zip(coarse, lengths, strict=True)]
        profile = [torch.as_tensor(self.along(axis, place), dtype=torch.float32) for axis, place in enumerate(places)]
        window = (profile[0][:, None] * profile[1]).to(spectrum.device)
        ky, kx = _indices(coarse, str(spectrum.device))
        smooth = torch.exp(-2 * (math.pi * SMOOTHING_NM) ** 2 * ((ky / lengths[0]) ** 2 + (kx / lengths[1]) ** 2))
        near = torch.fft.irfft2(resize(spectrum, self.grid.deposit, coarse) * smooth, s=coarse)
        share = torch.fft.irfft2(torch.fft.rfft2(window) * smooth, s=coarse)
        beyond = torch.fft.rfft2((1 - window) * near / share.clamp(min=1e-3))
        return resize(beyond, coarse, self.grid.deposit)


def _indices(sizes: tuple[int, int] | list[int], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = sizes
    return torch.fft.fftfreq(y, 1 / y, device=device)[:, None], torch.fft.rfftfreq(x, 1 / x, device=device)[None]


def resize(spectrum: torch.Tensor, old: tuple[int, int] | list[int], new: tuple[int, int] | list[int]) -> torch.Tensor:
    """Return an rfft2 spectrum (..., Y, X/2 + 1) of a field of ``old`` samples for one of ``new``: cut, or padded with zeros."""
    rows = (min(old[0], new[0]) - 1) // 2
    columns = (min(old[1], new[1]) - 1) // 2 + 1
    out = torch.zeros(*spectrum.shape[:-2], new[0], new[1] // 2 + 1, dtype=spectrum.dtype, device=spectrum.device)
    out[..., : rows + 1, :columns] = spectrum[..., : rows + 1, :columns]
    if rows:
        out[..., -rows:, :columns] = spectrum[..., -rows:, :columns]
    return out


def to_numpy(image: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return a CPU float32 array with memory of its own."""
    return image.detach().to("cpu", torch.float32).numpy().copy()
