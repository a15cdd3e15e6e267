"""How good a network in training is, on frames of crystals that it never learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from .denoisers.checkpoint import Denoiser
from .frames import FloatImage
from .params import SimulationParams
from .simulation.imaging import simulate
from .simulation.training_scenes import HELD_OUT
from .training_measurements import Measured, measured

VALIDATION_SIGMAS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 5e-1)
VALIDATION_RATIOS = (0.05, 0.1, 0.25, 0.5)
VALIDATION_PIXELS_NM = (0.01, 0.015, 0.02, 0.03)
SHOWN_SIGMA, SHOWN_RATIO = 0.1, 0.25


@dataclass(frozen=True)
class Sample:
    """What the network makes of a validation frame: three images ``(Y, X)``, and in words what it saw and made."""

    words: tuple[str, str]
    clean: FloatImage
    seen: FloatImage
    restored: FloatImage


def validation_frames() -> torch.Tensor:
    """Return clean frames (N, 1, Y, X) of six crystals that training never sees, with defects, at four pixel sizes."""
    images = []
    for crystal in HELD_OUT:
        for pixel in VALIDATION_PIXELS_NM:
            p = SimulationParams(
                crystal=crystal, shape=(128, 128), pixel_size_nm=pixel, vacancies=0.05, intensity_scatter=0.15, displacement_nm=0.005
            )
            image = torch.as_tensor(simulate(p).image)
            images.append(image / image.max())
    return torch.stack(images)[:, None]


def _noise(like: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(np.random.default_rng(0).standard_normal(like.shape, dtype=np.float32))


def psnr_gain_db(denoiser: Denoiser, clean: torch.Tensor) -> dict[str, float]:
    """Return the mean gain in PSNR (dB) over the noisy input by noise level, on frames ``clean`` (N, 1, Y, X)."""
    noise = _noise(clean)
    gains = {}
    for sigma in VALIDATION_SIGMAS:
        error = (denoiser(clean + sigma * noise, sigma) - clean).square().mean((1, 2, 3)).sqrt()
        gains[f"{sigma:g}"] = round(float((20 * torch.log10(sigma / error)).mean()), 2)
    return gains


class Denoising:
    """Validation of a denoiser on clean frames (N, 1, Y, X) with noise."""

    def __init__(self, frames: torch.Tensor) -> None:
        self.frames = frames

    def gains(self, denoiser: Denoiser) -> dict[str, float]:
        """Return the gain in PSNR by noise level."""
        return psnr_gain_db(denoiser, self.frames)

    def sample(self, denoiser: Denoiser) -> Sample:
        """Return the first frame with noise, and without."""
        clean = self.frames[:1]
        noisy = clean + SHOWN_SIGMA * _noise(clean)
        shown = [t[0, 0].cpu().numpy() for t in (clean, noisy, denoiser(noisy, SHOWN_SIGMA))]
        return Sample((f"noisy, σ {SHOWN_SIGMA:g}", "denoised"), *shown)


class Inpainting:
    """Validation of a one-pass network on clean frames (N, 1, Y, X), measured in part at random positions."""

    def __init__(self, frames: torch.Tensor) -> None:
        rng = np.random.default_rng(0)
        self.measured = {
            ratio: [measured(frame[0], 0.0, "random", ratio, 0.0, False, rng) for frame in frames] for ratio in VALIDATION_RATIOS
        }

    def gains(self, network: Denoiser) -> dict[str, float]:
        """Return the gain in PSNR over the start, by ratio."""
        return {f"{ratio:g}": round(float(np.mean([self._gain(network, m) for m in of_it])), 2) for ratio, of_it in self.measured.items()}

    @staticmethod
    def _gain(network: Denoiser, one: Measured) -> float:
        seen, target, counts = one.layers[None, :3], one.layers[3], one.layers[4]
        before, after = (((image[0, 0] - target) * counts).square().sum() for image in (seen, network(seen, one.sigma)))
        return 10 * math.log10(float(before / after))

    def sample(self, network: Denoiser) -> Sample:
        """Return a start, and what the network makes of it."""
        one = self.measured[SHOWN_RATIO][-1]
        shown = [t.cpu().numpy() for t in (one.layers[3], one.layers[0], network(one.layers[None, :3], one.sigma)[0, 0])]
        return Sample((f"start, {SHOWN_RATIO:.0%} measured", "in one pass"), *shown)


VALIDATIONS: dict[str, type[Denoising] | type[Inpainting]] = {"denoise": Denoising, "inpaint": Inpainting}
