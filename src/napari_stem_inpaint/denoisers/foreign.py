"""Networks from elsewhere: state dicts of known architectures, TorchScript and exported programs.

State dicts are read with ``weights_only``. A TorchScript archive holds no Python, but its own code can reach files; an exported
program's loader unpickles some of its parts: both are looked through before they are loaded.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import CheckpointError, sentence
from .cards import Card

SUFFIXES = (".pt", ".pth", ".ts", ".pt2")
MAX_BYTES = 2 << 30
LEAST_SIGMA = 1 / 255  # networks of natural images were never told less; below, their change is scaled down
MOST_SIGMA = 50 / 255
REACHES_OUT = re.compile(r"\b(save|load|from_file|open|write)\s*\(|__\w*import")
PARTS = re.compile(
    r"[^/]+/(archive_format|archive_version|version|byteorder|\.data/\w+|models/\w+\.json|data/sample_inputs/\w+\.pt"
    r"|data/(weights|constants)/((weight|tensor)_\d+|\w+_config\.json))"
)
EXPRESSION = re.compile(  # the loader evaluates these
    r"('[su]\d+'|[su]\d+|\b(Symbol|Integer|Rational|Mul|Add|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv"
    r"|True|False|positive|nonnegative|integer|real)\b|[\d\s+\-*/(),=])*"
)


class _Told(nn.Module):
    """Base of the foreign networks: ``network(image (B, 1, Y, X), sigma (B,))``, the identity as sigma → 0."""

    colours = 1
    stride = 1

    def forward(self, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        bottom, right = -height % self.stride, -width % self.stride
        s = sigma.view(-1, 1, 1, 1)
        x = F.pad(image, (0, right, 0, bottom), mode="replicate").expand(-1, self.colours, -1, -1)
        restored = self.restore(x, s.clamp(LEAST_SIGMA, MOST_SIGMA)).mean(1, keepdim=True)[..., :height, :width]
        return image + (restored - image) * (s / LEAST_SIGMA).clamp(max=1)

    def restore(self, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


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


def checked_size(path: Path) -> None:
    """Refuse a file that is missing, or too large to be a network, before a byte of it is read."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path.name} has {path.stat().st_size / 2**30:.1f} GiB, too much for a denoiser; choose another file.")


def foreign_weights(path: Path) -> tuple[dict[str, torch.Tensor], Card]:
    """Read a state dict of a known architecture; return its weights and a card that says how to rebuild it.

    Raises
    ------
    CheckpointError
        If it holds more than numbers, is damaged, or of no known architecture.
    """
    try:
        read = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or malicious pickle provokes
        raise CheckpointError(
            f"{path.name} is damaged, or holds more than weights, which could run code when opened; save its state dict alone."
        ) from error
    for key in ("state_dict", "params_ema", "params"):
        read = read[key] if isinstance(read, dict) and isinstance(read.get(key), dict) else read
    if not isinstance(read, dict) or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in read.items()):
        raise CheckpointError(f"{path.name} is not a state dict: names and tensors were expected.")
    weights = {n.removeprefix("module."): t.float() for n, t in read.items()}
    for architecture, (kind, mark) in FOREIGN.items():
        if mark in weights:
            try:
                config = kind.config_of(weights)
                kind(**config).load_state_dict(weights)
            except (KeyError, ValueError, RuntimeError, IndexError, TypeError) as error:
                raise CheckpointError(f"{path.name} looks like a {architecture}, but its weights do not fit one.") from error
            return weights, foreign_card(path, architecture, config)
    raise CheckpointError(f"{path.name} is of an unknown architecture; known are {', '.join(FOREIGN)}, TorchScript and exported programs.")


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


# --- programs


class Program(nn.Module):
    """A TorchScript or exported network, called as (image, sigma), (image, noise map) or (image), as it accepts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        checked_size(path)
        self.call: Any = _exported(path) if path.suffix.lower() == ".pt2" else _torchscript(path)
        self.form = self._accepted(path.name)

    def train(self, mode: bool = True) -> Program:
        """Leave the mode as it was saved: an exported program has one only."""
        return self

    def _accepted(self, name: str) -> int:
        image, said = torch.rand(1, 1, 64, 64), ""
        for form in range(3):
            try:
                out = self._called(form, image, torch.tensor([0.1]))
            except Exception as error:  # whatever the network objects to
                said = sentence(error)
                continue
            if isinstance(out, torch.Tensor) and out.shape == image.shape:
                return form
        raise CheckpointError(
            f"{name} accepts neither (image, sigma) nor (image), image (B, 1, Y, X), or returns another shape. {said[:120]}"
        )

    def _called(self, form: int, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        noise_map = sigma.view(-1, 1, 1, 1).expand_as(image)
        arguments = ((image, sigma), (image, noise_map), (image,))[form]
        out: torch.Tensor = self.call(*arguments)
        return out

    def forward(self, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        try:
            return self._called(self.form, image, sigma)
        except Exception as error:  # an exported program refuses shapes that it was not exported for
            shape = "×".join(map(str, image.shape[-2:]))
            raise CheckpointError(f"The network refuses an image of {shape} px; export it with dynamic shapes.") from error


def is_torchscript(path: Path) -> bool:
    """Whether ``path`` is an archive with TorchScript code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _torchscript(path: Path) -> Any:
    if not is_torchscript(path):
        raise CheckpointError(f"{path.name} is not a TorchScript archive.")
    with zipfile.ZipFile(path) as archive:
        code = [archive.read(n).decode("utf-8", "replace") for n in archive.namelist() if "/code/" in n and n.endswith(".py")]
    if any(REACHES_OUT.search(text) for text in code):
        raise CheckpointError(f"{path.name} holds code that reads or writes files; a denoiser needs none, so it is refused.")
    return _loaded(lambda: torch.jit.load(str(path), map_location="cpu"), path)  # type: ignore[no-untyped-call]


def _exported(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path.name} is damaged or not an exported program; export it again.")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not PARTS.fullmatch(name):
                raise CheckpointError(f"{path.name} holds {name.rpartition('/')[2]!r}, which a plain exported program does not; refused.")
            if name.endswith(".json"):
                _check_json(json.loads(archive.read(name)), path)
            if name.endswith(".pt"):
                with archive.open(name) as inputs:
                    foreign_inputs(inputs.read(), path)
    return _loaded(lambda: torch.export.load(path).module(), path)


def foreign_inputs(content: bytes, path: Path) -> None:
    """Refuse sample inputs that are more than tensors: the loader would fall back to unpickling them."""
    import io

    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # whatever a malicious pickle provokes
        raise CheckpointError(f"{path.name} holds sample inputs that could run code when opened; export it with plain tensors.") from error


def _check_json(value: Any, path: Path) -> None:
    if isinstance(value, dict):
        if value.get("use_pickle") or not EXPRESSION.fullmatch(str(value.get("expr_str", ""))):
            raise CheckpointError(f"{path.name} holds parts that could run code when opened; export it from plain layers.")
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            _check_json(part, path)


def _loaded(load: Any, path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch deprecates TorchScript; its users' files remain
        try:
            return load()
        except Exception as error:  # whatever a damaged archive provokes
            raise CheckpointError(f"{path.name} cannot be loaded: {sentence(error)[:200]}") from error
