"""What the widgets let the worker do: each a generator of sentences and iterates that returns the result. No Qt, no napari."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager

import numpy as np
import numpy.typing as npt

from ..frames import Frame, Iterate, Measurement, Reconstruction
from ..params import AcquisitionParams, ReconstructionParams, ScanParams, SimulationParams

Tick = Callable[[], None]
THRESHOLDS = gc.get_threshold()


def simulation(params: SimulationParams, tick: Tick) -> Generator[str, None, Frame]:
    """Return a simulated frame."""
    yield from _loading()
    from ..simulation import simulate

    tick()
    yield "Simulating…"
    return simulate(params)


def acquisition(frame: Frame, scan: ScanParams, acquire_params: AcquisitionParams, tick: Tick) -> Generator[str, None, Measurement]:
    """Return what is measured of ``frame``."""
    from ..scans import make_scan
    from ..simulation import acquire

    yield "Scanning…"
    positions = make_scan(frame.shape, scan)
    tick()
    return acquire(frame, positions, acquire_params)


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


def _loading() -> Iterator[str]:
    if "torch" not in sys.modules:
        yield "Loading PyTorch…"


def _generator(iterates: Iterator[Iterate]) -> Generator[Iterate, None, None]:
    yield from iterates


@contextmanager
def _collections_put_off() -> Iterator[None]:
    """Let full garbage collections, each of which stops the window for a quarter of a second, wait while iterates arrive."""
    gc.set_threshold(*THRESHOLDS[:2], 10**6)
    try:
        yield
    finally:
        gc.set_threshold(*THRESHOLDS)


@contextmanager
def _gpu_freed() -> Iterator[None]:
    try:
        yield
    finally:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
