"""Reconstruct every 2-D frame in a folder's .npz files from 25 % of its pixels, at random; writes into docs/experimental.md.

    python scripts/experimental.py FOLDER

The error is that of the other pixels, as SRE of the mean-removed frame.
"""

import argparse
import time
from pathlib import Path

import pages

import napari_stem_inpaint as nsi
from napari_stem_inpaint.metrics import sre_db

PAGE = Path(__file__).parents[1] / "docs" / "experimental.md"
SOLVERS = {"cubic": "cubic", "gp": "GP", "irls": "Fourier-sparse", nsi.ReconstructionParams().solver: "PnP"}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    rows = [f"| frame | {' | '.join(SOLVERS.values())} | PnP − cubic | PnP − GP | s | outcome |", "|---" * (len(SOLVERS) + 5) + "|"]
    for file in sorted(parser.parse_args().folder.glob("*.npz")):
        for frame in nsi.read(file):
            scan = nsi.make_scan(frame.shape, nsi.ScanParams(seed=1))
            measurement = nsi.Measurement.from_arrays(frame.image, scan.mask)
            hidden, mean, found = ~scan.mask, frame.image.mean(), []
            for solver in SOLVERS:
                began = time.monotonic()
                result = nsi.reconstruct(measurement, nsi.ReconstructionParams(solver=solver))
                seconds = time.monotonic() - began
                found.append(sre_db(result.image[hidden] - mean, frame.image[hidden] - mean))
            each = " | ".join(f"{v:.2f}" for v in found)
            gains = " | ".join(f"{found[-1] - found[k]:+.2f}" for k in (0, 1))
            rows.append(f"| {frame.name} {frame.shape} | {each} | {gains} | {seconds:.0f} | {result.recipe['outcome']} |")
            print(rows[-1], flush=True)
    pages.put(PAGE, "experimental", "\n".join(rows))
