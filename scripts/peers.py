"""Compare with a peer in one run, on the same input; writes into docs/benchmark.md.

    python -m venv peers && peers/bin/pip install deepinv . && peers/bin/python scripts/peers.py deepinv
    python -m venv others && others/bin/pip install inpystem . && others/bin/python scripts/peers.py inpystem

in environments of their own, because deepinv brings its own PyTorch. deepinv's PGD and HQS get our denoiser, our sigmas and our start,
and do as many iterations as ours: with the bare network in single precision, as a user of deepinv would hand it over, and with all that
our denoiser does to be fast. Ours do all that a user gets: the start, the trial with withheld measurements, the choice. deepinv's
total variation begins with cubic interpolation, and gets the best of three strengths by the truth, as inpystem's cosines do.
The memory is how far the process grows above what it held before, each method in a process of its own; like the time, the least of
three.
"""

import operator
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
TURNS, FEWER = 3, 8
PIXELS_NM = (0.01, 0.02, 0.03)
Method = Callable[[], torch.Tensor]
Pick = Callable[[list[Method]], Method]


class Case:
    """A defective frame of SrTiO3, a quarter of it measured at random, noise-free; images (1, 1, Y, X) of 0 to 1."""

    def __init__(self, pixel: float, side: int) -> None:
        self.pixel = pixel
        self.frame = nsi.simulate(nsi.SimulationParams(crystal="SrTiO3", pixel_size_nm=pixel, shape=(side, side), seed=1, **DEFECTS))
        self.measurement = nsi.acquire(self.frame, nsi.make_scan(self.frame.shape, nsi.ScanParams(seed=1)))
        self.low, self.span = float(self.frame.image.min()), float(np.ptp(self.frame.image))
        self.truth = self.scaled(self.frame.image)
        self.mask = torch.as_tensor(self.measurement.mask)[None, None].float()
        self.filled = self.ours(solver="cubic")()

    def scaled(self, image: np.ndarray) -> torch.Tensor:
        return torch.as_tensor((image - self.low) / self.span)[None, None]

    def sre(self, image: torch.Tensor) -> float:
        return sre_db((image * self.span + self.low)[0, 0].numpy(), self.frame.image)

    def ours(self, **values: Any) -> Method:
        return lambda: self.scaled(nsi.reconstruct(self.measurement, nsi.ReconstructionParams(**values)).image)

    def best(self, methods: list[Method]) -> Method:
        """Return the method that comes nearest to the truth."""
        return max(methods, key=lambda method: self.sre(method()))


def deepinv_methods(case: Case, pick: Pick) -> dict[str, Method]:
    import deepinv

    class Ours(deepinv.models.base.Denoiser):
        """Our denoiser as deepinv calls it."""

        def __init__(self, fast: bool = True) -> None:
            super().__init__()
            self.denoiser = load_denoiser("stem-tiny", "cpu")
            self.denoiser.half = self.denoiser.half and fast

        def forward(self, x: torch.Tensor, sigma: torch.Tensor, **_: object) -> torch.Tensor:
            return self.denoiser(x, float(torch.as_tensor(sigma).flatten()[0]))

    ours, bare_network = Ours(), Ours(fast=False)
    physics = deepinv.physics.Inpainting(img_size=(1, *case.frame.shape), mask=case.mask[0])
    y = physics(case.truth)

    def theirs(name: str, **values: Any) -> torch.Tensor:
        model = getattr(deepinv.optim, name)(
            data_fidelity=deepinv.optim.L2(), custom_init=lambda *_: {"est": (case.filled, case.filled)}, **values
        )
        with torch.no_grad():
            return model(y, physics)

    def with_network(name: str, network: Any = ours) -> Method:
        step = [1.0] * ITERATIONS if name == "PGD" else [float((s / 0.23**0.5 / 1e-3) ** 2) for s in SIGMAS]
        sigmas = list(map(float, SIGMAS))
        return lambda: theirs(name, prior=deepinv.optim.PnP(network), max_iter=ITERATIONS, stepsize=step, sigma_denoiser=sigmas)

    def with_edges(strength: float) -> Method:
        return lambda: theirs("PGD", prior=deepinv.optim.TVPrior(n_it_max=20), lambda_reg=strength, max_iter=300)

    def bare(name: str, iterations: int = ITERATIONS) -> Method:
        def method() -> torch.Tensor:
            step = replace_step((case.truth * case.mask)[0, 0], case.mask[0, 0], 0.0)
            with torch.no_grad():
                *_, (_, u) = SOLVERS[name](case.filled[0, 0], ours.denoiser, step, np.geomspace(0.2, 1e-4, iterations).tolist())
            return u[None, None]

        return method

    return {
        "deepinv HQS": with_network("HQS", bare_network),
        "deepinv PGD": with_network("PGD", bare_network),
        "deepinv HQS, our fast denoiser": with_network("HQS"),
        "deepinv PGD, our fast denoiser": with_network("PGD"),
        "deepinv total variation": pick([with_edges(s) for s in (1e-2, 1e-3, 1e-4)]),
        "our hqs, same start, replacing": bare("hqs"),
        "our pgd, same start, replacing": bare("pgd"),
        "our apgd, same start, replacing": bare("apgd"),
        f"our apgd, same start, {FEWER} iterations": bare("apgd", FEWER),
        "our one-pass": case.ours(solver="one-pass"),
        "our default, all that a user gets": case.ours(),
    }


def inpystem_methods(case: Case, pick: Pick) -> dict[str, Method]:
    from inpystem.restore.DL_ITKrMM import ITKrMM, wKSVD
    from inpystem.restore.LS_2D import L1_LS

    mask = case.measurement.mask
    mean = float(case.truth[0, 0].numpy()[mask].mean())
    y = np.where(mask, case.truth[0, 0].numpy().astype(float) - mean, 0)
    words = {"P": 10, "K": 128, "L": 1, "S": 6, "PCA_transform": False, "verbose": False}

    def theirs(function: Callable[..., Any], *values: Any, **named: Any) -> Method:
        return lambda: torch.as_tensor(function(y, *values, **named)[0] + mean).float()[None, None]

    return {
        "inpystem wKSVD": theirs(wKSVD, mask, Nit=10, **words),
        "inpystem ITKrMM": theirs(ITKrMM, mask, Nit=20, **words),
        "inpystem L1 of cosines": pick([theirs(L1_LS, s, mask, init=y, Nit=200, verbose=False) for s in (0.3, 0.1, 0.03)]),
        "our dictionary": case.ours(solver="dictionary"),
        "our one-pass": case.ours(solver="one-pass"),
        "our default, all that a user gets": case.ours(),
    }


PEERS = {"deepinv": (deepinv_methods, 256, TURNS), "inpystem": (inpystem_methods, 128, 1)}


def main(peer: str) -> None:
    methods_of, side, turns = PEERS[peer]
    rows: list[str] = []
    for pixel in PIXELS_NM:
        case = Case(pixel, side)
        methods = methods_of(case, case.best)
        first = next(iter(methods))
        if not rows:
            rows += [f"| Å/px | method | SRE, dB | s | s / {first} | memory, MB |", "|---|---|---|---|---|---|"]
            memory = {name: min(grown(peer, name) for _ in range(turns)) for name in methods}
        times: dict[str, list[float]] = {name: [] for name in methods}
        found: dict[str, float] = {}
        for _ in range(turns):
            for name, method in methods.items():
                began = time.perf_counter()
                image = method()
                times[name].append(time.perf_counter() - began)
                found[name] = case.sre(image)
        for name, seconds in times.items():
            ratio = min(seconds) / min(times[first])
            rows.append(f"| {10 * pixel:.2f} | {name} | {found[name]:.1f} | {min(seconds):.2f} | {ratio:.2f} | {memory[name]} |")
            print(rows[-1], flush=True)
    if PAGE.exists():
        pages.put(PAGE, peer, "\n".join(rows))


def grown(peer: str, name: str) -> int:
    """Run one method in a process of its own; return by how many MB it grew, at most."""
    return int(subprocess.run([sys.executable, __file__, peer, name], capture_output=True, text=True, check=True).stdout)


def grow(peer: str, name: str) -> None:
    """Print by how many MB this process grows, at most, while one method works. Linux only."""
    methods_of, side, _ = PEERS[peer]
    method = methods_of(Case(PIXELS_NM[0], side), operator.itemgetter(0))[name]  # no strength takes more memory than another
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = status("VmRSS")
    method()
    print(f"{(status('VmHWM') - before) / 1000:.0f}")


def status(name: str) -> int:
    """Return one of the kernel's figures of this process, in kB."""
    (figure,) = re.findall(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(figure)


if __name__ == "__main__":
    grow(*sys.argv[1:]) if len(sys.argv) > 2 else main(sys.argv[1])
