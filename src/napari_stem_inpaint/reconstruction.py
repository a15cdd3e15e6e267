"""From a measurement to an image, on the device that holds it, with scores and recipe."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from .devices import pick_device
from .errors import InputError, SolverError, is_out_of_memory, sentence
from .frames import ImageLike, Iterate, Measurement, Reconstruction, as_image, expect, values_of
from .memory import in_words, needed_bytes, total_bytes
from .metrics import evaluate
from .params import ReconstructionParams
from .recipes import recipe
from .reconstruction_run import DenoiserLike, Run
from .solvers.spectral import Tick


def iterate(
    measurement: Measurement,
    params: ReconstructionParams | None = None,
    *,
    reference: ImageLike | None = None,
    denoiser: DenoiserLike | None = None,
    tick: Tick | None = None,
) -> Iterator[Iterate]:
    """Reconstruct, yielding every image on the way; the last is the result.

    Parameters
    ----------
    measurement
        Values and mask, ``(Y, X)``.
    params
        How to reconstruct; the defaults where None.
    reference
        The true image, if known, only to fill ``Iterate.scores``.
    denoiser
        ``denoiser(image (B, 1, Y, X), sigma) -> same shape``, used in place of ``params.checkpoint``.
    tick
        Called many times a second; what it raises ends the work at once.

    Raises
    ------
    InputError
        If the measurement cannot be reconstructed from.
    CheckpointError
        If the checkpoint cannot be used.
    SolverError
        If the computation fails.
    """
    p = params or ReconstructionParams()
    expect(measurement, Measurement, "make one of arrays with Measurement.from_arrays(values, mask)")
    expect(p, ReconstructionParams, 'give them as ReconstructionParams(solver="apgd")')
    truth = None if reference is None else as_image(values_of(reference), "reference")
    if truth is not None and truth.shape != measurement.shape:
        raise InputError(f"The reference must have the measurement's shape {measurement.shape}, but its shape is {truth.shape}.")
    check_memory(measurement.shape, p)
    device = pick_device(p.device)
    remarks: tuple[str, ...] = ()
    while True:
        try:
            yield from Run(measurement, p, truth, denoiser, tick or _no_tick, device, remarks).iterates()
            return
        except (MemoryError, RuntimeError) as error:  # Qt workers swallow RuntimeErrors
            if not is_out_of_memory(error):
                raise SolverError(f"The computation failed: {sentence(error)}") from error
            if device.type == "cpu":
                words = f"Not enough memory for a frame of {measurement.shape}: close other programs, or crop the frame."
                raise SolverError(words) from error
        if device.type == "cuda":
            torch.cuda.empty_cache()
        remarks = (f"The memory of {device} does not hold the frame, so the CPU computed.",)
        device = torch.device("cpu")


def reconstruct(
    measurement: Measurement,
    params: ReconstructionParams | None = None,
    *,
    reference: ImageLike | None = None,
    denoiser: DenoiserLike | None = None,
) -> Reconstruction:
    """Return the last image of :func:`iterate` with its scores and recipe. Same arguments, same errors."""
    p = params or ReconstructionParams()
    *_, last = iterate(measurement, p, reference=reference, denoiser=denoiser)
    return finish(measurement, p, last, reference=reference, denoiser=denoiser)


def finish(
    measurement: Measurement,
    params: ReconstructionParams,
    last: Iterate,
    *,
    reference: ImageLike | None = None,
    denoiser: DenoiserLike | None = None,
) -> Reconstruction:
    """Turn the last iterate into a Reconstruction; the other arguments are those that :func:`iterate` got."""
    scores = dict(last.scores)
    if reference is not None:
        scores |= evaluate(last.image, reference=reference, mask=measurement.mask)
    made = recipe(measurement, params, last, denoiser)
    return Reconstruction(last.image, measurement.pixel_size_nm, f"{measurement.name} reconstructed", made, scores)


def check_memory(shape: tuple[int, int], params: ReconstructionParams) -> None:
    """Refuse a frame that this machine cannot hold.

    Raises
    ------
    InputError
        If it would take more memory than there is.
    """
    needed, there = needed_bytes(math.prod(shape), params), total_bytes()
    if needed > there:
        raise InputError(
            f"A frame of {shape[0]} × {shape[1]} takes about {in_words(needed)} of memory, but this machine has {in_words(there)}; "
            "crop it, and reconstruct its parts."
        )


def _no_tick() -> None:
    return None
