"""The values that travel between the stages: Frame, Scan, Measurement, Iterate, Reconstruction. No behaviour beyond checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from .errors import InputError

FloatImage = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
PixelSize = tuple[float, float] | None
ImageLike: TypeAlias = "npt.ArrayLike | Frame | Reconstruction"
NoiseModel = Literal["none", "poisson", "unknown"]


def as_image(array: npt.ArrayLike, what: str = "image") -> FloatImage:
    """Return ``array`` as a float32 image ``(Y, X)`` with memory of its own.

    Raises
    ------
    InputError
        If it is not a non-empty, real, two-dimensional array of numbers.
    """
    a = np.asarray(array)
    if a.dtype.names or a.dtype.kind not in "biuf":
        hint = " Take its absolute value or real part first." if a.dtype.kind == "c" else ""
        raise InputError(f"The {what} must hold real numbers, but its type is {a.dtype}.{hint}")
    if a.ndim != 2:
        raise InputError(f"The {what} must be two-dimensional (rows, columns), but its shape is {a.shape}; pick one plane of it.")
    if a.size == 0:
        raise InputError(f"The {what} is empty (shape {a.shape}).")
    return np.array(a, dtype=np.float32, order="C")


def as_mask(array: npt.ArrayLike, shape: tuple[int, ...], what: str = "mask") -> Mask:
    """Return ``array`` as a bool mask of ``shape``, True = measured.

    Raises
    ------
    InputError
        If the shape differs, or if the values are anything but two levels, zero meaning unmeasured.
    """
    a = np.asarray(array)
    if a.shape != tuple(shape):
        raise InputError(f"The {what} must have the frame's shape {tuple(shape)}, but its shape is {a.shape}.")
    if a.dtype.kind not in "biuf":
        raise InputError(f"The {what} must hold booleans or numbers, but its type is {a.dtype}.")
    if a.dtype.kind != "b":
        levels = np.unique(a)
        if levels.size > 2 or not np.isfinite(levels).all() or (levels.size == 2 and levels[0] != 0):
            raise InputError(f"The {what} must hold two values, 0 for unmeasured and another for measured, but it holds {levels.size}.")
    return np.array(a, dtype=bool, order="C")


def as_pixel_size(value: float | tuple[float, float] | None) -> PixelSize:
    """Return ``value`` in nm as ``(y, x)``, or None where it is unknown."""
    if value is None:
        return None
    try:
        y, x = np.broadcast_to(np.asarray(value, np.float64), 2).tolist()
    except (TypeError, ValueError):
        y = x = math.nan
    if not (math.isfinite(y + x) and y > 0 and x > 0):
        raise InputError(
            f"The pixel size must be one positive number in nm, or two (y, x), but it is {value!r}; leave it out if it is unknown."
        )
    return y, x


def expect(value: object, kind: type, instead: str) -> None:
    """Refuse a ``value`` that is not of this ``kind``; ``instead`` says what to do.

    Raises
    ------
    InputError
        If it is of another.
    """
    if not isinstance(value, kind):
        raise InputError(f"{kind.__name__} was expected, but {type(value).__name__} came; {instead}.")


def values_of(image: ImageLike) -> npt.ArrayLike:
    """Return the image of a Frame or Reconstruction, and an array as it is."""
    return image.image if isinstance(image, (Frame, Reconstruction)) else image


@dataclass(frozen=True, eq=False)
class Columns:
    """The atomic columns of a frame: (y, x) of each from the centre of the first pixel, in nm and px, both ``(N, 2)``.

    ``elements`` (N,) such as "Ti+O"; ``intensities`` (N,), integrated over the plane; ``defects`` (N,), empty where none.
    """

    positions_nm: npt.NDArray[np.float64]
    positions_px: npt.NDArray[np.float64]
    elements: npt.NDArray[np.str_]
    intensities: npt.NDArray[np.float64]
    defects: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.elements)


@dataclass(frozen=True, eq=False)
class Frame:
    """One STEM image in physical intensity.

    ``image`` is float32 ``(Y, X)``; ``pixel_size_nm`` is ``(y, x)`` in nm or None where unknown; ``columns`` is the truth of a
    simulated frame.
    """

    image: FloatImage
    pixel_size_nm: PixelSize = None
    name: str = "frame"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    columns: Columns | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", as_image(self.image))
        object.__setattr__(self, "pixel_size_nm", as_pixel_size(self.pixel_size_nm))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True, eq=False)
class Scan:
    """Probe positions in the order in which they are visited.

    ``positions`` is int ``(N, 2)`` (row, column), inside ``shape``; ``dwell_time_us`` is the time at each, in µs;
    ``flyback_time_us`` is waited after each return to the start of a row, ``settling_time_us`` after each other jump.
    """

    positions: npt.NDArray[np.intp]
    shape: tuple[int, int]
    dwell_time_us: float = 10.0
    flyback_time_us: float = 0.0
    settling_time_us: float = 0.0

    def __post_init__(self) -> None:
        given = np.asarray(self.positions)
        if given.ndim != 2 or given.shape[1] != 2 or len(given) == 0:
            raise InputError(f"Scan positions must be a non-empty (N, 2) array of (row, column), but the shape is {given.shape}.")
        positions = given.astype(np.intp)
        if not np.array_equal(positions, given):
            raise InputError("Scan positions must be whole pixel numbers (row, column).")
        if positions.min() < 0 or (positions >= np.asarray(self.shape)).any():
            raise InputError(
                f"Scan positions must lie inside the frame {tuple(self.shape)}, but they reach from "
                f"{tuple(positions.min(0).tolist())} to {tuple(positions.max(0).tolist())}."
            )
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "shape", (int(self.shape[0]), int(self.shape[1])))

    @classmethod
    def from_mask(cls, mask: npt.ArrayLike, dwell_time_us: float = 10.0) -> Scan:
        """Return the scan that visits every True position of ``mask`` row by row."""
        checked = as_mask(mask, np.shape(mask))
        return cls(np.argwhere(checked), (checked.shape[0], checked.shape[1]), dwell_time_us)

    @property
    def mask(self) -> Mask:
        """Bool ``(Y, X)``, True = measured."""
        mask = np.zeros(self.shape, dtype=bool)
        mask[tuple(self.positions.T)] = True
        return mask

    @property
    def ratio(self) -> float:
        """Measured positions / all positions."""
        return float(self.mask.mean())

    @cached_property
    def flybacks(self) -> npt.NDArray[np.bool_]:
        """Bool ``(N,)``: which positions are reached by going back more than half the frame's width, the first not counted."""
        back = -np.diff(self.positions[:, 1], prepend=self.positions[0, 1])
        return np.asarray(back > self.shape[1] / 2)

    @cached_property
    def jumps(self) -> npt.NDArray[np.bool_]:
        """Bool ``(N,)``: which positions are not neighbours (by side or corner) of the one before, flybacks not counted."""
        step = np.abs(np.diff(self.positions, axis=0, prepend=self.positions[:1])).max(1)
        return np.asarray((step > 1) & ~self.flybacks)

    @cached_property
    def times_us(self) -> npt.NDArray[np.float64]:
        """Float64 ``(N,)``: when the dwell at each position begins, in µs after the first."""
        waits = self.flyback_time_us * self.flybacks + self.settling_time_us * self.jumps
        return np.asarray(np.cumsum(np.r_[0.0, waits[1:] + self.dwell_time_us]))


@dataclass(frozen=True, eq=False)
class Measurement:
    """What the microscope delivered: ``values`` float32 ``(Y, X)``, 0 where ``mask`` (True = measured) is False.

    ``noise`` is "none" (measured values are exact), "poisson", or "unknown" (estimated when reconstructing).
    """

    values: FloatImage
    mask: Mask
    pixel_size_nm: PixelSize = None
    noise: NoiseModel = "unknown"
    scan: Scan | None = None
    name: str = "measurement"

    def __post_init__(self) -> None:
        values = as_image(self.values, "measurement")
        mask = as_mask(self.mask, values.shape)
        if not mask.any():
            raise InputError(
                "The mask marks no position as measured, so there is nothing to reconstruct from (True or non-zero = measured)."
            )
        if self.noise not in get_args(NoiseModel):
            raise InputError(f"The noise model must be one of {', '.join(get_args(NoiseModel))}, but it is {self.noise!r}.")
        bad = int(np.count_nonzero(~np.isfinite(values[mask])))
        if bad:
            raise InputError(f"{bad} measured positions hold NaN or infinity; mark them as unmeasured in the mask or repair them.")
        object.__setattr__(self, "values", np.where(mask, values, np.float32(0)))
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "pixel_size_nm", as_pixel_size(self.pixel_size_nm))

    @classmethod
    def from_arrays(
        cls,
        values: npt.ArrayLike,
        mask: npt.ArrayLike,
        pixel_size_nm: float | tuple[float, float] | None = None,
        noise: NoiseModel = "unknown",
        name: str = "measurement",
    ) -> Measurement:
        """Build a measurement from the user's own arrays.

        Parameters
        ----------
        values
            Image ``(Y, X)`` in any real unit; what it holds at unmeasured positions is ignored.
        mask
            ``(Y, X)``, True (or non-zero) = measured.
        pixel_size_nm
            Scan step in nm, one number or ``(y, x)``; None where unknown.
        noise
            "none" if the measured values are exact, "poisson", or "unknown".
        """
        image = as_image(values, "measurement")
        return cls(image, as_mask(mask, image.shape), as_pixel_size(pixel_size_nm), noise, None, name)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[0], self.values.shape[1]


@dataclass(frozen=True, eq=False)
class Iterate:
    """One step of a reconstruction, as it is streamed.

    ``image`` ``(Y, X)`` has the input's intensity units; ``residual`` is the RMS error in the same units at the withheld
    measurements, as last judged (0 where none were withheld); ``scores`` is empty unless a reference was given; ``remarks`` are
    sentences on why the denoiser may not fit the frame.
    """

    index: int
    total: int
    image: FloatImage
    residual: float
    elapsed_s: float
    stage: str
    scores: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The final image ``(Y, X)`` in the input's own intensity units, with scores and the recipe that makes it again."""

    image: FloatImage
    pixel_size_nm: PixelSize
    name: str
    recipe: Mapping[str, Any]
    scores: Mapping[str, float] = field(default_factory=dict)
