"""One reconstruction: scale, choose by withheld measurements, solve, scale back.

A part of the measurements is withheld. What predicts it best is kept: the width of the Gaussian process, the number of
re-weightings of the start, the number of Plug-and-Play steps, and how start and denoised image are mixed, whose errors are of
different kinds; without noise, whether it is kriged by its own spectrum. Then the withheld part is given back: the start is computed
again, the last denoising steps are repeated. Where the mixture does not predict the withheld part better than the start, the start takes
its place, and the last iterate says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch

from .denoisers.registry import Prior, load_denoiser
from .errors import InputError, SolverError
from .frames import FloatImage, Iterate, Measurement
from .metrics import sre_db
from .params import PLUG_AND_PLAY, ReconstructionParams
from .recipes import uses_inpainter
from .solvers.classical import INTERPOLATIONS
from .solvers.equivariance import equivariant
from .solvers.one_pass import remeasuring
from .solvers.pnp import SOLVERS, krige_step, mean_of_last, replace_step, settled
from .solvers.problem import scaled, with_margin, withhold
from .solvers.sparse import LENGTHS, SPARSE
from .solvers.spectral import Tick
from .starts import CAUTION, FEWEST, FINE_STEPS, GAIN, PILOTS, REWEIGHTINGS, ROUGH_STEPS, Choice, GaussianPrior, Start, Starts

AVERAGED = 4  # last denoising steps in which the whole group is averaged, if asked
LAST_STEPS = 8  # repeated when the withheld measurements are back
DOUBT = 0.7  # share of the start's error that denoising must leave below, or the start is chosen with more care and denoising
GENTLE = 0.25  # begins anew there, with this share of the strength
HIGHEST, LOWEST = 2.0, 0.2  # first and last denoising strength where there is noise, relative to it
NOISY_WITHHELD = 0.1  # at least; noise hides what is better

DenoiserLike = Callable[[torch.Tensor, float], torch.Tensor]


@dataclass(frozen=True)
class _Found:
    """What a trial found best: the data step, the denoising strengths, and the ``image`` they led to."""

    data_step: str
    sigmas: list[float]
    image: torch.Tensor


class Run:
    """One reconstruction: what stays the same from its first iterate to its last."""

    def __init__(
        self,
        measurement: Measurement,
        params: ReconstructionParams,
        truth: FloatImage | None,
        denoiser: DenoiserLike | None,
        tick: Tick,
        device: torch.device,
        remarks: tuple[str, ...],
    ) -> None:
        self.params, self.truth, self.tick, self.measurement = params, truth, tick, measurement
        self.started, self.device, self._remarks = time.monotonic(), device, remarks
        self.problem = scaled(measurement, device)
        self.denoiser = denoiser
        self.prior: Prior | None = None
        self.inpainter: Prior | None = None
        if params.solver in PLUG_AND_PLAY and denoiser is None:
            self.prior = self.denoiser = self._loaded(params.checkpoint, "denoise")
        if uses_inpainter(params):
            self.inpainter = self._loaded(params.inpainter, "inpaint")
        told = "estimate" if params.noise_std or measurement.noise != "none" else "none"
        self.noisy = (told if params.noise == "auto" else params.noise) == "estimate"
        self.data_steps = {"krige" if params.data_step == "auto" else params.data_step: params.iterations}  # to be tried, in how many steps
        if self.noisy and params.data_step == "auto":  # most experimental frames ask for the other one, whose steps change little
            self.data_steps["replace"] = max(1, params.iterations // 2)
        self.total = 1
        if params.solver in (*PLUG_AND_PLAY, "irls", "fire"):
            self.total = REWEIGHTINGS + 2
        if params.solver in SPARSE:
            self.total = 2 * LENGTHS[params.solver]
        if params.solver == "one-pass":
            self.total = 3
        if params.solver in (*PLUG_AND_PLAY, "fire"):
            again = 0 if self.noisy else params.iterations + REWEIGHTINGS + 1
            self.total += self.noisy * PILOTS + sum(self.data_steps.values()) + again + LAST_STEPS

    def _loaded(self, name: str, task: str) -> Prior:
        network = load_denoiser(name, self.device, task)
        network.on_every_layer(self.tick)
        return network

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of how it went."""
        tiled = next((words for network in (self.prior, self.inpainter) if network and (words := network.remark())), "")
        return (*self._remarks, tiled) if tiled else self._remarks

    def iterates(self) -> Iterator[Iterate]:
        if self.params.solver in INTERPOLATIONS:
            image = INTERPOLATIONS[self.params.solver](self.problem.frame(self.problem.y).cpu().double().numpy(), self.measurement.mask)
            yield self._iterate(with_margin(torch.as_tensor(image)), self.total, 0.0, f"{self.params.solver} interpolation")
        else:
            steps = self._solve()
            while True:
                with torch.no_grad():  # around the step, not around the yield: it would leak into the consumer
                    step = next(steps, None)
                if step is None:
                    return
                yield step

    def _solve(self) -> Iterator[Iterate]:
        p, problem = self.params, self.problem
        if int(problem.mask.sum()) < FEWEST:
            raise InputError(
                f"At least {FEWEST} measured positions are needed, but the mask has {int(problem.mask.sum())}; use the solver cubic."
            )
        withheld = withhold(problem.mask, max(p.withheld, NOISY_WITHHELD) if self.noisy else p.withheld, np.random.default_rng(p.seed))
        starts = Starts(problem, p, withheld, self.noisy, self.inpainter, self.tick)
        prior = starts.prior
        if (network := self.prior or self.inpainter) is not None:
            self._remarks += tuple(network.card.remarks(self.measurement.pixel_size_nm, prior.sigma))
        if p.solver == "gp":
            yield self._iterate(starts.again(Start(0, 0.0)), self.total, 0.0, f"Gaussian process, width {prior.width:.3f} cycles/px")
        elif p.solver in SPARSE:
            yield from self._sparse(starts)
        elif p.solver == "one-pass":
            yield from self._one_pass(starts)
        elif p.solver == "irls":
            begun, _ = yield from self._shown(starts.choose(FINE_STEPS, False), 0)
            yield self._iterate(starts.again(begun), self.total, begun.error, str(begun))
        else:
            yield from self._plug_and_play(starts)

    def _shown(self, choice: Choice, index: int) -> Generator[Iterate, None, tuple[Start, torch.Tensor]]:
        """Pass on every image of ``choice`` as an iterate after the one of this ``index``; return what it returns."""
        while True:
            try:
                image, error = next(choice)
            except StopIteration as chosen:
                begun, start = chosen.value
                return begun, start
            index += 1
            yield self._iterate(image, index, error, "choosing the start")

    def _plug_and_play(self, starts: Starts) -> Iterator[Iterate]:
        p, problem, withheld = self.params, self.problem, starts.withheld
        passing = self.inpainter is not None and p.solver in PLUG_AND_PLAY
        begun, start = yield from self._shown(starts.choose(ROUGH_STEPS, passing), 0)
        index = REWEIGHTINGS + 2
        yield self._iterate(start, index, begun.error, str(begun))
        if self.noisy and p.start == "auto":
            begun, start = yield from self._shown(starts.follow_lines(begun, start), index)
            index += PILOTS
        found = yield from self._trial(start, starts, 1.0, index)
        if not self.noisy:
            assert found is not None
            if starts.error(found.image) > DOUBT * begun.error:
                index = self.total - LAST_STEPS - p.iterations
                passing = passing and p.start == "one-pass"  # few withheld ones lie at borders
                begun, start = yield from self._shown(starts.choose(FINE_STEPS, passing), index - REWEIGHTINGS - 1)
                again = yield from self._trial(start, starts, GENTLE, index)
                if again is not None and problem.beats(again.image, found.image, withheld, 0.0, 0.0):
                    found = again
            begun, start = starts.ended(begun)
            mixture = problem.mixture(found.image, start, withheld)
            if not problem.beats(mixture.of(found.image, start), start, withheld, 0.0, GAIN, 1.0):
                found = None
        elif found is not None:
            mixture = problem.share(found.image, start, withheld)
        estimate = start if found is None else mixture.of(found.image, start)
        caution, estimate = (None, estimate) if self.noisy else starts.follow_exactly(estimate)
        error = starts.error(estimate)
        if found is None:
            image = starts.again(replace(begun, weights=None))
            note = f"{begun}; kept, because denoising did not predict withheld measurements better"
        else:
            last, begun_again = found.sigmas[-LAST_STEPS:], starts.again(begun)
            # few steps are strong ones, and strong ones twice would take away what they were to improve
            image = found.image if len(found.sigmas) > LAST_STEPS else begun_again
            for k, u in enumerate(self._steps(found.data_step, image, problem.mask, starts.prior, last), 1):
                if k < len(last):
                    yield self._iterate(u, self.total - len(last) + k, error, "denoising with all measurements")
            steps = f"{len(found.sigmas)} denoising step{'s' * (len(found.sigmas) > 1)} ({found.data_step})"
            image, note = mixture.of(u, begun_again), f"{begun}; {steps}, {mixture} of what they change"
        if caution is not None:
            image, note = starts.exactly(image, caution), f"{note}; kriged by its own spectrum"
        yield self._iterate(image, self.total, error, note)

    def _one_pass(self, starts: Starts) -> Iterator[Iterate]:
        """Let the network improve the Gaussian process, if it predicts the withheld part better than that."""
        problem, prior = self.problem, starts.prior
        start = starts.gaussian(starts.visible)
        error = starts.error(start)
        yield self._iterate(start, 1, error, "Gaussian process")
        trial = starts.passed(start, starts.visible, error)
        yield self._iterate(trial, 2, starts.error(trial), "one pass with withheld measurements")
        worth = (0.0, 0.0) if self.noisy else (CAUTION, 1.0)
        if problem.beats(trial, start, starts.withheld, prior.sigma, *worth):
            image = starts.passed(starts.gaussian(problem.mask), problem.mask, error)
            yield self._iterate(image, 3, starts.error(trial), "Gaussian process; one pass")
        else:
            note = "Gaussian process; kept, because the network did not predict withheld measurements better"
            yield self._iterate(starts.again(Start(0, error)), 3, error, note)

    def _sparse(self, starts: Starts) -> Iterator[Iterate]:
        """Keep the strength of regularisation that predicts the withheld part best, and solve with all measurements."""
        errors = []
        for k, image in enumerate(self._sparse_path(starts.visible, starts.prior), 1):
            errors.append(starts.error(image))
            yield self._iterate(image, k, errors[-1], "choosing the regularisation")
        kept = int(np.argmin(errors))
        for k, image in enumerate(islice(self._sparse_path(self.problem.mask, starts.prior), kept + 1)):
            stage = "solving with all measurements" if k < kept else f"{self.params.solver}, step {kept + 1} of {len(errors)}"
            yield self._iterate(image, self.total - kept + k, errors[k], stage)

    def _sparse_path(self, mask: torch.Tensor, prior: GaussianPrior) -> Iterator[torch.Tensor]:
        y = self.problem.y
        start = torch.as_tensor(INTERPOLATIONS["cubic"](y.cpu().double().numpy(), mask.cpu().numpy() > 0)).to(y)
        return SPARSE[self.params.solver](start, y, mask, prior.sigma, self.tick)

    def _trial(self, start: torch.Tensor, starts: Starts, ease: float, index: int) -> Generator[Iterate, None, _Found | None]:
        """Return the data step and the denoising steps that predict the withheld part best, and their image.

        Where there is noise, only the last step is judged, because the best of many would be so by chance, and mixed with the start as
        the withheld part asks for; None: the start predicts it better.
        """
        best, found, withheld, sigma = start, None, starts.withheld, starts.prior.sigma
        for data_step, iterations in self.data_steps.items():
            k, u, sigmas = 0, start, self._sigmas(starts.prior, ease, iterations)
            for k, u in enumerate(self._steps(data_step, start, starts.visible, starts.prior, sigmas), 1):
                index += 1
                yield self._iterate(u, index, starts.error(u), "trial with withheld measurements")
                if not self.noisy and (found is None or self.problem.beats(u, found.image, withheld, sigma, GAIN)):
                    found = _Found(data_step, sigmas[:k], u)
            if self.noisy:
                mixed = self.problem.share(u, start, withheld).of(u, start)
                if self.problem.beats(mixed, best, withheld, sigma, GAIN):
                    best, found = mixed, _Found(data_step, sigmas[:k], u)
        return found

    def _iterate(self, image: torch.Tensor, index: int, residual: float, stage: str) -> Iterate:
        out = self.problem.unscale(image)
        if not np.isfinite(out).all():
            raise SolverError(f"The image holds values that are not numbers ({stage}): the denoiser returned some, or the steps diverged.")
        scores: Mapping[str, float] = {} if self.truth is None else {"sre_db": sre_db(out, self.truth)}
        return Iterate(index, self.total, out, residual * self.problem.span, time.monotonic() - self.started, stage, scores, self.remarks)

    def _steps(
        self, data_step: str, start: torch.Tensor, mask: torch.Tensor, prior: GaussianPrior, sigmas: list[float]
    ) -> Iterator[torch.Tensor]:
        solver, denoise = self.params.solver, self.denoiser
        if solver == "fire":
            assert self.inpainter is not None
            rng = np.random.default_rng([self.params.seed, 3])
            solver, denoise = "hqs", remeasuring(self.inpainter, float(mask.mean()), prior.width, rng, self.tick)
        assert denoise is not None
        group, averaging = self.params.equivariance, self.params.averaging
        if group != "off":
            whole = {"one": len(sigmas), "last": len(sigmas) - AVERAGED, "all": 0}[averaging]
            denoise = equivariant(denoise, np.random.default_rng([self.params.seed, 1]), group, lambda call: call >= whole)
        if data_step == "krige":
            step = krige_step(self.problem.y, mask, prior.sigma, 1.3 * prior.width, self.tick)
        else:
            step = replace_step(self.problem.y, mask, prior.sigma)
        images = (u for _, u in SOLVERS[solver](start, denoise, step, sigmas))
        return settled(mean_of_last(images, self.params.mean_of_last), self.params.tolerance)

    def _sigmas(self, prior: GaussianPrior, ease: float, iterations: int) -> list[float]:
        """Return the strengths, log-spaced, the first eased; where there is noise, it is averaged over weak steps."""
        first, last = ease * self.params.sigma_start, self.params.sigma_end
        if prior.sigma:
            first, last = min(first, HIGHEST * prior.sigma), max(last, LOWEST * prior.sigma)
        return np.geomspace(max(first, last), last, iterations).tolist()  # type: ignore[no-any-return]
