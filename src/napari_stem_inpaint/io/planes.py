"""From a file's array to Frames: stacks become one Frame per plane, grey pictures stored in colour become grey."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..frames import Frame, PixelSize


def frames_from(data: npt.ArrayLike, pixel_size_nm: PixelSize, name: str, metadata: Mapping[str, Any]) -> list[Frame]:
    """Return one Frame per plane of ``data`` ``(..., Y, X)``; planes of a stack are named "name [3/5]".

    Raises
    ------
    InputError
        If ``data`` has fewer than two axes, is empty or does not hold real numbers.
    """
    array = np.asarray(data)
    if array.ndim < 2 or array.size == 0:
        raise InputError(f"{name} is no image: its shape is {array.shape}.")
    planes = array.reshape(-1, *array.shape[-2:])
    count = len(planes)
    with np.errstate(over="ignore"):
        if count == 1:
            return [Frame(planes[0], pixel_size_nm, name, dict(metadata))]
        return [Frame(plane, pixel_size_nm, f"{name} [{k}/{count}]", dict(metadata)) for k, plane in enumerate(planes, 1)]


def grey(data: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return the one grey image ``(..., Y, X)`` that the samples of ``data`` ``(..., Y, X, S)`` repeat.

    Raises
    ------
    InputError
        If the samples differ, or the picture is partly transparent.
    """
    samples = data.shape[-1]
    colours = 1 if samples < 3 else 3
    colour, alpha = data[..., :colours], data[..., colours:]
    if not (colour == colour[..., :1]).all():
        raise InputError(f"{name} is a colour picture, whose colours are no intensities; open the original data or save it as grey.")
    if alpha.size and not (alpha == alpha.max()).all():
        raise InputError(f"{name} is a partly transparent picture; open the original data or save it as grey.")
    return colour[..., 0]
