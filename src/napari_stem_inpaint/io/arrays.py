"""PNG pictures, and NumPy's NPY and NPZ files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..frames import Frame
from .planes import frames_from, grey


def read_png(path: Path) -> list[Frame]:
    """Return the grey picture of any depth; its pixel size is unknown, whatever the print resolution says."""
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as picture:
        data = np.asarray(picture.convert("RGBA") if picture.mode in ("P", "PA") else picture)
    image = grey(data, path.name) if data.ndim == 3 else data
    return frames_from(image, None, path.stem, {"source": path.name})


def read_npy(path: Path) -> list[Frame]:
    """Return the array ``(Y, X)``, or the planes of ``(N, Y, X)``; pickled objects are refused, not run."""
    with path.open("rb") as file:
        data = np.lib.format.read_array(file, allow_pickle=False)
    if data.dtype.kind not in "biuf" or data.ndim not in (2, 3):
        raise InputError(f"{path.name} holds no image but {_describe(data)}; two or three axes of real numbers were expected.")
    return _array_frames(data, path.stem, path)


def read_npz(path: Path) -> list[Frame]:
    """Return the images and stacks among the arrays; the others are left out."""
    frames: list[Frame] = []
    others: list[str] = []
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        for name in names:
            key = name.removesuffix(".npy")
            with archive.open(name) as file:
                version = np.lib.format.read_magic(file)
                read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read_header(file)
            if dtype.kind not in "biuf" or len(shape) not in (2, 3):
                others.append(f"{key}: {dtype} {shape}")
                continue
            with archive.open(name) as file:
                data = np.lib.format.read_array(file, allow_pickle=False)
            frames += _array_frames(data, path.stem if len(names) == 1 else f"{path.stem} {key}", path)
    if not frames:
        raise InputError(f"{path.name} holds no image; found {'; '.join(others) or 'no arrays'}.")
    return frames


def _array_frames(data: npt.NDArray[Any], name: str, path: Path) -> list[Frame]:
    in_colour = data.ndim == 3 and data.shape[-1] in (3, 4) and min(data.shape[:2]) > 4
    return frames_from(grey(data, path.name) if in_colour else data, None, name, {"source": path.name})


def _describe(data: npt.NDArray[Any]) -> str:
    return f"an array of {data.dtype} with shape {data.shape}"
