"""How the error depends on the distance from the frame's border: docs/images/borders.png and a table in docs/solvers.md.

python scripts/borders.py [--seeds N]
"""

import argparse
import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pages
import torch

import napari_stem_inpaint as nsi
from napari_stem_inpaint.denoisers.registry import load_denoiser
from napari_stem_inpaint.metrics import evaluate
from napari_stem_inpaint.solvers.pnp import hqs, replace_step

mpl.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parents[1] / "docs"
DEFECTS = {"vacancies": 0.05, "intensity_scatter": 0.15, "displacement_nm": 0.005}
SIDE, CORNER, DEPTH = 192, 48, 24
NAMES = ("plain Plug-and-Play", "cubic", "irls", "apgd", "apgd, border measured")


def plain(measurement: nsi.Measurement) -> np.ndarray:
    """Return what 24 steps of DPIR make of cubic interpolation: no margin, measured pixels replaced, nothing moved."""
    start = nsi.reconstruct(measurement, nsi.ReconstructionParams(solver="cubic")).image.astype(np.float64)
    low, span = start.min(), np.ptp(start)
    mask = torch.as_tensor(measurement.mask).double()
    y = torch.as_tensor((measurement.values - low) / span) * mask
    step = replace_step(y, mask, 0.0)
    *_, (_, u) = hqs(torch.as_tensor((start - low) / span), load_denoiser("stem-tiny"), step, np.geomspace(0.2, 1e-4, 24).tolist())
    return (u.numpy() * span + low).astype(np.float32)


def by_depth(error: np.ndarray) -> np.ndarray:
    """Return the RMS of ``error`` (Y, X) by distance from the border, in px."""
    rows, columns = np.indices(error.shape)
    depth = np.minimum.reduce([rows, columns, error.shape[0] - 1 - rows, error.shape[1] - 1 - columns])
    return np.array([np.sqrt(np.mean(error[depth == d] ** 2)) for d in range(DEPTH)])


def main(seeds: int) -> None:
    errors: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    shown: dict[str, np.ndarray] = {}
    for crystal, pixel, seed in itertools.product(("SrTiO3", "Si"), (0.01, 0.015, 0.02, 0.03), range(1, seeds + 1)):
        frame = nsi.simulate(nsi.SimulationParams(crystal=crystal, pixel_size_nm=pixel, shape=(SIDE, SIDE), seed=seed, **DEFECTS))
        for name in NAMES:
            solver, _, border = name.partition(",")
            measurement = nsi.acquire(frame, nsi.make_scan(frame.shape, nsi.ScanParams(seed=seed, border=bool(border))))
            image = plain(measurement) if name == NAMES[0] else nsi.reconstruct(measurement, nsi.ReconstructionParams(solver=solver)).image
            found = evaluate(image, reference=frame.image, mask=measurement.mask)
            scores[name].append((found["sre_db"], found["sre_inner_db"]))
            errors[name].append(by_depth((image - frame.image) / np.ptp(frame.image)))
            if not seed > 1 and (crystal, pixel) == ("SrTiO3", 0.02):
                shown[name] = image
                shown["truth"] = frame.image
        print(crystal, pixel, seed, {name: np.round(s[-1], 1) for name, s in scores.items()}, flush=True)
    rows = ["| | full frame, dB | inner frame | inner − full, mean | median | largest |", "|---|---|---|---|---|---|"]
    for name, found in scores.items():
        full, inner = np.array(found).T
        apart = inner - full
        mean, middle, most = apart.mean(), np.median(apart), apart.max()
        rows.append(f"| {name} | {full.mean():.1f} | {inner.mean():.1f} | {mean:.1f} | {middle:.1f} | {most:.1f} |")
    pages.put(DOCS / "solvers.md", "borders", "\n".join(rows))
    draw(shown, errors)


def draw(shown: dict[str, np.ndarray], errors: dict[str, list[np.ndarray]]) -> None:
    figure, axes = plt.subplot_mosaic("tpa;tpa;xqb;xqb", figsize=(9, 5.6), layout="constrained")
    truth, span = shown["truth"], np.ptp(shown["truth"])
    corner = np.s_[:CORNER, :CORNER]
    for key, name in (("t", "truth"), ("p", NAMES[0]), ("a", "apgd")):
        axes[key].imshow(shown[name][corner], cmap="gray", vmin=truth.min(), vmax=truth.max())
        axes[key].set_title(name if name != "apgd" else "the default", fontsize=9)
    for key, name in (("q", NAMES[0]), ("b", "apgd")):
        axes[key].imshow(((shown[name] - truth) / span)[corner], cmap="RdBu", vmin=-0.02, vmax=0.02)
        axes[key].set_title("error, ±2 % of the range", fontsize=9)
    for key in "tpaqb":
        axes[key].set_xticks([])
        axes[key].set_yticks([])
    for name, found in errors.items():
        axes["x"].semilogy(np.median(found, 0), label=name.replace("apgd", "the default"))
    axes["x"].set_xlabel("distance from the border, px")
    axes["x"].set_ylabel("RMS error / range, median")
    axes["x"].legend(fontsize=7)
    figure.savefig(DOCS / "images" / "borders.png", dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    torch.set_num_threads(1)
    main(parser.parse_args().seeds)
