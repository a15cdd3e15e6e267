"""The exceptions users see: one sentence that says what was expected, what came and what to do."""

from pydantic import ValidationError


class StemInpaintError(Exception):
    """Base of every error this package raises on purpose. Never a ``RuntimeError``: Qt workers swallow those."""


class InputError(StemInpaintError):
    """Arrays, parameters or files that cannot be used as given."""


class CheckpointError(StemInpaintError):
    """A checkpoint that is missing, damaged, of an unknown architecture or not safe to open."""


class SolverError(StemInpaintError):
    """A reconstruction or training that failed while running."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python's or PyTorch's memory ran out; the latter says so in several ways."""
    words = ("out of memory", "DefaultCPUAllocator", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(word in str(error) for word in words))


def sentence(error: BaseException) -> str:
    """Return ``error`` as one line of text without a traceback, for a status bar or a terminal."""
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, e['loc'])) or error.title}: {e['msg'][0].lower() + e['msg'][1:]} (got {e['input']!r:.60})"
            for e in error.errors()
        )
    if isinstance(error, StemInpaintError):
        return str(error)
    if is_out_of_memory(error):
        return "Not enough memory: use a smaller frame, or close other programs and try again."
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
