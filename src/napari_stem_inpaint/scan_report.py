"""What a scan costs and leaves out: gaps, path, time, dose, and whether the scan coils can follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .frames import Scan

ELECTRONS_PER_PA_US = 6.241509  # 1 pA for 1 µs
TYPICAL_RESPONSE_US = 3.2  # a first-order bandwidth of 50 kHz, between slow (10 kHz) and fast (several 100 kHz) scan coils


@dataclass(frozen=True)
class ScanStatistics:
    """The figures of a scan; lengths in px, times in s, doses in e⁻/Å² (None where the pixel size is unknown).

    ``largest_gap_px`` is the distance from the loneliest unmeasured position to the nearest measured one. ``lag_px`` is how far the
    probe is still from its position in the middle of the dwell, at worst, and ``late`` the share of positions where it is more than
    half a pixel away; both for coils of the time constant ``response_time_us``.
    """

    positions: int
    distinct: int
    wanted_ratio: float | None
    ratio: float
    largest_gap_px: float
    path_px: float
    longest_jump_px: float
    flybacks: int
    jumps: int
    dwell_s: float
    flyback_s: float
    settling_s: float
    dose_at_positions: float | None
    dose_mean: float | None
    response_time_us: float
    lag_px: float
    late: float

    @property
    def time_s(self) -> float:
        """Time of the whole scan."""
        return self.dwell_s + self.flyback_s + self.settling_s

    @property
    def verdict(self) -> str:
        """What hardware makes of it, in a sentence."""
        coils = f"coils that respond in {self.response_time_us:g} µs"
        if self.late == 0:
            return f"Scan {coils} follow: the probe is within {max(self.lag_px, 0.01):.2f} px of every position in the middle of its dwell."
        share = f"{100 * self.late:.1f} %" if self.late >= 0.001 else "a few"
        return (
            f"Scan {coils} do not follow everywhere: at {share} of the positions the probe is more than half a pixel away, "
            f"{self.lag_px:.0f} px at most; dwell or settle longer, or choose a smoother path."
        )

    def lines(self) -> list[str]:
        """Return the figures as aligned lines of text."""
        reached = f"{self.ratio:.5f}" + (f" of {self.wanted_ratio:g} wanted" if self.wanted_ratio is not None else "")
        rows = [
            ("positions", f"{self.positions:,}" + (f", {self.distinct:,} different" if self.distinct != self.positions else "")),
            ("ratio", reached),
            ("largest gap", f"{self.largest_gap_px:.2f} px"),
            ("path", f"{self.path_px:,.0f} px, longest step {self.longest_jump_px:.1f} px"),
            ("time", f"{self.time_s:.4g} s: dwell {self.dwell_s:.4g}, flyback {self.flyback_s:.4g}, settling {self.settling_s:.4g}"),
        ]
        if self.dose_mean is not None:
            rows.append(("dose", f"{self.dose_at_positions:.4g} e⁻/Å² where measured, {self.dose_mean:.4g} e⁻/Å² on average"))
        return [f"{name:12} {text}" for name, text in rows] + [self.verdict]


def scan_statistics(
    scan: Scan,
    *,
    pixel_size_nm: float | tuple[float, float] | None = None,
    beam_current_pa: float = 30.0,
    response_time_us: float = 0.0,
    wanted_ratio: float | None = None,
) -> ScanStatistics:
    """Return the statistics of ``scan``.

    Parameters
    ----------
    pixel_size_nm
        Scan step, one number or (y, x); without it there is no dose. The dose is that of the dwell times, the beam blanked between.
    beam_current_pa
        Current of the probe.
    response_time_us
        First-order time constant of the scan coils; 0 = a typical 3.2 µs (50 kHz).
    """
    from scipy.ndimage import distance_transform_edt

    steps = np.linalg.norm(np.diff(scan.positions, axis=0), axis=1)
    flybacks, jumps = scan.flybacks, scan.jumps
    mask = scan.mask
    count = len(scan.positions)
    response = response_time_us or TYPICAL_RESPONSE_US
    waits = (scan.flyback_time_us * flybacks + scan.settling_time_us * jumps)[1:]
    lag = steps * np.exp(-(waits + scan.dwell_time_us / 2) / response)
    dose = None
    if pixel_size_nm is not None:
        area = 100 * float(np.prod(np.broadcast_to(pixel_size_nm, 2)))
        dose = ELECTRONS_PER_PA_US * beam_current_pa * scan.dwell_time_us / area
    return ScanStatistics(
        positions=count,
        distinct=int(mask.sum()),
        wanted_ratio=wanted_ratio,
        ratio=scan.ratio,
        largest_gap_px=float(distance_transform_edt(~mask).max()),
        path_px=float(steps.sum()),
        longest_jump_px=float(steps.max(initial=0.0)),
        flybacks=int(flybacks.sum()),
        jumps=int(jumps.sum()),
        dwell_s=count * scan.dwell_time_us * 1e-6,
        flyback_s=float(scan.flyback_time_us * flybacks.sum()) * 1e-6,
        settling_s=float(scan.settling_time_us * jumps.sum()) * 1e-6,
        dose_at_positions=None if dose is None else dose * count / int(mask.sum()),
        dose_mean=None if dose is None else dose * count / mask.size,
        response_time_us=response,
        lag_px=float(lag.max(initial=0.0)),
        late=float((lag > 0.5).sum() / count),
    )
