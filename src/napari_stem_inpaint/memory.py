"""How much memory a reconstruction takes, and how much there is."""

from __future__ import annotations

import psutil

from .params import ONE_PASS, PLUG_AND_PLAY, ReconstructionParams

SOLVER_BYTES, NETWORK_BYTES = 350, 700  # per pixel: the largest of what frames of 512² to 2048² and the shipped networks took
LARGEST_PART = 640**2  # pixels: a network sees no more at once
LIBRARIES_BYTES = 400 << 20
USABLE = 0.8  # of what is free


def needed_bytes(pixels: int, params: ReconstructionParams) -> int:
    """Return about how much memory a frame of so many ``pixels`` takes while it is reconstructed."""
    network = NETWORK_BYTES * min(pixels, LARGEST_PART) if params.solver in (*PLUG_AND_PLAY, *ONE_PASS) else 0
    return LIBRARIES_BYTES + SOLVER_BYTES * pixels + network


def free_bytes() -> int:
    """Return how much of this machine's memory is free."""
    return int(psutil.virtual_memory().available)


def total_bytes() -> int:
    """Return how much memory this machine has, swap included."""
    return int(psutil.virtual_memory().total + psutil.swap_memory().total)


def in_words(size: float) -> str:
    """Return a number of bytes as "1.8 GB" or "250 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
