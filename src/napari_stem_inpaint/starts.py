"""What Plug-and-Play begins with: interpolations chosen by withheld measurements, and one pass of a network over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from .denoisers.registry import Prior
from .params import PLUG_AND_PLAY, ReconstructionParams
from .solvers.equivariance import DenoiseFunction, equivariant
from .solvers.exact import kriged_exactly
from .solvers.one_pass import informed
from .solvers.problem import EXACT, Mixture, Problem
from .solvers.spectral import (
    PAD,
    Grid,
    Tick,
    fourier_sparse,
    gaussian_power,
    gaussian_process,
    krige,
    kriged,
    kriging_weights,
    line_power,
    lowest,
)

FEWEST = 32  # measured positions below which nothing can be withheld
WINDOW_PX = 256  # the prior is chosen on a window of this side
WIDTHS = np.geomspace(0.03, 0.3, 13).tolist()
NOISES = (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5)
QUICK_STEPS, ROUGH_STEPS, FINE_STEPS = 40, 100, 300  # of conjugate gradients: in haste; to choose; to choose what may be the result
END_STEPS = 900  # once: perfect lattices need them
MORE_STEPS = 300  # with all measurements, from the end without the withheld part
REWEIGHTINGS = 6
PILOTS = 3  # estimates, at most, whose spectrum the next one is kriged by, where there is noise
LINE_STEPS, LINE_TOLERANCE = 1500, 1e-3  # of conjugate gradients there; a spectrum of lines is badly conditioned, and early ends err
DEFECT, CONTRADICTED = 0.1, 4.0  # size of what such a spectrum leaves out, relative to the range; and its robust standard deviations
GAIN = 0.01  # a later image must lower the squared error at the withheld part, beyond the noise, by this share
CAUTIONS = (0.0, *np.geomspace(1e-4, 100, 19).tolist())  # weight of how far an exactly kriged image is off
AS_GOOD = 1.05  # times the least error at the withheld part
CAUTION = 0.1  # and the first denoised one by this, where there is no noise: with all measurements back, the start gains more


@dataclass(frozen=True)
class GaussianPrior:
    """A field of spectral ``width`` in cycles/px; the ``noise`` relative to it, and ``sigma``, the same relative to the range."""

    width: float
    noise: float
    sigma: float


@dataclass(frozen=True)
class Start:
    """What predicts the withheld part best before any denoising: ``rounds`` of re-weighting, then one pass where ``passed``.

    ``error`` is its RMS there, ``before`` that without the pass. It was kriged by the spectrum ``power`` (none: the Gaussian process'),
    which is that of an ``estimate`` where there is noise; ``mixture`` is how much is taken of what the pass changes (none: all of it);
    kriged to its end without the withheld part, it has ``weights``.
    """

    rounds: int
    error: float
    passed: bool = False
    before: float = 0.0
    power: torch.Tensor | None = None
    estimate: bool = False
    mixture: Mixture | None = None
    weights: torch.Tensor | None = None

    def __str__(self) -> str:
        words = f"Fourier-sparse start, {self.rounds} re-weighting{'s' * (self.rounds > 1)}" if self.rounds else "Gaussian-process start"
        if self.estimate:
            words = "start kriged by the spectrum of an estimate"
        return words + ", one pass" * self.passed


Choice = Generator[tuple[torch.Tensor, float], None, tuple[Start, torch.Tensor]]
"""Yields images and their errors at the withheld part; returns the best start and its image without the withheld part."""


class Starts:
    """Every start from one measurement, of which the positions ``withheld`` (Y, X) judge what the others predict."""

    def __init__(
        self, problem: Problem, params: ReconstructionParams, withheld: torch.Tensor, noisy: bool, inpainter: Prior | None, tick: Tick
    ) -> None:
        self.problem, self.withheld, self.visible = problem, withheld, problem.mask - withheld
        self._params, self._noisy, self._inpainter, self._tick = params, noisy, inpainter, tick
        self.prior = self._chosen_prior()

    def choose(self, steps: int, passing: bool) -> Choice:
        """Return the number of re-weightings that is best, one pass through the network included if ``passing``."""
        problem, forced = self.problem, self._params.start == "irls"
        rounds, start, chosen_power = 0, problem.y, None
        for k, (image, power) in enumerate(self._interpolated(self.visible, steps)):
            yield image, self.error(image)
            if k == 0 or (forced and k == 1) or problem.beats(image, start, self.withheld, self.prior.sigma, GAIN, float(self._noisy)):
                rounds, start, chosen_power = k, image, power
            if k == REWEIGHTINGS or k >= rounds + 2 or self._params.start == "gp":
                break
        chosen = Start(rounds, self.error(start), power=chosen_power)
        if not passing:
            return chosen, start
        image = self.passed(start, self.visible, chosen.error)
        worth = GAIN if self._noisy else CAUTION
        if self._params.start != "one-pass" and not problem.beats(image, start, self.withheld, self.prior.sigma, worth, 1.0):
            return chosen, start
        return replace(chosen, error=self.error(image), passed=True, before=chosen.error), image

    def ended(self, begun: Start) -> tuple[Start, torch.Tensor]:
        """Return the start ``begun`` kriged to its end, as the result would be, and what one pass clearly betters."""
        image, weights = self._interpolated_by(begun, self.visible, END_STEPS)
        error = self.error(image)
        begun = replace(begun, error=error, passed=False, weights=weights)
        if self._inpainter is None:
            return begun, image
        passed = self.passed(image, self.visible, error)
        mixture = self.problem.share(passed, image, self.withheld)
        mixed = mixture.of(passed, image)
        if self._params.start != "one-pass" and not self.problem.beats(mixed, image, self.withheld, 0.0, GAIN, 1.0):
            return begun, image
        return replace(begun, error=self.error(mixed), passed=True, before=error, mixture=mixture), mixed

    def follow_lines(self, begun: Start, start: torch.Tensor) -> Choice:
        """Krige by the spectrum of the best estimate, pass that, and begin again with the result, as long as it predicts better."""
        for _ in range(PILOTS):
            power = line_power(start.float(), Grid.of(start.float(), 3 * PAD), self.prior.width)
            image, mixture = self._kriged_by(power, self.visible), None
            before = self.error(image)
            if self._inpainter is not None:
                passed = self.passed(image, self.visible, before)
                mixture = self.problem.share(passed, image, self.withheld)
                image = mixture.of(passed, image)
            error = self.error(image)
            yield image, error
            if not self.problem.beats(image, start, self.withheld, self.prior.sigma, GAIN):
                break
            begun, start = Start(0, error, bool(mixture), before, power, True, mixture), image
        if begun.estimate:
            start = self._put_back(start, self.visible)
            begun = replace(begun, error=self.error(start))
        return begun, start

    def again(self, begun: Start) -> torch.Tensor:
        """Return the start with all measurements, kriged by the spectrum that was judged.

        Re-weighting anew would end elsewhere: up to 7 dB below the start without the withheld part.
        """
        mask = self.problem.mask
        if begun.estimate:
            assert begun.power is not None
            image = self._kriged_by(begun.power, mask)
        else:
            image, _ = self._interpolated_by(begun, mask, END_STEPS if begun.weights is None else MORE_STEPS)
        if begun.passed:
            passed = self.passed(image, mask, begun.before)
            image = passed if begun.mixture is None else begun.mixture.of(passed, image)
        return self._put_back(image, mask) if begun.estimate else image

    def follow_exactly(self, image: torch.Tensor) -> tuple[float | None, torch.Tensor]:
        """Return how cautious `exactly` must be to predict the withheld part best, and what ``image`` becomes; None: it stays as it is.

        The most cautious one of those that are about as good: few withheld measurements lie at a lone vacancy.
        """
        kriged = self._exactly(image, self.visible)
        errors = {caution: self.error(kriged(caution)) for caution in CAUTIONS}
        best = min(errors.values())
        caution = max((c for c, error in errors.items() if error <= AS_GOOD * best), default=0.0)
        improved = kriged(caution)
        sure = self.problem.beats(improved, image, self.withheld, 0.0, GAIN, 1.0)
        return (caution, improved) if sure else (None, image)

    def exactly(self, image: torch.Tensor, caution: float) -> torch.Tensor:
        """Return ``image``, an estimate without noise, kriged by its own spectrum from all measurements, the less where that is off."""
        return self._exactly(image, self.problem.mask)(caution)

    def _exactly(self, image: torch.Tensor, mask: torch.Tensor) -> Callable[[float], torch.Tensor]:
        """Return what ``image`` becomes with this or that caution."""
        inner = self.problem.frame
        # single precision cannot tell sharp lines apart, and thousands of small systems are no work for a graphics card
        estimate, y, seen = (inner(a).cpu().double() for a in (image, self.problem.y, mask))
        kriged, off = kriged_exactly(estimate, y, seen, self.prior.width, self._tick)
        change, missed = torch.zeros_like(image), torch.zeros_like(image)
        inner(change).copy_(kriged - estimate)
        inner(missed).copy_(off)
        return lambda caution: image + change / (1 + caution * missed)

    def error(self, image: torch.Tensor) -> float:
        """Return the RMS error of ``image`` at the withheld part."""
        return self.problem.rms(image, self.withheld)

    def gaussian(self, mask: torch.Tensor) -> torch.Tensor:
        """Return a quick Gaussian process, in single precision."""
        prior = self.prior
        image = gaussian_process(self.problem.y.float(), mask.float(), prior.width, prior.noise, ROUGH_STEPS, self._tick).to(mask)
        return self._with_measured(image, mask)

    def passed(self, start: torch.Tensor, mask: torch.Tensor, error: float) -> torch.Tensor:
        """Pass ``start``, whose error at withheld measurements is ``error``, through the one-pass network."""
        assert self._inpainter is not None
        params, noise = self._params, self.prior.sigma
        sigma = max(error**2 - noise**2, (0.1 * error) ** 2) ** 0.5
        network: DenoiseFunction = self._inpainter
        to_improve = self._noisy and params.solver in PLUG_AND_PLAY  # worth the seven more passes where noise hides the rest
        if (params.averaging == "all" or to_improve) and params.equivariance != "off":
            network = equivariant(network, np.random.default_rng([params.seed, 2]), params.equivariance, lambda _: True)
        inner = self.problem.frame
        seen = informed(inner(start), inner(self.problem.y), inner(mask), noise, sigma)
        image = start.clone()
        inner(image).copy_(network(seen, sigma)[0, 0])
        return self._with_measured(image, mask)

    def _with_measured(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image if self.prior.sigma else torch.where(mask > 0, self.problem.y, image)

    def _interpolated(self, mask: torch.Tensor, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for image, power in fourier_sparse(self.problem.y, mask, self.prior.width, self.prior.noise, steps, self._tick):
            yield self._with_measured(image, mask), power

    def _interpolated_by(self, begun: Start, mask: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        grid, power = Grid.of(self.problem.y, 3 * PAD), begun.power
        if power is None:
            power = gaussian_power(grid, self.prior.width)
        mean = (self.problem.y * mask).sum() / mask.sum()
        weights = kriging_weights(self.problem.y - mean, mask, power, grid, self.prior.noise, steps, self._tick, first=begun.weights)
        return self._with_measured(mean + grid.crop(grid.filter(weights, power)), mask), weights

    def _kriged_by(self, power: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return what the measurements at ``mask`` say, by this spectrum and with the noise that they have."""
        y, seen = self.problem.y.float(), mask.float()
        grid = Grid.of(y, 3 * PAD)
        mean, field = kriged(y, seen, power, grid, self._relative(self.prior.sigma), LINE_STEPS, self._tick, LINE_TOLERANCE)
        return (mean + grid.crop(field)).to(mask)

    def _put_back(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return ``image`` with what the measurements contradict beyond doubt: a vacancy that the spectrum of a lattice has filled.

        The residual, as a smooth Gaussian process, is shrunk by the non-negative garrote (Gao 1998, doi 10.1080/10618600.1998.10474789).
        """
        residual, seen = (self.problem.y - image).float() * mask.float(), mask.float()
        grid = Grid.of(residual)
        power = gaussian_power(grid, self.prior.width)
        change = grid.crop(krige(residual, seen, power, grid, self.prior.sigma / DEFECT, ROUGH_STEPS, self._tick))
        deviation = 1.4826 * self.problem.frame(change).abs().median()
        sure = (1 - (CONTRADICTED * deviation / change.abs().clamp(min=1e-30)) ** 2).clamp(min=0)
        return image + (change * sure).to(image)

    def _relative(self, noise: float) -> float:
        """Return ``noise`` relative to the standard deviation of the field below it."""
        total = float(self.problem.y[self.problem.mask > 0].var())
        return noise / math.sqrt(max(total - noise**2, noise**2))

    def _chosen_prior(self) -> GaussianPrior:
        """Choose the Gaussian process on a window in the middle of the frame."""
        steps = QUICK_STEPS if self._params.solver == "one-pass" else ROUGH_STEPS
        rows, columns = (slice(max(0, (n - WINDOW_PX) // 2), max(0, (n - WINDOW_PX) // 2) + WINDOW_PX) for n in self.problem.y.shape)
        y, seen, hidden = (a[rows, columns] for a in (self.problem.y, self.visible, self.withheld))
        if seen.sum() < FEWEST or not hidden.any():
            y, seen, hidden = self.problem.y, self.visible, self.withheld

        y, seen, hidden = y.float(), seen.float(), hidden.float()

        def errors(width: float, noise: float) -> list[float]:
            image = gaussian_process(y, seen, width, noise, steps, self._tick)
            return [float((((image - y) * where).square().sum() / where.sum()).sqrt()) for where in (seen, hidden)]

        def best(noise: float) -> float:
            return lowest(WIDTHS, lambda width: errors(width, noise)[1])

        if not self._noisy:
            width, ratio = best(EXACT), (WIDTHS[1] / WIDTHS[0]) ** 0.5
            return GaussianPrior(min((width / ratio, width, width * ratio), key=lambda w: errors(w, EXACT)[1]), EXACT, 0.0)
        if known := self._params.noise_std / self.problem.span:
            noise = self._relative(known)
            return GaussianPrior(best(noise), noise, known)
        width = best(0.1)
        noise = lowest(NOISES, lambda n: errors(width, n)[1])
        width = best(noise)
        # what fits some of the noise is nearer to what it has seen than the noise, and as much farther from the rest
        return GaussianPrior(width, noise, math.prod(errors(width, noise)) ** 0.5)
