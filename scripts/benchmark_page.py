"""Put what `stem-inpaint benchmark --out FOLDER` measured into docs/benchmark.md and README.md, its figures and its rows beside the former.

python scripts/benchmark_page.py FOLDER
"""

import datetime
import itertools
import platform
import shutil
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pages

from napari_stem_inpaint import benchmark
from napari_stem_inpaint.benchmark import Case, Row

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DEFAULT = ("apgd", "stem-tiny")
LEARNED = (DEFAULT, ("one-pass", ""))
SIMILAR_DB = 0.3


def processor() -> str:
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


def _dose(counts: float) -> str:
    return f"{counts:,g}" if counts else "clean"


def ahead(rows: list[Row]) -> str:
    """Return by how much the default is ahead of each other method, by counts, and of the best other one, by row and by frame."""
    scores: dict[Case, dict[tuple[str, str], float]] = {}
    for row in rows:
        scores.setdefault(row.case, {})[row.method] = row.scores["sre_db"]
    others = [m for m in dict.fromkeys(row.method for row in rows) if m != DEFAULT]

    def gains(cases: Iterable[Case], other: tuple[str, str]) -> list[float]:
        return [scores[c][DEFAULT] - scores[c][other] for c in cases if {DEFAULT, other} <= scores[c].keys()]

    central = [c for c in scores if c.crystal in benchmark.MAIN and (c.pattern, c.ratio, c.seed) == ("random", 0.25, 1)]
    lines = [f"| counts | {' | '.join(solver for solver, _ in others)} |", "|" + "---|" * (len(others) + 1)]
    for counts in sorted({c.counts for c in central}, key=lambda n: n or np.inf):
        means = (gains((c for c in central if c.counts == counts), other) for other in others)
        lines.append(f"| {_dose(counts)} | {' | '.join(f'{np.mean(g):+.1f}' if g else '' for g in means)} |")

    conditions: dict[tuple[object, ...], list[Case]] = {}
    for c in scores:
        conditions.setdefault((c.crystal in benchmark.MAIN, c.defective, c.pixel_size_nm, c.pattern, c.ratio, c.counts), []).append(c)
    means = [np.mean(g) for cases in conditions.values() for other in others if (g := gains(cases, other))]
    frames = {c: min(g) for c in scores if (g := [gain for other in others for gain in gains([c], other)])}
    below = sorted(((gain, c) for c, gain in frames.items() if gain < -SIMILAR_DB), key=lambda pair: pair[0])
    words = f"To the best other method, in the mean of a row: {min(means):+.1f} dB at least. "
    words += f"Of {len(frames)} single frames {len(below)} are more than {SIMILAR_DB} dB below it"
    named = (
        f"{gain:+.1f} dB {c.crystal}, {10 * c.pixel_size_nm:.2f} Å/px, {c.pattern}, {c.ratio:.0%}, {_dose(c.counts)}" for gain, c in below
    )
    return "\n".join([*lines, "", words + (f": {'; '.join(named)}." if below else ".")])


def reached(rows: list[Row]) -> str:
    """Return the mean SRE of the default and, in brackets, of the best method that has learned nothing, by pixel size."""
    central = [r for r in rows if (r.case.pattern, r.case.ratio, r.case.counts) == ("random", 0.25, 0)]
    specimens = list(itertools.product((False, True), benchmark.MAIN))
    lines = ["| nm/px | SrTiO3 [001] | Si [110] | SrTiO3, defective | Si, defective |", "|---|---|---|---|---|"]
    for pixel in benchmark.PIXELS_NM:
        cells = []
        for specimen in specimens:
            means: dict[tuple[str, str], list[float]] = {}
            for r in central:
                if (r.case.pixel_size_nm, r.case.defective, r.case.crystal) == (pixel, *specimen):
                    means.setdefault(r.method, []).append(r.scores["sre_db"])
            whole = [float(np.mean(v)) for m, v in means.items() if m not in LEARNED and len(v) == len(means[DEFAULT])]
            cells.append(f"**{np.mean(means[DEFAULT]):.1f}** ({max(whole):.1f})")
        lines.append(f"| {pixel:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    text, files = benchmark.report(folder)
    packages = ", ".join(f"{name} {version(name)}" for name in ("napari-stem-inpaint", "torch", "numpy", "scipy", "scikit-image"))
    page, today = DOCS / "benchmark.md", f"{datetime.date.today():%Y-%m-%d}"
    pages.put(page, "made", f"{today}; {processor()}; Python {platform.python_version()}, {packages}.")
    pages.put(page, "tables", text)
    rows = benchmark.read_rows(folder)
    pages.put(page, "ahead", ahead(rows))
    pages.put(ROOT / "README.md", "reached", reached(rows))
    for file in files:
        if file.suffix == ".png":
            shutil.copy(file, DOCS / "images" / f"benchmark_{file.name}")
        elif file.suffix == ".csv":
            shutil.copy(file, DOCS / "benchmark_rows.csv")
