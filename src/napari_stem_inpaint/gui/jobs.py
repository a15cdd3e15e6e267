"""What Simulate and Reconstruct let a thread do: each a generator of sentences and iterates that returns the result. No Qt, no napari."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.fft

from ..errors import InputError
from ..frames import Frame, Iterate, Measurement, Reconstruction, Scan
from ..params import AcquisitionParams, ReconstructionParams, ScanParams, SimulationParams
from .layer_data import contrast, grey
from .preloading import load_torch
from .relevance import any_effect

if TYPE_CHECKING:
    from ..batch import Done, Item

T = TypeVar("T")
Tick = Callable[[], None]
Grey = npt.NDArray[np.uint8]
PREVIEW_PX, PROBE_PX = 256, 48
LARGEST_FIELD = 2**22  # positions of the frame with the probe's reach around it: about half a second
PROBE = [
    name
    for name, field in SimulationParams.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["group"] in ("Probe", "Aberrations")
]


@dataclass(frozen=True, eq=False)
class Simulated:
    """A frame, and where the acquisition has any effect what a scan of all its positions reads."""

    frame: Frame
    acquired: Frame | None


def simulation(params: SimulationParams, acquisition: AcquisitionParams, tick: Tick) -> Generator[str, None, Simulated]:
    """Return a simulated frame, acquired too where ``acquisition`` has any effect."""
    yield from loading()
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
    yield from loading()
    from ..reconstruction import finish, iterate

    tick()
    yield "Learning from the measured positions how smooth the image is…"
    with gpu_freed():
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
    yield from loading()
    from ..batch import Done, reconstruct_each

    tick()
    yield f"Reconstructing {len(items)} images…"
    failed = 0
    with gpu_freed(), closing(_generator(reconstruct_each(items, params, out, tick))) as steps:
        for step in steps:
            if isinstance(step, Done):
                failed += bool(step.failure)
                yield (step,)
                yield f"{step.name} is done."
            else:
                yield step
    return failed


def loading() -> Iterator[str]:
    """Load PyTorch, and say so, where that has not been done."""
    if "torch" not in sys.modules:
        yield "Loading PyTorch…"
        load_torch()


def _generator(steps: Iterator[T]) -> Generator[T, None, None]:
    yield from steps


@contextmanager
def gpu_freed() -> Iterator[None]:
    """Give back the GPU's memory that is kept for later use."""
    try:
        yield
    finally:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
