"""The optimiser of the training: Muon for the convolutions inside a network, Adam for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from torch import nn
from torch.optim import Adam, Muon, Optimizer

EDGES = ("contrast", "head", "tail")  # a network's first and last layers


class MuonAdam:
    """Muon (Jordan et al. 2024; step size matched to Adam's as in Liu et al. 2025, arXiv 2502.16982) beside Adam.

    A convolution is the matrix (outputs, inputs · height · width); its weights lie with channels last, so that the matrix is a view.
    """

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        named = dict(network.named_parameters())
        self.inner = {n: p for n, p in named.items() if p.dim() == 4 and min(p.shape[:2]) > 1 and not n.startswith(EDGES)}
        self.outer = {n: p for n, p in named.items() if n not in self.inner}
        self.matrices = {n: nn.Parameter(_matrix(p.data)) for n, p in self.inner.items()}
        self.adam = Adam(self.outer.values(), learning_rate)
        self.optimisers: list[Optimizer] = [self.adam]
        if self.matrices:
            self.muon = Muon(self.matrices.values(), learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
            self.optimisers.append(self.muon)

    def step(self, learning_rate: float) -> None:
        """Move the weights along their gradients, and forget these."""
        for name, matrix in self.matrices.items():
            gradient = self.inner[name].grad
            matrix.grad = None if gradient is None else _matrix(gradient)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate
            optimiser.step()
        for p in chain(self.inner.values(), self.outer.values()):
            p.grad = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what a resume needs, by the weights' names; nothing before the first step."""
        kept = {f"{m}/{n}": t for n, p in self.outer.items() for m, t in self.adam.state[p].items() if m != "step"}
        if self.matrices:
            kept |= {f"{m}/{n}": t for n, p in self.matrices.items() for m, t in self.muon.state[p].items()}
        return kept

    def restore(self, tensors: Mapping[str, torch.Tensor], step: int) -> None:
        """Take back what ``tensors`` gave after ``step`` steps."""
        if not step:
            return
        for n, p in self.outer.items():
            moments = {m: _as_stored(tensors[f"{m}/{n}"], p) for m in ("exp_avg", "exp_avg_sq")}
            self.adam.state[p] = {"step": torch.tensor(float(step)), **moments}
        for n, matrix in self.matrices.items():
            self.muon.state[matrix] = {"momentum_buffer": tensors[f"momentum_buffer/{n}"].to(matrix.device)}


def _matrix(weights: torch.Tensor) -> torch.Tensor:
    return weights.permute(0, 2, 3, 1).flatten(1)


def _as_stored(moment: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    form = torch.channels_last if p.dim() == 4 else torch.contiguous_format
    return moment.to(p.device).contiguous(memory_format=form)
