"""From a frame and a scan to a measurement: positions → intensities → damage → detector, in time order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from scipy.ndimage import map_coordinates

from ..errors import InputError
from ..frames import FloatImage, Frame, Measurement, NoiseModel, Scan, expect
from ..params import AcquisitionParams, SimulationParams
from .damage import fading
from .detector import detect
from .movement import read_positions
from .series import FloatArray

PAD_PX = 32  # frames are simulated again in steps of this
SPLINE_MARGIN_PX = 12  # beyond it, what a quintic spline sees of the border is below 1e-4


def acquire(frame: Frame, scan: Scan, params: AcquisitionParams | None = None) -> Measurement:
    """Return what the microscope reads of ``frame`` at the scanned positions, in the frame's own intensity units.

    The readings of a position that is visited repeatedly are averaged. The measurement's ``noise`` is "poisson" with a dose, else
    "none" where every reading is the frame's own value and "unknown" where movement, damage, afterglow or digitisation changed one.

    Raises
    ------
    InputError
        If frame, scan and parameters do not go together; the message says what to change.
    """
    p = params or AcquisitionParams()
    expect(frame, Frame, "make one of an array with Frame(array, pixel_size_nm)")
    expect(scan, Scan, "make one of a mask with Scan.from_mask(mask)")
    if scan.shape != frame.shape:
        raise InputError(f"The scan is for a frame of {scan.shape}, but the frame is {frame.shape}; make the scan for this frame.")
    if not np.isfinite(frame.image).all():
        raise InputError("The frame holds NaN or infinity; a measurement can only be simulated from finite intensities.")
    positions_px = read_positions(scan, p, frame.pixel_size_nm)
    intensities = specimen_at(frame, positions_px) * fading(positions_px, scan, p, frame.pixel_size_nm)
    readings = detect(intensities, float(frame.image.max()), scan, p)

    noise: NoiseModel = "poisson"
    if not p.dose_e_per_px:
        noise = "none" if np.array_equal(readings, sample(frame.image, scan.positions)) else "unknown"
    return Measurement(averaged(readings, scan), scan.mask, frame.pixel_size_nm, noise, scan, frame.name)


def specimen_at(frame: Frame, positions_px: FloatArray) -> FloatArray:
    """Return the intensity ``(N,)`` of the frame's specimen at ``positions_px`` ``(N, 2)``, which may lie outside the frame."""
    beyond = positions_px.max(0) - (np.array(frame.shape) - 1)
    outside_px = np.maximum(np.maximum(beyond, -positions_px.min(0)), 0.0)  # the largest distance (row, column)
    if not outside_px.any() and np.array_equal(positions_px, np.round(positions_px)):
        return sample(frame.image, positions_px)
    if (outside_px > frame.shape).any():
        raise InputError(
            f"The movements carry the probe {outside_px.max():.0f} px out of the frame of {frame.shape}, further than the frame is large; "
            "lower drift, wander and the other movements, or scan faster."
        )
    image, margin_px = _wider(frame, int(np.ceil(outside_px.max())) + SPLINE_MARGIN_PX)
    return sample(image, positions_px + margin_px)


def _wider(frame: Frame, reach_px: int) -> tuple[FloatImage, int]:
    """Return an image that goes on for ``margin_px`` >= ``reach_px`` beyond the frame, and ``margin_px``.

    A simulated frame goes on as its specimen does; of any other, nothing is known, and it goes on as its mirror image.
    """
    try:
        simulated = SimulationParams.model_validate(frame.metadata["simulation"])
        pad_px = PAD_PX * -(-reach_px // PAD_PX)
        wide = simulated_wider(simulated, pad_px)
        inner = wide[pad_px:-pad_px, pad_px:-pad_px]
        if inner.shape == frame.shape and np.allclose(inner, frame.image, rtol=0, atol=1e-3 * float(np.abs(frame.image).max())):
            return wide, pad_px
    except (KeyError, ValidationError, InputError):
        pass  # not simulated, or not to be simulated again
    return np.pad(frame.image, reach_px, mode="reflect"), reach_px


@lru_cache(maxsize=2)
def simulated_wider(p: SimulationParams, pad_px: int) -> FloatImage:
    """Return the image of ``wide_frame``, kept while only the acquisition changes."""
    from .imaging import wide_frame  # PyTorch is loaded for simulated frames alone

    return wide_frame(p, pad_px).image


def sample(image: FloatImage, positions_px: FloatArray | npt.NDArray[np.intp]) -> FloatArray:
    """Return ``image`` at ``positions_px`` ``(N, 2)``: its own values where all are whole, else a quintic spline through them."""
    whole = np.round(positions_px).astype(np.intp)
    if np.array_equal(whole, positions_px):
        return np.asarray(image[tuple(whole.T)], np.float64)
    return np.asarray(map_coordinates(image.astype(np.float64), positions_px.T, order=5, mode="mirror"))


def averaged(readings: FloatArray, scan: Scan) -> FloatImage:
    """Return the mean reading ``(Y, X)`` float32 of each position, 0 where there is none."""
    where = np.ravel_multi_index(tuple(scan.positions.T), scan.shape)
    size = scan.shape[0] * scan.shape[1]
    sums, visits = np.bincount(where, readings, size), np.bincount(where, minlength=size)
    return (sums / np.maximum(visits, 1)).astype(np.float32).reshape(scan.shape)
