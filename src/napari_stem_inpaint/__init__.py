"""Reconstruct subsampled STEM images: simulate, scan, acquire, reconstruct, judge.

The names below are loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .frames import Frame, Iterate, Measurement, Reconstruction, Scan
    from .io import read
    from .metrics import evaluate
    from .params import AcquisitionParams, ReconstructionParams, ScanParams, SimulationParams, TrainingParams
    from .reconstruct import iterate, reconstruct
    from .scans import make_scan
    from .simulate import acquire, simulate
    from .train import train

__version__ = "0.1.0"

_HOMES = {
    "frames": ("Frame", "Iterate", "Measurement", "Reconstruction", "Scan"),
    "io": ("read",),
    "metrics": ("evaluate",),
    "params": ("AcquisitionParams", "ReconstructionParams", "ScanParams", "SimulationParams", "TrainingParams"),
    "reconstruct": ("iterate", "reconstruct"),
    "scans": ("make_scan",),
    "simulate": ("acquire", "simulate"),
    "train": ("train",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AcquisitionParams",
    "Frame",
    "Iterate",
    "Measurement",
    "Reconstruction",
    "ReconstructionParams",
    "Scan",
    "ScanParams",
    "SimulationParams",
    "TrainingParams",
    "acquire",
    "evaluate",
    "iterate",
    "make_scan",
    "read",
    "reconstruct",
    "simulate",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value  # also wins over the submodule of the same name
    return value
