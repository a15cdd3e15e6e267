"""Measure what in the solvers pays; writes into docs/solvers.md.

    python scripts/solvers.py groups suite long [--seeds N]

groups: the same reconstructions with every group of moves, and without. suite: the results of the benchmark's suite, moved and not (two
hours on two cores). long: 1,000 iterations of every solver, moved and not, at a fixed denoising strength and at a falling one, after
which none may have diverged.
"""

import argparse
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pages
import torch

import napari_stem_inpaint as nsi
from napari_stem_inpaint.benchmark import MAIN, Case, cases
from napari_stem_inpaint.metrics import sre_db
from napari_stem_inpaint.params import PLUG_AND_PLAY, BenchmarkParams

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


def suite() -> None:
    """Judge the results: what is chosen by withheld measurements may differ, too."""
    gains: dict[Case, float] = {}
    for case in cases(BenchmarkParams()):
        frame = case.frame()
        measurement = case.measurement(frame)
        moved, still = (
            sre_db(nsi.reconstruct(measurement, nsi.ReconstructionParams(equivariance=group, seed=case.seed)).image, frame.image)
            for group in ("all", "off")
        )
        gains[case] = moved - still
        print(case, f"{still:.1f} {moved:.1f}", flush=True)
    pages.put(PAGE, "suite", gained(gains))


def gained(gains: Mapping[Case, float]) -> str:
    kinds = {
        "clean, 25 % at random": lambda c: c.crystal in MAIN and (c.pattern, c.ratio, c.counts) == ("random", 0.25, 0),
        "other scans": lambda c: c.pattern != "random",
        "other ratios": lambda c: c.ratio != 0.25,
        "noisy": lambda c: c.counts > 0,
        "other crystals": lambda c: c.crystal not in MAIN,
        "all": lambda c: True,
    }
    rows = ["| cases | number | gain, mean | median | at least none, % | worst |", "|---|---|---|---|---|---|"]
    for name, belongs in kinds.items():
        of = np.array([gain for case, gain in gains.items() if belongs(case)])
        rows.append(f"| {name} | {len(of)} | {of.mean():+.2f} | {np.median(of):+.2f} | {100 * np.mean(of >= 0):.0f} | {of.min():+.2f} |")
    return "\n".join(rows)


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
    parser.add_argument("parts", nargs="+", choices=["groups", "suite", "long"])
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "groups" in options.parts:
        groups(options.seeds)
    if "suite" in options.parts:
        suite()
    if "long" in options.parts:
        long()
