"""``read``: any file a microscope or this package wrote, as Frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..frames import Frame
from .arrays import read_npy, read_npz, read_png
from .boundary import checked_file, reading
from .microscopes import PLUGINS, read_microscope
from .tiff import read_tiff

READERS: dict[str, Callable[[Path], list[Frame]]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".png": read_png,
    ".npy": read_npy,
    ".npz": read_npz,
    **dict.fromkeys(PLUGINS, read_microscope),
}
SUFFIXES = tuple(READERS)


def read(path: str | Path) -> list[Frame]:
    """Return every image in the file, as Frames; a stack gives one Frame per plane.

    ``pixel_size_nm`` is None unless the file states a real length. ``metadata`` says the source file's name, the signal's
    title and the unit as stated.

    Raises
    ------
    InputError
        If the file is missing, damaged, of an unknown kind or holds no image.
    """
    source = checked_file(path)
    reader = READERS.get(source.suffix.lower())
    if reader is None:
        raise InputError(f"{source.name} is of an unknown kind; files ending in {', '.join(SUFFIXES)} can be opened.")
    with reading(source):
        return reader(source)
