"""Many images, one after the other: one that fails is named and the others are done, and what is there already is not made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError, SolverError, sentence
from .frames import FloatImage, Iterate, Measurement, Reconstruction
from .io import SUFFIXES, read, read_measurement, write_reconstruction
from .io.boundary import checked_file
from .io.direct_electron import find_companions
from .io.tiff import notes_of
from .params import ReconstructionParams
from .recipes import inputs

Tick = Callable[[], None]
ENDING = "_reconstructed.tif"


@dataclass(frozen=True, eq=False)
class Item:
    """An image to reconstruct; ``load`` returns its measurement and the truth where it is known, when its turn has come."""

    name: str
    load: Callable[[], tuple[Measurement, FloatImage | None]]


@dataclass(frozen=True, eq=False)
class Done:
    """How the image at ``place`` ended: with a ``result``, a ``failure`` in a sentence, or neither where it had been made before."""

    place: int
    name: str
    result: Reconstruction | None = None
    failure: str = ""


def reconstruct_each(
    items: Sequence[Item], params: ReconstructionParams, out: Path | None = None, tick: Tick | None = None
) -> Iterator[Iterate | Done]:
    """Yield the iterates of each item, and after them how it ended.

    Parameters
    ----------
    items
        What to reconstruct.
    params
        How.
    out
        Folder in which each result is written as soon as it is made; one that lies there already is not made again.
    tick
        Called many times a second; what it raises ends the work at once.

    Raises
    ------
    InputError
        If the folder cannot be made.
    CheckpointError
        If the checkpoint cannot be used: that holds for all.
    """
    if out is not None:
        _make(out)
    for place, item in enumerate(items):
        try:
            measurement, truth = item.load()
            file = None if out is None else out / f"{item.name}{ENDING}"
            if file is not None and _is_made(file, measurement, params):
                yield Done(place, item.name)
                continue
            result = yield from _one(measurement, params, truth, tick)
            if file is not None:
                write_reconstruction(file, result)
            yield Done(place, item.name, result)
        except (InputError, SolverError, MemoryError) as error:
            yield Done(place, item.name, failure=sentence(error))


def items_of(paths: Iterable[str | Path], mask: str | Path | None = None, taken: Iterable[str] = ()) -> list[Item]:
    """Return every image in files and folders; names are the files', numbered where a file holds several images.

    Parameters
    ----------
    paths
        Files, and folders whose files are taken but for results and the ``mask``.
    mask
        Mask image or positions for all of them, "nan" or "zero", as :func:`read_measurement` takes it; not needed where the files know
        their own.
    taken
        Names that are given to others already.

    Raises
    ------
    InputError
        If there is nothing to read.
    """
    items: list[Item] = []
    names = set(taken)
    for path in (file for one in paths for file in _files(Path(one), mask)):
        for name, index in _images(path):
            unique, k = name, 2
            while unique in names:
                unique, k = f"{name}-{k}", k + 1
            names.add(unique)
            items.append(Item(unique, _loader(path, mask, index)))
    return items


def _loader(path: Path, mask: str | Path | None, index: int | None) -> Callable[[], tuple[Measurement, None]]:
    return lambda: (read_measurement(path, mask, index), None)


def _files(path: Path, mask: str | Path | None) -> list[Path]:
    if not path.is_dir():
        return [checked_file(path)]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not _is_result(file))
    if mask is not None:
        files = [file for file in files if file.resolve() != Path(mask).resolve()]
    if not files:
        raise InputError(f"The folder {path} holds no image to reconstruct; files ending in {', '.join(SUFFIXES)} can be read.")
    return files


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} for the results cannot be made ({error.strerror}); choose another.") from error


def _is_result(file: Path) -> bool:
    notes = None
    if file.suffix.lower() in (".tif", ".tiff"):
        with suppress(Exception):  # what cannot be read is named when its turn comes
            notes = notes_of(file)
    return notes is not None and notes.get("kind") == "reconstruction"


def _images(path: Path) -> list[tuple[str, int | None]]:
    try:
        count = 1 if find_companions(path) else len(read(path))
    except (InputError, MemoryError):
        count = 1  # named when its turn comes
    name = path.name.removesuffix(path.suffix).removesuffix(".stem")
    digits = len(str(count - 1))
    return [(name, None)] if count == 1 else [(f"{name}_{k:0{digits}}", k) for k in range(count)]


def _one(
    measurement: Measurement, params: ReconstructionParams, truth: FloatImage | None, tick: Tick | None
) -> Generator[Iterate, None, Reconstruction]:
    from .reconstruction import finish, iterate

    steps = iterate(measurement, params, reference=truth, tick=tick)
    for last in steps:
        yield last
    return finish(measurement, params, last, reference=truth)


def _is_made(file: Path, measurement: Measurement, params: ReconstructionParams) -> bool:
    """Whether ``file`` holds the result of the same measurement and parameters."""
    if not file.is_file():
        return False
    notes = None
    with suppress(Exception):  # whatever lies there is made anew
        notes = notes_of(file)
    recipe = {} if notes is None else notes.get("recipe", {})
    wanted = json.loads(json.dumps(inputs(measurement, params)))
    return all(recipe.get(key) == value for key, value in wanted.items())
