"""From a measurement to an image: scale, choose by withheld measurements, solve, scale back.

A part of the measurements is withheld. What predicts it best is kept: the width of the Gaussian process, the number of
re-weightings of the start, the number of Plug-and-Play steps. Then the withheld part is given back: the start is computed again,
the last denoising steps are repeated. When the denoiser does not predict the withheld part better than the start, the start is the
result, and the last iterate says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from .denoisers.registry import Prior, load_denoiser
from .devices import pick_device
from .errors import InputError, SolverError, is_out_of_memory, sentence
from .frames import FloatImage, Frame, Iterate, Measurement, Reconstruction, as_image
from .memory import in_words, needed_bytes, total_bytes
from .metrics import evaluate, sre_db
from .params import PLUG_AND_PLAY, ReconstructionParams
from .recipes import recipe, uses_inpainter
from .solvers.classical import INTERPOLATIONS
from .solvers.equivariance import DenoiseFunction, equivariant
from .solvers.one_pass import informed, remeasuring
from .solvers.pnp import SOLVERS, krige_step, mean_of_last, replace_step, settled
from .solvers.problem import scaled, with_margin, withhold
from .solvers.sparse import LENGTHS, SPARSE
from .solvers.spectral import PAD, Grid, Tick, fourier_sparse, gaussian_process, krige, line_power, lowest

FEWEST = 32  # measured positions below which nothing can be withheld
WINDOW_PX = 256  # the prior is chosen on a window of this side
WIDTHS = np.geomspace(0.03, 0.3, 13).tolist()
NOISES = (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5)
EXACT = 1e-3  # relative noise that stands for none; keeps the conjugate gradients bounded
QUICK_STEPS, ROUGH_STEPS, FINE_STEPS = 40, 100, 300  # of conjugate gradients: to choose in haste; to choose and begin with; for a result
REWEIGHTINGS = 6
AVERAGED = 4  # last denoising steps in which the whole group is averaged, if asked
PILOTS = 3  # estimates, at most, whose spectrum the next one is kriged by, where there is noise
LINE_STEPS, LINE_TOLERANCE = 1500, 1e-3  # of conjugate gradients there; a spectrum of lines is badly conditioned, and early ends err
LAST_STEPS = 8  # repeated when the withheld measurements are back
DOUBT = 0.7  # share of the start's error that denoising must leave below, or the start is computed to its end and denoising
GENTLE = 0.25  # begins anew there, with this share of the strength
GAIN = 0.01  # a later image must lower the squared error at the withheld part, beyond the noise, by this share
CAUTION = 0.1  # and the first denoised one by this, where there is no noise: with all measurements back, the start gains more
SURE = 1.2  # standard errors by which a doubtful one must be better; a single position makes one
HIGHEST, LOWEST = 2.0, 0.2  # first and last denoising strength where there is noise, relative to it
NOISY_WITHHELD = 0.1  # at least; noise hides what is better

DenoiserLike = Callable[[torch.Tensor, float], torch.Tensor]


@dataclass(frozen=True)
class _Prior:
    """The Gaussian process: spectral ``width`` in cycles/px, ``noise`` relative to the field, ``sigma`` relative to the range."""

    width: float
    noise: float
    sigma: float


@dataclass(frozen=True)
class _Start:
    """What predicts the withheld part best before any denoising: ``rounds`` of re-weighting, then one pass where ``passed``.

    ``error`` is its RMS there, ``before`` that without the pass. ``power``, if given, is the spectrum of an estimate to krige by in place
    of the rounds; ``share`` is how much is taken of what the pass changes.
    """

    rounds: int
    error: float
    passed: bool = False
    before: float = 0.0
    power: torch.Tensor | None = None
    share: float = 1.0

    def __str__(self) -> str:
        words = f"Fourier-sparse start, {self.rounds} re-weighting{'s' * (self.rounds > 1)}" if self.rounds else "Gaussian-process start"
        if self.power is not None:
            return f"start kriged by the spectrum of an estimate{', one pass' * (self.share > 0)}"
        return words + ", one pass" * self.passed


@dataclass(frozen=True)
class _Found:
    """What a trial found best: the data step, the denoising strengths, and the ``image`` they led to."""

    data_step: str
    sigmas: list[float]
    image: torch.Tensor


def iterate(
    measurement: Measurement,
    params: ReconstructionParams | None = None,
    *,
    reference: Frame | npt.ArrayLike | None = None,
    denoiser: DenoiserLike | None = None,
    tick: Tick | None = None,
) -> Iterator[Iterate]:
    """Reconstruct, yielding every image on the way; the last is the result.

    Parameters
    ----------
    measurement
        Values and mask, ``(Y, X)``.
    params
        How to reconstruct; the defaults where None.
    reference
        The true image, if known, only to fill ``Iterate.scores``.
    denoiser
        ``denoiser(image (B, 1, Y, X), sigma) -> same shape``, used in place of ``params.checkpoint``.
    tick
        Called many times a second; what it raises ends the work at once.

    Raises
    ------
    InputError
        If the measurement cannot be reconstructed from.
    CheckpointError
        If the checkpoint cannot be used.
    SolverError
        If the computation fails.
    """
    p = params or ReconstructionParams()
    truth = None if reference is None else as_image(reference.image if isinstance(reference, Frame) else reference, "reference")
    if truth is not None and truth.shape != measurement.shape:
        raise InputError(f"The reference must have the measurement's shape {measurement.shape}, but its shape is {truth.shape}.")
    check_memory(measurement.shape, p)
    device = pick_device(p.device)
    remarks: tuple[str, ...] = ()
    while True:
        try:
            yield from _Run(measurement, p, truth, denoiser, tick or _no_tick, device, remarks).iterates()
            return
        except (MemoryError, RuntimeError) as error:  # Qt workers swallow RuntimeErrors
            if not is_out_of_memory(error):
                raise SolverError(f"The computation failed: {sentence(error)}") from error
            if device.type == "cpu":
                words = f"Not enough memory for a frame of {measurement.shape}: close other programs, or crop the frame."
                raise SolverError(words) from error
        if device.type == "cuda":
            torch.cuda.empty_cache()
        remarks = (f"The memory of {device} does not hold the frame, so the CPU computed.",)
        device = torch.device("cpu")


def reconstruct(
    measurement: Measurement,
    params: ReconstructionParams | None = None,
    *,
    reference: Frame | npt.ArrayLike | None = None,
    denoiser: DenoiserLike | None = None,
) -> Reconstruction:
    """Return the last image of :func:`iterate` with its scores and recipe. Same arguments, same errors."""
    p = params or ReconstructionParams()
    *_, last = iterate(measurement, p, reference=reference, denoiser=denoiser)
    return finish(measurement, p, last, reference=reference, denoiser=denoiser)


def finish(
    measurement: Measurement,
    params: ReconstructionParams,
    last: Iterate,
    *,
    reference: Frame | npt.ArrayLike | None = None,
    denoiser: DenoiserLike | None = None,
) -> Reconstruction:
    """Turn the last iterate into a Reconstruction; the other arguments are those that :func:`iterate` got."""
    scores = dict(last.scores)
    if reference is not None:
        scores |= evaluate(last.image, reference=reference.image if isinstance(reference, Frame) else reference, mask=measurement.mask)
    made = recipe(measurement, params, last, denoiser)
    return Reconstruction(last.image, measurement.pixel_size_nm, f"{measurement.name} reconstructed", made, scores)


def check_memory(shape: tuple[int, int], params: ReconstructionParams) -> None:
    """Refuse a frame that this machine cannot hold.

    Raises
    ------
    InputError
        If it would take more memory than there is.
    """
    needed, there = needed_bytes(math.prod(shape), params), total_bytes()
    if needed > there:
        raise InputError(
            f"A frame of {shape[0]} × {shape[1]} takes about {in_words(needed)} of memory, but this machine has {in_words(there)}; "
            "crop it, and reconstruct its parts."
        )


def _no_tick() -> None:
    return None


class _Run:
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
        # simulated noise asks for the kriged step, most experimental frames for the other
        tried = ("krige", "replace") if self.noisy else ("krige",)
        self.data_steps: tuple[str, ...] = tried if params.data_step == "auto" else (params.data_step,)
        self.total = 1
        if params.solver in (*PLUG_AND_PLAY, "irls", "fire"):
            self.total = REWEIGHTINGS + 2
        if params.solver in SPARSE:
            self.total = 2 * LENGTHS[params.solver]
        if params.solver == "one-pass":
            self.total = 3
        if params.solver in (*PLUG_AND_PLAY, "fire"):
            again = 0 if self.noisy else params.iterations + REWEIGHTINGS + 1
            self.total += self.noisy * PILOTS + len(self.data_steps) * params.iterations + again + LAST_STEPS

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
        rng = np.random.default_rng(p.seed)
        withheld = withhold(problem.mask, max(p.withheld, NOISY_WITHHELD) if self.noisy else p.withheld, rng)
        visible = problem.mask - withheld
        prior = self._prior(visible, withheld)
        if (network := self.prior or self.inpainter) is not None:
            self._remarks += tuple(network.card.remarks(self.measurement.pixel_size_nm, prior.sigma))
        if p.solver == "gp":
            yield self._iterate(
                self._start(problem.mask, prior, _Start(0, 0.0)), self.total, 0.0, f"Gaussian process, width {prior.width:.3f} cycles/px"
            )
            return
        if p.solver in SPARSE:
            yield from self._sparse(visible, withheld, prior)
            return
        if p.solver == "one-pass":
            yield from self._one_pass(visible, withheld, prior)
            return
        if p.solver == "irls":
            begun, _ = yield from self._choose_start(visible, withheld, prior, FINE_STEPS, 0, False)
            yield self._iterate(self._start(problem.mask, prior, begun), self.total, begun.error, str(begun))
            return
        passing = self.inpainter is not None and p.solver in PLUG_AND_PLAY
        begun, start = yield from self._choose_start(visible, withheld, prior, ROUGH_STEPS, 0, passing)
        yield self._iterate(start, REWEIGHTINGS + 2, begun.error, str(begun))
        index = REWEIGHTINGS + 2
        if self.noisy and p.start == "auto":
            begun, start = yield from self._follow_lines(begun, start, visible, withheld, prior, index)
            index += PILOTS
        found = yield from self._trial(start, visible, withheld, prior, self._sigmas(prior), index)
        if not self.noisy and (found is None or problem.rms(found.image, withheld) > DOUBT * begun.error):
            index = self.total - LAST_STEPS - p.iterations
            passing = passing and p.start == "one-pass"  # few withheld ones lie at borders
            begun, start = yield from self._choose_start(visible, withheld, prior, FINE_STEPS, index - REWEIGHTINGS - 1, passing)
            again = yield from self._trial(start, visible, withheld, prior, self._sigmas(prior, GENTLE), index)
            if again is not None and (found is None or problem.beats(again.image, found.image, withheld, 0.0, 0.0)):
                found = again
            if found is not None and not problem.beats(found.image, start, withheld, 0.0, CAUTION, SURE):
                found = None
        if found is None:
            note = f"{begun}; kept, because denoising did not predict withheld measurements better"
            yield self._iterate(self._start(problem.mask, prior, begun), self.total, begun.error, note)
            return
        share = problem.share(found.image, start, withheld) if self.noisy else 1.0
        last, error = found.sigmas[-LAST_STEPS:], problem.rms(start + share * (found.image - start), withheld)
        done = f"{begun}; {len(found.sigmas)} denoising step{'s' * (len(found.sigmas) > 1)} ({found.data_step})"
        for k, u in enumerate(self._steps(found.data_step, found.image, problem.mask, prior, last), 1):
            if k == len(last) and share < 1:
                begun_again = self._start(problem.mask, prior, begun)
                u, done = begun_again + share * (u - begun_again), f"{done}, {share:.0%} of what they change"
            stage = "denoising with all measurements" if k < len(last) else done
            yield self._iterate(u, self.total - len(last) + k, error, stage)

    def _one_pass(self, visible: torch.Tensor, withheld: torch.Tensor, prior: _Prior) -> Iterator[Iterate]:
        """Let the network improve the Gaussian process, if it predicts the withheld part better than that."""
        problem = self.problem
        start = self._gaussian(visible, prior)
        error = problem.rms(start, withheld)
        yield self._iterate(start, 1, error, "Gaussian process")
        trial = self._passed(start, visible, prior, error)
        yield self._iterate(trial, 2, problem.rms(trial, withheld), "one pass with withheld measurements")
        if problem.beats(trial, start, withheld, prior.sigma, 0.0 if self.noisy else CAUTION, 0.0 if self.noisy else 1.0):
            image = self._passed(self._gaussian(problem.mask, prior), problem.mask, prior, error)
            yield self._iterate(image, 3, problem.rms(trial, withheld), "Gaussian process; one pass")
        else:
            note = "Gaussian process; kept, because the network did not predict withheld measurements better"
            yield self._iterate(self._start(problem.mask, prior, _Start(0, error)), 3, error, note)

    def _gaussian(self, mask: torch.Tensor, prior: _Prior) -> torch.Tensor:
        """Return a quick Gaussian process, in single precision."""
        image = gaussian_process(self.problem.y.float(), mask.float(), prior.width, prior.noise, ROUGH_STEPS, self.tick).to(mask)
        return image if prior.sigma else torch.where(mask > 0, self.problem.y, image)

    def _passed(self, start: torch.Tensor, mask: torch.Tensor, prior: _Prior, error: float) -> torch.Tensor:
        """Pass ``start``, whose error at withheld measurements is ``error``, through the one-pass network."""
        assert self.inpainter is not None
        sigma = max(error**2 - prior.sigma**2, (0.1 * error) ** 2) ** 0.5
        network: DenoiseFunction = self.inpainter
        to_improve = self.noisy and self.params.solver in PLUG_AND_PLAY  # worth the seven more passes where noise hides the rest
        if (self.params.averaging == "all" or to_improve) and self.params.equivariance != "off":
            network = equivariant(network, np.random.default_rng([self.params.seed, 2]), self.params.equivariance, lambda _: True)
        inner = self.problem.frame
        seen = informed(inner(start), inner(self.problem.y), inner(mask), prior.sigma, sigma)
        image = start.clone()
        inner(image).copy_(network(seen, sigma)[0, 0])
        return image if prior.sigma else torch.where(mask > 0, self.problem.y, image)

    def _sparse(self, visible: torch.Tensor, withheld: torch.Tensor, prior: _Prior) -> Iterator[Iterate]:
        """Keep the strength of regularisation that predicts the withheld part best, and solve with all measurements."""
        errors = []
        for k, image in enumerate(self._sparse_path(visible, prior), 1):
            errors.append(self.problem.rms(image, withheld))
            yield self._iterate(image, k, errors[-1], "choosing the regularisation")
        kept = int(np.argmin(errors))
        for k, image in enumerate(islice(self._sparse_path(self.problem.mask, prior), kept + 1)):
            stage = "solving with all measurements" if k < kept else f"{self.params.solver}, step {kept + 1} of {len(errors)}"
            yield self._iterate(image, self.total - kept + k, errors[k], stage)

    def _sparse_path(self, mask: torch.Tensor, prior: _Prior) -> Iterator[torch.Tensor]:
        y = self.problem.y
        start = torch.as_tensor(INTERPOLATIONS["cubic"](y.cpu().double().numpy(), mask.cpu().numpy() > 0)).to(y)
        return SPARSE[self.params.solver](start, y, mask, prior.sigma, self.tick)

    def _choose_start(
        self, visible: torch.Tensor, withheld: torch.Tensor, prior: _Prior, steps: int, index: int, passing: bool
    ) -> Generator[Iterate, None, tuple[_Start, torch.Tensor]]:
        """Return what predicts the withheld part best, one pass through the network included if ``passing``, and its image."""
        problem, forced = self.problem, self.params.start == "irls"
        rounds, start = 0, problem.y
        for k, image in enumerate(self._starts(visible, prior, steps)):
            yield self._iterate(image, index + 1 + k, problem.rms(image, withheld), "choosing the start")
            if k == 0 or (forced and k == 1) or problem.beats(image, start, withheld, prior.sigma, GAIN, float(self.noisy)):
                rounds, start = k, image
            if k == REWEIGHTINGS or k >= rounds + 2 or self.params.start == "gp":
                break
        chosen = _Start(rounds, problem.rms(start, withheld))
        if not passing:
            return chosen, start
        image = self._passed(start, visible, prior, chosen.error)
        worth = GAIN if self.noisy else CAUTION
        if self.params.start != "one-pass" and not problem.beats(image, start, withheld, prior.sigma, worth, 1.0):
            return chosen, start
        return _Start(rounds, problem.rms(image, withheld), True, chosen.error), image

    def _follow_lines(
        self, begun: _Start, start: torch.Tensor, visible: torch.Tensor, withheld: torch.Tensor, prior: _Prior, index: int
    ) -> Generator[Iterate, None, tuple[_Start, torch.Tensor]]:
        """Krige by the spectrum of the best estimate, pass that, and begin again with the result, as long as it predicts better."""
        problem = self.problem
        for k in range(1, PILOTS + 1):
            power = self._line_power(start, prior)
            image = self._kriged_by(power, visible, prior)
            before, share = problem.rms(image, withheld), 0.0
            if self.inpainter is not None:
                passed = self._passed(image, visible, prior, before)
                share = problem.share(passed, image, withheld)
                image = torch.lerp(image, passed, share)
            error = problem.rms(image, withheld)
            yield self._iterate(image, index + k, error, "choosing the start")
            if not problem.beats(image, start, withheld, prior.sigma, GAIN):
                break
            begun, start = _Start(0, error, share > 0, before, power, share), image
        return begun, start

    def _line_power(self, image: torch.Tensor, prior: _Prior) -> torch.Tensor:
        return line_power(image.float(), Grid.of(image.float(), 3 * PAD), prior.width)

    def _kriged_by(self, power: torch.Tensor, mask: torch.Tensor, prior: _Prior) -> torch.Tensor:
        """Return what the measurements at ``mask`` say, by this spectrum and with the noise that they have."""
        y, seen = self.problem.y.float(), mask.float()
        mean, grid = (y * seen).sum() / seen.sum(), Grid.of(y, 3 * PAD)
        field = krige(y - mean, seen, power, grid, self._relative(prior.sigma), LINE_STEPS, self.tick, LINE_TOLERANCE)
        return (mean + grid.crop(field)).to(mask)

    def _relative(self, noise: float) -> float:
        """Return ``noise`` relative to the standard deviation of the field below it."""
        total = float(self.problem.y[self.problem.mask > 0].var())
        return noise / math.sqrt(max(total - noise**2, noise**2))

    def _trial(
        self, start: torch.Tensor, visible: torch.Tensor, withheld: torch.Tensor, prior: _Prior, sigmas: list[float], index: int
    ) -> Generator[Iterate, None, _Found | None]:
        """Return the data step and the denoising steps that predict the withheld part best, and their image.

        None: the start predicts it better. Where there is noise, only the last step is judged, because the best of many would be so by
        chance, and mixed with the start as the withheld part asks for.
        """
        best, found = start, None
        for data_step in self.data_steps:
            k, u = 0, start
            for k, u in enumerate(self._steps(data_step, start, visible, prior, sigmas), 1):
                index += 1
                yield self._iterate(u, index, self.problem.rms(u, withheld), "trial with withheld measurements")
                worth = (GAIN, 0.0) if found else (CAUTION, 1.0)
                if not self.noisy and self.problem.beats(u, best, withheld, prior.sigma, *worth):
                    best, found = u, _Found(data_step, sigmas[:k], u)
            if self.noisy:
                mixed = start + self.problem.share(u, start, withheld) * (u - start)
                if self.problem.beats(mixed, best, withheld, prior.sigma, GAIN):
                    best, found = mixed, _Found(data_step, sigmas[:k], u)
        return found

    def _iterate(self, image: torch.Tensor, index: int, residual: float, stage: str) -> Iterate:
        out = self.problem.unscale(image)
        scores: Mapping[str, float] = {} if self.truth is None else {"sre_db": sre_db(out, self.truth)}
        return Iterate(index, self.total, out, residual * self.problem.span, time.monotonic() - self.started, stage, scores, self.remarks)

    def _prior(self, visible: torch.Tensor, withheld: torch.Tensor) -> _Prior:
        """Choose the Gaussian process on a window in the middle of the frame."""
        steps = QUICK_STEPS if self.params.solver == "one-pass" else ROUGH_STEPS
        rows, columns = (slice(max(0, (n - WINDOW_PX) // 2), max(0, (n - WINDOW_PX) // 2) + WINDOW_PX) for n in self.problem.y.shape)
        y, seen, hidden = (a[rows, columns] for a in (self.problem.y, visible, withheld))
        if seen.sum() < FEWEST or not hidden.any():
            y, seen, hidden = self.problem.y, visible, withheld

        y, seen, hidden = y.float(), seen.float(), hidden.float()

        def errors(width: float, noise: float) -> list[float]:
            image = gaussian_process(y, seen, width, noise, steps, self.tick)
            return [float((((image - y) * where).square().sum() / where.sum()).sqrt()) for where in (seen, hidden)]

        def best(noise: float) -> float:
            return lowest(WIDTHS, lambda width: errors(width, noise)[1])

        if not self.noisy:
            width, ratio = best(EXACT), (WIDTHS[1] / WIDTHS[0]) ** 0.5
            return _Prior(min((width / ratio, width, width * ratio), key=lambda w: errors(w, EXACT)[1]), EXACT, 0.0)
        if known := self.params.noise_std / self.problem.span:
            noise = self._relative(known)
            return _Prior(best(noise), noise, known)
        width = best(0.1)
        noise = lowest(NOISES, lambda n: errors(width, n)[1])
        width = best(noise)
        # what fits some of the noise is nearer to what it has seen than the noise, and as much farther from the rest
        return _Prior(width, noise, math.prod(errors(width, noise)) ** 0.5)

    def _starts(self, mask: torch.Tensor, prior: _Prior, steps: int) -> Iterator[torch.Tensor]:
        for image in fourier_sparse(self.problem.y, mask, prior.width, prior.noise, steps, self.tick):
            yield image if prior.sigma else torch.where(mask > 0, self.problem.y, image)

    def _start(self, mask: torch.Tensor, prior: _Prior, begun: _Start) -> torch.Tensor:
        if begun.power is None:
            image = next(islice(self._starts(mask, prior, FINE_STEPS), begun.rounds, None))
        else:
            image = self._kriged_by(begun.power, mask, prior)
        return torch.lerp(image, self._passed(image, mask, prior, begun.before), begun.share) if begun.passed else image

    def _steps(self, data_step: str, start: torch.Tensor, mask: torch.Tensor, prior: _Prior, sigmas: list[float]) -> Iterator[torch.Tensor]:
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

    def _sigmas(self, prior: _Prior, ease: float = 1.0) -> list[float]:
        """Return the strengths, log-spaced, the first eased; where there is noise, it is averaged over weak steps."""
        first, last = ease * self.params.sigma_start, self.params.sigma_end
        if prior.sigma:
            first, last = min(first, HIGHEST * prior.sigma), max(last, LOWEST * prior.sigma)
        return np.geomspace(max(first, last), last, self.params.iterations).tolist()  # type: ignore[no-any-return]
