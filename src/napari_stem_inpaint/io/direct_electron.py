"""Direct Electron's subsampled 4D-STEM: a movie of detector frames beside a table of the positions they belong to.

Companions are found by name: ``<name>_movie.mrc`` belongs with ``<name>_info.txt`` and ``<name>_scan_coordinates.csv``; where
those are missing, the last ``_part`` of the movie's name is left off and the two are looked for once more.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..frames import Measurement, Scan
from .boundary import checked_file, reading
from .microscopes import load
from .scan_files import read_scan
from .units import pixel_size

MOVIE_ENDING = "_movie.mrc"


def find_companions(movie: Path) -> tuple[Path, Path] | None:
    """Return the info file and the positions that belong to ``movie``, or None if it is no such movie."""
    if not movie.name.endswith(MOVIE_ENDING):
        return None
    stem = movie.name.removesuffix(MOVIE_ENDING)
    for name in (stem, stem.rpartition("_")[0]):
        info, positions = movie.with_name(f"{name}_info.txt"), movie.with_name(f"{name}_scan_coordinates.csv")
        if name and info.is_file() and positions.is_file():
            return info, positions
    return None


def read_direct_electron(movie: Path, info: Path, positions: Path) -> Measurement:
    """Return the sum of the detector frame at each visited position, averaged over repeated visits.

    The frame is the whole scan field of the info file, so rows or columns that were never visited stay in it.

    Raises
    ------
    InputError
        If a file cannot be read, or the frames and the positions do not match.
    """
    told = _told(info)
    shape = _field_of_view(told, info.name)
    scan = read_scan(positions, shape)
    with reading(checked_file(movie)):
        data = np.asarray(load(movie)[0]["data"])
        if data.ndim != 3:
            raise InputError(f"{movie.name} should hold detector frames (N, rows, columns), but its shape is {data.shape}.")
        sums = data.sum(axis=(1, 2), dtype=np.float64)  # (N,)
    if len(sums) != len(scan.positions):
        raise InputError(f"{movie.name} holds {len(sums)} detector frames, but {positions.name} lists {len(scan.positions)} positions.")
    where = tuple(scan.positions.T)
    total, visits = np.zeros(shape), np.zeros(shape)
    np.add.at(total, where, sums)
    np.add.at(visits, where, 1)
    steps = (told.get(f"Specimen Pixel Size {axis} (nanometers)") for axis in "YX")
    y, x = ((step, "nm") for step in steps)
    try:
        dwell_time_us = float(told["Scan - Dwell Time (microseconds)"])
        scan = Scan(scan.positions, shape, dwell_time_us)
    except (KeyError, ValueError):
        scan = Scan(scan.positions, shape)
    return Measurement(
        (total / np.maximum(visits, 1)).astype(np.float32),
        visits > 0,
        pixel_size(y, x),
        scan=scan,
        name=movie.name.removesuffix(MOVIE_ENDING),
    )


def _told(info: Path) -> dict[str, str]:
    with reading(checked_file(info)):
        pairs = (line.partition("=") for line in info.read_text(encoding="utf-8", errors="replace").splitlines())
        return {key.strip(): value.strip() for key, _, value in pairs}


def _field_of_view(told: dict[str, str], name: str) -> tuple[int, int]:
    part = "ROI " if told.get("Scan - ROI Enable") == "Enable" else ""
    try:
        rows, columns = (int(told[f"Scan - {part}Size {axis}"]) for axis in "YX")
    except (KeyError, ValueError) as error:
        raise InputError(f"{name} does not state the scan's size (Scan - {part}Size X and Y).") from error
    if not (rows > 0 and columns > 0):
        raise InputError(f"{name} states a scan of {rows} x {columns} positions.")
    return rows, columns
