"""Training of a denoiser or a one-pass network, on simulated frames and the user's own: a generator of steps that can be resumed."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from .denoisers.cards import SUFFIX, Card
from .denoisers.checkpoint import Denoiser, load_checkpoint, read_tensors, save_checkpoint, save_tensors
from .denoisers.networks import NETWORKS, build_network, on_device
from .denoisers.registry import find_trainable
from .devices import has_bfloat16, pick_device
from .errors import InputError, SolverError
from .optimiser import MuonAdam
from .params import TrainingParams
from .simulation.training_scenes import HELD_OUT
from .solvers.one_pass import GUIDES
from .training_data import Batch, Stream, TrainingFrame, training_frames
from .training_measurements import MeasurementStream
from .validation import VALIDATIONS, Sample, validation_frames

WARM_UP = 50


@dataclass(frozen=True)
class TrainingStep:
    """One step: ``loss`` is the mean of 10·log10(error left / error seen) in dB over the batch; ``progress`` runs from 0 to 1.

    ``data_share`` is the part of the time so far that went into making data, ``patches_per_s`` the throughput. Now and then
    ``psnr_gain_db`` holds a validation, by noise level or by ratio, and ``sample`` one of its images; ``best`` says
    whether it is the best so far.
    """

    index: int
    progress: float
    loss: float
    elapsed_s: float
    patches_per_s: float
    data_share: float
    psnr_gain_db: Mapping[str, float] = field(default_factory=dict)
    sample: Sample | None = None
    best: bool = False


@dataclass
class _State:
    """Everything that a resumed training needs to go on as if it had not stopped."""

    network: nn.Module
    average: dict[str, torch.Tensor]
    optimiser: MuonAdam
    step: int = 0
    elapsed_s: float = 0.0
    data_s: float = 0.0
    best: dict[str, float] = field(default_factory=dict)

    def tensors(self) -> dict[str, torch.Tensor]:
        weights = {f"weight/{n}": p for n, p in self.network.named_parameters()}
        return weights | {f"average/{n}": a for n, a in self.average.items()} | self.optimiser.tensors()

    def restore(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, object]) -> None:
        for name in ("step", "elapsed_s", "data_s", "best"):
            setattr(self, name, type(getattr(self, name))(facts[name]))
        for n, p in self.network.named_parameters():
            p.data.copy_(tensors[f"weight/{n}"])
            self.average[n].copy_(tensors[f"average/{n}"])
        self.optimiser.restore(tensors, self.step)


def train(params: TrainingParams, out: Path) -> Generator[TrainingStep, None, None]:
    """Train, yielding every step; write the checkpoint to ``out`` and what a resume needs beside it.

    Called again with the same parameters and ``out``, it goes on where it stopped. Whenever the generator is closed or
    interrupted, the last state is written first; both files are whole at any moment. ``out`` holds the averaged weights of the best
    validation so far, or the newest ones before the first.

    The loss is the mean over the batch of the log of the mean squared error, so that every noise level counts alike,
    whatever error it can reach; sigma is drawn log-uniformly.

    Raises
    ------
    InputError
        If ``out`` is no ``.safetensors`` file, a training with other parameters lies there, or the frames cannot be trained on.
    CheckpointError
        If the checkpoint to start from cannot be used.
    SolverError
        If the loss stops being a number.
    """
    out = Path(out)
    if out.suffix != SUFFIX or not out.parent.is_dir():
        raise InputError(f"The checkpoint must be a {SUFFIX} file in a folder that exists, but {out} was asked for.")
    yield from _Training(params, out).steps()


def _command(params: TrainingParams, out: Path) -> str:
    """Return the command line that trains the same."""
    given = params.model_dump(exclude_defaults=True)
    flags = [word for name, value in given.items() for word in ("--" + name.replace("_", "-"), str(value))]
    return shlex.join(["stem-inpaint", "train", *flags, "--out", out.name])


class _Training:
    """One training: what stays the same from its first step to its last."""

    def __init__(self, params: TrainingParams, out: Path) -> None:
        self.params, self.out = params, out
        self.device = pick_device(params.device)
        self.half = params.precision == "bfloat16" or (params.precision == "auto" and has_bfloat16(self.device))
        self.frames: list[TrainingFrame] = training_frames(params.frames, params.patch_px) if params.frames else []
        self.before: Card | None = None
        self.state = self._start()
        self.beside = out.with_suffix(".state" + SUFFIX)
        if self.beside.exists():
            self._resume()
        self.compiled = torch.compile(self.state.network) if self.device.type == "cuda" else self.state.network

    def steps(self) -> Generator[TrainingStep, None, None]:
        state, p = self.state, self.params
        stream = (MeasurementStream if p.task == "inpaint" else Stream)(p, self.device, self.frames, state.step)
        validation = VALIDATIONS[p.task](validation_frames()[::3])
        started = time.monotonic() - state.elapsed_s
        saved_at, last_save = -1, time.monotonic()
        try:
            while (progress := self._progress(time.monotonic() - started)) < 1:
                began = time.monotonic()
                batch = stream.batch(state.step)
                state.data_s += time.monotonic() - began
                loss = self._step(batch, progress)
                state.elapsed_s = time.monotonic() - started
                gains: dict[str, float] = {}
                sample, best = None, False
                if state.step % p.validate_every == 0:
                    denoiser = self._denoiser()
                    gains, sample = validation.gains(denoiser), validation.sample(denoiser)
                    best = self._keep(gains)
                elif time.monotonic() - last_save > p.save_every_s:
                    self._save()
                    saved_at, last_save = state.step, time.monotonic()
                rate = state.step * p.batch / max(state.elapsed_s, 1e-9)
                yield TrainingStep(
                    state.step, progress, loss, state.elapsed_s, rate, state.data_s / max(state.elapsed_s, 1e-9), gains, sample, best
                )
        finally:
            if saved_at != state.step or not self.beside.exists():
                self._save()
        self._keep(validation.gains(self._denoiser()))
        self._save()
        self._write_final_card()

    def _start(self) -> _State:
        p = self.params
        if p.start_from:
            before = load_checkpoint(find_trainable(p.start_from), self.device)
            if before.card.task != p.task:
                raise InputError(
                    f"{before.card.name} was trained to {before.card.task}, so it cannot be trained further to {p.task}; choose another."
                )
            self.before, network = before.card, before.network.train().requires_grad_(True)
            self.architecture, self.config = before.card.architecture, before.card.config
        else:
            self.architecture, self.config = NETWORKS[p.network]
            if p.task == "inpaint":
                self.config = self.config | {"guides": GUIDES}
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(p.seed)
                network = on_device(build_network(self.architecture, self.config), self.device)
        average = {n: q.detach().clone() for n, q in network.named_parameters()}
        return _State(network, average, MuonAdam(network, p.learning_rate))

    def _progress(self, elapsed_s: float) -> float:
        p = self.params
        return elapsed_s / (60 * p.minutes) if p.minutes else self.state.step / p.steps

    def _step(self, batch: Batch, progress: float) -> float:
        state, p = self.state, self.params
        rate = p.learning_rate * min(1.0, (state.step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-7
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            restored = self.compiled(batch.seen, batch.sigma)
        squares = ((restored.float() - batch.target) / batch.sigma.view(-1, 1, 1, 1)).square() * batch.counts
        errors = squares.sum((1, 2, 3)) / batch.counts.sum((1, 2, 3)).clamp(min=1) - batch.known  # (B,)
        losses = torch.where(batch.known > 0, errors / errors.detach().clamp(min=0.02), (errors + 1e-6).clamp(min=1e-9).log())
        value = float(errors.detach().clamp(min=1e-6).log10().mean()) * 10
        if not math.isfinite(value):
            raise SolverError(f"Training diverged at step {state.step}: the loss is not a number; lower the learning rate.")
        torch.autograd.backward(losses.mean())
        nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
        state.optimiser.step(rate)
        state.step += 1
        decay = min(p.ema_decay, (1 + state.step) / (10 + state.step))
        with torch.no_grad():
            for n, q in state.network.named_parameters():
                state.average[n].lerp_(q, 1 - decay)
        return value

    # --- validation, and what is kept

    def _denoiser(self) -> Denoiser:
        network = build_network(self.architecture, self.config)
        network.load_state_dict(self.state.average)
        return Denoiser(network, self._card({}), "", self.device)

    def _keep(self, gains: dict[str, float]) -> bool:
        """Write the checkpoint where ``gains`` are the best so far."""
        best = not self.state.best or sum(gains.values()) > sum(self.state.best.values())
        if best:
            self.state.best = gains
            save_checkpoint(self.out, self.state.average, self._card(gains))
        return best

    def _save(self) -> None:
        """Write the state, and the checkpoint where no validation has chosen one yet."""
        state = self.state
        if not state.best:
            save_checkpoint(self.out, state.average, self._card({}))
        facts = {name: getattr(state, name) for name in ("step", "elapsed_s", "data_s", "best")}
        save_tensors(self.beside, state.tensors(), {"state": json.dumps(facts | {"params": self.params.model_dump(mode="json")})})

    def _resume(self) -> None:
        tensors, metadata = read_tensors(self.beside)
        try:
            facts = json.loads(metadata["state"])
            before = TrainingParams.model_validate(facts["params"])
            same = before.model_copy(update={n: getattr(self.params, n) for n in ("save_every_s", "device", "workers")})
            if same != self.params:
                changed = [f for f in TrainingParams.model_fields if getattr(same, f) != getattr(self.params, f)]
                raise InputError(
                    f"{self.beside.name} holds a training with other {', '.join(changed)}; repeat its parameters to resume it, "
                    "or choose another file, or delete it to start afresh."
                )
            self.state.restore(tensors, facts)
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{self.beside.name} is not a training state of this program; delete it to start afresh.") from error

    def _write_final_card(self) -> None:
        """Validate what was kept on the whole set, and say so in its card."""
        kept = load_checkpoint(self.out, self.device)
        gains = VALIDATIONS[self.params.task](validation_frames()).gains(kept)
        save_checkpoint(self.out, kept.network.state_dict(), kept.card.model_copy(update={"psnr_gain_db": gains}))

    def _card(self, gains: Mapping[str, float]) -> Card:
        from . import __version__

        p, state = self.params, self.state
        data = f"Simulated frames of random lattices with defects, boundaries, films and scan distortion; {', '.join(HELD_OUT)} excluded"
        if self.frames:
            data += f"; {p.frames_share:.0%} of the patches from {len(self.frames)} frames of the user's own"
        if self.before:
            data += f"; started from {self.before.name} ({self.before.training_data.rstrip('.')})"
        return Card(
            name=self.out.stem,
            description=f"{p.network if not self.before else self.before.name + ', trained further,'} for atomic-resolution STEM frames.",
            task=p.task,
            architecture=self.architecture,
            config=self.config,
            sigma_range=(p.sigma_min, p.sigma_max),
            pixel_size_range_nm=(0.008, 0.045),
            training_command=_command(self.params, self.out),
            training_data=data + ".",
            training={**p.model_dump(mode="json"), "steps_done": state.step, "elapsed_s": round(state.elapsed_s, 1)},
            psnr_gain_db=dict(gains),
            version=__version__,
        )
