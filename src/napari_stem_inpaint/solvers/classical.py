"""Interpolation without a model, for comparison."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CloughTocher2DInterpolator, LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import QhullError
from threadpoolctl import threadpool_limits

Image = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def nearest(values: Image, mask: Mask) -> Image:
    """Give every position of ``values`` (Y, X) the value of the nearest one at ``mask``."""
    return _filled(values, mask, None)


def linear(values: Image, mask: Mask) -> Image:
    """Interpolate linearly on triangles, and by the nearest value outside their hull."""
    return _filled(values, mask, LinearNDInterpolator)


def cubic(values: Image, mask: Mask) -> Image:
    """Interpolate by piecewise cubics on triangles, and by the nearest value outside their hull."""
    return _filled(values, mask, CloughTocher2DInterpolator)


def biharmonic(values: Image, mask: Mask) -> Image:
    """Solve the biharmonic equation in the gaps (Damelin and Hoang 2018, doi 10.1155/2018/3950312), by scikit-image."""
    from skimage.restoration import inpaint_biharmonic

    return np.asarray(inpaint_biharmonic(np.where(mask, values, 0.0), ~mask, split_into_regions=True), dtype=np.float64)


def _filled(values: Image, mask: Mask, kind: Callable[..., Callable[..., Image]] | None) -> Image:
    known, wanted = np.argwhere(mask), np.argwhere(~mask)
    image = values.astype(np.float64)
    if len(wanted) == 0:
        return image
    filled = NearestNDInterpolator(known, values[mask])(wanted)
    if kind is not None and len(known) >= 4:
        try:
            with threadpool_limits(1, "blas"):  # thousands of 2 × 2 systems: threads that wait for a busy core take minutes over them
                smooth = kind(known, values[mask])(wanted)
            filled = np.where(np.isfinite(smooth), smooth, filled)
        except QhullError:  # all positions on one line: there are no triangles
            pass
    image[~mask] = filled
    return image


INTERPOLATIONS: dict[str, Callable[[Image, Mask], Image]] = {
    "nearest": nearest,
    "linear": linear,
    "cubic": cubic,
    "biharmonic": biharmonic,
}
