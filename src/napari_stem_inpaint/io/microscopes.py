"""Microscope files, through rosettasciio (the extra "em"): every image signal, spectra and complex data left out."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..frames import Frame
from .planes import frames_from
from .units import pixel_size

Signal = dict[str, Any]
Axis = dict[str, Any]

PLUGINS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".emi": "tia",
    ".ser": "tia",
    ".mrc": "mrc",
    ".blo": "blockfile",
    ".hspy": "hspy",
}
OPTIONS: dict[str, dict[str, Any]] = {
    # Left to itself it sets every scan step of a movie with companions to 1 nm; see direct_electron.
    ".mrc": {"metadata_file": None},
    # Spectrum streams are large, and no images.
    ".emd": {"select_type": "images"},
}


def read_microscope(path: Path) -> list[Frame]:
    """Return every image in the file, in the file's order.

    A stack gives one Frame per plane. Of 4D-STEM data (a detector frame at every position of a scan grid) the scan image
    is returned: the sum over the detector. A diffraction pattern opens without a pixel size.

    Raises
    ------
    InputError
        If the extra is missing, or the file holds no image; the sentence says what it holds.
    """
    signals = load(path)
    frames: list[Frame] = []
    others: list[str] = []
    for k, signal in enumerate(signals, 1):
        title = signal.get("metadata", {}).get("General", {}).get("title")
        name = str(title) if title else path.stem if len(signals) == 1 else f"{path.stem} #{k}"
        other = _not_an_image(signal)
        if other:
            others.append(f"{name}: {other}")
        else:
            frames += _frames(signal, name, {"source": path.name, "title": title})
    if not frames:
        nothing = "no .ser file beside it, where its images should be" if path.suffix.lower() == ".emi" else "nothing"
        raise InputError(f"{path.name} holds no image; found {'; '.join(others) or nothing}.")
    return frames


def load(path: Path) -> list[Signal]:
    """Return the signals as rosettasciio gives them, without units where it only guessed them."""
    suffix = path.suffix.lower()
    options = OPTIONS.get(suffix, {})
    try:
        plugin = importlib.import_module(f"rsciio.{PLUGINS[suffix]}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # A damaged block file would be padded with zeros, to whatever size its header claims.
            warnings.filterwarnings("error", message="Blockfile")
            signals: list[Signal] = plugin.file_reader(str(path), **options)
    except ImportError as error:
        raise InputError(f'To open {suffix} files, pip install "napari-stem-inpaint[em]" ({error}).') from error
    guessed = any("units could not be determined" in str(warning.message) for warning in caught)
    for signal in signals:
        if guessed or (suffix == ".mrc" and _without_grid(signal)):
            for axis in signal["axes"]:
                axis["units"] = None
    return signals


def _without_grid(signal: Signal) -> bool:
    # An MRC header without a grid says nothing about lengths, but reads as 1 nm.
    told = signal["original_metadata"]
    return "fei_header" not in told and not (told["std_header"]["MX"] and told["std_header"]["MY"])


def _not_an_image(signal: Signal) -> str:
    """Return what the signal is instead of an image, or nothing if it is one."""
    dtype, shape = signal["data"].dtype, tuple(signal["data"].shape)
    if dtype.kind == "c":
        return f"complex data {shape}"
    if dtype.names:
        return f"a colour picture {shape}"
    if dtype.kind not in "biuf":
        return f"{dtype} values {shape}"
    detector, grid = _split(signal)
    if len(shape) < 2 or (len(detector) == 1) or len(detector) + len(grid) != len(shape) or 0 in shape:
        return f"a spectrum or spectra {shape}"
    return ""


def _split(signal: Signal) -> tuple[list[int], list[int]]:
    """Return the places of the signal axes and of the navigation axes in the array."""
    places = {True: [], False: []}  # type: dict[bool, list[int]]
    for k, axis in enumerate(signal["axes"]):
        places[bool(axis.get("navigate"))].append(int(axis.get("index_in_array", k)))
    detector, grid = sorted(places[False]), sorted(places[True])
    return (detector, grid) if detector else (grid, [])


def _frames(signal: Signal, name: str, metadata: dict[str, Any]) -> list[Frame]:
    data = np.asarray(signal["data"])
    by_place = {int(axis.get("index_in_array", k)): axis for k, axis in enumerate(signal["axes"])}
    detector, grid = _split(signal)
    pair = [by_place[k] for k in detector[-2:]]
    if len(detector) == 2 and len(grid) == 2:
        scan = [by_place[k] for k in grid]
        if _size(scan) is not None or _size(pair) is None:
            data = data.sum(axis=tuple(detector), dtype=np.float64)
            return frames_from(data, _size(scan), name, {**metadata, "units": _unit(scan), "note": "sum over the detector of 4D-STEM data"})
    planes = np.moveaxis(data, detector[-2:], (-2, -1))
    return frames_from(planes, _size(pair), name, {**metadata, "units": _unit(pair)})


def _size(axes: list[Axis]) -> tuple[float, float] | None:
    y, x = axes
    return pixel_size((y.get("scale"), y.get("units")), (x.get("scale"), x.get("units")))


def _unit(axes: list[Axis]) -> str | None:
    unit = axes[-1].get("units")
    return None if unit is None else str(unit)
