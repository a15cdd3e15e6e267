"""Reconstruct subsampled STEM images: simulate, scan, acquire, reconstruct, judge.

The names below are loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import CheckpointError, InputError, SolverError, StemInpaintError
    from .frames import Frame, Iterate, Measurement, Reconstruction, Scan
    from .io import read
    from .metrics import evaluate
    from .params import AcquisitionParams, ReconstructionParams, ScanParams, SimulationParams, TrainingParams
    from .reconstruction import iterate, reconstruct
    from .scan_report import ScanStatistics, scan_statistics
    from .scans import make_scan
    from .simulation.acquisition import acquire
    from .simulation.imaging import simulate
    from .training import train

__version__ = "0.1.0"

_HOMES = {
    "errors": ("CheckpointError", "InputError", "SolverError", "StemInpaintError"),
    "frames": ("Frame", "Iterate", "Measurement", "Reconstruction", "Scan"),
    "io": ("read",),
    "metrics": ("evaluate",),
    "params": ("AcquisitionParams", "ReconstructionParams", "ScanParams", "SimulationParams", "TrainingParams"),
    "reconstruction": ("iterate", "reconstruct"),
    "scan_report": ("ScanStatistics", "scan_statistics"),
    "scans": ("make_scan",),
    "simulation.acquisition": ("acquire",),
    "simulation.imaging": ("simulate",),
    "training": ("train",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AcquisitionParams",
    "CheckpointError",
    "Frame",
    "InputError",
    "Iterate",
    "Measurement",
    "Reconstruction",
    "ReconstructionParams",
    "Scan",
    "ScanParams",
    "ScanStatistics",
    "SimulationParams",
    "SolverError",
    "StemInpaintError",
    "TrainingParams",
    "acquire",
    "evaluate",
    "iterate",
    "make_scan",
    "read",
    "reconstruct",
    "scan_statistics",
    "simulate",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
