"""PyTorch beside a window, which a plain ``import`` would stop several times for a quarter of a second."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LIBRARIES = {
    "linux": (("libtorch_global_deps.so", "RTLD_GLOBAL"), ("libtorch.so", "RTLD_LOCAL")),
    "darwin": (("libtorch_global_deps.dylib", "RTLD_GLOBAL"), ("libtorch.dylib", "RTLD_LOCAL")),
}  # in the order and manner in which PyTorch loads them; on Windows it does so itself, letting others run


def aside(work: Callable[[], T]) -> T:
    """Do short ``work`` in a thread of its own, and wait for it.

    Every thread that computes with PyTorch has helpers of its own until it ends. Those of the window's thread would stay, and where there
    are more helpers than processors all of them become slow: half the speed of a reconstruction.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def load_torch() -> None:
    """Import PyTorch while other threads run.

    Raises
    ------
    ImportError, OSError
        As the import does.
    """
    with _no_collections():
        load_libraries()
        importlib.import_module("torch")


def load_libraries() -> int:
    """Load PyTorch's libraries, which its import would do without letting others run; return how many were loaded.

    Where there is none to be found nothing happens: the import that follows says what is wrong.
    """
    spec = None if "torch" in sys.modules else importlib.util.find_spec("torch")
    if spec is None or spec.origin is None or sys.platform not in LIBRARIES:
        return 0
    load = ctypes.CDLL(None).dlopen  # a call through ctypes lets others run; CDLL(file) does not
    load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    folder = Path(spec.origin).parent / "lib"
    there = [(folder / name, getattr(os, scope)) for name, scope in LIBRARIES[sys.platform] if (folder / name).is_file()]
    return sum(load(os.fsencode(file), os.RTLD_NOW | scope) is not None for file, scope in there)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keep what is made meanwhile from being searched for garbage, now and as soon as this is over: a module stays."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # now all of it counts as old
        if enabled:
            gc.enable()
