"""Sparse patches of a dictionary that is fitted on the frame's own measured pixels, for comparison."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from .spectral import Tick

PATCH_PX, STRIDE_PX = 12, 2
SIZE = 128  # of the dictionary
ROUNDS = 10  # of coding and fitting
FITTED = 5000  # patches that it is fitted on
ATOMS, MOST_ATOMS = 4, 12  # per patch: while it is fitted; in the end, at most
RIDGE = 1e-4  # keeps the coefficients of atoms that the measured pixels hardly tell apart bounded
BLOCK = 4096  # patches coded at once


def dictionary(start: torch.Tensor, y: torch.Tensor, mask: torch.Tensor, noise: float, tick: Tick) -> Iterator[torch.Tensor]:
    """Yield the images (Y, X) whose patches consist of 1 to ``MOST_ATOMS`` atoms.

    As K-SVD for incomplete data (Mairal, Elad and Sapiro 2008, doi 10.1109/TIP.2007.911828): orthogonal matching pursuit on the measured
    pixels of each patch; the atoms, at first patches of ``start``, are fitted to the measured pixels of all patches, pixel by pixel.
    Overlapping patches are averaged.
    """
    mean = (y * mask).sum() / mask.sum()
    values, seen = _patches((y - mean) * mask), _patches(mask)
    enough = torch.nonzero(seen.sum(1) >= 2 * ATOMS)[:, 0]
    if not len(enough):
        enough = torch.nonzero(seen.sum(1))[:, 0]
    order = torch.randperm(len(enough), generator=torch.Generator().manual_seed(0)).to(enough.device)
    chosen = enough[order[:FITTED]]
    atoms = _patches(start - mean)[chosen[: SIZE - 1]]
    atoms = _of_unit_norm(torch.cat([torch.ones_like(atoms[:1]), atoms]))
    for _ in range(ROUNDS):
        *_, codes = _pursuit(values[chosen], seen[chosen], atoms, ATOMS, tick)
        atoms = _fitted(atoms, codes, values[chosen], seen[chosen], tick)
    restored = torch.empty(MOST_ATOMS, *values.shape, device=y.device)
    for first in range(0, len(values), BLOCK):
        part = slice(first, first + BLOCK)
        for k, codes in enumerate(_pursuit(values[part], seen[part], atoms, MOST_ATOMS, tick)):
            restored[k, part] = codes @ atoms
    for patches in restored:
        image = mean + _mean_image(patches, y.shape).to(y)
        yield image if noise else torch.where(mask > 0, y, image)


def _patches(image: torch.Tensor) -> torch.Tensor:
    """Return all patches of ``image`` (Y, X) as rows (N, P²), float32."""
    return F.unfold(image.float()[None, None], PATCH_PX, stride=STRIDE_PX)[0].T.contiguous()


def _mean_image(patches: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Lay ``patches`` (N, P²) where they belong, and average where they overlap."""
    both = torch.stack([patches, torch.ones_like(patches)]).transpose(1, 2)  # (2, P², N)
    total, count = F.fold(both, (shape[0], shape[1]), PATCH_PX, stride=STRIDE_PX)[:, 0]
    image: torch.Tensor = total / count.clamp(min=1)
    return image


def _pursuit(values: torch.Tensor, seen: torch.Tensor, atoms: torch.Tensor, most: int, tick: Tick) -> Iterator[torch.Tensor]:
    """Yield the coefficients (N, K) of 1, 2, … atoms per patch, by orthogonal matching pursuit on what is ``seen`` (N, P²)."""
    norms = (seen @ atoms.T.square()).clamp(min=1e-3).sqrt()  # of the visible part of each atom
    used = torch.empty(len(values), 0, dtype=torch.long, device=values.device)
    residual = values
    for _ in range(most):
        tick()
        worth = ((residual @ atoms.T) / norms).abs().scatter(1, used, -1.0)
        used = torch.cat([used, worth.argmax(1, keepdim=True)], 1)
        visible = atoms[used] * seen[:, None]  # (N, s, P²)
        gram = visible @ visible.mT + RIDGE * torch.eye(used.shape[1], device=values.device)
        coefficients = torch.linalg.solve(gram, visible @ values[..., None])[..., 0]
        residual = values - (coefficients[:, None] @ visible)[:, 0]
        yield torch.zeros_like(norms).scatter(1, used, coefficients)


def _fitted(atoms: torch.Tensor, codes: torch.Tensor, values: torch.Tensor, seen: torch.Tensor, tick: Tick) -> torch.Tensor:
    """Return atoms (K, P²) that explain the visible pixels of all patches best with these ``codes`` (N, K); unused ones stay."""
    new = torch.empty_like(atoms)
    ridge = RIDGE * codes.square().sum(0).mean() * torch.eye(len(atoms), device=atoms.device)
    for pixel in range(atoms.shape[1]):
        tick()
        rows = seen[:, pixel] > 0
        a = codes[rows]
        new[:, pixel] = atoms[:, pixel] + torch.linalg.solve(a.T @ a + ridge, a.T @ (values[rows, pixel] - a @ atoms[:, pixel]))
    return _of_unit_norm(new)


def _of_unit_norm(atoms: torch.Tensor) -> torch.Tensor:
    unit: torch.Tensor = atoms / atoms.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return unit
