"""What the widgets let the worker do: each a generator of sentences and iterates that returns the result. No Qt, no napari."""

from __future__ import annotations

import gc
import json
import math
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.fft
from safetensors import SafetensorError, safe_open

from ..errors import InputError, SolverError, is_out_of_memory
from ..frames import Frame, Iterate, Measurement, PixelSize, Reconstruction, Scan
from ..params import AcquisitionParams, JudgeParams, ReconstructionParams, ScanParams, SimulationParams, TrainingParams
from .layer_data import contrast, grey
from .preloading import load_torch
from .relevance import any_effect

if TYPE_CHECKING:
    from ..batch import Done, Item
    from ..training import TrainingStep

T = TypeVar("T")
Tick = Callable[[], None]
Grey = npt.NDArray[np.uint8]
PREVIEW_PX, PROBE_PX = 256, 48
SMALLEST_PX = 8  # side of an image whose Fourier rings are compared
RINGS = 5  # neighbours whose median says whether images agree at a frequency
LARGEST_FIELD = 2**22  # positions of the frame with the probe's reach around it: about half a second
PROBE = [
    name
    for name, field in SimulationParams.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["group"] in ("Probe", "Aberrations")
]
THRESHOLDS = gc.get_threshold()


@dataclass(frozen=True, eq=False)
class Simulated:
    """A frame, and where the acquisition has any effect what a scan of all its positions reads."""

    frame: Frame
    acquired: Frame | None


def simulation(params: SimulationParams, acquisition: AcquisitionParams, tick: Tick) -> Generator[str, None, Simulated]:
    """Return a simulated frame, acquired too where ``acquisition`` has any effect."""
    yield from _loading()
    from ..simulation.imaging import simulate

    tick()
    yield "Simulating…"
    frame = simulate(params)
    if not any_effect(acquisition):
        return Simulated(frame, None)
    tick()
    yield "Acquiring…"
    measurement = fully_acquired(frame, acquisition)
    notes = {**frame.metadata, "acquisition": acquisition.model_dump(mode="json")}
    return Simulated(frame, Frame(measurement.values, frame.pixel_size_nm, f"{frame.name} acquired", notes))


def fully_acquired(frame: Frame, params: AcquisitionParams) -> Measurement:
    """Return what is read of ``frame`` at all positions, row by row."""
    from ..simulation.acquisition import acquire

    return acquire(frame, Scan.from_mask(np.ones(frame.shape, bool), ScanParams().dwell_time_us), params)


@dataclass(frozen=True, eq=False)
class Preview:
    """Pictures of a frame, ready to be shown: grey levels (Y, X); ``spectrum`` reaches to the scan's Nyquist frequency."""

    image: Grey
    spectrum: Grey
    probe: Grey | None
    probe_nm: float  # what the probe's picture is wide
    pixel_nm: float
    of: tuple[int, int]  # rows and columns of the frame, of which this may be a part
    remarks: Sequence[str]


def preview(params: SimulationParams, acquisition: AcquisitionParams) -> Preview:
    """Return pictures of the frame as it would be acquired; a larger frame's scene is shown in one of ``PREVIEW_PX``.

    Raises
    ------
    InputError
        If the parameters cannot be used, or take too long for a preview.
    """
    from ..simulation.imaging import remarks

    if params.engine == "multislice":
        raise InputError("Multislice frames are not previewed, as they take minutes; Simulate computes them.")
    asked = params.model_copy(update={"shape": tuple(min(n, PREVIEW_PX) for n in params.shape)})
    acquired = any_effect(acquisition)
    frame = _frame(asked, acquired)
    image = fully_acquired(frame, acquisition).values if acquired else frame.image
    probe, probe_nm = (None, 0.0) if params.scene == "surface" else _probe(*(getattr(params, name) for name in PROBE))
    return Preview(grey(image, contrast(image)), _spectrum(image), probe, probe_nm, params.pixel_size_nm, params.shape, remarks(params))


@lru_cache(maxsize=1)  # while only the acquisition changes
def _frame(params: SimulationParams, acquired: bool) -> Frame:
    from ..simulation.acquisition import PAD_PX, simulated_wider
    from ..simulation.formation import Grid
    from ..simulation.imaging import simulate
    from ..simulation.probe import Optics

    if params.scene != "surface" and math.prod(Grid.over(params.shape, params.pixel_size_nm, Optics.of(params)).fine) > LARGEST_FIELD:
        raise InputError("This probe reaches too far for a live preview; Simulate computes the frame.")
    if acquired and params.scene != "surface":  # a movement asks for the wide image, too: simulate that one alone
        image = simulated_wider(params, PAD_PX)[PAD_PX:-PAD_PX, PAD_PX:-PAD_PX]
        return Frame(image, (params.pixel_size_nm,) * 2, params.crystal, {"simulation": params.model_dump(mode="json")})
    return simulate(params)


@lru_cache(maxsize=8)
def _probe(*values: float) -> tuple[Grey, float]:
    """Return a picture of the probe, the square root of its intensity, and its width in nm."""
    from ..simulation.probe import Optics, probe_image

    params = SimulationParams.model_validate(dict(zip(PROBE, values, strict=True)))
    optics = Optics.of(params)
    width_nm = 2 * optics.radius_nm() + 8 / optics.cutoff_per_nm
    pixel_nm = min(max(width_nm / PROBE_PX, 0.002), 1.0)
    image = np.sqrt(np.clip(probe_image(params.model_copy(update={"pixel_size_nm": pixel_nm}), (PROBE_PX, PROBE_PX)).image, 0, None))
    return grey(image, (0.0, float(image.max()))), pixel_nm * PROBE_PX


def _spectrum(image: npt.NDArray[np.float32]) -> Grey:
    """Return the logarithm of the power spectrum, windowed against the borders, zero frequency in the middle."""
    window = np.hanning(image.shape[0] + 2)[1:-1, None] * np.hanning(image.shape[1] + 2)[1:-1]
    faded = ((image - image.mean()) * window).astype(np.float32)
    power = np.abs(scipy.fft.fftshift(scipy.fft.fft2(faded, (PREVIEW_PX, PREVIEW_PX)))) ** 2
    half = PREVIEW_PX // 2
    peaks = power.reshape(half, 2, half, 2).max((1, 3))  # shown small: a peak of one point would fade
    low, high = np.percentile(peaks, (50, 99.9))
    floor = max(low, high * 1e-6) or 1.0
    return grey(np.log10(np.maximum(peaks, floor)), (math.log10(floor), math.log10(max(high, 10 * floor))))


def reconstruction(
    measurement: Measurement, params: ReconstructionParams, truth: npt.NDArray[np.float32] | None, tick: Tick
) -> Generator[str | Iterate, None, Reconstruction]:
    """Yield the iterates; return the reconstruction with scores and recipe."""
    yield from _loading()
    from ..reconstruction import finish, iterate

    tick()
    yield "Learning from the measured positions how smooth the image is…"
    with _gpu_freed(), _collections_put_off():
        # Closed here, not when it is collected: it holds the arrays on the GPU.
        with closing(_generator(iterate(measurement, params, reference=truth, tick=tick))) as iterates:
            for last in iterates:
                yield last
        tick()
        yield "Scoring the result…"
        return finish(measurement, params, last, reference=truth)


def reconstructions(
    items: Sequence[Item], params: ReconstructionParams, out: Path | None, tick: Tick
) -> Generator[str | Iterate | tuple[Done], None, int]:
    """Yield the iterates of each item and, as news, how it ended; return how many failed."""
    yield from _loading()
    from ..batch import Done, reconstruct_each

    tick()
    yield f"Reconstructing {len(items)} images…"
    failed = 0
    with _gpu_freed(), _collections_put_off(), closing(_generator(reconstruct_each(items, params, out, tick))) as steps:
        for step in steps:
            if isinstance(step, Done):
                failed += bool(step.failure)
                yield (step,)
                yield f"{step.name} is done."
            else:
                yield step
    return failed


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
    yield from _loading()
    from ..training import train

    tick()
    last = None
    if stopped():
        return Trained(out, last, True)
    yield "Making the first training images…"
    try:
        with _gpu_freed(), _collections_shortened(), closing(train(params, out)) as steps:
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


def _loading() -> Iterator[str]:
    if "torch" not in sys.modules:
        yield "Loading PyTorch…"
        load_torch()


def _generator(steps: Iterator[T]) -> Generator[T, None, None]:
    yield from steps


@contextmanager
def _collections_put_off() -> Iterator[None]:
    """Let full garbage collections, each of which stops the window for a quarter of a second, wait while iterates arrive."""
    gc.set_threshold(*THRESHOLDS[:2], 10**6)
    try:
        yield
    finally:
        gc.set_threshold(*THRESHOLDS)


@contextmanager
def _collections_shortened() -> Iterator[None]:
    """Let garbage collections look at new objects only: for work that is too long to put them off."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _gpu_freed() -> Iterator[None]:
    try:
        yield
    finally:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
