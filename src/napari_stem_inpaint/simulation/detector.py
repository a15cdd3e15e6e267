"""What the detector makes of the intensities: counting, afterglow, readout noise, digitisation, in this order.

Without a dose the chain is noise-free, and "electrons" stands for the frame's own intensity units.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import InputError
from ..frames import Scan
from ..params import AcquisitionParams
from .series import FloatArray, leaky_sum, stream, waits_us

HEADROOM = 0.8  # automatic gain: the part of the range that the brightest position fills


def detect(values: FloatArray, peak: float, scan: Scan, params: AcquisitionParams) -> FloatArray:
    """Return what is read for ``values`` ``(N,)`` in scan order, converted back to their intensity units.

    ``peak`` is the intensity at which ``dose_e_per_px`` electrons are counted, the frame's brightest. Gain, offset and dose are
    known and undone; what noise and digitisation have done stays.

    Raises
    ------
    InputError
        If there is nothing to count, or a number in electrons is given without a dose.
    """
    p = params
    _check(peak, p)
    electrons_per_unit = p.dose_e_per_px / peak if p.dose_e_per_px else 1.0
    electrons = values * electrons_per_unit
    if p.dose_e_per_px:
        electrons = counted(electrons, p.seed)
    if p.afterglow:
        electrons = with_afterglow(electrons, scan, p.afterglow, p.afterglow_time_us)
    if p.readout_noise_e:
        electrons = electrons + p.readout_noise_e * stream(p.seed, "readout").standard_normal(len(electrons))
    if p.bits:
        gain = p.gain or HEADROOM * (2**p.bits - 1 - p.offset_counts) / (peak * electrons_per_unit)
        electrons = (digitised(electrons, gain, p.offset_counts, p.bits) - p.offset_counts) / gain
    return electrons / electrons_per_unit


def _check(peak: float, p: AcquisitionParams) -> None:
    if p.dose_e_per_px and peak <= 0:
        raise InputError("The frame has no positive intensity, so no electrons can be counted; use a dose of 0 (noise-free).")
    if p.readout_noise_e and not p.dose_e_per_px:
        raise InputError("The readout noise is in electrons, so it needs a dose; set a dose or a readout noise of 0.")
    if not p.bits:
        return
    if p.gain and not p.dose_e_per_px:
        raise InputError("The gain is in counts per electron, so it needs a dose; set a dose, or a gain of 0 for the automatic one.")
    if not p.gain and peak <= 0:
        raise InputError("The frame has no positive intensity to choose the gain by; use bits of 0 (no digitisation).")
    if p.offset_counts >= 2**p.bits - 1:
        raise InputError(f"With {p.bits} bits the offset must be below {2**p.bits - 1} counts, but it is {p.offset_counts:g}; lower it.")


def counted(electrons: FloatArray, seed: int) -> FloatArray:
    """Return Poisson counts of the expected ``electrons``; negative ones (undershoot, a file's offset) count as zero."""
    return stream(seed, "poisson").poisson(np.clip(electrons, 0, None)).astype(np.float64)


def with_afterglow(electrons: FloatArray, scan: Scan, late: float, time_us: float) -> FloatArray:
    """Return the readings of a scintillator that stores the part ``late`` of each dwell's electrons.

    The store empties exponentially in time, from the dwell's end on; what it gives off between dwells is not read.
    """
    waits = waits_us(scan)
    kept_in_wait = np.exp(-waits / time_us)
    kept_in_dwell = math.exp(-scan.dwell_time_us / time_us)
    stored = leaky_sum(0.0, kept_in_wait * kept_in_dwell, late * electrons)[:-1]
    return (1 - late) * electrons + stored * kept_in_wait * (1 - kept_in_dwell)


def digitised(electrons: FloatArray, gain: float, offset_counts: float, bits: int) -> FloatArray:
    """Return whole counts from 0 to 2**bits - 1; what lies beyond saturates."""
    return np.clip(np.round(gain * electrons + offset_counts), 0.0, float(2**bits - 1))
