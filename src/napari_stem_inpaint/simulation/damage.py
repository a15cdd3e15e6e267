"""Beam damage: the specimen's intensity fades with the dose that the scan has already brought."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import InputError
from ..frames import PixelSize, Scan
from ..params import AcquisitionParams
from .series import FloatArray

SPREAD_NM = 0.05  # standard deviation of the Gaussian over which a dwell's electrons are spread: about the probe
ELECTRONS_PER_PA_US = 6.241509  # 1 pA · 1 µs / elementary charge


def fading(positions_px: FloatArray, scan: Scan, params: AcquisitionParams, pixel_size_nm: PixelSize) -> FloatArray:
    """Return ``(N,)`` the part of the intensity that is left when each position is read: exp(-dose / critical dose).

    The dose is what the position has received before its own dwell begins.

    Raises
    ------
    InputError
        If the beam does damage but the pixel size is unknown.
    """
    if params.critical_dose_e_per_a2 == 0:
        return np.ones(len(positions_px))
    if pixel_size_nm is None:
        raise InputError("Beam damage needs the dose per area, but the frame's pixel size is unknown; give the frame a pixel size.")
    electrons = params.beam_current_pa * scan.dwell_time_us * ELECTRONS_PER_PA_US
    return np.exp(-received_dose(positions_px, electrons, pixel_size_nm) / params.critical_dose_e_per_a2)


def received_dose(positions_px: FloatArray, electrons: float, pixel_size_nm: tuple[float, float]) -> FloatArray:
    """Return ``(N,)`` the dose in e⁻/Å² at each position from all dwells before, of ``electrons`` each, the beam blanked between.

    The dose is booked in cells: the pixels, or several where they are smaller than a quarter of the spread.
    """
    pixel_nm = np.array(pixel_size_nm)
    cell_px = np.maximum(SPREAD_NM / 4 // pixel_nm, 1)
    cell_nm = cell_px * pixel_nm
    reach = np.ceil(3 * SPREAD_NM / cell_nm).astype(int)
    down, across = (np.exp(-0.5 * (np.arange(-r, r + 1) * c / SPREAD_NM) ** 2) for r, c in zip(reach, cell_nm, strict=True))
    dwell = electrons / (2 * np.pi * (10 * SPREAD_NM) ** 2) * np.outer(down, across)  # e⁻/Å²

    cells = np.floor((positions_px + 0.5) / cell_px).astype(int)
    cells -= cells.min(0)
    around_cell = sliding_window_view(np.zeros(cells.max(0) + 1 + 2 * reach), dwell.shape, writeable=True)
    received = []
    for row, column in cells.tolist():
        dose = around_cell[row, column]
        received.append(dose.item(*reach))
        dose += dwell
    return np.array(received)
