"""Memory is estimated before; where it runs out the network works in tiles, then the CPU computes; each is said in a sentence."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from napari_stem_inpaint import memory, reconstruction, reconstruction_run
from napari_stem_inpaint.denoisers import checkpoint
from napari_stem_inpaint.denoisers.registry import load_denoiser
from napari_stem_inpaint.errors import InputError, SolverError
from napari_stem_inpaint.frames import Measurement
from napari_stem_inpaint.params import ReconstructionParams
from napari_stem_inpaint.reconstruction import iterate, reconstruct

QUICK = ReconstructionParams(solver="one-pass")


@pytest.fixture
def measurement() -> Measurement:
    y, x = np.mgrid[:96, :112]
    image = 2 + np.cos(0.4 * y) + np.cos(0.5 * x)
    return Measurement(image, np.random.default_rng(0).random(image.shape) < 0.3, (0.02, 0.02), "none", None, "lattice")


ERRORS = [
    MemoryError,
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    lambda: RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
]


def limited(denoiser: Any, most: int, error: Callable[[], Exception]) -> None:
    """Let the network of ``denoiser`` hold at most ``most`` pixels."""

    def check(_: Any, given: Any) -> None:
        if given[0][0, 0].numel() > most:
            raise error()

    denoiser.network.register_forward_pre_hook(check)


@pytest.mark.parametrize("error", ERRORS)
def test_what_does_not_fit_is_passed_in_smaller_parts(error: Callable[[], Exception]) -> None:
    image = torch.rand(1, 1, 300, 300, generator=torch.Generator().manual_seed(0))
    network = load_denoiser("stem-tiny")
    whole = network(image, 0.1)
    assert network.remark() == ""
    limited(network, 270**2, error)
    parts = network(image, 0.1)
    assert float((parts - whole).square().mean().sqrt()) < 0.1 / 50
    assert network.remark() == "Memory was short, so the network worked in tiles of 128 px."


def test_where_nothing_fits_it_is_said() -> None:
    image, network = torch.rand(1, 1, 300, 300), load_denoiser("stem-tiny")
    limited(network, 0, MemoryError)
    with pytest.raises(MemoryError):
        network(image, 0.1)
    other = load_denoiser("stem-tiny")
    limited(other, 0, lambda: RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes"):
        other(image, 0.1)


def test_the_estimate_grows_with_the_frame_and_a_network() -> None:
    one, four = (memory.needed_bytes(side**2, QUICK) for side in (1000, 2000))
    assert 0.5e9 < one < four < 3e9
    assert memory.needed_bytes(1000**2, ReconstructionParams(solver="gp")) < one
    assert 0 < memory.free_bytes() <= memory.total_bytes()


def test_a_small_memory_is_said_in_the_result(measurement: Measurement, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*args: Any) -> Any:
        network: Any = load_denoiser(*args)
        limited(network, 90**2, MemoryError)
        return network

    monkeypatch.setattr(reconstruction_run, "load_denoiser", load)
    monkeypatch.setattr(checkpoint, "OVERLAP_PX", 8)
    result = reconstruct(measurement, QUICK)
    assert any("worked in tiles of 64 px" in remark for remark in result.recipe["remarks"])


def test_what_the_machine_cannot_hold_is_refused_before(measurement: Measurement, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "total_bytes", lambda: 10**6)
    with pytest.raises(InputError, match=r"takes about 4\d\d MB of memory, but this machine has 1 MB; crop it"):
        next(iterate(measurement, QUICK))


def _failing_on(kind: str, run: Any) -> Any:
    def failing(*args: Any) -> Any:
        if args[5].type == kind:
            raise torch.OutOfMemoryError("out of memory")
        return run(*args)

    return failing


def test_where_the_gpu_is_too_small_the_cpu_goes_on(measurement: Measurement, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "pick_device", lambda name: torch.device("meta"))
    monkeypatch.setattr(reconstruction, "Run", _failing_on("meta", reconstruction.Run))
    result = reconstruct(measurement, QUICK)
    assert result.recipe["remarks"][0] == "The memory of meta does not hold the frame, so the CPU computed."
    plain = reconstruct(dataclasses.replace(measurement), QUICK)
    monkeypatch.undo()
    assert np.array_equal(reconstruct(measurement, QUICK).image, plain.image)


def test_where_the_cpu_is_too_small_it_is_said(measurement: Measurement, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "Run", _failing_on("cpu", reconstruction.Run))
    with pytest.raises(SolverError, match="close other programs, or crop"):
        reconstruct(measurement, QUICK)
