"""The electron probe: aberrations, its intensity, and the transfer function with which it blurs the specimen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from scipy.fft import next_fast_len

from ..frames import Frame
from ..params import SimulationParams

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
# (n, m) of every coefficient to fifth order: χ holds θ^(n+1) cos m(φ − φ_nm); Krivanek et al., Ultramicroscopy 78 (1999) 1.
ORDERS = [(n, m) for n in range(1, 6) for m in range(n + 1, -1, -2)]
COEFFICIENTS = [f"C{n}{m}" for n, m in ORDERS]
AZIMUTHS = [f"phi{n}{m}" for n, m in ORDERS if m]


@dataclass(frozen=True)
class Optics:
    """A microscope: keV, mrad, nm; ``aberrations`` by abTEM's names, in Å and rad."""

    energy_kev: float
    semi_angle_mrad: float
    source_size_nm: float
    focal_spread_nm: float = 0.0
    aberrations: tuple[tuple[str, float], ...] = field(default=())

    @classmethod
    def of(cls, p: SimulationParams) -> Optics:
        """Return the microscope that ``p`` describes."""
        set_ = tuple((name, value) for name in COEFFICIENTS + AZIMUTHS if (value := getattr(p, name)))
        return cls(p.energy_kev, p.semi_angle_mrad, p.source_size_nm, p.focal_spread_nm, set_)

    @property
    def wavelength_nm(self) -> float:
        """See ``wavelength_nm``."""
        return wavelength_nm(self.energy_kev)

    @property
    def cutoff_per_nm(self) -> float:
        """Largest spatial frequency the probe intensity carries, 2α/λ, in 1/nm."""
        return 2e-3 * self.semi_angle_mrad / self.wavelength_nm

    @property
    def source_sigma_nm(self) -> float:
        """Standard deviation of the Gaussian source."""
        return self.source_size_nm / FWHM_PER_SIGMA

    def radius_nm(self) -> float:
        """Radius of the geometrical probe: how far any ray through the aperture lands from the axis, plus the source's."""
        theta = np.linspace(0, self.semi_angle_mrad * 1e-3, 33)[1:, None]
        phi = np.linspace(0, 2 * np.pi, 48, endpoint=False)[None]
        step = 1e-6
        chi = [_chi_numpy(self, theta + d, phi + e) for d, e in ((step, 0), (-step, 0), (0, step), (0, -step))]
        slope = np.hypot((chi[0] - chi[1]) / (2 * step), (chi[2] - chi[3]) / (2 * step) / theta)
        defocus = 3 * self.focal_spread_nm * self.semi_angle_mrad * 1e-3
        return float(slope.max()) * self.wavelength_nm / (2 * math.pi) + defocus + 2.5 * self.source_sigma_nm


def wavelength_nm(energy_kev: float) -> float:
    """Relativistic electron wavelength in nm (0.00251 at 200 keV).

    Source: λ(Å) = 12.2643 / sqrt(E (1 + 0.978476e-6 E)), E in V; Kirkland, Advanced Computing in Electron Microscopy, ch. 2.
    """
    volts = energy_kev * 1e3
    return 1.22643 / math.sqrt(volts * (1 + 0.978476e-6 * volts))


def _terms(optics: Optics) -> list[tuple[int, int, float, float]]:
    """Return (n, m, coefficient in nm, azimuth in rad) of the aberrations that are not zero."""
    set_ = dict(optics.aberrations)
    return [(n, m, set_[f"C{n}{m}"] / 10, set_.get(f"phi{n}{m}", 0.0)) for n, m in ORDERS if set_.get(f"C{n}{m}")]


def _chi_numpy(optics: Optics, theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    chi = np.zeros(np.broadcast_shapes(theta.shape, phi.shape))
    for n, m, c, azimuth in _terms(optics):
        chi += 2 * np.pi / optics.wavelength_nm * c / (n + 1) * theta ** (n + 1) * np.cos(m * (phi - azimuth))
    return chi


def aberration_phase(optics: Optics, ky: torch.Tensor, kx: torch.Tensor, defocus_nm: float = 0.0) -> torch.Tensor:
    """Return χ(k) in rad, broadcast over ``ky`` and ``kx`` (1/nm).

    χ = 2π/λ Σ C_nm θ^(n+1) cos(m(φ − φ_nm)) / (n + 1), θ = λk (Krivanek et al. 1999; abTEM's signs, y down the image).
    """
    wavelength = optics.wavelength_nm
    theta = wavelength * torch.sqrt(ky**2 + kx**2)
    phi = torch.atan2(ky, kx)
    chi = -math.pi / wavelength * defocus_nm * theta**2
    for n, m, c, azimuth in _terms(optics):
        chi = chi + 2 * math.pi / wavelength * c / (n + 1) * theta ** (n + 1) * torch.cos(m * (phi - azimuth))
    return chi


def transfer(optics: Optics, ky: torch.Tensor, kx: torch.Tensor) -> torch.Tensor:
    """Fourier transform of the probe's intensity, source size included: 1 at k = 0, exactly 0 beyond 2α/λ.

    Parameters
    ----------
    optics
        The microscope.
    ky, kx
        Frequencies in 1/nm in FFT order on a regular grid: ``(Y, 1)``, all of them, and ``(1, X)``, from 0 upwards.

    Without aberrations the autocorrelation of a disc (Goodman, Introduction to Fourier Optics, §6.3), else that of
    A exp(−iχ), computed by FFT.
    """
    k = torch.sqrt(ky**2 + kx**2)
    q = (k / optics.cutoff_per_nm).clamp(max=1.0)
    if optics.aberrations or optics.focal_spread_nm:
        coherent = _autocorrelation(optics, float(ky[1, 0]), float(kx[0, 1]))
        rows = (torch.round(ky[:, 0] / ky[1, 0]).long()) % coherent.shape[0]
        columns = torch.arange(kx.shape[1]).clamp(max=coherent.shape[1] - 1)
        disc = coherent.to(k.device)[rows][:, columns] * (q < 1)
    else:
        disc = (2 / math.pi) * (torch.acos(q) - q * torch.sqrt(1 - q * q))
    return disc * torch.exp(-2 * (math.pi * optics.source_sigma_nm * k) ** 2)


@lru_cache(maxsize=32)
def _autocorrelation(optics: Optics, step_y: float, step_x: float) -> torch.Tensor:
    """Return the autocorrelation of A exp(−iχ) on the frequencies n·step, (Y, X/2 + 1) complex, averaged over the focal spread."""
    # Twice as fine as asked for: the probe's own field of view is then twice as large, and the aperture's edge finer.
    reach = [math.ceil(2 * optics.cutoff_per_nm / step) + 2 for step in (step_y, step_x)]
    sides = [next_fast_len(2 * n + 2) for n in reach]
    # the aperture fills the middle quarter of this
    inner = [n // 2 + 2 for n in reach]
    rows, columns = (torch.arange(-n, n + 1) for n in inner)
    ky, kx = rows[:, None] * step_y / 2, columns[None] * step_x / 2
    edge = max(step_y, step_x) / 2
    aperture = ((optics.cutoff_per_nm / 2 - torch.sqrt(ky**2 + kx**2)) / edge + 0.5).clamp(0, 1)
    total = torch.zeros(sides[0], sides[1] // 2 + 1, dtype=torch.complex64)
    nodes, weights = np.polynomial.hermite_e.hermegauss(9) if optics.focal_spread_nm else (np.zeros(1), np.ones(1))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        phase = aberration_phase(optics, ky, kx, float(node) * optics.focal_spread_nm)
        field = torch.zeros(sides, dtype=torch.complex64)
        field[rows[:, None] % sides[0], columns % sides[1]] = torch.polar(aperture, -phase)
        wave = torch.fft.ifft2(field)
        total += float(weight) * torch.fft.rfft2(wave.real**2 + wave.imag**2)
    total = total * (math.prod(sides) / aperture.sum())  # of a sharp disc: the softened edge's square would be too small
    total[0, 0] = 1
    # every second frequency
    half = sides[0] // 2
    rows = torch.arange(-(half // 2) + 1, half // 2)
    picked = total[(2 * rows) % sides[0]][:, ::2]
    ordered = torch.zeros(2 * (half // 2), picked.shape[1], dtype=torch.complex64)
    ordered[rows % ordered.shape[0]] = picked
    return ordered


def probe_image(params: SimulationParams | None = None, shape: tuple[int, int] = (128, 128)) -> Frame:
    """Return the probe's intensity per nm² over ``shape``, in the middle, at the scan step of ``params``; it sums to 1 over the plane."""
    from .formation import Grid, to_numpy

    p = params or SimulationParams()
    optics = Optics.of(p)
    grid = Grid.over(shape, p.pixel_size_nm, optics)
    ky, kx = grid.frequencies()
    centre = [(n // 2 + grid.margin) * p.pixel_size_nm for n in shape]
    shift = torch.exp(-2j * math.pi * (ky * centre[0] + kx * centre[1]))
    return Frame(to_numpy(grid.image(transfer(optics, ky, kx) * shift)), (p.pixel_size_nm,) * 2, "probe")
