"""What the movements and the detector share: random streams, times, and the leaky sum."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ..frames import Scan

FloatArray = npt.NDArray[np.float64]
Effect = Literal["poisson", "readout", "wander", "row jitter", "scan noise"]  # the order chooses the stream: append only


def stream(seed: int, effect: Effect) -> np.random.Generator:
    """Return the random stream of one effect, so that switching one on changes nothing of the others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(get_args(Effect).index(effect),)))


def middles_us(scan: Scan) -> FloatArray:
    """Return ``(N,)`` the middle of each dwell, in µs after the scan's start: when a position is taken as read."""
    return scan.times_us + scan.dwell_time_us / 2


def waits_us(scan: Scan) -> FloatArray:
    """Return ``(N,)`` the time from the end of the dwell before to the start of each dwell, in µs; 0 for the first."""
    return np.concatenate([[0.0], np.diff(scan.times_us) - scan.dwell_time_us])


def leaky_sum(start: float, keep: FloatArray, inputs: FloatArray) -> FloatArray:
    """Return ``(N + 1,)`` values x with x₀ = start and xᵢ₊₁ = keepᵢ·xᵢ + inputsᵢ."""
    values = [float(start)]
    for kept, added in zip(keep.tolist(), inputs.tolist(), strict=True):
        values.append(kept * values[-1] + added)
    return np.array(values)
