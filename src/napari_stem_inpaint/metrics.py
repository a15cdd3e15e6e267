"""How close an image is to its reference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .frames import ImageLike, as_image, as_mask, values_of

BORDER_PX = 16
FRC_THRESHOLD = 1 / 7  # where two halves of a data set are said to agree no more (Rosenthal and Henderson 2003)


def sre_db(image: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> float:
    """Signal-to-reconstruction-error ratio, 20·log10(‖x‖ / ‖x − x̂‖), dB; inf where they are equal."""
    error = float(np.linalg.norm(reference.astype(np.float64) - image))
    signal = float(np.linalg.norm(reference.astype(np.float64)))
    if error == 0:
        return float("inf")
    return float(20 * np.log10(signal / error)) if signal else float("-inf")


def evaluate(image: ImageLike, *, reference: ImageLike, mask: npt.ArrayLike | None = None) -> dict[str, float]:
    """Compare ``image`` with ``reference``, both ``(Y, X)`` in the same intensity units: arrays, Frames or Reconstructions.

    Returns
    -------
    ``sre_db``
        SRE over the whole frame. It grows with the black level, so read it together with the next.
    ``sre_mean_removed_db``
        SRE after subtracting the reference's mean from both.
    ``psnr_db``
        20·log10((max − min of the reference) / RMS error).
    ``ssim``
        Structural similarity, 7 px windows, data range as for the PSNR (Wang et al. 2004, doi 10.1109/TIP.2003.819861).
    ``sre_unmeasured_db``
        SRE of the positions where ``mask`` is False; only with a mask that leaves some out.
    ``sre_inner_db``
        SRE without a border of 16 px; only for frames larger than that.

    Raises
    ------
    InputError
        If the shapes differ, or values are not real and finite.
    """
    from skimage.metrics import structural_similarity

    x, r = (as_image(values_of(a), what).astype(np.float64) for a, what in ((image, "image"), (reference, "reference")))
    if x.shape != r.shape:
        raise InputError(f"The image and its reference must have the same shape, but they are {x.shape} and {r.shape}.")
    for what, a in (("image", x), ("reference", r)):
        if not np.isfinite(a).all():
            raise InputError(f"The {what} holds NaN or infinity, so it cannot be scored.")
    span = float(r.max() - r.min())
    rms = float(np.sqrt(np.mean((x - r) ** 2)))
    scores = {
        "sre_db": sre_db(x, r),
        "sre_mean_removed_db": sre_db(x - r.mean(), r - r.mean()),
        "psnr_db": float(20 * np.log10(span / rms)) if rms and span else float("inf" if not rms else "-inf"),
    }
    if min(x.shape) >= 7 and span:
        scores["ssim"] = float(structural_similarity(r, x, data_range=span))  # type: ignore[no-untyped-call]
    if mask is not None:
        unmeasured = ~as_mask(mask, x.shape)
        if unmeasured.any():
            scores["sre_unmeasured_db"] = sre_db(x[unmeasured], r[unmeasured])
    if min(x.shape) > 2 * BORDER_PX:
        inner = (slice(BORDER_PX, -BORDER_PX),) * 2
        scores["sre_inner_db"] = sre_db(x[inner], r[inner])
    return scores


def fourier_ring_correlation(image: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return spatial frequencies in cycles per px up to 0.5, and how far the two images agree there, at most 1.

    The normalised cross-correlation of their Fourier coefficients over rings (Saxton and Baumeister 1982,
    doi 10.1111/j.1365-2818.1982.tb00405.x); means removed, windowed against the borders.

    Raises
    ------
    InputError
        If the shapes differ, or a side is smaller than 8 px.
    """
    a, b = as_image(image, "image").astype(np.float64), as_image(reference, "reference").astype(np.float64)
    if a.shape != b.shape:
        raise InputError(f"The image and its reference must have the same shape, but they are {a.shape} and {b.shape}.")
    if min(a.shape) < 8:
        raise InputError(f"A Fourier ring correlation needs images of at least 8 × 8 px, but they are {a.shape}.")
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in a.shape))
    fa, fb = (np.fft.fft2((x - np.average(x, weights=window)) * window) for x in (a, b))
    radius = np.hypot(np.fft.fftfreq(a.shape[0])[:, None], np.fft.fftfreq(a.shape[1]))
    rings = min(a.shape) // 2
    ring = np.rint(radius * 2 * rings).astype(int).ravel()

    def summed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(ring, values.ravel(), rings + 1)[1 : rings + 1].astype(np.float64)

    power = summed(np.abs(fa) ** 2) * summed(np.abs(fb) ** 2)
    correlation = summed((fa * fb.conj()).real) / np.sqrt(np.maximum(power, 1e-300))
    return np.arange(1, rings + 1) / (2 * rings), correlation


def frc_limit(frequencies: npt.NDArray[np.float64], correlation: npt.NDArray[np.float64]) -> float | None:
    """Return the frequency at which ``correlation`` first falls below 1/7, or None where it never does."""
    below = np.flatnonzero(correlation < FRC_THRESHOLD)
    return float(frequencies[below[0]]) if below.size else None
