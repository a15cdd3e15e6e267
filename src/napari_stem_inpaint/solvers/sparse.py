"""Sparsity without training, for comparison: total variation, wavelets, cosines, and patches of a dictionary.

Every one is called ``method(start, y, mask, noise, tick)`` with images ``(Y, X)`` scaled to about [0, 1] and ``noise`` the standard
deviation of the measured values (0: they are exact), and yields images of less and less regularisation; the caller keeps the one
that predicts withheld measurements best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.fft
import torch

from ..errors import SolverError
from .dictionary import MOST_ATOMS, dictionary
from .equivariance import DenoiseFunction, equivariant
from .pnp import apgd, replace_step
from .spectral import Tick

Method = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float, Tick], Iterator[torch.Tensor]]
Shrink = Callable[[np.ndarray, float], np.ndarray]
PRIMAL_DUAL_STEPS = 300
PRIMAL_STEP = 0.1  # of the primal-dual method; of the size of the differences between neighbours
TV_STRENGTHS = (3.0, 2.0, 1.3, 0.9, 0.6, 0.4, 0.25)  # of the regularisation, relative to the noise
THRESHOLDS = np.geomspace(0.5, 2e-3, 60)
WAVELET = "sym8"


def total_variation(start: torch.Tensor, y: torch.Tensor, mask: torch.Tensor, noise: float, tick: Tick) -> Iterator[torch.Tensor]:
    """Minimise TV(x) + |M x - y|² / (2 strength), or TV(x) where M x = y, by a primal-dual method (Condat 2013; Vu 2013).

    The data term stands in the proximal step (Chambolle and Pock 2011, doi 10.1007/s10851-010-0251-1), which is exact for a mask.
    """
    x, dual = start, torch.zeros(2, *start.shape, dtype=start.dtype, device=start.device)
    dual_step = 1 / (8 * PRIMAL_STEP)
    for strength in noise * np.array(TV_STRENGTHS) if noise else (0.0,):
        believed = mask * (1.0 if strength == 0 else PRIMAL_STEP / (PRIMAL_STEP + strength))
        for _ in range(PRIMAL_DUAL_STEPS):
            tick()
            before = x
            x = x + PRIMAL_STEP * _divergence(dual)
            x = x + believed * (y - x)
            dual = dual + dual_step * _gradient(2 * x - before)
            dual = dual / torch.hypot(*dual).clamp(min=1)  # a norm over so short an axis takes sixty times as long
        yield x


def _gradient(x: torch.Tensor) -> torch.Tensor:
    """Return forward differences (2, Y, X), zero at the far borders."""
    g = torch.zeros(2, *x.shape, dtype=x.dtype, device=x.device)
    g[0, :-1] = x[1:] - x[:-1]
    g[1, :, :-1] = x[:, 1:] - x[:, :-1]
    return g


def _divergence(p: torch.Tensor) -> torch.Tensor:
    """Return minus the adjoint of ``_gradient``."""
    d = torch.zeros_like(p[0])
    d[:-1] += p[0, :-1]
    d[1:] -= p[0, :-1]
    d[:, :-1] += p[1, :, :-1]
    d[:, 1:] -= p[1, :, :-1]
    return d


def wavelet(start: torch.Tensor, y: torch.Tensor, mask: torch.Tensor, noise: float, tick: Tick) -> Iterator[torch.Tensor]:
    """Few wavelet coefficients, by FISTA with a falling threshold and shifts drawn anew (Coifman and Donoho 1995)."""
    shifted = equivariant(_denoiser(_shrink_wavelets, tick), np.random.default_rng(0))
    return (u for _, u in apgd(start, shifted, replace_step(y, mask, noise), THRESHOLDS))


def cosine(start: torch.Tensor, y: torch.Tensor, mask: torch.Tensor, noise: float, tick: Tick) -> Iterator[torch.Tensor]:
    """Few coefficients of the discrete cosine transform of the whole frame, by FISTA with a falling threshold."""
    return (u for _, u in apgd(start, _denoiser(_shrink_cosines, tick), replace_step(y, mask, noise), THRESHOLDS))


def _denoiser(shrink: Shrink, tick: Tick) -> DenoiseFunction:
    def denoise(image: torch.Tensor, threshold: float) -> torch.Tensor:
        tick()
        return torch.as_tensor(shrink(image[0, 0].cpu().double().numpy(), threshold))[None, None].to(image)

    return denoise


def _shrink_wavelets(image: np.ndarray, threshold: float) -> np.ndarray:
    try:
        import pywt  # type: ignore[import-untyped]
    except ImportError as error:
        raise SolverError(
            'The package PyWavelets is not installed; install it with pip install "napari-stem-inpaint[wavelets]".'
        ) from error
    rows, columns = image.shape
    padded = np.pad(image, ((0, -rows % 32), (0, -columns % 32)), mode="symmetric")
    approximation, *details = pywt.wavedec2(padded, WAVELET, mode="periodization", level=min(5, pywt.dwtn_max_level(padded.shape, WAVELET)))
    kept = [tuple(pywt.threshold(d, threshold, "soft") for d in level) for level in details]
    restored: np.ndarray = pywt.waverec2([approximation, *kept], WAVELET, mode="periodization")
    return restored[:rows, :columns]


def _shrink_cosines(image: np.ndarray, threshold: float) -> np.ndarray:
    c = scipy.fft.dctn(image, norm="ortho")
    shrunk = np.sign(c) * np.maximum(np.abs(c) - threshold * np.sqrt(image.size) / 8, 0)
    shrunk[0, 0] = c[0, 0]
    restored: np.ndarray = scipy.fft.idctn(shrunk, norm="ortho")
    return restored


LENGTHS = {"tv": len(TV_STRENGTHS), "wavelet": len(THRESHOLDS), "dct": len(THRESHOLDS), "dictionary": MOST_ATOMS}  # at most
SPARSE: dict[str, Method] = {"tv": total_variation, "wavelet": wavelet, "dct": cosine, "dictionary": dictionary}
