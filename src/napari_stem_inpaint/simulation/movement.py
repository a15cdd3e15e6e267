"""Where the probe really reads: the scan's positions with everything that moves specimen and probe, in time order.

Displacements are float64 ``(N, 2)`` (row, column), in nm: of the specimen, or of the probe on its way over it. Each position is
taken as read in the middle of its dwell.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..frames import PixelSize, Scan
from ..params import AcquisitionParams
from .series import FloatArray, leaky_sum, middles_us, stream, waits_us

SINES = 64  # scan noise: from one cycle per acquisition to this many


def read_positions(scan: Scan, params: AcquisitionParams, pixel_size_nm: PixelSize) -> FloatArray:
    """Return where on the specimen each position is read, float64 ``(N, 2)`` (row, column) in px of the frame.

    A specimen displaced by d is read at the probe's position minus d.

    Raises
    ------
    InputError
        If something moves by nanometres but the pixel size is unknown.
    """
    p = params
    specimen_nm, probe_nm = np.zeros((2, len(scan.positions), 2))
    if p.drift_nm_per_s:
        specimen_nm += drift_nm(scan, p.drift_nm_per_s, p.drift_direction_deg)
    if p.wander_nm:
        specimen_nm += wander_nm(scan, p.wander_nm, p.seed)
    if p.row_jitter_nm:
        probe_nm += row_jitter_nm(scan, p.row_jitter_nm, p.row_jitter_correlation, p.seed)
    if p.scan_noise_nm:
        probe_nm += scan_noise_nm(scan, p.scan_noise_nm, p.seed)
    if p.flyback_lag_nm:
        probe_nm += flyback_lag_nm(scan, p.flyback_lag_nm, p.flyback_lag_time_us)
    moved_nm = probe_nm - specimen_nm
    probe_px = responding(scan, p.response_time_us)
    if not moved_nm.any():
        return probe_px
    if pixel_size_nm is None:
        raise InputError("Movements are in nm, but the frame's pixel size is unknown; give the frame a pixel size or leave them at 0.")
    return probe_px + moved_nm / np.array(pixel_size_nm, dtype=np.float64)


# --- of the specimen


def drift_nm(scan: Scan, speed_nm_per_s: float, direction_deg: float) -> FloatArray:
    """Return the specimen's steady drift: to the right at 0 degrees, up, to smaller rows, at 90."""
    angle = np.deg2rad(direction_deg)
    travelled = speed_nm_per_s * 1e-6 * middles_us(scan)
    return np.outer(travelled, [-np.sin(angle), np.cos(angle)])


def wander_nm(scan: Scan, deviation_nm: float, seed: int) -> FloatArray:
    """Return the specimen's random walk: per axis, its standard deviation grows with the root of time to ``deviation_nm`` at 1 s."""
    steps = stream(seed, "wander").standard_normal((len(scan.positions), 2))
    elapsed_s = 1e-6 * np.diff(middles_us(scan), prepend=0.0)
    return np.cumsum(deviation_nm * np.sqrt(elapsed_s)[:, None] * steps, axis=0)


# --- of the probe


def responding(scan: Scan, time_us: float) -> FloatArray:
    """Return the probe's path in px ``(N, 2)`` when it follows the scan as a first-order low-pass of time constant ``time_us``.

    The probe is sent to a position when the dwell before ends, waits included, and starts settled on the first one.
    """
    commanded = scan.positions.astype(np.float64)
    if time_us == 0:
        return commanded
    waits = waits_us(scan)
    kept_at_end = np.exp(-(waits + scan.dwell_time_us) / time_us)
    kept_in_middle = np.exp(-(waits + scan.dwell_time_us / 2) / time_us)
    before = np.stack([leaky_sum(goal[0], kept_at_end, (1 - kept_at_end) * goal)[:-1] for goal in commanded.T], 1)
    return commanded + (before - commanded) * kept_in_middle[:, None]


def line_numbers(scan: Scan) -> npt.NDArray[np.intp]:
    """Return ``(N,)`` the number of the line that each position belongs to.

    A line begins at each flyback. Where a path has none (spiral, Lissajous, to and fro), it begins where the path turns back
    along the columns.
    """
    begins = scan.flybacks
    if not begins.any() and len(begins) > 2:
        direction = np.sign(np.diff(scan.positions[:, 1]))
        # A step straight up or down goes with the direction in which the path goes on.
        following = np.minimum.accumulate(np.where(direction, np.arange(direction.size), direction.size - 1)[::-1])[::-1]
        direction = direction[following]
        begins = np.r_[False, False, direction[1:] * direction[:-1] < 0]
    return np.cumsum(begins)


def row_jitter_nm(scan: Scan, deviation_nm: float, correlation: float, seed: int) -> FloatArray:
    """Return one displacement per line, in both axes: a stationary first-order autoregressive series, AR(1), over the lines."""
    line = line_numbers(scan)
    noise = deviation_nm * stream(seed, "row jitter").standard_normal((line[-1] + 1, 2))
    keep = np.full(line[-1], correlation)
    fresh = np.sqrt(1 - correlation**2)  # keeps the standard deviation the same from line to line
    per_line = np.stack([leaky_sum(axis[0], keep, fresh * axis[1:]) for axis in noise.T], 1)
    return per_line[line]


def scan_noise_nm(scan: Scan, deviation_nm: float, seed: int) -> FloatArray:
    """Return 1/f noise: sines of 1 to ``SINES`` cycles per acquisition, amplitude ∝ 1/√frequency, random phases.

    Over the acquisition its standard deviation is ``deviation_nm`` in each axis.
    """
    cycles = np.arange(1, SINES + 1)
    amplitudes = deviation_nm * np.sqrt(2 / cycles / (1 / cycles).sum())
    phases = stream(seed, "scan noise").uniform(0, 2 * np.pi, (2, SINES))
    once_round = np.exp(2j * np.pi * middles_us(scan) / (scan.times_us[-1] + scan.dwell_time_us))
    return np.stack([_fourier_sum(amplitudes * np.exp(1j * phase), once_round) for phase in phases], 1)


def _fourier_sum(coefficients: npt.NDArray[np.complex128], once_round: npt.NDArray[np.complex128]) -> FloatArray:
    """Return Re Σ cₖ zᵏ, k = 1, 2, …, by Horner's rule: no sine is computed."""
    total = np.zeros_like(once_round)
    for coefficient in coefficients[::-1]:
        total += coefficient
        total *= once_round
    return total.real


def flyback_lag_nm(scan: Scan, lag_nm: float, time_us: float) -> FloatArray:
    """Return how far the probe still is to the right of where it was sent, coming back from there.

    ``lag_nm`` when the dwell before the flyback ends, and at the start of the scan; from then on it decays to 1/e in ``time_us``.
    """
    middles = middles_us(scan)
    dwell_ends = np.r_[0.0, scan.times_us[:-1] + scan.dwell_time_us]
    returned = dwell_ends[np.maximum.accumulate(np.where(scan.flybacks, np.arange(len(middles)), 0))]
    lag = lag_nm * np.exp(-(middles - returned) / time_us)
    return np.stack([np.zeros_like(lag), lag], 1)
