"""Model cards: what a denoiser says of itself, read without PyTorch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import CheckpointError

SUFFIX = ".safetensors"
MAX_BYTES = 2 << 30  # of a file or what it unpacks to; the largest network here has 17 MB
GAINS_BY = {"denoise": "noise level σ", "inpaint": "measured ratio"}  # what the keys of psnr_gain_db are, by task
MAX_HEADER = 16 << 20  # bytes; a card is a few thousand


class Card(BaseModel):
    """What a denoiser says of itself. A range of (0, 0) is not known."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    task: Literal["denoise", "inpaint"] = "denoise"
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

    def remarks(self, pixel_size_nm: tuple[float, float] | None, noise: float) -> list[str]:
        """Return a sentence where a frame lies outside what the denoiser knows.

        ``pixel_size_nm`` (y, x) of the frame, None where unknown; ``noise`` relative to its range, 0 where there is none.
        """
        found = []
        low, high = self.pixel_size_range_nm
        outside = [side for side in pixel_size_nm or () if high and not low <= side <= high]
        if outside:
            found.append(
                f"{self.name} knows pixel sizes from {low:g} to {high:g} nm, but this frame's is {outside[0]:g} nm: "
                "do not trust it unchecked; train one for it, or use the solver irls."
            )
        if self.sigma_range[1] and noise > self.sigma_range[1]:
            found.append(
                f"{self.name} knows noise up to {self.sigma_range[1]:g} of the intensity range, but this frame's is about {noise:.2g}: "
                "measure longer at each position, or use the solver gp."
            )
        return found

    def ranges(self) -> str:
        """Return the ranges in words."""
        if not self.sigma_range[1]:
            return "any pixel size, any noise" if not self.config else "ranges unknown"
        low, high = self.pixel_size_range_nm
        return f"{low:g}–{high:g} nm/px, noise {self.sigma_range[0]:g}–{self.sigma_range[1]:g} of the range"


def checked_size(path: Path) -> None:
    """Refuse a file that is missing, or too large to be a network, packed or unpacked, before its content is read."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    size = path.stat().st_size
    if size <= MAX_BYTES and path.suffix != SUFFIX:
        try:
            with zipfile.ZipFile(path) as archive:
                size = max(size, sum(part.file_size for part in archive.infolist()))
        except (OSError, ValueError, zipfile.BadZipFile):
            pass  # no archive; whoever reads it says so
    if size > MAX_BYTES:
        raise CheckpointError(f"{path.name} has {size / 2**30:.1f} GiB, too much for a denoiser; choose another file.")


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata in the header of a safetensors file; nothing else is read.

    Raises
    ------
    CheckpointError
        If the file is missing, of another kind or its header is damaged.
    """
    if path.suffix.lower() != SUFFIX:
        raise CheckpointError(f"{path.name} is not a {SUFFIX} file.")
    checked_size(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= MAX_HEADER:
                raise ValueError("its header's length is impossible")
            header = json.loads(file.read(length))
        metadata = dict(header.pop("__metadata__", None) or {})
        if 8 + length + max((part["data_offsets"][1] for part in header.values()), default=0) != path.stat().st_size:
            raise ValueError("its tensors reach beyond its end, or not to it")
        return metadata
    except (OSError, ValueError, AttributeError, TypeError, LookupError) as error:
        raise CheckpointError(f"{path.name} is damaged or not a {SUFFIX} file; copy or download it again.") from error


def card_in(metadata: Mapping[str, str], path: Path) -> Card:
    """Return the card in a file's metadata.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    try:
        return Card.model_validate(json.loads(metadata["card"]))
    except (KeyError, ValueError, ValidationError) as error:
        raise CheckpointError(f"{path.name} carries no model card of this program; train one with `stem-inpaint train`.") from error


def read_card(path: Path) -> Card:
    """Return the card of a checkpoint."""
    return card_in(read_metadata(path), path)
