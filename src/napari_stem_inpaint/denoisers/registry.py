"""Every denoiser by name: the installed ones, the user's own, classical ones, and files. PyTorch is loaded only to use one."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import platformdirs

from ..errors import CheckpointError
from .cards import SUFFIX, Card, card_in, checked_size, read_card, read_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

FOLDER = "STEM_INPAINT_CHECKPOINTS"  # environment variable: where the user's checkpoints are
PROGRAMS = (".ts", ".pt2")
FOREIGN_SUFFIXES = (".pt", ".pth", *PROGRAMS)
CLASSICAL_NAMES = ("tv", "nlm", "bm3d")
PICKLE = b"\x80"  # with which files of PyTorch before 1.6 begin; later ones are zip archives
NICKNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Prior(Protocol):
    """What every denoiser here is: ``denoiser(image (B, 1, Y, X), sigma) -> same shape``, with a card."""

    card: Card
    sha256: str

    def __call__(self, image: torch.Tensor, sigma: float) -> torch.Tensor: ...

    def on_every_layer(self, tick: Callable[[], None]) -> None:
        """Call ``tick`` often during a pass, so that a stop need not wait for its end."""

    def remark(self) -> str:
        """Return, in a sentence, what the user should know of the passes so far; empty where there is nothing."""


@dataclass(frozen=True)
class Known:
    """A denoiser that can be asked for by ``name``; ``path`` is None for classical ones, ``card`` where it cannot be read."""

    name: str
    origin: str  # "installed", "yours" or "classical"
    path: Path | None
    card: Card | None

    @property
    def task(self) -> str:
        """What it is trained for; a program from elsewhere denoises."""
        return self.card.task if self.card else "denoise"

    def summary(self) -> str:
        """Return what it is for, in a sentence, and its ranges."""
        if self.card is None:
            kind = "a program from elsewhere" if self.path and self.path.suffix in PROGRAMS else "damaged; remove it or replace it"
            return f"{self.name}: {kind}."
        return f"{self.card.description} ({self.card.ranges()})"


def installed_folder() -> Path:
    """Return where the checkpoints are that came with the program."""
    return Path(str(resources.files(__package__) / "checkpoints"))


def user_folder() -> Path:
    """Return where the user's own checkpoints are; it need not exist."""
    return Path(os.environ.get(FOLDER) or Path(platformdirs.user_data_dir("napari-stem-inpaint", appauthor=False)) / "checkpoints")


def installed() -> dict[str, Path]:
    """Return the checkpoints that came with the program, by name."""
    return _files(installed_folder())


def users_own() -> dict[str, Path]:
    """Return the user's checkpoints, by nickname."""
    return _files(user_folder())


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    files = (f for f in folder.iterdir() if f.suffix in (SUFFIX, *PROGRAMS) and NICKNAME.fullmatch(f.stem))
    return {f.stem: f for f in sorted(files)}


def known() -> list[Known]:
    """Return every denoiser that has a name."""
    from .classical import classical_card

    came_with_it = installed()
    own = {name: path for name, path in users_own().items() if name not in (*came_with_it, *CLASSICAL_NAMES)}  # those hide a file
    files = [("installed", came_with_it), ("yours", own)]
    listed = [Known(name, origin, path, _card_or_none(path)) for origin, found in files for name, path in found.items()]
    return listed + [Known(name, "classical", None, classical_card(name)) for name in CLASSICAL_NAMES]


def _card_or_none(path: Path) -> Card | None:
    try:
        return read_card(path)
    except CheckpointError:
        return None


def exists(name_or_path: str) -> bool:
    """Whether there is a denoiser of that name, or a file."""
    return name_or_path in (*CLASSICAL_NAMES, *installed(), *users_own()) or Path(name_or_path).expanduser().is_file()


def find_file(name_or_path: str) -> Path:
    """Return the file of a checkpoint's name, or of a path.

    Raises
    ------
    CheckpointError
        If there is no such name; the message lists those there are.
    """
    named = users_own() | installed()  # a nickname cannot hide what came with the program
    if name_or_path in named:
        return named[name_or_path]
    path = Path(name_or_path).expanduser()
    if path.suffix or path.exists():
        return path
    names = ", ".join([*installed(), *users_own(), *CLASSICAL_NAMES])
    raise CheckpointError(f"There is no checkpoint {name_or_path!r}; there are {names}, or give the path of a file.")


def find_trainable(name_or_path: str) -> Path:
    """Return the file of a checkpoint that can be trained further, which takes one that was trained here.

    Raises
    ------
    CheckpointError
        If there is none, its file is damaged, or it comes from elsewhere.
    """
    if name_or_path in CLASSICAL_NAMES:
        raise CheckpointError(f"{name_or_path} is a classical method, which learns nothing; start from a checkpoint, or from none.")
    path = find_file(name_or_path)
    if _from_elsewhere(path):
        raise CheckpointError(f"{path.name} was not trained by this program: it can be used, not trained further; start from another.")
    return path


def load_denoiser(name_or_path: str, device: torch.device | str = "cpu", task: str = "denoise") -> Prior:
    """Return the denoiser of that name, or in that file; the one-pass network, where ``task`` is "inpaint".

    Raises
    ------
    CheckpointError
        If there is none, it is for the other task, or it cannot be trusted or understood.
    """
    prior = load_any(name_or_path, device)
    _check_task(prior.card, task)
    return prior


def check_header(name_or_path: str, task: str) -> None:
    """Look at the beginning and the end of a checkpoint's file, which takes no PyTorch.

    Raises
    ------
    CheckpointError
        If they show that the file is damaged, or for another task.
    """
    if name_or_path in CLASSICAL_NAMES:
        return
    path = find_file(name_or_path)
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        checked_size(path)
        try:
            with path.open("rb") as file:
                pickled = file.read(1) == PICKLE
        except OSError as error:
            raise CheckpointError(f"{path.name} cannot be read ({error.strerror}); choose another file.") from error
        if not (pickled or zipfile.is_zipfile(path)):
            raise CheckpointError(f"{path.name} is damaged or was not written by PyTorch; copy or download it again.")
    elif "card" in (metadata := read_metadata(path)):
        _check_task(card_in(metadata, path), task)


def _check_task(card: Card, task: str) -> None:
    if card.task != task:
        kinds = {"denoise": "a denoiser", "inpaint": "a one-pass network"}
        names = [one.name for one in known() if one.task == task]
        raise CheckpointError(
            f"{card.name} is {kinds[card.task]}, but {kinds[task]} is needed here; there are {', '.join(names) or 'none'}."
        )


def load_any(name_or_path: str, device: torch.device | str = "cpu") -> Prior:
    """Return the network of that name, or in that file, whatever it is for.

    Raises
    ------
    CheckpointError
        If there is none, or it cannot be trusted or understood.
    """
    from .checkpoint import load_checkpoint, load_foreign
    from .classical import Classical

    if name_or_path in CLASSICAL_NAMES:
        return Classical(name_or_path)
    path = find_file(name_or_path)
    return load_foreign(path, device) if _from_elsewhere(path) else load_checkpoint(path, device)


def _from_elsewhere(path: Path) -> bool:
    return path.suffix.lower() in FOREIGN_SUFFIXES or "card" not in read_metadata(path)


def add(file: Path, nickname: str = "", replace: bool = False) -> Path:
    """Check a checkpoint, or a network from elsewhere, and copy it to the user's folder under ``nickname``; return the copy.

    Weights of a known architecture are written as a checkpoint of this program.

    Raises
    ------
    CheckpointError
        If it cannot be used, or the name is taken or impossible.
    """
    from .checkpoint import Denoiser, save_checkpoint

    file = file.expanduser()
    name = nickname or file.stem
    if not NICKNAME.fullmatch(name):
        raise CheckpointError(f"A nickname consists of letters, digits, - and _, but {name!r} was given; choose one with --name.")
    if name in (*installed(), *CLASSICAL_NAMES) or (name in users_own() and not replace):
        raise CheckpointError(f"There is a checkpoint {name!r} already; choose another name with --name, or --replace one of your own.")
    denoiser: Any = load_any(str(file))
    _try(denoiser, file)
    folder = user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"The folder {folder} cannot be made; set {FOLDER} to one that can be written.") from error
    before = users_own().get(name)
    if isinstance(denoiser, Denoiser) and denoiser.card.architecture != "program":
        target = folder / f"{name}{SUFFIX}"
        save_checkpoint(target, denoiser.network.state_dict(), denoiser.card.model_copy(update={"name": name}))
    else:
        target = folder / f"{name}{PROGRAMS[1] if file.suffix.lower() == PROGRAMS[1] else PROGRAMS[0]}"
        _copy(file, target)
    if before and before != target:
        before.unlink()
    return target


def _try(denoiser: Prior, file: Path) -> None:
    """Use it once."""
    import torch

    channels = 1 + denoiser.card.config.get("guides", 0)
    image = torch.rand(1, channels, 64, 64, generator=torch.Generator().manual_seed(0))
    if not torch.isfinite(denoiser(image, 0.1)).all():
        raise CheckpointError(f"What {file.name} makes of an image holds NaN or infinity; use another checkpoint.")


def _copy(file: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(file, partial)
        os.replace(partial, target)
    except OSError as error:
        raise CheckpointError(f"Cannot write {target}: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def remove(nickname: str) -> None:
    """Delete one of the user's checkpoints.

    Raises
    ------
    CheckpointError
        If it is not one of theirs.
    """
    own = users_own()
    if nickname not in own:
        raise CheckpointError(f"{nickname!r} is not one of your checkpoints; yours are {', '.join(own) or 'none'}.")
    own[nickname].unlink()
    own[nickname].with_suffix(".state" + SUFFIX).unlink(missing_ok=True)
