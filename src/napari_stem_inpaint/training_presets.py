"""Ready-made trainings: how long, which network, and from what to start."""

from __future__ import annotations

from .params import ReconstructionParams, TrainingParams

SHIPPED = str(ReconstructionParams.model_fields["checkpoint"].default)
OWN = ("frames", "device", "workers")  # fields that say what the user has, which no preset can know

ON_MY_FRAMES = "Fine-tune: 20 minutes, on my frames"
PRESETS: dict[str, TrainingParams] = {
    "Try it: 5 minutes": TrainingParams(minutes=5, patch_px=64, validate_every=100),
    "Small: an hour": TrainingParams(minutes=60),
    "Base: overnight": TrainingParams(network="drunet-base", minutes=600),
    ON_MY_FRAMES: TrainingParams(start_from=SHIPPED, learning_rate=5e-4, minutes=20, validate_every=200),
}
