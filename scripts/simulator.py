"""Hold the simulator against multislice and the clock, and show what it makes; writes into docs/simulator.md and docs/images.

    python scripts/simulator.py compare speed gallery experiment [--abtem PYTHON] [--folder FOLDER] [--shown FILE]

compare: docs/data/multislice (made by scripts/multislice_tiles.py). speed: this machine, one core. gallery: random training scenes and the
presets. experiment: side by side with a folder of experimental frames (.npz with `image`, .json beside it).
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pages
import torch
from scipy.ndimage import gaussian_filter

import napari_stem_inpaint as nsi
from napari_stem_inpaint.simulation.presets import PRESETS
from napari_stem_inpaint.simulation.probe import FWHM_PER_SIGMA, Optics
from napari_stem_inpaint.simulation.training_scenes import random_image

DOCS = Path(__file__).parents[1] / "docs"
TILES = {
    "SrTiO3_001": ("SrTiO3", "001", {"Sr": (0.0, 0.0), "Ti+O": (0.5, 0.5)}),
    "Si_110": ("Si", "110", {"Si": (0.0, 0.0)}),
    "GaAs_110": ("GaAs", "110", {"As": (0.25, 0.0), "Ga": (0.0, 0.0)}),
    "Au_001": ("Au", "001", {"Au": (0.0, 0.0)}),
    "graphene": ("graphene", "001", {"C": (0.0, 0.0)}),
}
PIXELS_NM = (0.01, 0.02, 0.03)


def put(section: str, text: str) -> None:
    pages.put(DOCS / "simulator.md", section, text)


# --- against multislice


def at_points(tile: np.ndarray, cell_nm: np.ndarray, source_nm: float, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return a periodic tile (Y, X), blurred by the source, at rows ``y`` and columns ``x`` in nm, by Fourier series."""
    ky = np.fft.fftfreq(tile.shape[0], cell_nm[0] / tile.shape[0])
    kx = np.fft.fftfreq(tile.shape[1], cell_nm[1] / tile.shape[1])
    spectrum = np.fft.fft2(tile) / tile.size * np.exp(-2 * (np.pi * source_nm / FWHM_PER_SIGMA) ** 2 * (ky[:, None] ** 2 + kx**2))
    rows, columns = np.exp(2j * np.pi * np.outer(y, ky)), np.exp(2j * np.pi * np.outer(kx, x))
    return np.real(rows @ spectrum @ columns)


def peak(image: np.ndarray, pixel_nm: float, places_nm: np.ndarray) -> float:
    """Return the mean within 0.05 nm of the places, above the image's minimum: what a microscopist reads off a column."""
    y, x = np.indices(image.shape) * pixel_nm
    near = [np.hypot(y - p[0], x - p[1]) < 0.05 for p in places_nm]
    return float(np.mean([image[n].mean() for n in near if n.any()]) - image.min())


def compared(name: str, index: int, pixel_nm: float) -> dict[str, object]:
    """Return multislice and ours on the same probe positions, R² after gain and offset, and column ratios."""
    crystal, zone, places = TILES[name]
    data = np.load(DOCS / "data" / "multislice" / f"{name}.npz")
    cell, thickness = data["cell_nm"], float(data["thickness_nm"][index])
    side = round(1.6 / pixel_nm)
    params = nsi.SimulationParams(
        crystal=crystal, zone_axis=zone, thickness_nm=max(thickness, 0.1), shape=(side, side), pixel_size_nm=pixel_nm,
        energy_kev=float(data["energy_kev"]), semi_angle_mrad=float(data["semi_angle_mrad"]),
    )  # fmt: skip
    frame = nsi.simulate(params)
    first, at = next(iter(places.items()))
    mine = frame.columns.positions_nm[frame.columns.elements == first]
    origin = mine[np.argmin(np.linalg.norm(mine - 0.8, axis=1))]
    best: dict[str, object] = {"r2": -np.inf}  # of the four ways in which the axes may point
    steps = np.arange(side) * pixel_nm
    tile = data["image"][index]
    for flip_y in (1, -1):
        for flip_x in (1, -1):
            y, x = flip_y * (steps - origin[0]) + at[0] * cell[0], flip_x * (steps - origin[1]) + at[1] * cell[1]
            reference = at_points(tile, cell, params.source_size_nm, y, x)
            design = np.stack([frame.image.ravel(), np.ones(frame.image.size)], 1).astype(float)
            fit, *_ = np.linalg.lstsq(design, reference.ravel(), rcond=None)
            fitted = (design @ fit).reshape(reference.shape)
            r2 = 1 - ((reference - fitted) ** 2).sum() / ((reference - reference.mean()) ** 2).sum()
            if r2 > best["r2"]:
                best = {"r2": r2, "reference": reference, "fitted": fitted, "gain": fit[0], "offset": fit[1] / reference.mean()}
    by_element = {e: frame.columns.positions_nm[frame.columns.elements == e] for e in places}
    ratios = [
        [peak(best[which], pixel_nm, by_element[e]) for e in places] if len(places) > 1 else None for which in ("reference", "fitted")
    ]
    best["ratios"] = [r[0] / r[1] if r else None for r in ratios]
    best |= {"thickness": thickness, "configurations": int(data["configurations"])}
    return best


def compare() -> None:
    lines = [
        "| crystal | thickness, nm | R² at 0.1 / 0.2 / 0.3 Å | gain | offset / mean | columns: multislice | ours | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    scores, pictures = [], []
    for name in TILES:
        count = len(np.load(DOCS / "data" / "multislice" / f"{name}.npz")["thickness_nm"])
        for index in range(count):
            each = [compared(name, index, pixel) for pixel in PIXELS_NM]
            scores += [e["r2"] for e in each]
            fine = each[0]
            ours, theirs = fine["ratios"][1], fine["ratios"][0]
            names = " : ".join(TILES[name][2])
            ratio = f"{names} {theirs:.2f} | {ours:.2f} | {100 * (ours / theirs - 1):+.1f} %" if ours else "– | – | –"
            r2 = " / ".join(f"{e['r2']:.4f}" for e in each)
            shown = f"{fine['thickness']:.1f}" if fine["thickness"] else "one layer"
            lines.append(f"| {name.replace('_', ' ')} | {shown} | {r2} | {fine['gain']:.2f} | {fine['offset']:+.2f} | {ratio} |")
            if index == min(1, count - 1):
                pictures.append((name, fine))
    lines.append(f"\nSmallest R² {min(scores):.4f}, median {np.median(scores):.4f}, of {len(scores)}.")
    put("compare", "\n".join(lines))
    figure, axes = plt.subplots(3, len(pictures), figsize=(2.3 * len(pictures), 7), layout="constrained")
    for column, (name, result) in enumerate(pictures):
        low, high = result["reference"].min(), result["reference"].max()
        for row, (title, image) in enumerate({"multislice": result["reference"], "convolution": result["fitted"]}.items()):
            axes[row, column].imshow(image, cmap="gray", vmin=low, vmax=high)
            axes[row, column].set_title(f"{name.replace('_', ' ')}\n{title}" if row == 0 else title, fontsize=8)
            axes[row, column].axis("off")
        line = result["reference"].shape[0] // 2
        place = np.arange(result["reference"].shape[1]) * PIXELS_NM[0]
        brightest = int(result["reference"].max(1).argmax()) if line else 0
        axes[2, column].plot(place, 100 * result["reference"][brightest], color="0.1", lw=1.5, label="multislice")
        axes[2, column].plot(place, 100 * result["fitted"][brightest], color="#d55e00", lw=1, ls="--", label="convolution")
        axes[2, column].set_xlabel("nm", fontsize=8)
        axes[2, column].tick_params(labelsize=7)
    axes[2, 0].set_ylabel("% of the beam", fontsize=8)
    axes[2, 0].legend(fontsize=7, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    figure.savefig(DOCS / "images" / "multislice.png", dpi=110)


# --- against the clock


def best_ms(params: nsi.SimulationParams, runs: int = 15) -> float:
    nsi.simulate(params)
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        nsi.simulate(params)
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def speed(abtem: str | None) -> None:
    """Time ours, and abTEM by its own environment's Python where that is given; both on one core."""
    torch.set_num_threads(1)
    lines = ["| frame | columns in it | ms, median of 15 | ns per pixel and log₂ pixels |", "|---|---|---|---|"]
    for crystal, side in [("SrTiO3", n) for n in (128, 256, 512, 1024)] + [(c, 256) for c in ("Si", "Au", "graphene")]:
        params = nsi.SimulationParams(crystal=crystal, shape=(side, side))
        taken = best_ms(params)
        each = 1e6 * taken / (side**2 * np.log2(side**2))
        lines.append(f"| {crystal} {side}² | {len(nsi.simulate(params).columns):,} | {taken:.1f} | {each:.1f} |")
    lines += ["", "| carbon film on SrTiO3 256², nm | atoms more | ms | µs per atom more |", "|---|---|---|---|"]
    bare = best_ms(nsi.SimulationParams())
    for film in (1.0, 2.0, 4.0, 8.0):
        atoms = film * 95 * (256 * 0.02 + 2 * 1.55) ** 2
        taken = best_ms(nsi.SimulationParams(contamination_nm=film), 5)
        lines.append(f"| {film:g} | {atoms:,.0f} | {taken:.0f} | {1e3 * (taken - bare) / atoms:.1f} |")
    if abtem:
        ours = best_ms(nsi.SimulationParams())
        with tempfile.TemporaryDirectory() as folder:
            script = str(Path(__file__).with_name("multislice_tiles.py"))
            subprocess.run([abtem, script, "--timing", "24", "--only", "SrTiO3_001", "--out", folder], check=True)
            probe_s = json.loads((Path(folder) / "timing.json").read_text())["SrTiO3_001"]["seconds_per_probe"]
        theirs = probe_s * 256**2
        lines.append(
            f"\nIn the same run, abTEM took {probe_s:.2f} s per probe position and phonon configuration for SrTiO3 of 20 nm, which is "
            f"{theirs / 3600:.1f} hours for one configuration of a 256² frame: {theirs / ours * 1e3:,.0f} times our {ours:.1f} ms, "
            f"and {8 * theirs / ours * 1e3:,.0f} times for eight configurations."
        )
    put("speed", "\n".join(lines))


# --- what it makes


def gallery() -> None:
    rng = np.random.default_rng(11)
    figure, axes = plt.subplots(4, 6, figsize=(13.2, 9.0), layout="constrained")
    for axis in axes.flat:
        image = random_image((160, 160), rng)
        axis.imshow(image, cmap="gray")
        axis.axis("off")
    figure.savefig(DOCS / "images" / "training_scenes.png", dpi=80)
    figure, axes = plt.subplots(4, 4, figsize=(12, 12.8), layout="constrained")
    for axis, (name, preset) in zip(axes.flat, PRESETS.items(), strict=True):
        frame = nsi.simulate(preset.simulation)
        scan = nsi.make_scan(frame.shape, nsi.ScanParams(ratio=1.0))
        axis.imshow(nsi.acquire(frame, scan, preset.acquisition).values, cmap="gray")
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    figure.savefig(DOCS / "images" / "presets.png", dpi=60)


LIKE = {  # what to simulate beside which experimental frame
    "si110_png_512": (
        {"crystal": "Si", "rotation_deg": -78.0, "thickness_nm": 60.0, "source_size_nm": 0.1},
        {"dose_e_per_px": 22.0, "row_jitter_nm": 0.012, "row_jitter_correlation": 0.3, "readout_noise_e": 1.0},
    ),
    "au_grainboundary_png_512": (
        {"crystal": "Au", "zone_axis": "110", "scene": "grain-boundary", "misorientation_deg": 14.0, "intensity_scatter": 0.12,
         "thickness_nm": 8.0, "source_size_nm": 0.1, "contamination_nm": 3.0, "rotation_deg": 50.0},
        {"dose_e_per_px": 300.0, "row_jitter_nm": 0.006},
    ),
    "bto_jeol_avg_465x476": (
        {"crystal": "BaTiO3", "zone_axis": "001", "intensity_scatter": 0.03, "thickness_nm": 20.0, "source_size_nm": 0.16,
         "rotation_deg": 8.0},
        {"dose_e_per_px": 2000.0, "scan_noise_nm": 0.004},
    ),
    "dso_png_1024": (
        {"crystal": "BaTiO3", "zone_axis": "100", "thickness_nm": 20.0, "source_size_nm": 0.11},
        {"dose_e_per_px": 200.0, "row_jitter_nm": 0.008, "row_jitter_correlation": 0.2},
    ),
    "sto_abf_stack_5x512": (
        {"crystal": "SrTiO3", "zone_axis": "110", "contrast": "abf", "rotation_deg": 36.0, "source_size_nm": 0.09},
        {"dose_e_per_px": 170.0, "row_jitter_nm": 0.005, "readout_noise_e": 6.0},
    ),
}  # fmt: skip


def radial_power(image: np.ndarray, pixel_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return frequency (1/nm) and mean power in rings, of the image scaled to unit variance."""
    flat = image - gaussian_filter(image, 60)
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.fft2(flat / flat.std() * window)) ** 2 / (window**2).sum()
    k = np.hypot(np.fft.fftfreq(image.shape[0], pixel_nm)[:, None], np.fft.fftfreq(image.shape[1], pixel_nm))
    edges = np.linspace(0, 0.5 / pixel_nm, 90)
    which = np.digitize(k.ravel(), edges)
    sums, counts = np.bincount(which, power.ravel(), 91)[1:90], np.bincount(which, minlength=91)[1:90]
    return (edges[1:] + edges[:-1]) / 2, sums / np.maximum(counts, 1)


def experiment(folder: Path, shown: Path | None) -> None:
    """Compare spectra and contrast; the frames themselves are not ours to publish, and go only into the picture ``shown``."""
    lines = ["| frame | | 1 % / 99 % of the brightest | noise floor |", "|---|---|---|---|"]
    pairs = []
    for name, (simulation, acquisition) in LIKE.items():
        real = np.load(folder / f"{name}.npz")["image"].astype(float)
        real = real[0] if real.ndim == 3 else real
        notes = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        pixel = float(notes["pixel_size_nm"] or 0.0129)
        side = min(256, *real.shape)
        real = real[real.shape[0] // 2 - side // 2 :, real.shape[1] // 2 - side // 2 :][:side, :side]
        params = nsi.SimulationParams.model_validate({**simulation, "shape": (side, side), "pixel_size_nm": pixel, "seed": 3})
        frame = nsi.simulate(params)
        scan = nsi.make_scan(frame.shape, nsi.ScanParams(ratio=1.0))
        made = nsi.acquire(frame, scan, nsi.AcquisitionParams.model_validate(acquisition)).values.astype(float)
        pairs.append((name, pixel, Optics.of(params).cutoff_per_nm, {"simulation": made, "experiment": real}))
        for title, image in pairs[-1][3].items():
            low, high = np.percentile(image, [1, 99]) / np.percentile(image, 99.9)
            floor = np.median(radial_power(image, pixel)[1][-15:])
            lines.append(f"| {name} | {title} | {low:.2f} / {high:.2f} | {floor:.1e} |")
    put("experiment", "\n".join(lines))
    for path, titles in ((DOCS / "images" / "experiment.png", ["simulation"]), (shown, ["experiment", "simulation"])):
        if path:
            side_by_side(pairs, titles, path)


def side_by_side(pairs: list, titles: list[str], path: Path) -> None:
    rows = len(titles) + 1
    figure, axes = plt.subplots(rows, len(pairs), figsize=(2.7 * len(pairs), 2.7 * rows), layout="constrained")
    for column, (name, pixel, cutoff, images) in enumerate(pairs):
        for row, title in enumerate(titles):
            image = images[title]
            axes[row, column].imshow(image, cmap="gray", vmin=np.percentile(image, 0.5), vmax=np.percentile(image, 99.5))
            axes[row, column].set_title(f"{name}\n{title}" if row == 0 else title, fontsize=8)
            axes[row, column].axis("off")
        last = axes[-1, column]
        for title, colour in {"experiment": "0.1", "simulation": "#d55e00"}.items():
            last.semilogy(*radial_power(images[title], pixel), color=colour, lw=1, label=title)
        last.axvline(cutoff, color="0.7", lw=0.8)
        last.set_xlabel("1/nm", fontsize=8)
        last.tick_params(labelsize=7)
    axes[-1, 0].set_ylabel("power", fontsize=8)
    axes[-1, 0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["compare", "speed", "gallery", "experiment"])
    parser.add_argument("--abtem", metavar="PYTHON", help="speed: the Python of an environment with abTEM, to time it too")
    parser.add_argument("--folder", type=Path, help="experiment: where the frames are")
    parser.add_argument("--shown", type=Path, help="experiment: where a picture with the experimental frames goes, too")
    options = parser.parse_args()
    for part in options.parts:
        if part == "experiment":
            experiment(options.folder, options.shown)
        elif part == "speed":
            speed(options.abtem)
        else:
            {"compare": compare, "gallery": gallery}[part]()
