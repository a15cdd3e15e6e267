"""The JSON that travels in a TIFF's "Info": what the picture is, how it was made and, for measurements, where it was measured."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..errors import InputError
from ..frames import FloatImage, Frame, Mask, Measurement, NoiseModel, Scan

MARK = "napari-stem-inpaint"
Notes = dict[str, Any]


def to_text(kind: str, name: str, image: FloatImage, fields: Mapping[str, Any]) -> str:
    """Return the notes of ``image`` ``(Y, X)`` as JSON; its checksum tells later whether the picture was changed."""
    notes = {MARK: __version__, "kind": kind, "name": name, "crc32": checksum(image), **fields}
    return json.dumps(_plain(notes), indent=1)


def from_text(text: Any) -> Notes | None:
    """Return the notes in ``text``, or None if it is not ours."""
    if not isinstance(text, str) or MARK not in text:
        return None
    try:
        notes = json.loads(text)
    except ValueError:
        return None
    return notes if isinstance(notes, dict) and MARK in notes else None


def checksum(image: FloatImage) -> int:
    """Return the CRC-32 of the float32 values of ``image``."""
    return zlib.crc32(np.ascontiguousarray(image, dtype="<f4").tobytes())


def measurement_fields(measurement: Measurement) -> Notes:
    """Return what a measurement's picture cannot say: noise model, mask and visiting order."""
    fields: Notes = {"noise": measurement.noise, "mask": _pack(np.packbits(measurement.mask))}
    scan = measurement.scan
    if scan is not None:
        flat = scan.positions @ np.array([scan.shape[1], 1])
        fields["scan"] = {"dwell_time_us": scan.dwell_time_us}
        if not np.array_equal(flat, np.flatnonzero(measurement.mask)):
            # Steps instead of places: neighbouring positions compress well.
            fields["scan"]["steps"] = _pack(np.diff(flat, prepend=0).astype("<i4"))
    return fields


def measurement_from(frame: Frame, notes: Notes, file_name: str) -> Measurement:
    """Return the measurement that ``notes`` make of ``frame``.

    Raises
    ------
    InputError
        If the picture was changed since, or the notes are damaged.
    """
    if notes.get("crc32") != checksum(frame.image):
        raise InputError(
            f"{file_name} was changed after it was measured, so its stored mask may not fit; pass the mask that belongs to it."
        )
    try:
        size = frame.image.size
        bits = np.unpackbits(_unpack(notes["mask"], "u1"), count=size)
        mask: Mask = bits.reshape(frame.shape).astype(bool)
        stored = notes.get("scan")
        scan = None if stored is None else _scan(stored, mask)
        if notes["noise"] not in get_args(NoiseModel):
            raise ValueError(notes["noise"])
        return Measurement(frame.image, mask, frame.pixel_size_nm, notes["noise"], scan, frame.name)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise InputError(f"The mask stored in {file_name} is damaged; pass the mask as a file of its own.") from error


def _scan(stored: Notes, mask: Mask) -> Scan:
    if "steps" not in stored:
        return Scan.from_mask(mask, stored["dwell_time_us"])
    flat = np.cumsum(_unpack(stored["steps"], "<i4"), dtype=np.int64)
    positions = np.stack(np.divmod(flat, mask.shape[1]), axis=1)
    return Scan(positions.astype(np.intp), (mask.shape[0], mask.shape[1]), stored["dwell_time_us"])


def _pack(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 9)).decode("ascii")


def _unpack(text: str, dtype: str) -> npt.NDArray[Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), dtype=dtype)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.as_posix() if isinstance(value, Path) else str(value)
