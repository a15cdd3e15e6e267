"""What a denoiser learns from: an endless stream of simulated images, and the user's own frames, clean or noisy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import convolve
from torch.utils.data import DataLoader, Dataset

from .errors import InputError
from .frames import FloatImage
from .io import read
from .io.reading import SUFFIXES
from .params import TrainingParams
from .simulation.training_scenes import random_image

T = TypeVar("T")

PATCHES_PER_IMAGE = 16
POOL = 4  # images that patches are cut from at any time, per patch of a batch: the newest
SIGNAL_DEPENDENT = 0.15  # share of the patches whose noise grows with the intensity, where sigma is at least the next
SHOT_NOISE_FROM = 0.01
CLEAN = 1e-3  # noise below which a user's frame counts as clean


@dataclass(frozen=True)
class Batch:
    """Patches to learn from: ``seen`` (B, C, P, P) by the network, ``target`` (B, 1, P, P), ``sigma`` (B,) of the error in what is seen.

    ``known`` (B,) is the variance of the target's own noise / sigma²; 0 where the target is the truth. ``counts`` (B, 1, P, P) is 1
    where the target counts, else 0.
    """

    seen: torch.Tensor
    target: torch.Tensor
    sigma: torch.Tensor
    known: torch.Tensor
    counts: torch.Tensor


@dataclass(frozen=True)
class TrainingFrame:
    """A user's frame, scaled to about [0, 1], and the standard deviation of its noise in that scale."""

    image: torch.Tensor
    noise: float


class _Images(Dataset[torch.Tensor]):
    """Simulated images ``(S, S)``; each belongs to the seed and its number."""

    def __init__(self, seed: int, side: int) -> None:
        self.seed, self.side = seed, side

    def __getitem__(self, number: int) -> torch.Tensor:
        return random_image((self.side, self.side), np.random.default_rng([self.seed, number]))


class Pool(Generic[T]):
    """The newest items of a data set, from which batches are drawn; ``batch / PATCHES_PER_IMAGE`` are renewed a step."""

    def __init__(self, items: Dataset[T], params: TrainingParams, first_step: int) -> None:
        self.params = params
        self.size = POOL * params.batch
        self.next = self._oldest(first_step)
        self.items: dict[int, T] = {}
        loader = DataLoader(items, batch_size=None, sampler=range(self.next, 2**62), num_workers=params.workers)
        self.loaded = iter(loader)

    def _oldest(self, step: int) -> int:
        return step * self.params.batch // PATCHES_PER_IMAGE

    def choose(self, step: int, rng: np.random.Generator) -> list[T]:
        """Draw as many items as a batch has patches; steps are asked for in order."""
        oldest = self._oldest(step)
        while self.next < oldest + self.size:
            self.items[self.next] = next(self.loaded)
            self.next += 1
        for number in [n for n in self.items if n < oldest]:
            del self.items[number]
        return [self.items[oldest + int(k)] for k in rng.integers(self.size, size=self.params.batch)]


class Stream:
    """Batches for a denoiser by number of the step: the same step gives the same batch, whatever was asked for before."""

    def __init__(self, params: TrainingParams, device: torch.device, frames: Sequence[TrainingFrame] = (), first_step: int = 0) -> None:
        self.params, self.device, self.frames = params, device, frames
        self.pool = Pool(_Images(params.seed, 2 * params.patch_px), params, first_step)

    def batch(self, step: int) -> Batch:
        """Return the batch of ``step``, on the device; steps are asked for in order."""
        rng = np.random.default_rng([self.params.seed, 1, step])
        own = [bool(self.frames) and rng.random() < self.params.frames_share for _ in range(self.params.batch)]
        images = self.pool.choose(step, rng)
        patches = [self._of_frame(rng) if mine else (self._patch(image, rng), 0.0) for mine, image in zip(own, images, strict=True)]
        clean, noise = torch.stack([p for p, _ in patches])[:, None], np.array([n for _, n in patches])
        return _corrupted(clean.to(self.device), noise, self.params, rng)

    def _patch(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        return turned(cut(image, self.params.patch_px, rng), rng)

    def _of_frame(self, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
        frame = self.frames[int(rng.integers(len(self.frames)))]
        gain = rng.uniform(0.7, 1.05)
        return self._patch(frame.image, rng) * gain, frame.noise * gain


def cut(image: torch.Tensor, side: int, rng: np.random.Generator) -> torch.Tensor:
    """Return a random square of ``image`` (..., Y, X)."""
    row, column = (int(rng.integers(n - side + 1)) for n in image.shape[-2:])
    return image[..., row : row + side, column : column + side]


def turned(patch: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return ``patch`` (..., P, P) in a random one of the eight orientations."""
    patch = torch.rot90(patch, int(rng.integers(4)), (-2, -1))
    return patch.flip(-2) if rng.random() < 0.5 else patch


def _corrupted(patches: torch.Tensor, own_noise: npt.NDArray[np.float64], p: TrainingParams, rng: np.random.Generator) -> Batch:
    """Add noise up to a random total; patches with noise of their own are recorrupted (R2R; Pang et al., CVPR 2021).

    y has noise s. y + α s z is the input, y - s z / α the target: their noises are independent, so that the error's expectation
    is that to the truth, plus the target's own variance.
    """
    batch = len(patches)
    low = np.maximum(p.sigma_min, 1.5 * own_noise)
    sigma = np.exp(rng.uniform(np.log(low), np.log(np.maximum(p.sigma_max, 2 * own_noise))))
    added = np.sqrt(sigma**2 - own_noise**2)
    in_target = own_noise**2 / added
    shot = (sigma >= SHOT_NOISE_FROM) & (own_noise == 0) & (rng.random(batch) < SIGNAL_DEPENDENT)

    def column(values: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=patches.device)

    source = torch.Generator(patches.device).manual_seed(int(rng.integers(2**62)))
    z = torch.randn(patches.shape, generator=source, device=patches.device)
    intensity = patches.clamp(min=0) + 0.02
    growing = (intensity / intensity.mean((1, 2, 3), keepdim=True)).sqrt()
    z = torch.where(column(shot).bool().view(-1, 1, 1, 1), z * growing, z)
    noisy = patches + column(added).view(-1, 1, 1, 1) * z
    target = patches - column(in_target).view(-1, 1, 1, 1) * z
    known = (own_noise**2 + in_target**2) / sigma**2
    return Batch(noisy, target, column(sigma), column(known), torch.ones_like(target))


def training_frames(place: str, patch_px: int) -> list[TrainingFrame]:
    """Read every frame in a file, or in the files of a folder, to train on.

    Raises
    ------
    InputError
        If there is none, one cannot be read, or one is smaller than a patch.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
        if not files:
            raise InputError(f"The folder {path} holds no frames to train on; files ending in {', '.join(SUFFIXES)} can be read.")
    else:
        files = [path]
    return [_training_frame(frame.image, frame.name, patch_px) for file in files for frame in read(file)]


def _training_frame(image: FloatImage, name: str, patch_px: int) -> TrainingFrame:
    if min(image.shape) < patch_px:
        raise InputError(f"{name} is {image.shape[0]}×{image.shape[1]} px, smaller than a patch of {patch_px} px; lower the patch size.")
    if not np.isfinite(image).all():
        raise InputError(f"{name} holds NaN or infinity, so it cannot be trained on; give whole frames only.")
    low, high = np.percentile(image.astype(np.float64), (0.1, 99.9))
    if not high > low:
        raise InputError(f"All values of {name} are equal, so there is nothing to learn from it; leave it out.")
    scaled = ((image - low) / (high - low)).astype(np.float32)
    noise = noise_level(scaled)
    return TrainingFrame(torch.as_tensor(scaled), noise if noise > CLEAN else 0.0)


def noise_level(image: FloatImage) -> float:
    """Return the standard deviation of white noise in ``image`` (Y, X), from its finest differences.

    Median absolute response to the kernel of Immerkær (1996, doi 10.1006/cviu.1996.0060), which a smooth image does not answer.
    """
    kernel = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0]) / 6
    inner = convolve(image.astype(np.float64), kernel)[1:-1, 1:-1]
    return float(np.median(np.abs(inner)) / 0.6745)
