"""A measurement as the solvers see it: between 0 and 1, in double precision on the device, with a margin around."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InputError
from ..frames import FloatImage, Measurement

EXACT = 1e-3  # relative error that stands for none; as noise it keeps the conjugate gradients bounded
APART = (0.5, 0.9, 0.98)  # quantiles of how far apart two images are, between which shares are told
FEW = 16  # positions, at least, that tell one
BORDER_PX = 4  # as wide as has shares of its own
MARGIN_PX = 24  # reconstructed beyond the frame and cut off: what the frame's edge cuts through is completed, not mirrored


@dataclass(frozen=True)
class Shares:
    """What is taken of a change at the positions ``where`` (Y, X): ``shares``, 0 to 1, by the change's size, between ``edges``."""

    where: torch.Tensor
    edges: torch.Tensor
    shares: torch.Tensor


@dataclass(frozen=True)
class Mixture:
    """How much of the way from one image to another is gone; ``zones`` cover the frame."""

    zones: tuple[Shares, ...]

    def of(self, new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
        """Return the mixture of both images."""
        change = new - old
        share = torch.zeros_like(change)
        for zone in self.zones:
            share = torch.where(zone.where, zone.shares[torch.bucketize(change.abs(), zone.edges)], share)
        return old + share * change

    def __bool__(self) -> bool:
        """Whether any of it is gone."""
        return any(bool(zone.shares.any()) for zone in self.zones)

    def __str__(self) -> str:
        low, high = (float(f(torch.cat([zone.shares for zone in self.zones]))) for f in (torch.min, torch.max))
        return f"{low:.0%}" if low == high else f"{low:.0%} to {high:.0%}"


@dataclass(frozen=True)
class Problem:
    """The measurement scaled to [0, 1]: ``y`` and ``mask`` (Y, X) with a margin, mask 1 = measured; and how to scale back."""

    y: torch.Tensor
    mask: torch.Tensor
    low: float
    span: float

    def beats(self, new: torch.Tensor, old: torch.Tensor, where: torch.Tensor, noise: float, share: float, sure: float = 0.0) -> bool:
        """Whether ``new`` predicts the positions ``where`` better than ``old``.

        By a ``share`` of the error beyond the ``noise``, and by ``sure`` standard errors of the comparison; where that is asked, it is
        enough that it be true of all but the position that changes most. So a single position, far off in a gap at the border, neither
        decides nor hides what all the others say.
        """
        there = where > 0
        before, after = ((image - self.y)[there].square() for image in (old, new))
        if _lower(after, before, noise, share, sure):
            return True
        others = torch.arange(len(before), device=before.device) != (before - after).abs().argmax()
        return sure > 0 and bool(after.mean() < before.mean()) and _lower(after[others], before[others], noise, share, sure)

    def share(self, new: torch.Tensor, old: torch.Tensor, where: torch.Tensor) -> Mixture:
        """Return the one share of the way from ``old`` to ``new`` that predicts the positions ``where`` best."""
        share = _share((new - old) * where, self.y - old)
        return Mixture((Shares(torch.ones_like(where, dtype=torch.bool), where.new_empty(0), where.new_tensor([share])),))

    def mixture(self, new: torch.Tensor, old: torch.Tensor, where: torch.Tensor) -> Mixture:
        """Return how ``new`` and ``old``, without noise, together predict the positions ``where`` best.

        The farther apart both are, the more of ``new``: the errors of ``old`` are large in a few gaps. Beyond all that is seen at
        ``where``, ``new`` alone where it is exact there. The frame's border, where both err most, has shares of its own.
        """
        beyond = 1.0 if self.rms(new, where) < EXACT else 0.0
        inside = torch.zeros_like(where, dtype=torch.bool)
        self.frame(inside)[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
        zones: tuple[torch.Tensor, ...] = (inside, ~inside)
        if any(int((where * zone).sum()) < FEW for zone in zones):
            zones = (torch.ones_like(inside),)
        return Mixture(tuple(self._shares(new - old, self.y - old, zone, (where > 0) & zone, beyond) for zone in zones))

    def _shares(self, change: torch.Tensor, wanted: torch.Tensor, zone: torch.Tensor, there: torch.Tensor, beyond: float) -> Shares:
        change, wanted = change[there], wanted[there]
        apart = change.abs()
        quantiles = [q for q in APART if (1 - q) * apart.numel() >= FEW]
        edges = torch.quantile(apart, apart.new_tensor([*quantiles, 1.0]))
        group = torch.bucketize(apart, edges[:-1])
        shares = [_share(change[group == k], wanted[group == k]) for k in range(len(edges))]
        return Shares(zone, edges, change.new_tensor([*shares, beyond]).cummax(0).values)

    def rms(self, image: torch.Tensor, where: torch.Tensor) -> float:
        """RMS difference to the measurement at the positions ``where``."""
        return float((((image - self.y) * where).square().sum() / where.sum()).sqrt())

    def unscale(self, image: torch.Tensor) -> FloatImage:
        """Return a CPU float32 image in the input's units, with memory of its own."""
        return (self.frame(image).cpu().double().numpy() * self.span + self.low).astype(np.float32)

    @staticmethod
    def frame(image: torch.Tensor) -> torch.Tensor:
        """Cut off the margin."""
        return image[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def _share(change: torch.Tensor, wanted: torch.Tensor) -> float:
    return min(1.0, max(0.0, float((change * wanted).sum() / change.square().sum().clamp(min=1e-30))))


def _lower(after: torch.Tensor, before: torch.Tensor, noise: float, share: float, sure: float) -> bool:
    gains = before - after
    uncertain = float(gains.std()) / math.sqrt(gains.numel()) if gains.numel() > 1 else 0.0
    return gains.numel() > 0 and float(gains.mean()) > share * max(0.0, float(before.mean()) - noise**2) + sure * uncertain


def scaled(measurement: Measurement, device: torch.device) -> Problem:
    """Return ``measurement`` on ``device``.

    Raises
    ------
    InputError
        If all measured values are equal.
    """
    known = measurement.values[measurement.mask].astype(np.float64)
    low, high = np.percentile(known, (0.1, 99.9))
    if not high > low:
        low, high = known.min(), known.max()
    if not high > low:
        raise InputError(
            f"All {known.size} measured values are equal ({known[0]:g}), so there is nothing to reconstruct; check image and mask."
        )
    dtype = torch.float32 if device.type == "mps" else torch.float64
    mask = with_margin(torch.as_tensor(measurement.mask).to(device, dtype))
    y = with_margin(torch.as_tensor((measurement.values.astype(np.float64) - low) / (high - low)).to(device, dtype)) * mask
    return Problem(y, mask, float(low), float(high - low))


def with_margin(image: torch.Tensor) -> torch.Tensor:
    """Return ``image`` (Y, X) with zeros around it."""
    return torch.nn.functional.pad(image, (MARGIN_PX,) * 4)


def withhold(mask: torch.Tensor, fraction: float, rng: np.random.Generator) -> torch.Tensor:
    """Return a mask (Y, X) of a random part of the measured positions."""
    where = np.flatnonzero(mask.cpu().numpy())
    chosen = rng.choice(where, max(1, round(fraction * where.size)), replace=False)
    out = torch.zeros_like(mask).view(-1)
    out[torch.as_tensor(chosen, device=mask.device)] = 1
    return out.view(mask.shape)
