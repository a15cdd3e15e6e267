"""Draw every scan pattern and write its statistics into docs/scans.md.

python scripts/scan_page.py
"""

import re
from pathlib import Path
from typing import get_args

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np

import napari_stem_inpaint as nsi
from napari_stem_inpaint.params import PatternName

DOCS = Path(__file__).parents[1] / "docs"
SIDE = 64
TIMES = {"flyback_time_us": 100.0, "settling_time_us": 5.0}
LINES = {"line-hop", "spiral", "lissajous"}


def picture() -> None:
    patterns = [p for p in get_args(PatternName) if p != "list"]
    figure, axes = plt.subplots(2, 5, figsize=(15, 6.6), layout="constrained")
    for axis, pattern in zip(axes.flat, patterns, strict=True):
        scan = nsi.make_scan((SIDE, SIDE), nsi.ScanParams(pattern=pattern))
        y, x = scan.positions.T
        order = np.linspace(0, 1, len(y))
        if pattern in LINES:
            steps = np.hypot(np.diff(y), np.diff(x))
            broken = np.where(steps > 4, np.nan, x[1:].astype(float))
            axis.plot(np.r_[x[0], broken], y, color="0.75", lw=0.6, zorder=1)
        dots = axis.scatter(x, y, c=order, s=5, cmap="viridis", vmin=0, vmax=1, linewidths=0, zorder=2)
        axis.set(xlim=(-1, SIDE), ylim=(SIDE, -1), aspect="equal", xticks=[], yticks=[])
        axis.set_title(pattern, fontsize=11)
        for side in axis.spines.values():
            side.set_color("0.8")
    bar = figure.colorbar(dots, ax=axes, shrink=0.5, ticks=[0, 1], aspect=30)
    bar.ax.set_yticklabels(["first", "last"])
    bar.outline.set_visible(False)
    figure.savefig(DOCS / "images" / "scans.png", dpi=80)


def table() -> str:
    lines = [
        "| pattern | ratio reached | largest gap, px | path, px | jumps, flybacks | time, s | coils of 50 kHz |",
        "|---|---|---|---|---|---|---|",
    ]
    for pattern in get_args(PatternName):
        if pattern == "list":
            continue
        s = nsi.scan_statistics(nsi.make_scan((256, 256), nsi.ScanParams(pattern=pattern, **TIMES)), pixel_size_nm=0.02)
        follow = "follow" if s.late == 0 else f"late at {100 * s.late:.1f} %, by {s.lag_px:.0f} px at most"
        lines.append(
            f"| {pattern} | {s.ratio:.5f} | {s.largest_gap_px:.1f} | {s.path_px:,.0f} | {s.jumps:,}, {s.flybacks:,} "
            f"| {s.time_s:.3f} | {follow} |"
        )
    lines.append(f"\nDose of every one of them at 0.02 nm and 30 pA: {s.dose_at_positions:,.0f} e⁻/Å² where measured, ")
    lines[-1] += f"{s.dose_mean:,.0f} e⁻/Å² on average."
    return "\n".join(lines)


if __name__ == "__main__":
    picture()
    page = DOCS / "scans.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(
        re.sub(r"(<!-- table -->\n).*?(<!-- /table -->)", lambda m: m[1] + table() + "\n" + m[2], text, flags=re.DOTALL), encoding="utf-8"
    )
