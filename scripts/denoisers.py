"""Measure the denoisers; writes into docs/denoisers.md and docs/training.md.

    python scripts/denoisers.py list table throughput fixed-point [--names NAME ...]
    python scripts/denoisers.py finetune --folder FOLDER

list: what there is. table: gain in PSNR over the noisy input, by noise level, on 24 frames that training never saw (six crystals,
four pixel sizes, with defects). throughput: training, and its split into data and network. fixed-point: what 60 passes at sigma 0.001
leave of a clean frame. finetune: experimental frames (.npz): trained further on part of them, judged by the reconstruction of the rest.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pages
import torch

import napari_stem_inpaint as nsi
from napari_stem_inpaint.denoisers.networks import NETWORKS, build_network
from napari_stem_inpaint.denoisers.registry import known, load_denoiser
from napari_stem_inpaint.metrics import sre_db
from napari_stem_inpaint.training import train
from napari_stem_inpaint.validation import validation_frames

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "denoisers.md"
SIGMAS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 5e-1)
SHIPPED = ["stem-tiny", "stem-base", "stem-naf"]
CLASSICAL = ["bm3d", "nlm", "tv"]
MINUTES = 8.0


def table(names: list[str]) -> None:
    clean = validation_frames()
    noise = torch.as_tensor(np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32))
    rows = ["| | " + " | ".join(f"{s:g}" for s in SIGMAS) + " | s per 256² |", "|---|" + "---|" * (len(SIGMAS) + 1)]
    for name in names:
        denoiser = load_denoiser(name, "cpu")
        gains, began = [], time.monotonic()
        for sigma in SIGMAS:
            each = [denoiser(x + sigma * n, sigma) - x for x, n in zip(clean.split(1), noise.split(1), strict=True)]
            errors = torch.stack([e.square().mean().sqrt() for e in each])
            gain = 20 * torch.log10(sigma / errors)
            gains.append(f"{gain.mean():.1f} ({gain.min():.1f})")
        seconds = (time.monotonic() - began) / len(SIGMAS) / len(clean) * 4
        rows.append(f"| {name} | " + " | ".join(gains) + f" | {seconds:.2f} |")
        print(rows[-1], flush=True)
    pages.put(PAGE, "table", "\n".join(rows))


def listing() -> None:
    rows = ["| name | what it is | knows | trained | licence |", "|---|---|---|---|---|"]
    for one in known():
        if one.origin == "yours" or one.card is None:
            continue
        card, how = one.card, "—"
        if card.training:
            steps, batch, minutes = (card.training[key] for key in ("steps_done", "batch", "elapsed_s"))
            how = f"{steps:,} steps of {batch} patches, {minutes / 60:.0f} min on one core"
        rows.append(f"| `{one.name}` | {card.description} | {card.ranges()} | {how} | {card.licence} |")
    pages.put(PAGE, "list", "\n".join(rows))


def fixed_point(names: list[str]) -> None:
    rows = ["| | " + " | ".join(("SrTiO3 0.10 Å/px", "SrTiO3 0.20", "Si 0.10", "Si 0.20")) + " |", "|---|---|---|---|---|"]
    for name in names:
        denoiser, left = load_denoiser(name, "cpu"), []
        for crystal in ("SrTiO3", "Si"):
            for pixel in (0.01, 0.02):
                frame = nsi.simulate(nsi.SimulationParams(crystal=crystal, pixel_size_nm=pixel, shape=(128, 128))).image
                clean = torch.as_tensor(frame / frame.max())[None, None]
                x = clean
                for _ in range(60):
                    x = denoiser(x, 1e-3)
                left.append(sre_db(x[0, 0].numpy(), clean[0, 0].numpy()))
        rows.append(f"| {name} | " + " | ".join(f"{v:.1f}" for v in left) + " |")
    pages.put(PAGE, "fixed-point", "\n".join(rows))


def throughput() -> None:
    rows = ["| network | weights, M | patches/s of 96² | 10⁶ px/s | data, % of the time |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, (architecture, config) in NETWORKS.items():
            millions = sum(p.numel() for p in build_network(architecture, config).parameters()) / 1e6
            params = nsi.TrainingParams(network=name, steps=100000, validate_every=10**6)
            steps = train(params, Path(folder) / f"{name}.safetensors")
            warm = [next(steps) for _ in range(3)][-1]
            while (last := next(steps)).elapsed_s < warm.elapsed_s + 30:
                pass
            steps.close()
            seconds = last.elapsed_s - warm.elapsed_s
            rate = (last.index - warm.index) * params.batch / seconds
            data = (last.data_share * last.elapsed_s - warm.data_share * warm.elapsed_s) / seconds
            rows.append(f"| {name} | {millions:.1f} | {rate:.0f} | {rate * params.patch_px**2 / 1e6:.2f} | {100 * data:.1f} |")
            print(rows[-1], flush=True)
    pages.put(DOCS / "training.md", "throughput", "\n".join(rows))


def finetune(folder: Path, name: str) -> None:
    """Train further on four of five frames, or on the left half; reconstruct the rest from 25 % of its pixels, before and after."""
    rows = ["| judged on | cubic | GP | " + f"{name} | trained further | gain, dB |", "|---|---|---|---|---|---|"]
    for file in sorted(folder.glob("*.npz")):
        frames = nsi.read(file)
        if len(frames) > 1:
            learned, judged = [f.image for f in frames[:-1]], frames[-1].image
        else:
            half = frames[0].shape[1] // 2
            learned, judged = [frames[0].image[:, :half]], frames[0].image[:, half:]
        scan = nsi.make_scan(judged.shape, nsi.ScanParams(seed=1))
        measurement = nsi.Measurement.from_arrays(np.where(scan.mask, judged, 0), scan.mask)
        with tempfile.TemporaryDirectory() as place:
            own = Path(place) / "own"
            own.mkdir()
            for n, image in enumerate(learned):
                np.save(own / f"{n}.npy", image)
            out = Path(place) / "mine.safetensors"
            params = nsi.TrainingParams(start_from=name, frames=str(own), minutes=MINUTES, learning_rate=5e-4, validate_every=10**7)
            for _ in train(params, out):
                pass
            settings = [{"solver": "cubic"}, {"solver": "gp"}, {"checkpoint": name}, {"checkpoint": str(out)}]
            scores = []
            for values in settings:
                image = nsi.reconstruct(measurement, nsi.ReconstructionParams(**values)).image
                mean, hidden = judged.mean(), ~scan.mask
                scores.append(sre_db(image[hidden] - mean, judged[hidden] - mean))
        rows.append(f"| {file.stem} | " + " | ".join(f"{s:.2f}" for s in scores) + f" | {scores[3] - scores[2]:+.2f} |")
        print(rows[-1], flush=True)
    pages.put(PAGE, "finetune", "\n".join(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["list", "table", "throughput", "fixed-point", "finetune"])
    parser.add_argument("--names", nargs="+", default=SHIPPED)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "list" in options.parts:
        listing()
    if "table" in options.parts:
        table(options.names + CLASSICAL)
    if "fixed-point" in options.parts:
        fixed_point(options.names)
    if "throughput" in options.parts:
        throughput()
    if "finetune" in options.parts:
        finetune(options.folder, options.names[0])
