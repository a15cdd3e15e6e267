"""Image formation: columns deposited exactly in Fourier space, filtered by the probe, sampled at the scan positions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from .crystal import Scene

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))


def wavelength_nm(energy_kev: float) -> float:
    """Relativistic electron wavelength in nm (0.00251 at 200 keV).

    Source: λ(Å) = 12.2643 / sqrt(E (1 + 0.978476e-6 E)), E in V; Kirkland, Advanced Computing in Electron Microscopy, ch. 2.
    """
    volts = energy_kev * 1e3
    return 1.22643 / math.sqrt(volts * (1 + 0.978476e-6 * volts))


def cutoff_per_nm(energy_kev: float, semi_angle_mrad: float) -> float:
    """Largest spatial frequency the probe intensity carries, 2α/λ, in 1/nm."""
    return 2e-3 * semi_angle_mrad / wavelength_nm(energy_kev)


def probe_transfer(k_per_nm: torch.Tensor, energy_kev: float, semi_angle_mrad: float, source_size_nm: float) -> torch.Tensor:
    """Fourier transform of the incoherent, aberration-free probe intensity; 1 at k = 0, exactly 0 beyond 2α/λ.

    The autocorrelation of a disc aperture (Goodman, Introduction to Fourier Optics, §6.3) times a Gaussian source of
    ``source_size_nm`` FWHM.
    """
    q = (k_per_nm / cutoff_per_nm(energy_kev, semi_angle_mrad)).clamp(max=1.0)
    disc = (2 / math.pi) * (torch.acos(q) - q * torch.sqrt(1 - q * q))
    sigma = source_size_nm / FWHM_PER_SIGMA
    return disc * torch.exp(-2 * (math.pi * sigma * k_per_nm) ** 2)


def form_image(
    scene: Scene,
    shape: tuple[int, int],
    pixel_size_nm: float,
    energy_kev: float,
    semi_angle_mrad: float,
    source_size_nm: float,
    margin_nm: float,
    device: str = "cpu",
) -> torch.Tensor:
    """Return the image ``(Y, X)`` float32 of ``scene`` under the probe.

    The spectrum Σ w exp(-2πi k·r) exp(-2π²u²k²) OTF(k) is evaluated up to the probe's cut-off on a field enlarged by
    ``margin_nm`` on every side, so nothing wraps around into the frame. The image is sampled at points: where the pixel is
    beyond Nyquist of the probe, it aliases, as a real scan does.
    """
    margin = math.ceil(margin_nm / pixel_size_nm)
    oversampling = max(1, math.ceil(2 * pixel_size_nm * cutoff_per_nm(energy_kev, semi_angle_mrad)))
    step = pixel_size_nm / oversampling
    grid = [(n + 2 * margin) * oversampling for n in shape]
    band = min(cutoff_per_nm(energy_kev, semi_angle_mrad), 0.5 / step)
    axes = []
    for n in grid:
        m = min(math.ceil(band * n * step), (n - 1) // 2)
        axes.append(torch.arange(-m, m + 1, dtype=torch.float32, device=device))
    ky, kx = (a / (n * step) for a, n in zip(axes, grid, strict=True))
    k2 = ky[:, None] ** 2 + kx[None, :] ** 2
    spectrum = torch.zeros(k2.shape, dtype=torch.complex64, device=device)
    position = torch.as_tensor(scene.positions_nm + margin * pixel_size_nm, dtype=torch.float64, device=device)
    for u in np.unique(scene.rms_nm):
        same = torch.as_tensor(scene.rms_nm == u, device=device)
        # phases in float64: k·r reaches hundreds of turns
        ey = torch.exp(-2j * math.pi * torch.outer(ky.double(), position[same, 0])).to(torch.complex64)
        ex = torch.exp(-2j * math.pi * torch.outer(position[same, 1], kx.double())).to(torch.complex64)
        weights = torch.as_tensor(scene.weights[scene.rms_nm == u], dtype=torch.float32, device=device)
        spectrum += (ey @ (weights[:, None] * ex)) * torch.exp(-2 * (math.pi * float(u)) ** 2 * k2)
    spectrum *= probe_transfer(k2.sqrt(), energy_kev, semi_angle_mrad, source_size_nm)
    full = torch.zeros(grid, dtype=torch.complex64, device=device)
    iy, ix = (a.long() % n for a, n in zip(axes, grid, strict=True))
    full[iy[:, None], ix[None, :]] = spectrum
    image: torch.Tensor = torch.fft.ifft2(full).real / step**2
    image = image[::oversampling, ::oversampling]
    return image[margin : margin + shape[0], margin : margin + shape[1]].contiguous()


def to_numpy(image: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return a CPU float32 array with memory of its own."""
    return image.detach().to("cpu", torch.float32).numpy().copy()
