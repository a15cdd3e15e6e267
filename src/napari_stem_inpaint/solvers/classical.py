"""Interpolation without a model, for comparison."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CloughTocher2DInterpolator, NearestNDInterpolator
from scipy.spatial import QhullError


def cubic(values: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Interpolate ``values`` (Y, X) at ``mask`` by piecewise cubics on triangles, and by the nearest value outside their hull."""
    known, wanted = np.argwhere(mask), np.argwhere(~mask)
    image = values.astype(np.float64)
    if len(wanted) == 0:
        return image
    filled = NearestNDInterpolator(known, values[mask])(wanted)
    if len(known) >= 4:
        try:
            smooth = CloughTocher2DInterpolator(known, values[mask])(wanted)
            filled = np.where(np.isfinite(smooth), smooth, filled)
        except QhullError:  # all positions on one line: there are no triangles
            pass
    image[~mask] = filled
    return image
