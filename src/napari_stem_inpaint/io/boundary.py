"""Where files meet the program: every library's failure becomes one sentence, and no half-written file stays."""

from __future__ import annotations

import logging
import os
import secrets
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError, StemInpaintError, sentence


def checked_file(path: str | Path) -> Path:
    """Return ``path`` as a Path.

    Raises
    ------
    InputError
        If there is no such file, or it is a folder or empty.
    """
    source = Path(path)
    try:
        if source.is_dir():
            raise InputError(f"{source.name} is a folder; name a file in it.")
        if not source.is_file():
            raise InputError(f"There is no file {source}.")
        if source.stat().st_size == 0:
            raise InputError(f"{source.name} is empty (0 bytes).")
    except (OSError, ValueError) as error:
        raise InputError(f"{source} cannot be looked up ({sentence(error)}).") from error
    return source


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a library reads ``source`` into an InputError; MemoryError stays."""
    try:
        with warnings.catch_warnings(), _quiet_logs():
            warnings.filterwarnings("ignore", message="unclosed file", category=ResourceWarning)
            warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
            try:
                yield
            except Exception as error:
                _release(error)
                raise
    except (StemInpaintError, MemoryError):
        raise
    except Exception as error:
        suffix = source.suffix.lower() or "such"
        raise InputError(f"{source.name} cannot be read: it is damaged or no {suffix} file ({sentence(error)[:200]}).") from error


@contextmanager
def _quiet_logs() -> Iterator[None]:
    # What these libraries log about damaged files, this package says in its own sentence or does not mind.
    loggers = [logging.getLogger(name) for name in ("tifffile", "rsciio")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _release(error: BaseException | None) -> None:
    # Files that a failed reader left open must close here, while their warning is filtered.
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def write_atomically(path: str | Path, suffixes: Sequence[str], write: Callable[[Path], None], otherwise: str = "") -> None:
    """Let ``write`` fill a new file beside ``path``, then put it in place in one step.

    Parameters
    ----------
    suffixes
        The endings that ``write`` can serve; where there is but one, a name without any gets it.
    otherwise
        Ends the sentence that refuses another ending.

    Raises
    ------
    InputError
        If the ending is unknown, the folder is missing, a file that was not named in full exists or the file cannot be written.
    """
    target = Path(path)
    if not target.suffix and len(suffixes) == 1 and not target.is_dir():
        target = target.with_name(f"{target.name}{suffixes[0]}")
        if target.exists():
            raise InputError(f"{target.name} exists already; name it with its ending to replace it.")
    if target.suffix.lower() not in suffixes:
        raise InputError(f"{target.name} must end in {' or '.join(suffixes)}{otherwise}.")
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist; make it first.")
    if target.is_dir():
        raise InputError(f"{target} is a folder; name a file in it.")
    target = target.resolve()
    beside = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        write(beside)
        os.replace(beside, target)
    except OSError as error:
        raise InputError(f"{target.name} cannot be written ({sentence(error)[:200]}).") from error
    finally:
        _remove(beside)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # The write's own error says more than that its leftover could not be removed.
        return
