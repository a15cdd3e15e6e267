"""Measure what in the solvers pays; writes into docs/solvers.md.

    python scripts/solvers.py groups long [--seeds N]

groups: the same reconstructions with every group of moves, and without. long: 1,000 iterations of every solver, moved and not, at a fixed
denoising strength and at a falling one, after which none may have diverged.
"""

import argparse
import itertools
from pathlib import Path
from typing import get_args

import numpy as np
import pages
import torch

import napari_stem_inpaint as nsi
from napari_stem_inpaint.params import PLUG_AND_PLAY

PAGE = Path(__file__).parents[1] / "docs" / "solvers.md"
DEFECTS = {"vacancies": 0.05, "intensity_scatter": 0.15, "displacement_nm": 0.005}
GROUPS = get_args(nsi.ReconstructionParams.model_fields["equivariance"].annotation)
AVERAGED = {"all, mean of the last": "last", "all, always the mean": "all"}
LONG = 1000


def measured(crystal: str, pixel_nm: float, seed: int, side: int, defects: dict[str, float]) -> tuple[nsi.Frame, nsi.Measurement]:
    frame = nsi.simulate(nsi.SimulationParams(crystal=crystal, shape=(side, side), pixel_size_nm=pixel_nm, seed=seed, **defects))
    return frame, nsi.acquire(frame, nsi.make_scan(frame.shape, nsi.ScanParams(seed=seed)))


def groups(seeds: int) -> None:
    """Judge the last iterate of the trial, before anything is chosen by withheld measurements."""
    ends: dict[str, list[float]] = {g: [] for g in (*GROUPS, *AVERAGED)}
    for crystal, pixel, defects, seed in itertools.product(("SrTiO3", "Si"), (0.01, 0.015, 0.02, 0.03), ({}, DEFECTS), range(seeds)):
        frame, measurement = measured(crystal, pixel, seed + 1, 128, defects)
        for name in ends:
            params = nsi.ReconstructionParams(equivariance=name.partition(",")[0], averaging=AVERAGED.get(name, "one"))
            trial = [i for i in nsi.iterate(measurement, params, reference=frame) if i.stage.startswith("trial")]
            ends[name].append(trial[params.iterations - 1].scores["sre_db"])
        print(crystal, pixel, bool(defects), seed + 1, {n: round(v[-1], 1) for n, v in ends.items()}, flush=True)
    rows = ["| moves | mean SRE, dB | gain over none, mean | at least none, % of the cases | worst |", "|---|---|---|---|---|"]
    for name, found in ends.items():
        gain = np.array(found) - np.array(ends["off"])
        rows.append(f"| {name} | {np.mean(found):.1f} | {gain.mean():+.2f} | {100 * np.mean(gain >= 0):.0f} | {gain.min():+.2f} |")
    print("\n".join(rows))
    pages.put(PAGE, "groups", "\n".join(rows))


def long() -> None:
    frame, measurement = measured("SrTiO3", 0.02, 1, 64, DEFECTS)
    rows = ["| solver | moves | strength | after 24 | 100 | 300 | 1,000 |", "|---|---|---|---|---|---|---|"]
    for solver, group, last in itertools.product(PLUG_AND_PLAY, ("off", "all"), (0.02, 1e-4)):
        values = {"solver": solver, "equivariance": group, "sigma_start": max(last, 0.02), "sigma_end": last, "iterations": LONG}
        params = nsi.ReconstructionParams(data_step="krige", **values)
        found = [i.scores["sre_db"] for i in nsi.iterate(measurement, params, reference=frame) if i.stage.startswith("trial")]
        strength = f"{last:g}" if last == 0.02 else f"0.02 → {last:g}"
        rows.append(f"| {solver} | {group} | {strength} | " + " | ".join(f"{found[k - 1]:.1f}" for k in (24, 100, 300, LONG)) + " |")
        print(rows[-1], flush=True)
    pages.put(PAGE, "long", "\n".join(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["groups", "long"])
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "groups" in options.parts:
        groups(options.seeds)
    if "long" in options.parts:
        long()
