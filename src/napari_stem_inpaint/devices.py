"""Which processor computes."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from .errors import InputError


def pick_device(name: str) -> torch.device:
    """Return the device called ``name`` ("auto", "cpu", "cuda", "mps").

    Raises
    ------
    InputError
        If this machine does not have it.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available.get(name, False):
        raise InputError(f"This machine has no {name!r} device; choose one of {[n for n, there in available.items() if there]} or auto.")
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    told: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
    if device.type != "cpu" or not told.get("avx512_bf16", False):
        return False
    return bool(told.get("amx_bf16", False)) or not _by_intel()  # without AMX, Intel's takes 1.5 times as long, AMD's half


def _by_intel() -> bool:
    listed = Path("/proc/cpuinfo")
    return "GenuineIntel" in (listed.read_text(encoding="utf-8") if listed.is_file() else platform.processor())
