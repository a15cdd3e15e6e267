"""What the Scan widget lets a thread do: a scan that is asked for, what it costs, what it measures. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..frames import Frame, Measurement, PixelSize, Scan
from ..params import AcquisitionParams, ScanParams

if TYPE_CHECKING:
    from ..scan_regions import Regions
    from ..scan_report import ScanStatistics
    from .jobs import Tick

MOST_OF_PATH = 3000  # positions: more are drawn slowly, and tell no more


@dataclass(frozen=True, eq=False)
class Plan:
    """A scan that is asked for: by its parameters and what is drawn, or by a mask; and what the hardware is like."""

    shape: tuple[int, int]
    params: ScanParams
    regions: Regions | None = None
    mask: npt.NDArray[np.bool_] | None = None
    pixel_size_nm: PixelSize = None
    hardware: AcquisitionParams = field(default_factory=AcquisitionParams)

    def scan(self) -> Scan:
        """Return its positions."""
        from ..scans import make_scan

        if self.mask is None:
            return make_scan(self.shape, self.params, self.regions)
        p = self.params
        return replace(Scan.from_mask(self.mask, p.dwell_time_us), flyback_time_us=p.flyback_time_us, settling_time_us=p.settling_time_us)


@dataclass(frozen=True, eq=False)
class Planned:
    """A scan, and what it costs and leaves out."""

    scan: Scan
    mask: npt.NDArray[np.bool_]
    statistics: ScanStatistics


def planned(plan: Plan) -> Planned:
    """Return the scan that is asked for.

    Raises
    ------
    InputError
        If there is none.
    """
    from ..scan_report import scan_statistics

    scan, hardware = plan.scan(), plan.hardware
    figures = scan_statistics(
        scan, pixel_size_nm=plan.pixel_size_nm, beam_current_pa=hardware.beam_current_pa, response_time_us=hardware.response_time_us
    )
    return Planned(scan, scan.mask, figures)


@dataclass(frozen=True, eq=False)
class Scanned:
    """A measurement, and what its scan costs and leaves out."""

    measurement: Measurement
    statistics: ScanStatistics


def acquisition(frame: Frame, plan: Plan, tick: Tick) -> Generator[str, None, Scanned]:
    """Return what is measured of ``frame``."""
    from ..simulation.acquisition import acquire

    yield "Scanning…"
    made = planned(plan)
    tick()
    measurement = acquire(frame, made.scan, plan.hardware)
    tick()
    return Scanned(measurement, made.statistics)


def save_scan(path: str, plan: Plan, tick: Tick) -> Generator[str, None, str]:
    """Write the positions in order, or the mask; return where they are."""
    from ..io import write_scan

    yield "Saving…"
    scan = plan.scan()
    tick()
    write_scan(path, scan)
    return path


def path_of(plan: Plan, tick: Tick) -> Generator[str, None, tuple[npt.NDArray[np.intp], int]]:
    """Return the first positions of a scan, at most ``MOST_OF_PATH``, and how many there are in all."""
    yield "Following the probe…"
    positions = plan.scan().positions
    tick()
    return positions[:MOST_OF_PATH], len(positions)
