"""Networks from elsewhere: the published architectures, and their state dicts, read as numbers alone."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import CheckpointError
from .cards import MAX_BYTES, Card

LEAST_SIGMA = 1 / 255  # networks of natural images were never told less; below, their change is scaled down
MOST_SIGMA = 50 / 255


class _Told(nn.Module):
    """Base of the foreign networks: ``network(image (B, 1, Y, X), sigma (B,))``, the identity as sigma → 0."""

    colours = 1
    stride = 1

    def forward(self, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        s = sigma.view(-1, 1, 1, 1)
        rows, columns = (_mirrored(side, self.stride, image.device) for side in (height, width))
        x = image[..., rows[:, None], columns].expand(-1, self.colours, -1, -1)
        restored = self.restore(x, s.clamp(LEAST_SIGMA, MOST_SIGMA)).mean(1, keepdim=True)[..., :height, :width]
        return image + (restored - image) * (s / LEAST_SIGMA).clamp(max=1)

    def restore(self, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def _mirrored(side: int, stride: int, device: torch.device) -> torch.Tensor:
    """Return indices that continue a side by reflection, as often as need be, to a multiple of ``stride``."""
    there_and_back = max(1, 2 * (side - 1))
    k = torch.arange(side + -side % stride, device=device) % there_and_back
    return torch.minimum(k, there_and_back - k).clamp(max=side - 1)


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        convolutions = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.res = nn.Sequential(next(convolutions), nn.ReLU(), next(convolutions))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(x + self.res(x))


class DPIRDRUNet(_Told):
    """DRUNet as DPIR and deepinv publish its weights (Zhang et al. 2021, arXiv 2008.13751), grey or colour."""

    stride = 8

    def __init__(self, channels: tuple[int, ...], blocks: int, colours: int) -> None:
        super().__init__()
        self.config = {"channels": list(channels), "blocks": blocks, "colours": colours}
        self.colours = colours
        self.m_head = nn.Conv2d(colours + 1, channels[0], 3, padding=1, bias=False)
        for n, (a, b) in enumerate(pairwise(channels), 1):
            deeper = nn.Sequential(*(_Block(a) for _ in range(blocks)), nn.Conv2d(a, b, 2, stride=2, bias=False))
            back = nn.Sequential(nn.ConvTranspose2d(b, a, 2, stride=2, bias=False), *(_Block(a) for _ in range(blocks)))
            self.add_module(f"m_down{n}", deeper)
            self.add_module(f"m_up{n}", back)
        self.m_body = nn.Sequential(*(_Block(channels[-1]) for _ in range(blocks)))
        self.m_tail = nn.Conv2d(channels[0], colours, 3, padding=1, bias=False)
        self.scales = len(channels) - 1

    def restore(self, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        h = self.m_head(torch.cat([x, s.expand(-1, 1, *x.shape[-2:])], 1))
        skips = [h]
        for n in range(1, self.scales + 1):
            h = self.get_submodule(f"m_down{n}")(h)
            skips.append(h)
        h = self.m_body(h)
        for n in range(self.scales, 0, -1):
            h = self.get_submodule(f"m_up{n}")(h + skips[n])
        out: torch.Tensor = self.m_tail(h + skips[0])
        return out

    @staticmethod
    def config_of(weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        scales = sum(bool(re.fullmatch(r"m_up\d\.0\.weight", n)) for n in weights)
        channels = [weights["m_head.weight"].shape[0], *(weights[f"m_up{n}.0.weight"].shape[0] for n in range(1, scales + 1))]
        blocks = len({n.split(".")[1] for n in weights if n.startswith("m_body.")})
        return {"channels": channels, "blocks": blocks, "colours": weights["m_tail.weight"].shape[0]}


class KairDnCNN(_Told):
    """DnCNN or IRCNN (seven dilated layers) as KAIR and DPIR publish them (Zhang et al. 2017): noise = network(image)."""

    def __init__(self, widths: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.config = {"widths": list(widths), "bias": bias}
        self.colours = widths[0]
        dilations = (1, 2, 3, 4, 3, 2, 1) if len(widths) == 8 else (1,) * (len(widths) - 1)
        layers: list[nn.Module] = []
        for a, b, d in zip(widths, widths[1:], dilations, strict=False):
            layers += [nn.Conv2d(a, b, 3, padding=d, dilation=d, bias=bias), nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])

    def restore(self, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(x - self.model(x))

    @staticmethod
    def config_of(weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        layers = sorted((int(n.split(".")[1]), w) for n, w in weights.items() if n.endswith(".weight"))
        return {"widths": [layers[0][1].shape[1], *(w.shape[0] for _, w in layers)], "bias": "model.0.bias" in weights}


class DeepinvDnCNN(_Told):
    """DnCNN as deepinv publishes it: image + network(image)."""

    def __init__(self, channels: int, depth: int, bias: bool, colours: int) -> None:
        super().__init__()
        self.config = {"channels": channels, "depth": depth, "bias": bias, "colours": colours}
        self.colours = colours
        self.in_conv = nn.Conv2d(colours, channels, 3, padding=1, bias=bias)
        self.conv_list = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=bias) for _ in range(depth))
        self.out_conv = nn.Conv2d(channels, colours, 3, padding=1, bias=bias)

    def restore(self, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.in_conv(x))
        for convolution in self.conv_list:
            h = F.relu(convolution(h))
        return torch.as_tensor(x + self.out_conv(h))

    @staticmethod
    def config_of(weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        depth = sum(n.startswith("conv_list.") and n.endswith(".weight") for n in weights)
        channels, colours = weights["in_conv.weight"].shape[:2]
        return {"channels": channels, "depth": depth, "bias": "in_conv.bias" in weights, "colours": colours}


FOREIGN: dict[str, tuple[type[Any], str]] = {
    "dpir-drunet": (DPIRDRUNet, "m_head.weight"),
    "kair-dncnn": (KairDnCNN, "model.0.weight"),
    "deepinv-dncnn": (DeepinvDnCNN, "in_conv.weight"),
}


def foreign_weights(read: object, path: Path) -> tuple[dict[str, torch.Tensor], Card]:
    """Recognise the architecture of a state dict; return its weights and a card that says how to rebuild it.

    Raises
    ------
    CheckpointError
        If it is something else, or of no known architecture.
    """
    for key in ("state_dict", "params_ema", "params"):
        read = read[key] if isinstance(read, dict) and isinstance(read.get(key), dict) else read
    if not isinstance(read, dict) or not all(isinstance(k, str) and _is_numbers(v) for k, v in read.items()):
        raise CheckpointError(f"{path.name} is not a state dict: names and tensors were expected.")
    if sum(t.numel() for t in read.values()) * 4 > MAX_BYTES:
        raise CheckpointError(f"{path.name} claims more weights than a denoiser has; choose another file.")
    weights = {n.removeprefix("module."): t.float() for n, t in read.items()}
    for architecture, (kind, mark) in FOREIGN.items():
        if mark in weights:
            try:
                config = kind.config_of(weights)
                with torch.device("meta"):
                    network = kind(**config)
                network.load_state_dict(weights, assign=True)
            except (KeyError, ValueError, RuntimeError, IndexError, TypeError) as error:
                raise CheckpointError(f"{path.name} looks like a {architecture}, but its weights do not fit one.") from error
            return weights, foreign_card(path, architecture, config)
    raise CheckpointError(f"{path.name} is of an unknown architecture; known are {', '.join(FOREIGN)}, TorchScript and exported programs.")


def _is_numbers(value: object) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.device.type == "cpu"
        and value.layout == torch.strided
        and not (value.is_complex() or value.is_quantized)
    )


def read_pickled(path: Path) -> object:
    """Read a file that ``torch.save`` wrote, where it holds no more than numbers.

    Raises
    ------
    CheckpointError
        If it holds more, or is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or malicious pickle provokes
        raise CheckpointError(
            f"{path.name} is damaged, or holds more than weights, which could run code when opened; save its state dict alone."
        ) from error


def foreign_card(path: Path, architecture: str, config: dict[str, Any]) -> Card:
    """Return a card that promises nothing."""
    return Card(
        name=path.stem,
        description=f"A {architecture} from elsewhere; what it was trained on is not known: it may invent structure.",
        architecture=architecture,
        config=config or {"file": path.name},
        sigma_range=(0.0, 0.0),
        pixel_size_range_nm=(0.0, 0.0),
        training_command="",
        training_data="unknown",
        licence="unknown",
    )
