"""``read_measurement``: an image with the mask that says where it was measured. The mask is never guessed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..frames import FloatImage, Frame, Mask, Measurement, NoiseModel
from .boundary import checked_file, reading
from .direct_electron import find_companions, read_direct_electron
from .notes import Notes, measurement_from
from .reading import read
from .scan_files import read_mask, read_scan
from .tiff import notes_of

HOW_TO_MASK = "pass a mask (TIFF, PNG or NPY image, 0 = unmeasured; a CSV of positions; or one of the words nan and zero)"
MARKED: dict[str, Callable[[FloatImage], Mask]] = {  # how an image itself may mark the unmeasured positions
    "nan": lambda image: _some_unmeasured(np.isfinite(image), "NaN"),
    "zero": lambda image: _some_unmeasured(np.isfinite(image) & (image != 0), "0"),
}


class SeveralImages(InputError):
    """A file holds several images, and none was chosen."""


def read_measurement(path: str | Path, mask: str | Path | None = None, index: int | None = None) -> Measurement:
    """Return the measurement in a file.

    Parameters
    ----------
    path
        A measurement that this package wrote, a Direct Electron movie with its companions, or any image with a ``mask``.
    mask
        Mask image (0 = unmeasured) or CSV of positions; "nan" or "zero" where the image holds that at unmeasured positions; not needed
        where the file knows its own.
    index
        Which image of the file, counted from 0; needed where it holds several.

    Raises
    ------
    InputError
        If a file cannot be read, the mask is missing or does not fit, or ``index`` is missing or out of range.
    """
    source = checked_file(path)
    if mask is None and index is None and (companions := find_companions(source)):
        return read_direct_electron(source, *companions)
    frame = _choose(read(source), index, source.name)
    notes = _measurement_notes(source)
    if mask is None:
        if notes is None:
            raise InputError(_no_mask(frame, source.name))
        return measurement_from(frame, notes, source.name)
    if str(mask) in MARKED:
        return Measurement.from_arrays(frame.image, MARKED[str(mask)](frame.image), frame.pixel_size_nm, "unknown", frame.name)
    is_table = Path(mask).suffix.lower() == ".csv"
    scan = read_scan(mask, frame.shape) if is_table else None
    measured = read_mask(mask, frame.shape) if scan is None else scan.mask
    noise: NoiseModel = "unknown"
    if notes is not None:
        try:
            stored = measurement_from(frame, notes, source.name)
        except InputError:
            # Changed since: the mask at hand counts, and nothing is known about the noise any more.
            return Measurement(frame.image, measured, frame.pixel_size_nm, noise, scan, frame.name)
        wrong = int(np.count_nonzero(measured & ~stored.mask))
        if wrong:
            raise InputError(f"The mask {Path(mask).name} marks {wrong} positions as measured that {source.name} says were not.")
        noise = stored.noise
        if scan is None and np.array_equal(measured, stored.mask):
            scan = stored.scan
    return Measurement(frame.image, measured, frame.pixel_size_nm, noise, scan, frame.name)


def _some_unmeasured(mask: Mask, mark: str) -> Mask:
    if mask.all():
        raise InputError(f"No pixel of the image is {mark}, so all would count as measured; give a mask image or the measured positions.")
    return mask


def _choose(frames: list[Frame], index: int | None, name: str) -> Frame:
    if index is None and len(frames) > 1:
        raise SeveralImages(f"{name} holds {len(frames)} images; choose one with index 0 to {len(frames) - 1}.")
    chosen = index or 0
    if not 0 <= chosen < len(frames):
        raise InputError(f"{name} has no image {chosen}; it holds {len(frames)}, counted from 0.")
    return frames[chosen]


def _measurement_notes(source: Path) -> Notes | None:
    if source.suffix.lower() not in (".tif", ".tiff"):
        return None
    with reading(source):
        notes = notes_of(source)
    return notes if notes is not None and notes.get("kind") == "measurement" else None


def _no_mask(frame: Frame, name: str) -> str:
    nan = int(np.count_nonzero(np.isnan(frame.image)))
    if nan:
        return f"{name} holds {nan} NaN pixels but does not say that those are the unmeasured ones; {HOW_TO_MASK}."
    return f"{name} does not say which positions were measured; {HOW_TO_MASK}."
