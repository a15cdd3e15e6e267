"""What helps to judge a result: its Fourier transform, a line through it, and a page that says it all."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .frames import FloatImage, Measurement, PixelSize, Reconstruction
from .io.boundary import write_atomically
from .metrics import BORDER_PX, evaluate
from .params import JudgeParams
from .simulation.probe import wavelength_nm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

DECADES = 6  # of power that a spectrum shows
UNMEASURED = {"gray": "blue", "RdBu": "grey"}  # by colour map: a colour that no value has
SHADES = {"blue": "#3b6fb6", "grey": "#8c8c8c"}
TITLES = {
    "sre_db": "SRE, whole frame", "sre_mean_removed_db": "SRE, mean removed", "sre_unmeasured_db": "SRE, unmeasured positions",
    "sre_inner_db": f"SRE, without {BORDER_PX} px of border", "psnr_db": "PSNR", "ssim": "SSIM",
}  # fmt: skip


def cutoff_per_nm(params: JudgeParams) -> float | None:
    """Return the highest spatial frequency 2α/λ (cycles per nm) that the probe can carry, or None where it is not known."""
    if not (params.energy_kev and params.semi_angle_mrad):
        return None
    return 2e-3 * params.semi_angle_mrad / wavelength_nm(params.energy_kev)


def power_spectrum(image: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the power spectrum ``(Y, X)`` of ``image``, zero frequency in the middle; mean removed, windowed against the borders."""
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    x = image.astype(np.float64)
    return np.abs(np.fft.fftshift(np.fft.fft2((x - np.average(x, weights=window)) * window))) ** 2


def logarithm(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return log10 of ``power`` relative to its largest value, cut off at ``DECADES`` below."""
    return np.log10(np.maximum(power / max(float(power.max()), 1e-300), 10.0**-DECADES))


def frequencies_per_nm(shape: tuple[int, ...], pixel_size_nm: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Return the spatial frequency (cycles per nm) of each pixel of a power spectrum ``(Y, X)``."""
    y, x = (np.fft.fftshift(np.fft.fftfreq(n, d)) for n, d in zip(shape, pixel_size_nm, strict=True))
    return np.hypot(y[:, None], x[None, :])


def share_beyond(image: npt.NDArray[np.floating], pixel_size_nm: PixelSize, cutoff: float | None) -> float | None:
    """Return the share of the image's power at frequencies that no probe of this ``cutoff`` carries: noise, or invented.

    None where the pixel size or the cut-off is not known, or lies beyond what the pixels can show.
    """
    if pixel_size_nm is None or cutoff is None or cutoff >= 0.5 / max(pixel_size_nm):
        return None
    power = power_spectrum(image)
    total = float(power.sum())
    return float(power[frequencies_per_nm(image.shape, pixel_size_nm) > cutoff].sum()) / total if total else 0.0


def line_profile(
    image: npt.NDArray[np.floating], start: tuple[float, float], end: tuple[float, float], width_px: int = 1
) -> npt.NDArray[np.float64]:
    """Return the values of ``image`` ``(Y, X)`` along a line, one per px and the mean over ``width_px``; its ends in (y, x) px."""
    from skimage.measure import profile_line

    values: npt.NDArray[np.float64] = profile_line(image, start, end, linewidth=width_px, mode="nearest")  # type: ignore[no-untyped-call]
    return values


def write_scores(path: str | Path, results: Mapping[str, Mapping[str, float]]) -> None:
    """Write the scores of results, by name, as CSV: a row for each.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    columns = list(dict.fromkeys(score for scores in results.values() for score in scores))

    def write(target: Path) -> None:
        with target.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["result", *columns])
            rows.writerows([name, *(scores.get(c, "") for c in columns)] for name, scores in results.items())

    write_atomically(path, (".csv",), write)


def write_report(
    path: str | Path,
    result: Reconstruction,
    measurement: Measurement,
    params: JudgeParams | None = None,
    reference: npt.NDArray[np.floating] | None = None,
) -> None:
    """Write one page (.pdf or .png) on a result: images, spectra, scores, what was done and what is to be minded.

    Raises
    ------
    InputError
        If the shapes differ, or the file cannot be written.
    """
    figure = report(result, measurement, params or JudgeParams(), reference)
    write_atomically(path, (".pdf", ".png"), lambda target: figure.savefig(target, dpi=150))


def report(result: Reconstruction, measurement: Measurement, params: JudgeParams, reference: npt.NDArray[np.floating] | None) -> Figure:
    """Return the page as a figure."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    truth = None if reference is None else np.asarray(reference, np.float32)
    for what, image in (("measurement", measurement.values), ("reference", truth)):
        if image is not None and image.shape != result.image.shape:
            raise InputError(f"The {what} must have the result's shape {result.image.shape}, but its shape is {image.shape}.")
    figure = Figure(figsize=(11.7, 8.3), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, hspace=0.03))
    measured, restored, third, spectrum, before, words = figure.subplots(2, 3).ravel()
    low, high = np.percentile(measurement.values[measurement.mask], (0.1, 99.9))
    shown = np.where(measurement.mask, measurement.values, np.nan)
    _image(measured, shown, f"measured: {measurement.mask.mean():.1%} of the positions", (low, high), result.pixel_size_nm)
    _image(restored, result.image, "reconstructed", (low, high), result.pixel_size_nm)
    cutoff = cutoff_per_nm(params)
    _spectrum(spectrum, result.image, "spectrum, reconstructed", result.pixel_size_nm, cutoff)
    if truth is None:
        _difference(third, np.where(measurement.mask, result.image - measurement.values, np.nan), "reconstructed − measured")
        before.axis("off")
    else:
        error = result.image - truth
        share = _most(error) / max(float(np.ptp(truth)), 1e-30)
        _difference(third, error, f"error: ±{share:.2%} of the range")
        _spectrum(before, truth, "spectrum, truth", result.pixel_size_nm, cutoff)
    words.axis("off")
    text = "\n".join(_words(result, measurement, truth, cutoff))
    words.text(0, 1, text, va="top", fontsize=8, transform=words.transAxes, wrap=True, in_layout=False)
    figure.suptitle(result.name, fontsize=12)
    return figure


def _image(
    axes: Axes,
    image: npt.NDArray[np.floating],
    title: str,
    limits: tuple[float, float],
    pixel_size_nm: PixelSize,
    colours: str = "gray",
) -> AxesImage:
    """Draw ``image``; its NaN are the unmeasured positions."""
    extent = None if pixel_size_nm is None else (0, image.shape[1] * pixel_size_nm[1], image.shape[0] * pixel_size_nm[0], 0)
    unmeasured = UNMEASURED[colours]
    drawn = axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest", extent=extent)
    drawn.set_cmap(drawn.get_cmap().with_extremes(bad=SHADES[unmeasured]))
    axes.set_title(title + f" (unmeasured: {unmeasured})" * bool(np.isnan(image).any()), fontsize=9)
    if pixel_size_nm is None:
        axes.set_axis_off()
    else:
        axes.set_xlabel("nm", fontsize=8)
        axes.tick_params(labelsize=7)
    return drawn


def _difference(axes: Axes, image: npt.NDArray[np.floating], title: str) -> None:
    most = _most(image)
    drawn = _image(axes, image, title, (-most, most), None, "RdBu")
    place = axes.inset_axes((0.1, -0.06, 0.8, 0.025))
    axes.figure.colorbar(drawn, cax=place, orientation="horizontal", ticks=(-most, 0, most), format="%.3g")
    place.tick_params(labelsize=7)


def _most(difference: npt.NDArray[np.floating]) -> float:
    return float(np.nanpercentile(np.abs(difference), 99.5)) or 1.0


def _spectrum(axes: Axes, image: FloatImage, title: str, pixel_size_nm: PixelSize, cutoff: float | None) -> None:
    y, x = (_edges(n, d) for n, d in zip(image.shape, pixel_size_nm or (1.0, 1.0), strict=True))
    if pixel_size_nm is not None and cutoff is not None:
        angle = np.linspace(0, 2 * math.pi, 200)
        axes.plot(cutoff * np.cos(angle), cutoff * np.sin(angle), lw=0.8, color="tab:orange", label="2α/λ")
        axes.legend(fontsize=7, loc="upper right")
    axes.imshow(logarithm(power_spectrum(image)), cmap="magma", extent=(*x, *y[::-1]))
    axes.set(xlim=x, ylim=y[::-1])
    axes.set_xlabel("cycles/px" if pixel_size_nm is None else "1/nm", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_title(title, fontsize=9)


def _edges(count: int, step: float) -> tuple[float, float]:
    """Return where the first pixel of a spectrum of ``count`` begins and the last one ends; zero is in the middle of one."""
    first = -(count // 2) - 0.5
    return first / (count * step), (first + count) / (count * step)


def _words(result: Reconstruction, measurement: Measurement, truth: FloatImage | None, cutoff: float | None) -> list[str]:
    recipe = result.recipe
    scores = dict(result.scores) if truth is None else evaluate(result.image, reference=truth, mask=measurement.mask)
    lines = [f"{TITLES[name]}: {value:.2f}{'' if name == 'ssim' else ' dB'}" for name, value in scores.items() if name in TITLES]
    if recipe.get("withheld_rms"):  # 0 where none were withheld
        lines.append(f"RMS error at withheld measurements: {recipe['withheld_rms']:.4g}")
    beyond = share_beyond(result.image, result.pixel_size_nm, cutoff)
    if beyond is not None:
        lines.append(f"Power beyond 2α/λ, where the probe carries none: {beyond:.2e} of all")
    size = "unknown" if result.pixel_size_nm is None else " × ".join(f"{1e3 * d:.4g} pm" for d in result.pixel_size_nm)
    lines += ["", f"{result.image.shape[0]} × {result.image.shape[1]} px, pixel size {size}"]
    if recipe:
        values = recipe.get("reconstruction", {})
        lines += [f"Solver {values.get('solver', '?')}, seed {values.get('seed', '?')}; {recipe.get('outcome', '')}"]
        lines += [f"{recipe.get('program', '')} {recipe.get('version', '')}"]
        lines += [f"Mind: {remark}" for remark in recipe.get("remarks", ())]
    return lines
