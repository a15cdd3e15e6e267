"""Which processor computes."""

from __future__ import annotations

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
    return device.type == "cpu" and bool(told.get("avx512_bf16", False))
