"""Denoisers that need no training, from libraries, as priors to compare with."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from .cards import Card

if TYPE_CHECKING:
    import torch

Image = npt.NDArray[np.float64]
# Strengths relative to sigma: those that remove most noise from simulated lattices at sigma 0.01 and 0.1, tried in steps of 0.2.
TV_WEIGHT, NLM_H = 0.75, 0.8


def total_variation(image: Image, sigma: float) -> Image:
    """Chambolle (2004), by scikit-image."""
    from skimage.restoration import denoise_tv_chambolle

    return np.asarray(denoise_tv_chambolle(image, weight=TV_WEIGHT * sigma, eps=1e-5, max_num_iter=200))  # type: ignore[no-untyped-call]


def non_local_means(image: Image, sigma: float) -> Image:
    """Buades et al. (2005), fast variant, by scikit-image."""
    from skimage.restoration import denoise_nl_means

    return np.asarray(denoise_nl_means(image, patch_size=7, patch_distance=11, h=NLM_H * sigma, sigma=sigma, fast_mode=True))


def bm3d(image: Image, sigma: float) -> Image:
    """Dabov et al. (2007), by its authors' package, whose licence allows non-commercial use only."""
    try:
        from bm3d import bm3d as denoise
    except ImportError as error:
        raise CheckpointError('The package bm3d is not installed; install it with pip install "napari-stem-inpaint[bm3d]".') from error
    return np.asarray(denoise(image, sigma))


class Classical:
    """A denoiser ``(image (B, 1, Y, X), sigma) -> same shape`` made of one for single images."""

    def __init__(self, name: str) -> None:
        self.denoise = CLASSICAL[name][0]
        self.card = classical_card(name)
        self.sha256 = ""
        self._tick: Callable[[], None] = lambda: None

    def __call__(self, image: torch.Tensor, sigma: float) -> torch.Tensor:
        import torch

        if sigma <= 0:
            return image
        restored = []
        for single in image[:, 0].cpu().double().numpy():
            self._tick()
            restored.append(torch.as_tensor(np.ascontiguousarray(self.denoise(single, sigma))))
        return torch.stack(restored)[:, None].to(image)

    def on_every_layer(self, tick: Callable[[], None]) -> None:
        """Call ``tick`` before each image."""
        self._tick = tick

    def remark(self) -> str:
        """Return nothing: memory is no matter here."""
        return ""


def classical_card(name: str) -> Card:
    """Return what a classical denoiser says of itself."""
    _, library, description = CLASSICAL[name]
    try:
        version = f"{library} {importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        version = f"{library}, not installed"
    return Card(
        name=name,
        description=description,
        architecture=name,
        config={},
        sigma_range=(0.0, 0.0),
        pixel_size_range_nm=(0.0, 0.0),
        training_command="",
        training_data="none",
        licence="non-commercial" if name == "bm3d" else "BSD-3-Clause",
        version=version,
    )


CLASSICAL: dict[str, tuple[Callable[[Image, float], Image], str, str]] = {
    "tv": (total_variation, "scikit-image", "Total variation: favours flat areas; to compare with, not made for atoms."),
    "nlm": (non_local_means, "scikit-image", "Non-local means: averages alike patches; knows no lattice in advance."),
    "bm3d": (bm3d, "bm3d", "BM3D: collaborative filtering of alike patches, the strongest without training; for non-commercial use only."),
}
