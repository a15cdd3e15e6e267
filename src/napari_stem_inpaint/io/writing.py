"""Frames, measurements and reconstructions out: float32 TIFFs that ImageJ and everyone else opens as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..frames import FloatImage, Frame, Mask, Measurement, PixelSize, Reconstruction
from .boundary import write_atomically
from .notes import measurement_fields, to_text
from .tiff import write_tiff

TIFF_SUFFIXES = (".tif", ".tiff")


def write_frame(path: str | Path, frame: Frame) -> None:
    """Write a frame as TIFF with pixel size, name and metadata, or its bare float32 array as .npy.

    Raises
    ------
    InputError
        If the ending is another (eight bits of a .png cap the quality), or the file cannot be written.
    """

    def write(target: Path) -> None:
        if target.suffix.lower() == ".npy":
            np.save(target, frame.image)
        else:
            _write(target, "frame", frame.image, frame.pixel_size_nm, frame.name, {"metadata": frame.metadata})

    write_atomically(path, (*TIFF_SUFFIXES, ".npy"), write, ", which keep all 32 bits of the image")


def write_reconstruction(path: str | Path, reconstruction: Reconstruction) -> None:
    """Write a reconstruction as TIFF with pixel size, recipe and scores.

    Raises
    ------
    InputError
        If the ending is not a TIFF's, or the file cannot be written.
    """
    fields = {"recipe": reconstruction.recipe, "scores": reconstruction.scores}

    def write(target: Path) -> None:
        _write(target, "reconstruction", reconstruction.image, reconstruction.pixel_size_nm, reconstruction.name, fields)

    write_atomically(path, TIFF_SUFFIXES, write, ", which keeps the recipe with the image")


def write_measurement(path: str | Path, measurement: Measurement) -> None:
    """Write a measurement as TIFF with pixel size, noise model, mask and scan; unmeasured pixels hold 0.

    Raises
    ------
    InputError
        If the ending is not a TIFF's, or the file cannot be written.
    """
    fields = measurement_fields(measurement)

    def write(target: Path) -> None:
        _write(target, "measurement", measurement.values, measurement.pixel_size_nm, measurement.name, fields, measurement.mask)

    write_atomically(path, TIFF_SUFFIXES, write, ", which keeps the mask with the image")


def _write(
    target: Path, kind: str, image: FloatImage, pixel_size_nm: PixelSize, name: str, fields: Mapping[str, Any], mask: Mask | None = None
) -> None:
    shown = image[np.isfinite(image) if mask is None else mask]
    limits = (float(shown.min()), float(shown.max())) if shown.size else None
    write_tiff(target, np.ascontiguousarray(image, dtype=np.float32), pixel_size_nm, to_text(kind, name, image, fields), limits)
