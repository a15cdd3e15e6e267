"""What a one-pass network learns from: images measured in part, interpolated, and what they are in truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch.utils.data import Dataset

from .params import PatternName, ScanParams, TrainingParams
from .scans import make_scan
from .simulation.training_scenes import random_image
from .solvers.one_pass import informed
from .solvers.spectral import fourier_sparse, gaussian_process, lowest
from .training_data import Batch, Pool, TrainingFrame, cut, turned

WIDTHS = np.geomspace(0.04, 0.3, 12).tolist()
EXACT = 1e-3  # relative noise that stands for none
SEARCH_STEPS, START_STEPS = 40, 100  # of conjugate gradients
MARGIN_PX = 24  # outside of the frame at a side, where the start extrapolates
PATTERNS: tuple[PatternName, ...] = ("random", "random", "line-hop", "blue-noise")
RATIOS = (0.04, 0.6)
NOISY = 0.5  # share of the measurements with noise
NOISES = (0.005, 0.7)  # relative to the range
COUNTED = 0.5  # share of the noisy ones whose noise grows with the intensity
WITHHELD = 0.1


@dataclass(frozen=True)
class Measured:
    """A measurement to learn from.

    ``layers`` (5, Y, X): what the network sees (three layers), the target, and where it counts. ``sigma`` is the RMS error of the
    start, ``own`` the noise of the target itself, both relative to the range.
    """

    layers: torch.Tensor
    sigma: float
    own: float


def measured(
    clean: torch.Tensor, own: float, pattern: PatternName, ratio: float, noise: float, counted: bool, rng: np.random.Generator
) -> Measured:
    """Measure a part of ``clean`` (Y, X), interpolate it as a reconstruction does, and say how well.

    Parameters
    ----------
    clean
        The image, scaled to about [0, 1].
    own
        Standard deviation of the noise that is in ``clean`` already.
    pattern, ratio
        Of the scan.
    noise
        Standard deviation of what is added.
    counted
        Whether it grows with the root of the intensity.
    rng
        For everything that is left to chance.
    """
    height, width = clean.shape
    top, bottom, left, right = (int(k) for k in rng.integers(0, 2, 4) * min(MARGIN_PX, height // 4, width // 4))
    frame = slice(top, height - bottom), slice(left, width - right)
    shape = height - top - bottom, width - left - right
    mask, inside = torch.zeros_like(clean), torch.zeros_like(clean)
    scan = make_scan(shape, ScanParams(pattern=pattern, ratio=ratio, seed=int(rng.integers(2**31))))
    mask[frame] = torch.as_tensor(scan.mask).to(clean)
    inside[frame] = 1
    z = torch.as_tensor(rng.standard_normal(clean.shape, dtype=np.float32))
    if counted:
        intensity = clean.clamp(min=0) + 0.02
        z = z * (intensity / intensity.mean()).sqrt()
    y = (clean + noise * z) * mask
    low, high = (float(q) for q in np.percentile(y[mask > 0].numpy(), (0.1, 99.9)))
    span = max(high - low, 1e-6)
    y, target = (y - low) / span * mask, (clean - low) / span
    total = float(np.hypot(noise, own)) / span
    start = _start(y, mask, total, rng)
    counts = inside * (1 - mask) if own else inside  # where measured, the target's own noise is in the start too
    error = float((((start - target) * counts).square().sum() / counts.sum()).sqrt())
    error = float(np.sqrt(max(error**2 - (own / span) ** 2, (0.1 * own / span) ** 2, 1e-10)))
    sigma = error * float(np.exp(rng.normal(0, 0.15)))
    told = total * float(np.exp(rng.normal(0, 0.15)))  # estimates are not exact
    return Measured(torch.cat([informed(start, y, mask, told, sigma)[0], target[None], counts[None]]), sigma, own / span)


def _start(y: torch.Tensor, mask: torch.Tensor, noise: float, rng: np.random.Generator) -> torch.Tensor:
    """Return the Gaussian process of a width chosen on withheld positions, or a few re-weightings of it."""
    withheld = mask * torch.as_tensor(rng.random(mask.shape) < WITHHELD).to(mask)
    visible = mask - withheld
    spread = float(y[mask > 0].std())
    relative = max(EXACT, noise / max(spread**2 - noise**2, noise**2, 1e-12) ** 0.5 * float(np.exp(rng.normal(0, 0.2))))

    def error(width: float) -> float:
        image = gaussian_process(y, visible, width, relative, SEARCH_STEPS, lambda: None)
        return float(((image - y) * withheld).square().sum())

    width = lowest(WIDTHS, error)
    rounds = int(rng.integers(1, 4)) if rng.random() < 0.5 else 0
    image, _ = next(islice(fourier_sparse(y, mask, width, relative, START_STEPS, lambda: None), rounds, None))
    return image if noise else torch.where(mask > 0, y, image)


class _Measurements(Dataset[Measured]):
    """Measurements of images ``(S, S)``; each belongs to the seed and its number."""

    def __init__(self, params: TrainingParams, frames: Sequence[TrainingFrame]) -> None:
        self.params, self.frames, self.side = params, frames, 2 * params.patch_px

    def __getitem__(self, number: int) -> Measured:
        rng = np.random.default_rng([self.params.seed, number])
        if self.frames and rng.random() < self.params.frames_share:
            frame = self.frames[int(rng.integers(len(self.frames)))]
            clean, own = cut(frame.image, min(self.side, *frame.image.shape), rng), frame.noise
        else:
            clean, own = random_image((self.side, self.side), rng), 0.0
        noise = float(np.exp(rng.uniform(*np.log(NOISES)))) if rng.random() < NOISY else 0.0
        ratio = float(np.exp(rng.uniform(*np.log(RATIOS))))
        return measured(clean, own, PATTERNS[int(rng.integers(len(PATTERNS)))], ratio, noise, rng.random() < COUNTED, rng)


class MeasurementStream:
    """Batches for a one-pass network by number of the step: the same step gives the same batch."""

    def __init__(self, params: TrainingParams, device: torch.device, frames: Sequence[TrainingFrame] = (), first_step: int = 0) -> None:
        self.params, self.device = params, device
        self.pool = Pool(_Measurements(params, frames), params, first_step)

    def batch(self, step: int) -> Batch:
        """Return the batch of ``step``, on the device; steps are asked for in order."""
        rng = np.random.default_rng([self.params.seed, 1, step])
        chosen = self.pool.choose(step, rng)
        layers = torch.stack([turned(cut(one.layers, self.params.patch_px, rng), rng) for one in chosen]).to(self.device)
        sigma, own = (torch.tensor(values, device=self.device) for values in ([m.sigma for m in chosen], [m.own for m in chosen]))
        return Batch(layers[:, :3], layers[:, 3:4], sigma, (own / sigma) ** 2, layers[:, 4:])
