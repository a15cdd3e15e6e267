"""napari's reader and writer: microscope files as layers with their pixel size, and layers as TIFFs that keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..frames import Frame, Reconstruction
from .layer_data import KEY, LayerData, Place, contrast, frame_layer, measurement_layers, pixel_size_nm

OURS = ".stem.tif"  # an ordinary TIFF; the longer ending keeps this plugin from claiming every TIFF


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Return the function that reads ``path``, or None for what this plugin leaves to others."""
    from ..io import SUFFIXES

    if not isinstance(path, str) or Path(path).suffix.lower() not in SUFFIXES or Path(path).is_dir():
        return None
    return read_layers


def read_layers(path: str) -> list[LayerData]:
    """Return the images in ``path`` as layers; a file that knows where it was measured gives a mask too.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    from ..io import read, read_measurement
    from ..io.direct_electron import find_companions

    if find_companions(Path(path)):
        return list(measurement_layers(read_measurement(path)))
    if path.lower().endswith(OURS):
        with suppress(InputError):  # a frame or a reconstruction: no mask
            return list(measurement_layers(read_measurement(path)))
    return [_layer(stack) for stack in _stacks(read(path))]


def write_image(path: str, data: npt.NDArray[Any], attributes: dict[str, Any]) -> list[str]:
    """Write one image layer ``(Y, X)`` with pixel size, and with its recipe if it is a reconstruction.

    Raises
    ------
    InputError
        If the layer is no grey image of two dimensions, or the file cannot be written.
    """
    from ..io import write_frame, write_reconstruction

    metadata = dict(attributes.get("metadata", {}))
    name, recipe = str(attributes.get("name", "frame")), metadata.get("recipe")
    scale, units = attributes.get("scale"), attributes.get("units")
    pixel_size = None if scale is None or units is None else pixel_size_nm(scale, units)
    frame = Frame(data, pixel_size, name, {key: value for key, value in metadata.items() if key not in (KEY, "recipe", "scores")})
    if recipe is None:
        write_frame(path, frame)
    else:
        write_reconstruction(path, Reconstruction(frame.image, pixel_size, name, recipe, metadata.get("scores", {})))
    return [path]


def _stacks(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group neighbouring frames of one shape and pixel size that are planes of one stack, "name [2/5]"."""
    groups: list[list[Frame]] = []
    for frame in frames:
        last = groups[-1][-1] if groups else None
        if last is not None and (_stem(last), last.shape, last.pixel_size_nm) == (_stem(frame), frame.shape, frame.pixel_size_nm):
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return groups


def _stem(frame: Frame) -> str:
    return frame.name.rpartition(" [")[0] if frame.name.endswith("]") else f"\0{frame.name}"


def _layer(frames: Sequence[Frame]) -> LayerData:
    array, keywords, kind = frame_layer(frames[0])
    if len(frames) == 1:
        return array, keywords, kind
    stack = np.stack([frame.image for frame in frames])
    place = Place.of_pixel_size(frames[0].pixel_size_nm)
    keywords |= {
        "name": _stem(frames[0]),
        "contrast_limits": contrast(stack),
        "scale": (1.0, *place.scale),
        "units": ("pixel", *place.units),
        "translate": (0.0, *place.translate),
        "axis_labels": ("plane", *place.axis_labels),
    }
    return stack, keywords, kind
