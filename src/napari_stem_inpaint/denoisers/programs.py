"""Networks that bring their own code: TorchScript and exported programs.

What PyTorch 2.13 does with such files, tried with live canaries: TorchScript holds no Python and its pickles are read without
running any, but its own code runs while it is loaded and can write files (``from_file``, ``save``), also by way of ``getattr`` or
another name. The loader of exported programs unpickles, imports what a tree specification names, evaluates expressions, and pastes
names into Python that it then executes. So a file is read once, its parts are held against what plain networks consist of, and only
what was looked at, packed anew, is given to PyTorch: no second reading, and none by another reader's rules.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError, sentence
from .cards import checked_size
from .foreign import LEAST_SIGMA

LITTLE = 1e-3  # change of an image at a noise of 1e-5 by a network that becomes the identity by itself

SCRIPT_PARTS = re.compile(
    r"[^/]+/(data\.pkl|constants\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id"
    r"|(data|constants)/\d+|code/[\w/.]+\.py)"
)
REACHES_OUT = re.compile(rb"#|\\|\b(save|load|from_file|open|write|getattr|classes|__\w*import\w*)\b|\bops\b(?!\.(?:prim|aten)\b)")

EXPORTED_PARTS = re.compile(
    r"[^/]+/(archive_format|archive_version|version|byteorder|\.data/\w+|models/\w+\.json|data/sample_inputs/\w+\.pt"
    r"|data/(weights|constants)/((weight|tensor)_\d+|\w+_config\.json))"
)
WORD = re.compile(r"[\w.]*")
TARGET = re.compile(
    r"torch\.ops\.aten\.(?!from_file\b|save\b)\w+\.\w+|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pos|pow|getitem|eq|ne|lt|le|gt|ge|and_|or_|not_)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\.sym_(float|int|max|min|not|sqrt|ite)"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
)
TREE = re.compile(r'(?>[\s\[\]{}:,1]|null|"(?>type|context|children_spec|null|builtins\.(tuple|list|dict)|\[(\\"\w*\\",? ?)*\])")*+')
EXPRESSION = re.compile(
    r"(?>'[su]\d+'|[su]\d+|\b(Symbol|Integer|Rational|Mul|Add|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv"
    r"|True|False|positive|nonnegative|integer|real)\b|[\d\s+\-*/(),=])*+"
)
TEXTS = {
    "target": TARGET,
    "as_operator": TARGET,
    "expr_str": EXPRESSION,
    "in_spec": TREE,
    "out_spec": TREE,
    "as_string": re.compile(r"[\w., >+-]*"),  # the equation of an einsum, at most
    "torch_version": re.compile(r"[\w.+]*"),
}
UNNEEDED = ("metadata", "guards_code")  # where the code came from; and Python to be executed


class Program(nn.Module):
    """A TorchScript or exported network, called as (image, sigma), (image, noise map) or (image), as it accepts.

    One that still changes an image where there is no noise has its change scaled down below ``LEAST_SIGMA``.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        checked_size(path)
        self.call: Any = _exported(path) if path.suffix.lower() == ".pt2" else _torchscript(path)
        self.form = self._accepted(path.name)
        image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            self.fades = bool((self._called(self.form, image, torch.tensor([1e-5])) - image).abs().max() < LITTLE)

    def train(self, mode: bool = True) -> Program:
        """Leave the mode as it was saved: an exported program has one only."""
        return self

    def _accepted(self, name: str) -> int:
        image, said = torch.rand(1, 1, 64, 64), ""
        for form in range(3):
            try:
                with torch.no_grad():
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
            restored = self._called(self.form, image, sigma)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # an exported program refuses shapes that it was not exported for
            shape = "×".join(map(str, image.shape[-2:]))
            raise CheckpointError(f"The network refuses an image of {shape} px; export it with dynamic shapes.") from error
        return restored if self.fades else image + (restored - image) * (sigma.view(-1, 1, 1, 1) / LEAST_SIGMA).clamp(max=1)


def is_torchscript(path: Path) -> bool:
    """Whether ``path`` is an archive with TorchScript code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _torchscript(path: Path) -> Any:
    parts = {name: content for name, content in _parts(path).items() if SCRIPT_PARTS.fullmatch(name)}
    if not any("/code/" in name for name in parts):
        raise CheckpointError(f"{path.name} is not a TorchScript archive.")
    for name, content in parts.items():
        code = content if name.endswith(".py") else content.replace(b"\n", b".") if name.endswith(".pkl") else b""
        if REACHES_OUT.search(code) if name.endswith(".py") else re.search(rb"\bclasses\b", code):
            raise CheckpointError(f"{path.name} holds code that could read or write files; a denoiser needs none, so it is refused.")
    return _loaded(lambda file: torch.jit.load(file, map_location="cpu"), parts, path)  # type: ignore[no-untyped-call]


def _exported(path: Path) -> Any:
    parts = _parts(path)
    for name, content in parts.items():
        if not EXPORTED_PARTS.fullmatch(name):
            raise CheckpointError(f"{path.name} holds {name.rpartition('/')[2]!r}, which a plain exported program does not; refused.")
        if name.endswith(".json"):
            try:
                parts[name] = json.dumps(_plain(json.loads(content))).encode()
            except (ValueError, RecursionError) as error:
                raise CheckpointError(
                    f"{path.name} holds what could run code when opened ({sentence(error)[:80]}); export it from plain layers."
                ) from error
        if name.endswith(".pt"):
            _check_inputs(content, path)
    return _loaded(lambda file: torch.export.load(file).module(), parts, path)


def _parts(path: Path) -> dict[str, bytes]:
    """Return every file in an archive, by name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except Exception as error:  # whatever a damaged archive provokes
        raise CheckpointError(f"{path.name} is damaged or not a saved program; save it again.") from error


def _plain(value: Any, key: str = "") -> Any:
    """Return part of an exported program without what is not needed.

    Raises
    ------
    ValueError
        If a text in it is not what plain layers consist of.
    """
    if isinstance(value, dict):
        if value.get("use_pickle"):
            raise ValueError("a pickle")
        return {_plain(k): type(v)() if k in UNNEEDED and isinstance(v, dict | list) else _plain(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(part, key) for part in value]
    if isinstance(value, str) and not TEXTS.get(key, WORD).fullmatch(value):
        raise ValueError(ascii(value))
    return value


def _check_inputs(content: bytes, path: Path) -> None:
    """Refuse sample inputs that are more than tensors: the loader would fall back to unpickling them."""
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # whatever a malicious pickle provokes
        raise CheckpointError(f"{path.name} holds sample inputs that could run code when opened; export it with plain tensors.") from error


def _loaded(load: Callable[[io.BytesIO], Any], parts: Mapping[str, bytes], path: Path) -> Any:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    packed.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch deprecates TorchScript; its users' files remain
        try:
            return load(packed)
        except Exception as error:  # whatever a damaged program provokes
            raise CheckpointError(f"{path.name} cannot be loaded: {sentence(error)[:200]}") from error
