"""Scans in and out: CSV of positions in visiting order, or a mask image."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..frames import Mask, Scan, as_mask
from .boundary import checked_file, reading, write_atomically
from .reading import read
from .tiff import write_tiff

SCAN_SUFFIXES = (".csv", ".tif", ".tiff", ".png", ".npy")
TIMES = ("dwell_time_us", "flyback_time_us", "settling_time_us")
ROW_NAMES, COLUMN_NAMES = ("row", "y"), ("column", "col", "x")


def read_scan(path: str | Path, shape: tuple[int, int]) -> Scan:
    """Return the scan of a frame of ``shape`` from a CSV of positions, or from a mask image in row order.

    The CSV has one position per line in visiting order under the header ``row,column`` (or ``x,y``); without a header the
    columns are row and column, but x and y in Direct Electron's ``*_scan_coordinates.csv``.

    Raises
    ------
    InputError
        If the file cannot be read, or does not fit the frame.
    """
    source = checked_file(path)
    if source.suffix.lower() != ".csv":
        return Scan.from_mask(read_mask(source, shape))
    with reading(source):
        text = source.read_text(encoding="utf-8-sig")
        comments = " ".join(line for line in text.splitlines() if line.lstrip().startswith("#"))
        positions = _positions(text, source.name)
    stated = re.search(r"frame (\d+) x (\d+)", comments)
    if stated and (int(stated[1]), int(stated[2])) != tuple(shape):
        raise InputError(f"{source.name} is for a frame of {stated[1]} x {stated[2]}, but the frame is {shape[0]} x {shape[1]}.")
    times = {name: float(stated[1]) for name in TIMES if (stated := re.search(rf"{name} (\d[^\s,]*)", comments))}
    return Scan(positions, shape, **times)


def read_mask(path: str | Path, shape: tuple[int, int]) -> Mask:
    """Return the bool mask ``(Y, X)``, True = measured, from a mask image (0 = unmeasured) or a CSV of positions."""
    source = checked_file(path)
    if source.suffix.lower() == ".csv":
        return read_scan(source, shape).mask
    frames = read(source)
    if len(frames) > 1:
        raise InputError(f"{source.name} holds {len(frames)} images, but a mask is one image.")
    return as_mask(frames[0].image, shape, f"mask {source.name}")


def write_scan(path: str | Path, scan: Scan) -> None:
    """Write the positions in visiting order with the start of each dwell (.csv), or the mask as 0 and 255 (.tif, .png, .npy).

    Raises
    ------
    InputError
        If the ending is unknown or the file cannot be written.
    """

    def write(target: Path) -> None:
        suffix = target.suffix.lower()
        mask = scan.mask.astype(np.uint8) * np.uint8(255)
        if suffix == ".csv":
            times = ", ".join(f"{name} {float(getattr(scan, name))!r}" for name in TIMES)
            with target.open("w", encoding="utf-8", newline="\n") as file:
                file.write(f"# positions in visiting order, frame {scan.shape[0]} x {scan.shape[1]}, {times}\nrow,column,time_us\n")
                np.savetxt(file, np.column_stack([scan.positions, scan.times_us]), fmt=("%d", "%d", "%.3f"), delimiter=",")
        elif suffix == ".npy":
            np.save(target, mask)
        elif suffix == ".png":
            from PIL import Image

            Image.fromarray(mask).save(target)
        else:
            write_tiff(target, mask, None, "")

    write_atomically(path, SCAN_SUFFIXES, write)


def _positions(text: str, name: str) -> npt.NDArray[np.intp]:
    """Return int ``(N, 2)`` (row, column)."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    delimiter = next((mark for mark in ",;\t" if lines and mark in lines[0]), None)
    columns = (1, 0) if name.endswith("_scan_coordinates.csv") else (0, 1)
    fields = [field.strip().strip('"').lower() for field in lines[0].split(delimiter)] if lines else []
    if any(re.search("[a-z]", field) for field in fields):
        rows = [k for k, field in enumerate(fields) if field in ROW_NAMES]
        cols = [k for k, field in enumerate(fields) if field in COLUMN_NAMES]
        if len(rows) != 1 or len(cols) != 1:
            raise InputError(f"The header of {name} should name the columns row,column (or x,y), but it is '{lines[0].strip()[:60]}'.")
        columns, lines = (rows[0], cols[0]), lines[1:]
    elif fields and len(fields) != 2:
        raise InputError(f"{name} should have two columns (row, column), but it has {len(fields)} and no header that names them.")
    if not lines:
        raise InputError(f"{name} holds no positions.")
    given = np.loadtxt(lines, delimiter=delimiter, usecols=columns, ndmin=2)
    if not (np.abs(given) < 2**31).all() or (given % 1).any():
        raise InputError(f"The positions in {name} must be whole pixel numbers (row, column).")
    return given.astype(np.intp)
