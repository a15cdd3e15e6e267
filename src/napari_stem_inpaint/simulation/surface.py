"""SEM-like surfaces: smooth topography, terraces and particles, so that not every image is a lattice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from .probe import FWHM_PER_SIGMA

Image = npt.NDArray[np.float64]


def surface_image(shape: tuple[int, int], pixel_nm: float, source_size_nm: float, seed: int) -> Image:
    """Return the secondary-electron-like yield ``(Y, X)`` of a random surface, about 0.1 to 3.

    The yield grows as 1/cos of the local slope (Reimer, Scanning Electron Microscopy, ch. 4), so that edges are bright; terraces
    and particles are of materials of their own.
    """
    rng = np.random.default_rng([seed, 7])
    margin = 16
    wide = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    side = max(shape)
    height = side * rng.uniform(0.02, 0.15) * rough(wide, rng.uniform(2.5, 4.0), rng)
    material = np.full(wide, rng.uniform(0.15, 0.4))
    for _ in range(rng.integers(0, 3)):
        terrace = rough(wide, 3.5, rng) > rng.uniform(-0.5, 1.0)
        height += side * rng.uniform(0.01, 0.04) * gaussian_filter(terrace.astype(float), rng.uniform(0.6, 2.0))
        material = np.where(terrace, material * rng.uniform(0.7, 1.5), material)
    y, x = np.indices(wide)
    for _ in range(rng.poisson(rng.choice([0.0, 6.0, 30.0]))):
        radius = side * float(np.exp(rng.normal(-3.4, 0.5)))
        centre = rng.random(2) * wide
        cap = 1 - ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / radius**2
        height = np.where(cap > 0, np.maximum(height, height.mean() + radius * np.sqrt(np.clip(cap, 0, None))), height)
        material = np.where(cap > 0, 0.45, material)
    slope = np.hypot(*np.gradient(height))
    image = material * np.minimum(np.sqrt(1 + slope**2), 4.0)
    blurred = gaussian_filter(image, max(source_size_nm / pixel_nm / FWHM_PER_SIGMA, 0.7))
    return np.asarray(blurred[margin:-margin, margin:-margin])


def rough(shape: tuple[int, int], exponent: float, rng: np.random.Generator) -> Image:
    """Return a Gaussian random field of unit variance whose power falls as frequency to the minus ``exponent``."""
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    k = np.hypot(ky, kx)
    k[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * k ** (-exponent / 2)
    field = np.fft.irfft2(spectrum, s=shape)
    return np.asarray(field / field.std())
