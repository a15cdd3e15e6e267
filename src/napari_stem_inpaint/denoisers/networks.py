"""Networks, called ``network(image (B, 1, Y, X), sigma (B,))``; each becomes the identity as sigma → 0.

A one-pass network has ``guides``: its input has as many further channels, which tell what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import CheckpointError
from .foreign import FOREIGN

N = TypeVar("N", bound=nn.Module)

FILTER_PX = 9  # side of the high-pass filters


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = self.second(F.relu(self.first(x)))
        return x + change


class _Gated(nn.Module):
    """Two products of features in place of an activation (Chen et al. 2022, arXiv 2204.04676), without its channel attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.LayerNorm(channels, bias=False)
        self.widen = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.narrow = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.normal_(self.narrow.weight, std=0.02 / math.sqrt(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.spread(x).movedim(1, -1)).movedim(-1, 1)
        a, b = self.widen(h).chunk(2, 1)
        change: torch.Tensor = self.narrow(a * b)
        return x + change


class UNet(nn.Module):
    """Bias-free residual U-Net with sigma-scaled input and output.

    ``D(x, sigma) = x - sigma · F(x - ½, asinh(H x / sigma), log sigma)``: H is a learned set of high-pass filters (their
    kernels sum to zero), so that noise far below the image's contrast still reaches the network at unit size, and the error
    left at small sigma is bounded by sigma, not by a floor of the network.
    """

    block: type[nn.Module]

    def __init__(self, channels: tuple[int, ...], blocks: int, contrasts: int, guides: int, fine: int, finest_stride: int) -> None:
        super().__init__()
        pairs = list(pairwise(channels))
        self.stride = finest_stride << len(pairs)  # sides of the padded image are multiples of this, px
        self.contrast = nn.Parameter(torch.randn(contrasts, 1, FILTER_PX, FILTER_PX) / FILTER_PX)
        self.head = nn.Conv2d(2 + contrasts + guides, fine, 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            nn.Sequential(*(self.block(a) for _ in range(blocks)), nn.Conv2d(a, b, 2, stride=2, bias=False)) for a, b in pairs
        )
        self.body = nn.Sequential(*(self.block(channels[-1]) for _ in range(blocks)))
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(b, a, 2, stride=2, bias=False), *(self.block(a) for _ in range(blocks)))
            for a, b in reversed(pairs)
        )
        self.tail = nn.Conv2d(fine, 1, 3, padding=1, bias=False)
        nn.init.zeros_(self.tail.weight)

    def forward(self, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        padded = _pad_to_multiple(image, self.stride)  # (B, 1 + guides, Y', X')
        x, guides = padded[:, :1], padded[:, 1:]
        s = sigma.view(-1, 1, 1, 1)
        with torch.autocast(x.device.type, enabled=False):  # noise of 1e-4 of the range is lost in 16 bits
            kernels = self.contrast - self.contrast.mean((2, 3), keepdim=True)
            contrast = _asinh(F.conv2d(F.pad(x, (FILTER_PX // 2,) * 4, mode="reflect"), kernels) / s)
        level = (torch.log10(s) / 2 + 1).expand_as(x)
        entered = self.head(torch.cat([x - 0.5, level, contrast, guides], 1).contiguous(memory_format=torch.channels_last))
        restored: torch.Tensor = x - s * self.tail(self.inside(entered))
        return restored[..., :height, :width]

    def inside(self, h: torch.Tensor) -> torch.Tensor:
        """Pass features (B, C, Y, X) down and up all scales."""
        skips = []
        for layer in self.down:
            skips.append(h)
            h = layer(h)
        h = self.body(h)
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            h = layer(h) + skip
        return h


class DRUNet(UNet):
    """DRUNet (Zhang et al. 2021, arXiv 2008.13751).

    Parameters
    ----------
    channels
        Feature channels of the scales, finest first; each scale halves the resolution.
    blocks
        Residual blocks per scale and direction.
    contrasts
        Number of high-pass filters.
    guides
        Further channels of the input.
    """

    block = _Residual

    def __init__(self, channels: tuple[int, ...] = (16, 32, 64, 128), blocks: int = 2, contrasts: int = 16, guides: int = 0) -> None:
        super().__init__(channels, blocks, contrasts, guides, fine=channels[0], finest_stride=1)
        self.config: dict[str, Any] = {"channels": list(channels), "blocks": blocks, "contrasts": contrasts, "guides": guides}


class NAFUNet(UNet):
    """U-Net of gated blocks that starts at half resolution; few channels at full resolution go past it.

    Parameters
    ----------
    channels
        Feature channels of the scales, from half resolution on.
    blocks
        Gated blocks per scale and direction.
    contrasts
        Number of high-pass filters.
    fine
        Feature channels at full resolution.
    guides
        Further channels of the input.
    """

    block = _Gated

    def __init__(
        self, channels: tuple[int, ...] = (48, 96, 192), blocks: int = 3, contrasts: int = 16, fine: int = 16, guides: int = 0
    ) -> None:
        super().__init__(channels, blocks, contrasts, guides, fine, finest_stride=2)
        self.config: dict[str, Any] = {
            "channels": list(channels),
            "blocks": blocks,
            "contrasts": contrasts,
            "fine": fine,
            "guides": guides,
        }
        self.coarser = nn.Conv2d(fine, channels[0], 2, stride=2, bias=False)
        self.finer = nn.ConvTranspose2d(channels[0], fine, 2, stride=2, bias=False)
        self.last = _Residual(fine)

    def inside(self, h: torch.Tensor) -> torch.Tensor:
        restored: torch.Tensor = self.last(self.finer(super().inside(self.coarser(h))) + h)
        return restored


def _asinh(x: torch.Tensor) -> torch.Tensor:
    """Return the inverse hyperbolic sine; PyTorch's own takes three times as long on a CPU, a tenth of a pass."""
    return x.abs().add_((x * x).add_(1).sqrt_()).log().copysign_(x)


def _pad_to_multiple(x: torch.Tensor, stride: int) -> torch.Tensor:
    """Pad bottom and right by reflection to multiples of ``stride``, repeatedly where the image is smaller than the pad."""
    for axis, side in ((3, x.shape[3]), (2, x.shape[2])):
        target = max(math.ceil(side / stride) * stride, 2 * stride, FILTER_PX - 1)
        while x.shape[axis] < target:
            step = min(target - x.shape[axis], x.shape[axis] - 1)
            if step == 0:  # one pixel: nothing to reflect
                step, mode = target - 1, "replicate"
            else:
                mode = "reflect"
            x = F.pad(x, (0, step, 0, 0) if axis == 3 else (0, 0, 0, step), mode=mode)
    return x


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "drunet": DRUNet,
    "naf-unet": NAFUNet,
    **{name: kind for name, (kind, _) in FOREIGN.items()},
}

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "drunet-tiny": ("drunet", {"channels": (16, 32, 64, 128)}),
    "drunet-base": ("drunet", {"channels": (32, 64, 128, 256)}),
    "naf-unet": ("naf-unet", {}),
}


def on_device(network: N, device: torch.device) -> N:
    """Move ``network`` to ``device``, its weights laid out with channels last: about a third faster on a CPU."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def build_network(architecture: str, config: dict[str, Any]) -> nn.Module:
    """Build a network from what its checkpoint's card says."""
    if architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"This checkpoint's architecture is {architecture!r}, but only {sorted(ARCHITECTURES)} are known; a newer version may know it."
        )
    try:
        return ARCHITECTURES[architecture](**config)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The checkpoint's configuration {config} does not fit {architecture}: {error}") from error
