"""How much time a reconstruction may take, as ready-made parameters."""

from __future__ import annotations

from .params import ReconstructionParams

OWN = ("checkpoint", "inpainter", "noise", "noise_std", "withheld", "seed", "device")  # say what there is, not how long to take

ABOUT = "Fast: about a second; balanced: some; best: eight times as long. Sets solver and details, not networks and noise."
QUALITIES: dict[str, ReconstructionParams] = {
    "Fast": ReconstructionParams(solver="one-pass"),
    "Balanced": ReconstructionParams(),
    "Best": ReconstructionParams(averaging="all"),
}


def with_own(quality: ReconstructionParams, now: ReconstructionParams) -> ReconstructionParams:
    """Return ``quality`` with what ``now`` says of data, networks and machine."""
    return quality.model_copy(update={name: getattr(now, name) for name in OWN})
