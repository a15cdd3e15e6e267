"""What the Judge widget lets a thread do: scores, spectra, rings; the page and the table. No Qt, no napari."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..frames import Measurement, PixelSize, Reconstruction
from ..params import JudgeParams
from .jobs import Grey, Tick
from .layer_data import grey

SMALLEST_PX = 8  # side of an image whose Fourier rings are compared
RINGS = 5  # neighbours whose median says whether images agree at a frequency


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores, spectra by name as grey levels, the cut-off in parts of the spectra's sides, and all of it in a sentence.

    ``rings``: frequencies in ``unit`` and the Fourier ring correlation there, where there is a reference.
    """

    scores: Mapping[str, float]
    spectra: Mapping[str, Grey]
    cutoff: tuple[float, float] | None
    rings: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None
    unit: str
    sentence: str


def judgement(
    image: npt.NDArray[np.float32],
    reference: npt.NDArray[np.float32] | None,
    mask: npt.NDArray[np.bool_] | None,
    pixel_nm: PixelSize,
    params: JudgeParams,
    shares_noise: bool,
    tick: Tick,
) -> Generator[str, None, Judged]:
    """Return what can be said of ``image``, more with a ``reference``; ``shares_noise``: ``image`` was made from pixels of that."""
    from ..judge import DECADES, cutoff_per_nm, logarithm, power_spectrum, share_beyond
    from ..metrics import evaluate, fourier_ring_correlation

    yield "Judging…"
    scores = {} if reference is None else evaluate(image, reference=reference, mask=mask)
    tick()
    shown = {"result": image} if reference is None else {"result": image, "reference": reference}
    spectra = {name: grey(logarithm(power_spectrum(one)), (-DECADES, 0.0)) for name, one in shown.items()}
    tick()
    cutoff = cutoff_per_nm(params)
    share = share_beyond(image, pixel_nm, cutoff)
    circle = None if cutoff is None or pixel_nm is None else (cutoff * pixel_nm[0], cutoff * pixel_nm[1])
    words, rings, unit = "There is no reference to score against.", None, "/px"
    if reference is not None:
        words = f"SRE {scores['sre_db']:.1f} dB, PSNR {scores['psnr_db']:.1f} dB against the reference."
    if reference is not None and min(image.shape) >= SMALLEST_PX:
        rings = fourier_ring_correlation(image, reference)
        if pixel_nm is not None and math.isclose(*pixel_nm, rel_tol=1e-3):
            rings, unit = (rings[0] / pixel_nm[0], rings[1]), "/nm"
        words += f" {_agreement(*rings, unit)}"
    if reference is not None and shares_noise:
        words += " The measured pixels are the reference's own: any noise in them is in both, which raises scores and ring correlation."
    if share is not None:
        words += f" {share:.1e} of the power lies beyond 2α/λ, where the probe carries none."
    return Judged(scores, spectra, circle, rings, unit, words)


def _agreement(frequencies: npt.NDArray[np.float64], correlation: npt.NDArray[np.float64], unit: str) -> str:
    """Return up to where two images agree; neither a single ring decides nor what lies below all Bragg peaks, where there is no power."""
    from scipy.ndimage import median_filter

    from ..metrics import frc_limit

    smooth = median_filter(correlation, RINGS, mode="nearest")
    first = int(np.argmax(smooth > 0.9 * smooth.max()))
    limit = frc_limit(frequencies[first:], smooth[first:])
    if limit is None:
        return f"Their ring correlation stays above 1/7 up to the highest frequency, {frequencies[-1]:.3g} {unit}."
    return f"They agree up to {limit:.3g} {unit}."


def report(
    path: str,
    result: Reconstruction,
    measurement: Measurement,
    params: JudgeParams,
    truth: npt.NDArray[np.float32] | None,
    tick: Tick,
) -> Generator[str, None, str]:
    """Write the page; return where it is."""
    yield "Drawing the page…"
    from ..judge import write_report

    tick()
    write_report(path, result, measurement, params, truth)
    return path


def save_scores(path: str, results: Mapping[str, Mapping[str, float]]) -> None:
    """Write the table.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    from ..judge import write_scores

    write_scores(path, results)
