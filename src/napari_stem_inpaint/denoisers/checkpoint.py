"""Checkpoint files: safetensors weights that rebuild their own network, with a model card inside.

safetensors holds numbers only: opening a file runs nothing that the file says. Pickled files (.pt, .pth) are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import CheckpointError, sentence
from .networks import DRUNet, build_network, on_device

SUFFIX = ".safetensors"


class Card(BaseModel):
    """What a checkpoint says of itself."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    architecture: str
    config: dict[str, Any]
    sigma_range: tuple[float, float]
    pixel_size_range_nm: tuple[float, float]
    training_command: str
    training_data: str
    training: dict[str, Any] = Field(default_factory=dict)
    psnr_gain_db: dict[str, float] = Field(default_factory=dict)
    licence: str = "BSD-3-Clause"
    version: str = ""


class Denoiser:
    """A trained network as the solvers want it: ``denoiser(image (B, 1, Y, X), sigma) -> same shape``.

    The image is scaled to about [0, 1] and ``sigma`` is its noise level in the same scale.
    """

    def __init__(self, network: DRUNet, card: Card, sha256: str, device: torch.device) -> None:
        self.network = on_device(network, device).eval().requires_grad_(False)
        self.card = card
        self.sha256 = sha256
        self.device = device

    @torch.no_grad()
    def __call__(self, image: torch.Tensor, sigma: float) -> torch.Tensor:
        x = image.to(self.device, torch.float32)
        level = torch.full((len(x),), sigma, dtype=torch.float32, device=self.device)
        restored: torch.Tensor = self.network(x, level)
        return restored.to(image)

    def on_every_layer(self, tick: Callable[[], None]) -> None:
        """Call ``tick`` before each block of the network, so that a stop need not wait for a whole pass."""
        for module in (*self.network.down, *self.network.body, *self.network.up):
            module.register_forward_pre_hook(lambda *_: tick())


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file beside ``path`` and rename it, so that no reader meets half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, dict(metadata)))
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"Cannot write {path}: {sentence(error)}; choose a folder that exists and is writable.") from error
    finally:
        partial.unlink(missing_ok=True)


def save_checkpoint(path: Path, weights: Mapping[str, torch.Tensor], card: Card) -> None:
    """Write ``weights`` and their card to ``path``."""
    save_tensors(path, weights, {"card": card.model_dump_json(), "format": "pt"})


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read every tensor and the metadata of a safetensors file.

    Raises
    ------
    CheckpointError
        If the file is missing, of another kind or damaged.
    """
    if path.suffix.lower() != SUFFIX:
        raise CheckpointError(f"{path.name} is not a {SUFFIX} file; other formats can run code when opened and are refused.")
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is damaged or not a safetensors file ({sentence(error)}); copy or download it again."
        ) from error


def installed() -> dict[str, Path]:
    """Return the checkpoints that came with the package, by name."""
    folder = Path(str(resources.files(__package__) / "checkpoints"))
    return {file.stem: file for file in sorted(folder.glob(f"*{SUFFIX}"))}


def find_checkpoint(name_or_path: str) -> Path:
    """Return the file of an installed checkpoint's name, or of a path."""
    known = installed()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path).expanduser()
    if path.suffix or path.exists():
        return path
    raise CheckpointError(f"There is no checkpoint {name_or_path!r}; installed are {sorted(known)}, or give the path of a {SUFFIX} file.")


def read_card(path: Path) -> Card:
    """Return the card of a checkpoint without reading its weights."""
    if not path.is_file() or path.suffix.lower() != SUFFIX:
        read_tensors(path)
    try:
        with safe_open(path, framework="pt") as file:
            return _card(dict(file.metadata() or {}), path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is damaged or not a safetensors file ({sentence(error)}); copy or download it again."
        ) from error


def _card(metadata: Mapping[str, str], path: Path) -> Card:
    try:
        return Card.model_validate(json.loads(metadata["card"]))
    except (KeyError, json.JSONDecodeError, ValidationError) as error:
        raise CheckpointError(f"{path.name} carries no model card of this program; train one with `stem-inpaint train`.") from error


def load_checkpoint(name_or_path: str, device: torch.device | str = "cpu") -> Denoiser:
    """Rebuild the denoiser that a checkpoint describes.

    Raises
    ------
    CheckpointError
        If the file is missing, not safetensors, damaged, of an unknown architecture, or holds NaN or other shapes.
    """
    path = find_checkpoint(name_or_path)
    tensors, metadata = read_tensors(path)
    card = _card(metadata, path)
    network = build_network(card.architecture, card.config)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"The weights in {path.name} do not fit its {card.architecture} network; the file was altered.") from error
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise CheckpointError(f"The weights in {path.name} hold NaN or infinity; its training diverged, use another checkpoint.")
    return Denoiser(network, card, hashlib.sha256(path.read_bytes()).hexdigest(), torch.device(device))
