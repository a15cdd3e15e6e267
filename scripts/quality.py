"""Measure reconstruction quality: on simulated SrTiO3 and Si, and on a folder of experimental frames; writes into docs/quality.md.

    python scripts/quality.py simulated [--checkpoint NAME] [--quick]
    python scripts/quality.py experimental FOLDER [--checkpoint NAME]

Simulated: 256², 200 keV, 25 mrad, 25 % random, noise-free, three seeds each (frame and mask); "defective" has 5 % vacancies,
15 % intensity scatter and 0.005 nm displacements. Experimental: every 2-D array of the folder's .npz files, 25 % of the real
pixels at random; the error is that of the unmeasured pixels, as SRE of the mean-removed frame.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pages

import napari_stem_inpaint as nsi
from napari_stem_inpaint.metrics import sre_db

PAGE = Path(__file__).parents[1] / "docs" / "quality.md"
DEFECTS = {"vacancies": 0.05, "intensity_scatter": 0.15, "displacement_nm": 0.005}


def run(measurement: nsi.Measurement, reference: nsi.Frame, **values: object) -> tuple[float, float, nsi.Iterate, float]:
    """Return SRE of the start, SRE of the result, the last iterate and the seconds it took."""
    began, start = time.monotonic(), float("nan")
    for it in nsi.iterate(measurement, nsi.ReconstructionParams(**values), reference=reference):
        if "start" in it.stage and not it.stage.startswith("choosing") and np.isnan(start):
            start = it.scores["sre_db"]
    return start, it.scores["sre_db"], it, time.monotonic() - began


def simulated(checkpoint: str, quick: bool) -> None:
    table = ["| Å/px | crystal | | seeds' SRE, dB | mean | start | result − start, worst | s |", "|---|---|---|---|---|---|---|---|"]
    for pixel in (0.01, 0.015, 0.02, 0.03):
        for defects in ({}, DEFECTS):
            for crystal in ("SrTiO3", "Si"):
                rows = []
                for seed in (1,) if quick else (1, 2, 3):
                    frame = nsi.simulate(nsi.SimulationParams(crystal=crystal, pixel_size_nm=pixel, seed=seed, **defects))
                    measurement = nsi.acquire(frame, nsi.make_scan(frame.shape, nsi.ScanParams(seed=seed)))
                    start, end, _, seconds = run(measurement, frame, checkpoint=checkpoint)
                    rows.append((end, start, end - start, seconds))
                end, start, gain, seconds = np.array(rows).T
                each = " ".join(f"{e:.1f}" for e in end)
                kind = "defective" if defects else "perfect"
                table.append(
                    f"| {10 * pixel:.2f} | {crystal} | {kind} | {each} | **{end.mean():.1f}** | {start.mean():.1f} "
                    f"| {gain.min():+.2f} | {seconds.mean():.0f} |"
                )
                print(table[-1], flush=True)
    if not quick:
        pages.put(PAGE, "simulated", "\n".join(table))


def experimental(folder: Path, checkpoint: str) -> None:
    table = [
        "| frame | cubic | GP | Fourier-sparse | PnP | PnP − cubic | PnP − GP | s | outcome |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for file in sorted(folder.glob("*.npz")):
        for frame in nsi.read(file):
            scan = nsi.make_scan(frame.shape, nsi.ScanParams(seed=1))
            measurement = nsi.Measurement.from_arrays(frame.image, scan.mask)
            hidden, mean = ~scan.mask, frame.image.mean()
            score = {}
            for solver in ("cubic", "gp", "irls", "apgd"):
                _, _, last, seconds = run(measurement, frame, solver=solver, checkpoint=checkpoint)
                score[solver] = sre_db(last.image[hidden] - mean, frame.image[hidden] - mean)
            each = " | ".join(f"{v:.2f}" for v in score.values())
            table.append(
                f"| {frame.name} {frame.shape} | {each} | {score['apgd'] - score['cubic']:+.2f} | {score['apgd'] - score['gp']:+.2f} "
                f"| {seconds:.0f} | {last.stage} |"
            )
            print(table[-1], flush=True)
    pages.put(PAGE, "experimental", "\n".join(table))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=["simulated", "experimental"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--checkpoint", default=nsi.ReconstructionParams().checkpoint)
    parser.add_argument("--quick", action="store_true", help="one seed")
    options = parser.parse_args()
    if options.suite == "simulated":
        simulated(options.checkpoint, options.quick)
    elif options.folder is None:
        parser.error("name the folder with the frames")
    else:
        experimental(options.folder, options.checkpoint)
