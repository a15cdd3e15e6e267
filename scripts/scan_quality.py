"""What a reconstruction makes of each pattern, with and without border, at the same number of positions; into docs/scans.md.

python scripts/scan_quality.py [--seeds N]
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import pages

import napari_stem_inpaint as nsi
from napari_stem_inpaint.benchmark import DEFECTS, MAIN

PAGE = Path(__file__).parents[1] / "docs" / "scans.md"
PATTERNS = ("random", "jittered-grid", "line-hop", "blue-noise")
PIXELS_NM = (0.015, 0.02)
SIDE = 192


def row(pattern: str, border: bool, seeds: int) -> str:
    """Return the mean SRE by pixel size, and that of the worst frame."""
    scores: dict[float, list[float]] = {pixel: [] for pixel in PIXELS_NM}
    for pixel, crystal, seed in itertools.product(PIXELS_NM, MAIN, range(1, seeds + 1)):
        frame = nsi.simulate(nsi.SimulationParams(crystal=crystal, pixel_size_nm=pixel, shape=(SIDE, SIDE), seed=seed, **DEFECTS))
        scan = nsi.make_scan(frame.shape, nsi.ScanParams(pattern=pattern, border=border, seed=seed))
        image = nsi.reconstruct(nsi.acquire(frame, scan)).image
        scores[pixel].append(nsi.evaluate(image, reference=frame.image, mask=scan.mask)["sre_db"])
    means = " | ".join(f"{np.mean(values):.1f}" for values in scores.values())
    return f"| {pattern}{', border' * border} | {means} | {min(map(min, scores.values())):.1f} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    seeds = parser.parse_args().seeds
    heads = " | ".join(f"{10 * pixel:.2f} Å/px" for pixel in PIXELS_NM)
    lines = [f"| pattern | {heads} | worst frame |", "|" + "---|" * (len(PIXELS_NM) + 2)]
    lines += [row(pattern, border, seeds) for border in (False, True) for pattern in PATTERNS]
    pages.put(PAGE, "quality", "\n".join(lines))
