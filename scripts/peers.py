"""Compare with deepinv in one run, on the same input with the same weights; writes into docs/benchmark.md.

    python -m venv peers && peers/bin/pip install deepinv . && peers/bin/python scripts/peers.py

in an environment of its own, because deepinv brings its own PyTorch. Its PGD and HQS get our denoiser, our sigmas and our start, and
do as many iterations as ours; ours do all that a user gets: the start, the trial with withheld measurements, the choice.
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import deepinv
import numpy as np
import pages
import torch

import napari_stem_inpaint as nsi
from napari_stem_inpaint.denoisers.registry import load_denoiser
from napari_stem_inpaint.metrics import sre_db
from napari_stem_inpaint.solvers.pnp import SOLVERS, replace_step

PAGE = Path(__file__).parents[1] / "docs" / "benchmark.md"
ITERATIONS, SIGMAS = 24, np.geomspace(0.2, 1e-4, 24)
DEFECTS = {"vacancies": 0.05, "intensity_scatter": 0.15, "displacement_nm": 0.005}
TURNS = 3


class Ours(deepinv.models.base.Denoiser):
    """Our denoiser as deepinv calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.denoiser = load_denoiser("stem-tiny", "cpu")

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, **_: object) -> torch.Tensor:
        return self.denoiser(x, float(torch.as_tensor(sigma).flatten()[0]))


def main() -> None:
    rows = ["| Å/px | method | SRE, dB | s | s / deepinv's HQS |", "|---|---|---|---|---|"]
    ours = Ours()
    for pixel in (0.01, 0.02, 0.03):
        frame = nsi.simulate(nsi.SimulationParams(crystal="SrTiO3", pixel_size_nm=pixel, seed=1, **DEFECTS))
        measurement = nsi.acquire(frame, nsi.make_scan(frame.shape, nsi.ScanParams(seed=1)))
        low, span = float(frame.image.min()), float(np.ptp(frame.image))
        truth = torch.as_tensor((frame.image - low) / span)[None, None]
        mask = torch.as_tensor(measurement.mask)[None, None].float()
        physics = deepinv.physics.Inpainting(img_size=(1, *frame.shape), mask=mask[0])
        y = physics(truth)
        filled = torch.as_tensor((nsi.reconstruct(measurement, nsi.ReconstructionParams(solver="cubic")).image - low) / span)[None, None]

        def theirs(name: str, physics=physics, y=y, filled=filled) -> torch.Tensor:
            step = [1.0] * ITERATIONS if name == "PGD" else [float((s / 0.23**0.5 / 1e-3) ** 2) for s in SIGMAS]
            model = getattr(deepinv.optim, name)(
                data_fidelity=deepinv.optim.L2(), prior=deepinv.optim.PnP(ours), max_iter=ITERATIONS, stepsize=step,
                sigma_denoiser=list(map(float, SIGMAS)), custom_init=lambda *_: {"est": (filled, filled)},
            )  # fmt: skip
            with torch.no_grad():
                return model(y, physics)

        def bare(name: str, truth=truth, mask=mask, filled=filled) -> torch.Tensor:
            step = replace_step((truth * mask)[0, 0], mask[0, 0], 0.0)
            with torch.no_grad():
                *_, (_, u) = SOLVERS[name](filled[0, 0], ours.denoiser, step, map(float, SIGMAS))
            return u[None, None]

        def whole(measurement=measurement, low=low, span=span) -> torch.Tensor:
            return torch.as_tensor((nsi.reconstruct(measurement).image - low) / span)[None, None]

        methods: dict[str, Callable[[], torch.Tensor]] = {
            "deepinv HQS": lambda: theirs("HQS"),
            "deepinv PGD": lambda: theirs("PGD"),
            "our hqs, same start, replacing": lambda: bare("hqs"),
            "our pgd, same start, replacing": lambda: bare("pgd"),
            "our apgd, same start, replacing": lambda: bare("apgd"),
            "our default, all that a user gets": whole,
        }
        times: dict[str, list[float]] = {name: [] for name in methods}
        found: dict[str, float] = {}
        for _ in range(TURNS):
            for name, method in methods.items():
                began = time.perf_counter()
                image = method()
                times[name].append(time.perf_counter() - began)
                found[name] = sre_db((image * span + low)[0, 0].numpy(), frame.image)
        for name, seconds in times.items():
            ratio = min(seconds) / min(times["deepinv HQS"])
            rows.append(f"| {10 * pixel:.2f} | {name} | {found[name]:.1f} | {min(seconds):.2f} | {ratio:.2f} |")
            print(rows[-1], flush=True)
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if PAGE.exists():
        pages.put(PAGE, "peers", "\n".join(rows))


if __name__ == "__main__":
    main()
