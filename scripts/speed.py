"""Time by frame size and where it goes; writes into docs/benchmark.md. Needs an idle machine and a quarter of an hour.

python scripts/speed.py
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
import torch

import napari_stem_inpaint as nsi
from napari_stem_inpaint import reconstruction_run
from napari_stem_inpaint.denoisers.registry import load_denoiser
from napari_stem_inpaint.metrics import sre_db
from napari_stem_inpaint.starts import Starts

PAGE = Path(__file__).parents[1] / "docs" / "benchmark.md"
SIDES = (256, 512, 1024, 2048)


class Clock:
    """Adds up how long its functions take."""

    def __init__(self) -> None:
        self.s = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*values: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*values)
            finally:
                self.s += time.perf_counter() - began

        return timed


def measured(side: int) -> tuple[nsi.Frame, nsi.Measurement]:
    frame = nsi.simulate(nsi.SimulationParams(shape=(side, side), vacancies=0.05, intensity_scatter=0.15, displacement_nm=0.005))
    return frame, nsi.acquire(frame, nsi.make_scan(frame.shape, nsi.ScanParams()))


def by_size() -> list[str]:
    rows = ["| side, px | solver | s | µs per pixel | start | network | data step | end | rest of the steps | SRE, dB |", "|" + "---|" * 10]
    for side in SIDES:
        frame, measurement = measured(side)
        for solver in ("apgd", "one-pass"):
            image, total, words = timed_run(measurement, solver)
            words = [f"{side}", solver, f"{total:.1f}", f"{1e6 * total / side**2:.0f}", *words]
            rows.append("| " + " | ".join([*words, f"{sre_db(image, frame.image):.1f}"]) + " |")
            print(rows[-1], flush=True)
    return rows


def timed_run(measurement: nsi.Measurement, solver: str) -> tuple[np.ndarray, float, list[str]]:
    """Return the result, the seconds, and the shares of them: start, network, data step, end, and the rest of what the steps take."""
    start, network, data, end = Clock(), Clock(), Clock(), Clock()
    prior = network.timed(load_denoiser("stem-tiny"))
    step = reconstruction_run.krige_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction_run, "krige_step", lambda *a: data.timed(step(*a)))
        for clock, name in ((start, "ended"), (start, "again"), (end, "follow_exactly"), (end, "exactly")):
            patch.setattr(Starts, name, clock.timed(getattr(Starts, name)))
        began = time.perf_counter()
        last, denoised, before = None, False, 0.0
        for last in nsi.iterate(measurement, nsi.ReconstructionParams(solver=solver), denoiser=prior):
            denoised = denoised or last.stage.startswith("trial")
            if not denoised or last.stage == "choosing the start":
                start.s += last.elapsed_s - before
            before = last.elapsed_s
        total = time.perf_counter() - began
    if not denoised:
        return last.image, total, [""] * 5
    words = [f"{clock.s / total:.0%}" for clock in (start, network, data, end)]
    return last.image, total, [*words, f"{1 - (network.s + data.s) / (total - start.s - end.s):.1%}"]


def step_against_pass() -> str:
    """Time one kriged data step and one pass of the base network on the same image."""
    frame, measurement = measured(256)
    y = torch.as_tensor(frame.image / frame.image.max(), dtype=torch.float64)
    mask = torch.as_tensor(measurement.mask).double()
    step = reconstruction_run.krige_step(y * mask, mask, 0.0, 0.13, lambda: None)
    base, times = load_denoiser("stem-base"), {"step": [], "pass": []}
    image = y + 0.01 * torch.as_tensor(np.random.default_rng(0).standard_normal(y.shape))
    for _ in range(10):
        for name, work in (("step", lambda: step(image, 0.01)), ("pass", lambda: base(image[None, None].float(), 0.01))):
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    a, b = (1e3 * min(t) for t in times.values())
    return f"A kriged data step takes {a:.0f} ms at 256², a pass of stem-base {b:.0f} ms: {a / b:.2f} of it."


if __name__ == "__main__":
    table = by_size()
    memory = f"Largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB."
    pages.put(PAGE, "speed", "\n".join(table) + f"\n\n{step_against_pass()} {memory}")
