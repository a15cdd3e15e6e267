"""Training of a denoiser on simulated frames, as a generator of steps that can be stopped and resumed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .denoisers.checkpoint import SUFFIX, Card, Denoiser, read_tensors, save_checkpoint, save_tensors
from .denoisers.networks import SIZES, DRUNet, on_device
from .devices import has_bfloat16, pick_device
from .errors import InputError, SolverError
from .params import SimulationParams, TrainingParams
from .simulation.imaging import simulate
from .simulation.training_scenes import training_batch

WARM_UP = 200
VALIDATION_SIGMAS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)


@dataclass(frozen=True)
class TrainingStep:
    """One step: ``loss`` is the mean of 10·log10(error / noise) in dB over the batch; ``progress`` runs from 0 to 1."""

    index: int
    progress: float
    loss: float
    elapsed_s: float
    saved: bool


@dataclass
class _State:
    """Everything that a resumed training needs to go on as if it had not stopped."""

    network: DRUNet
    average: dict[str, torch.Tensor]
    optimiser: torch.optim.Adam
    step: int = 0
    elapsed_s: float = 0.0

    def tensors(self) -> dict[str, torch.Tensor]:
        named = dict(self.network.named_parameters())
        moments = {f"{m}/{n}": self.optimiser.state[p][m] for n, p in named.items() for m in ("exp_avg", "exp_avg_sq") if self.step}
        return {f"weight/{n}": p for n, p in named.items()} | {f"average/{n}": a for n, a in self.average.items()} | moments

    def restore(self, tensors: Mapping[str, torch.Tensor], step: int, elapsed_s: float) -> None:
        for n, p in self.network.named_parameters():
            p.data.copy_(tensors[f"weight/{n}"])
            self.average[n].copy_(tensors[f"average/{n}"])
            if step:
                moments = {m: tensors[f"{m}/{n}"].to(p.device).contiguous(memory_format=_format(p)) for m in ("exp_avg", "exp_avg_sq")}
                self.optimiser.state[p] = {"step": torch.tensor(float(step)), **moments}
        self.step, self.elapsed_s = step, elapsed_s


def _format(p: torch.Tensor) -> torch.memory_format:
    return torch.channels_last if p.dim() == 4 else torch.contiguous_format


def train(params: TrainingParams, out: Path, command: str = "") -> Generator[TrainingStep, None, None]:
    """Train, yielding every step; write the checkpoint to ``out`` and what a resume needs beside it.

    Called again with the same parameters and ``out``, it goes on where it stopped. Whenever the generator is closed or
    interrupted, the last state is written first; both files are whole at any moment.

    The loss is the mean over the batch of the log of the mean squared error, so that every noise level counts alike,
    whatever error it can reach; sigma is drawn log-uniformly.

    Raises
    ------
    InputError
        If ``out`` is no ``.safetensors`` file, or a training with other parameters lies there.
    SolverError
        If the loss stops being a number.
    """
    out = Path(out)
    if out.suffix != SUFFIX or not out.parent.is_dir():
        raise InputError(f"The checkpoint must be a {SUFFIX} file in a folder that exists, but {out} was asked for.")
    device = pick_device(params.device)
    half = params.precision == "bfloat16" or (params.precision == "auto" and has_bfloat16(device))
    state = _start(params, device)
    beside = out.with_suffix(".state" + SUFFIX)
    if beside.exists():
        _resume(state, beside, params)
    started = time.monotonic() - state.elapsed_s
    last_save = time.monotonic()
    saved_at = state.step
    try:
        while (progress := _progress(params, state.step, time.monotonic() - started)) < 1:
            loss = _step(state, params, progress, device, half)
            state.elapsed_s = time.monotonic() - started
            saved = time.monotonic() - last_save > params.save_every_s
            if saved:
                save_checkpoint(out, state.average, _card(params, state, out, command, {}))
                _save(state, params, beside)
                last_save, saved_at = time.monotonic(), state.step
            yield TrainingStep(state.step, progress, loss, state.elapsed_s, saved)
    finally:
        if saved_at != state.step or not beside.exists():
            save_checkpoint(out, state.average, _card(params, state, out, command, {}))
            _save(state, params, beside)
    gains = validate(_denoiser(state, params, device))
    save_checkpoint(out, state.average, _card(params, state, out, command, gains))


def _start(params: TrainingParams, device: torch.device) -> _State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        network = on_device(DRUNet(**SIZES[params.size]), device)
    average = {n: p.detach().clone() for n, p in network.named_parameters()}
    return _State(network, average, torch.optim.Adam(network.parameters(), params.learning_rate))


def _progress(params: TrainingParams, step: int, elapsed_s: float) -> float:
    return elapsed_s / (60 * params.minutes) if params.minutes else step / params.steps


def _step(state: _State, params: TrainingParams, progress: float, device: torch.device, half: bool) -> float:
    rng = np.random.default_rng([params.seed, state.step])  # a resumed step draws what it would have drawn
    clean = training_batch(params.batch, params.patch_px, rng, str(device))  # (B, 1, P, P)
    sigma = np.exp(rng.uniform(math.log(params.sigma_min), math.log(params.sigma_max), params.batch))
    s = torch.as_tensor(sigma, dtype=torch.float32, device=device)
    scale = s.view(-1, 1, 1, 1)
    noisy = clean + scale * torch.as_tensor(rng.standard_normal(clean.shape), dtype=torch.float32, device=device)
    for group in state.optimiser.param_groups:
        group["lr"] = params.learning_rate * min(1.0, (state.step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-7
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        restored = state.network(noisy, s)
    error = ((restored.float() - clean) / scale).square().mean((1, 2, 3))  # (B,), 1 = nothing removed
    loss = (error + 1e-6).log().mean()
    value = float(loss.detach()) * 10 / math.log(10)
    if not math.isfinite(value):
        raise SolverError(f"Training diverged at step {state.step}: the loss is not a number; lower the learning rate.")
    state.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimiser.step()
    state.step += 1
    decay = min(params.ema_decay, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for n, p in state.network.named_parameters():
            state.average[n].lerp_(p, 1 - decay)
    return value


def _save(state: _State, params: TrainingParams, path: Path) -> None:
    facts = {"step": state.step, "elapsed_s": state.elapsed_s, "params": params.model_dump(mode="json")}
    save_tensors(path, state.tensors(), {"state": json.dumps(facts)})


def _resume(state: _State, path: Path, params: TrainingParams) -> None:
    tensors, metadata = read_tensors(path)
    try:
        facts = json.loads(metadata["state"])
        before = TrainingParams.model_validate(facts["params"])
        same = before.model_copy(update={"save_every_s": params.save_every_s, "device": params.device})
        if same != params:
            changed = [f for f in TrainingParams.model_fields if getattr(same, f) != getattr(params, f)]
            raise InputError(
                f"{path.name} holds a training with other {', '.join(changed)}; repeat its parameters to resume it, "
                "or choose another file, or delete it to start afresh."
            )
        state.restore(tensors, int(facts["step"]), float(facts["elapsed_s"]))
    except (KeyError, ValueError) as error:
        raise InputError(f"{path.name} is not a training state of this program; delete it to start afresh.") from error


def _card(params: TrainingParams, state: _State, out: Path, command: str, gains: dict[str, float]) -> Card:
    from . import __version__

    return Card(
        name=out.stem,
        description=f"DRUNet ({params.size}) for atomic-resolution STEM, clean to noisy, perfect and defective crystals.",
        architecture="drunet",
        config=state.network.config,
        sigma_range=(params.sigma_min, params.sigma_max),
        pixel_size_range_nm=(0.008, 0.045),
        training_command=command,
        training_data="Simulated frames of random lattices with defects, edges, boundaries and strain; SrTiO3 and Si excluded.",
        training={**params.model_dump(mode="json"), "steps_done": state.step, "elapsed_s": round(state.elapsed_s, 1)},
        psnr_gain_db=gains,
        version=__version__,
    )


def _denoiser(state: _State, params: TrainingParams, device: torch.device) -> Denoiser:
    network = DRUNet(**SIZES[params.size])
    network.load_state_dict(state.average)
    return Denoiser(network, _card(params, state, Path("validation"), "", {}), "", device)


def validate(denoiser: Denoiser) -> dict[str, float]:
    """Return the mean gain in PSNR (dB) over the noisy input by noise level, on defective SrTiO3 and Si that training never saw."""
    frames = []
    for crystal in ("SrTiO3", "Si"):
        for pixel in (0.01, 0.015, 0.02, 0.03):
            p = SimulationParams(
                crystal=crystal, shape=(128, 128), pixel_size_nm=pixel, vacancies=0.05, intensity_scatter=0.15, displacement_nm=0.005
            )
            image = torch.as_tensor(simulate(p).image)
            frames.append(image / image.max())
    clean = torch.stack(frames)[:, None]  # (8, 1, Y, X)
    noise = torch.as_tensor(np.random.default_rng(0).standard_normal(clean.shape), dtype=torch.float32)
    gains = {}
    for sigma in VALIDATION_SIGMAS:
        error = (denoiser(clean + sigma * noise, sigma) - clean).square().mean((1, 2, 3)).sqrt()
        gains[f"{sigma:g}"] = round(float((20 * torch.log10(sigma / error)).mean()), 2)
    return gains
