"""What the Train widget lets a thread do, and what a training that was stopped has left. No Qt, no napari."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from ..errors import SolverError, is_out_of_memory
from ..params import TrainingParams
from .jobs import Tick, gpu_freed, loading

if TYPE_CHECKING:
    from ..training import TrainingStep


@dataclass(frozen=True)
class Trained:
    """Where the checkpoint of a training lies, its last step of this run if there was one, and whether it was stopped before its end."""

    out: Path
    last: TrainingStep | None
    stopped: bool


def training(
    params: TrainingParams, out: Path, tick: Tick, stopped: Callable[[], bool]
) -> Generator[str | tuple[TrainingStep], None, Trained]:
    """Yield the steps, until the end or until ``stopped()``; the state is saved in any case."""
    yield from loading()
    from ..training import train

    tick()
    last = None
    if stopped():
        return Trained(out, last, True)
    yield "Making the first training images…"
    try:
        with gpu_freed(), closing(train(params, out)) as steps:
            for last in steps:
                yield (last,)
                tick()
                if stopped():
                    return Trained(out, last, True)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise SolverError("Not enough memory to train like this: lower batch or patch, or choose a smaller network.") from error
    return Trained(out, last, False)


@dataclass(frozen=True)
class StoppedTraining:
    """What the state beside a checkpoint says; no parameters where it cannot be read."""

    params: TrainingParams | None = None
    step: int = 0
    elapsed_s: float = 0.0
    best: Mapping[str, float] = field(default_factory=dict)

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to 1."""
        if self.params is None:
            return 0.0
        return min(1.0, self.elapsed_s / (60 * self.params.minutes) if self.params.minutes else self.step / self.params.steps)


def state_file(out: Path) -> Path:
    """Return where the training into ``out`` keeps what a resume needs."""
    return out.with_suffix(".state" + out.suffix)


def stopped_training(out: Path) -> StoppedTraining | None:
    """Return what lies there to be resumed, without loading PyTorch; None where nothing does."""
    file = state_file(out)
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="np") as opened:
            facts = json.loads(opened.metadata()["state"])
        return StoppedTraining(TrainingParams.model_validate(facts["params"]), facts["step"], facts["elapsed_s"], facts["best"])
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return StoppedTraining()
