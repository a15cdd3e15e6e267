"""Checkpoint files: safetensors weights that rebuild their own network, with a model card inside.

safetensors holds numbers only: opening a file runs nothing that the file says.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise, product
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from ..devices import has_bfloat16
from ..errors import CheckpointError, is_out_of_memory, sentence
from .cards import SUFFIX, Card, card_in, checked_size, read_metadata
from .foreign import foreign_card, foreign_weights, read_pickled
from .networks import UNet, build_network, on_device
from .programs import Program, is_torchscript

TILE_PX, OVERLAP_PX = 512, 64  # multiples of the networks' coarsest cell; larger images are denoised in parts
SMALLEST_TILE_PX = 64  # to which parts are halved where memory runs out


class Denoiser:
    """A trained network as the solvers want it: ``denoiser(image (B, 1, Y, X), sigma) -> same shape``.

    The image is scaled to about [0, 1] and ``sigma`` is its noise level in the same scale. A one-pass network is told what was
    measured in further channels of ``image``.
    """

    def __init__(self, network: nn.Module, card: Card, sha256: str, device: torch.device) -> None:
        self.network = on_device(network, device).eval().requires_grad_(False)
        self.card = card
        self.sha256 = sha256
        self.device = device
        self.tile_px = TILE_PX
        self.half = isinstance(network, UNet) and has_bfloat16(device)

    @torch.no_grad()
    def __call__(self, image: torch.Tensor, sigma: float) -> torch.Tensor:
        while True:
            try:
                return self._in_parts(image, sigma)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or self.tile_px <= SMALLEST_TILE_PX:
                    raise
            self.tile_px //= 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _in_parts(self, image: torch.Tensor, sigma: float) -> torch.Tensor:
        x = image.to(self.device, torch.float32)
        level = torch.full((len(x),), sigma, dtype=torch.float32, device=self.device)
        restored = torch.empty_like(x[:, :1])
        rows_of, columns_of = (list(_spans(side, self.tile_px)) for side in x.shape[-2:])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            for (top, rows, y), (left, columns, z) in product(rows_of, columns_of):
                restored[..., top, left] = self.network(x[..., rows, columns], level)[..., y, z]
        return restored.to(image)

    def remark(self) -> str:
        """Return, in a sentence, that memory ran short; empty where it did not."""
        return "" if self.tile_px == TILE_PX else f"Memory was short, so the network worked in tiles of {self.tile_px} px."

    def on_every_layer(self, tick: Callable[[], None]) -> None:
        """Call ``tick`` before each convolution, so that a stop need not wait for a whole pass."""
        for module in self.network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                module.register_forward_pre_hook(lambda *_: tick())


def _spans(side: int, tile_px: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield parts that together cover ``side`` px, each with the wider one to compute it from, and where it lies in that."""
    edges = [*range(0, max(side - tile_px // 2, 1), tile_px), side]
    for first, last in pairwise(edges):
        begin, end = max(0, first - OVERLAP_PX), min(side, last + OVERLAP_PX)
        yield slice(first, last), slice(begin, end), slice(first - begin, last - begin)


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
    save_tensors(path, weights, {"card": card.model_dump_json(), "weights_sha256": weights_sha256(weights), "format": "pt"})


def weights_sha256(weights: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of the weights, by name."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode())
        total.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read every tensor and the metadata of a safetensors file.

    Raises
    ------
    CheckpointError
        If the file is missing, too large, of another kind or damaged.
    """
    metadata = read_metadata(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is damaged or not a safetensors file ({sentence(error)}); copy or download it again."
        ) from error


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Denoiser:
    """Rebuild the denoiser that a checkpoint describes.

    Raises
    ------
    CheckpointError
        If the file is missing, not safetensors, damaged, altered, of an unknown architecture, or holds NaN or other shapes.
    """
    tensors, metadata = read_tensors(path)
    card = card_in(metadata, path)
    if metadata.get("weights_sha256", weights_sha256(tensors)) != weights_sha256(tensors):
        raise CheckpointError(f"The weights in {path.name} are not those that were saved; copy or download it again.")
    return _rebuilt(tensors, card, path, torch.device(device))


def load_foreign(path: Path, device: torch.device | str = "cpu") -> Denoiser:
    """Return the denoiser in a file from elsewhere: a state dict of a known architecture, TorchScript, or an exported program.

    Raises
    ------
    CheckpointError
        If it cannot be trusted or understood.
    """
    checked_size(path)
    if path.suffix.lower() in (".ts", ".pt2") or is_torchscript(path):
        return Denoiser(Program(path), foreign_card(path, "program", {}), _file_sha256(path), torch.device(device))
    weights, card = foreign_weights(read_tensors(path)[0] if path.suffix.lower() == SUFFIX else read_pickled(path), path)
    return _rebuilt(weights, card, path, torch.device(device))


def _rebuilt(weights: Mapping[str, torch.Tensor], card: Card, path: Path, device: torch.device) -> Denoiser:
    try:
        with torch.device("meta"):  # sizes that a card claims take no memory before the weights are seen to have them
            network = build_network(card.architecture, card.config)
        network.load_state_dict({name: t.float() for name, t in weights.items()}, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"The weights in {path.name} do not fit its {card.architecture} network; the file was altered.") from error
    if not all(bool(torch.isfinite(t).all()) for t in weights.values()):
        raise CheckpointError(f"The weights in {path.name} hold NaN or infinity; its training diverged, use another checkpoint.")
    return Denoiser(network, card, _file_sha256(path), device)


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
