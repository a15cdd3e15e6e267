"""Long work beside the window: a generator runs in a napari worker, and what it makes arrives in the window's own thread."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from napari.qt.threading import thread_worker
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from ..errors import SolverError, StemInpaintError, sentence
from ..frames import Iterate
from . import garbage

log = logging.getLogger(__name__)

INTERVAL_S = 0.1  # at most ten images a second: the window's queue has no back-pressure
NICENESS = 10  # of the thread that works, and of those that PyTorch starts from it
GRACE_MS = 300  # after a cancel, a step that cannot be interrupted is left to end on its own

Tick = Callable[[], None]
Work = Generator[str | Iterate | tuple[Any, ...], None, Any]
Job = Callable[[Tick], Work]
"""Work: yields sentences (what it is doing), and iterates or tuples of news; returns the result; calls ``tick`` often."""


class Cancelled(StemInpaintError):
    """Raised inside the work when the user cancelled it."""


class Control:
    """How the window stops and pauses the work; safe to use from any thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self.also_cancelled: Callable[[], bool] = lambda: False
        self.close: Callable[[], None] = lambda: None  # ends work that was quit between two messages and would keep its arrays

    @property
    def paused(self) -> bool:
        """Whether the work waits."""
        return not self._going.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether the work is to end, or has been quit by napari."""
        return self._cancelled.is_set() or self.also_cancelled()

    def cancel(self) -> None:
        """Let the work end at its next tick."""
        self._cancelled.set()
        self._going.set()

    def pause(self) -> None:
        """Let the work wait at its next tick."""
        self._going.clear()

    def resume(self) -> None:
        """Let the work go on."""
        self._going.set()

    def tick(self) -> None:
        """Wait while paused.

        Raises
        ------
        Cancelled
            If the work is to end.
        """
        while not self.cancelled and not self._going.wait(INTERVAL_S):
            pass
        if self.cancelled:
            raise Cancelled("Cancelled.")


@dataclass(frozen=True)
class Message:
    """What the worker tells the window; ``generation`` says for which run."""

    generation: int
    kind: Literal["said", "stepped", "returned", "failed", "cancelled"]
    payload: Any = None


def stream(job: Job, control: Control, generation: int) -> Iterator[Message]:
    """Run ``job``, yielding at most ten steps a second: all the news since the step before, and the newest iterate after them.

    The last iterate is always among them, unless news came after it.
    The final message says how it ended.
    No exception leaves this generator, not even ``SystemExit``: Qt workers swallow a ``RuntimeError``, and after it never finish.
    """
    work: Work | None = None
    news: tuple[Any, ...] = ()
    newest: Iterate | None = None
    shown = -INTERVAL_S
    try:
        let_the_window_go_first()
        work = job(control.tick)
        control.close = partial(_close, work)
        while True:
            control.tick()
            try:
                item = next(work)
            except StopIteration as stop:
                end = Message(generation, "returned", stop.value)
                break
            if isinstance(item, str):
                yield from _steps(generation, news, newest)
                news, newest = (), None
                yield Message(generation, "said", item)
                continue
            if isinstance(item, tuple):
                news, newest = (*news, *item), None  # what is news tells more than the iterate before it
            else:
                newest = replace(item, image=np.array(item.image, dtype=np.float32))
            if time.monotonic() - shown >= INTERVAL_S:
                yield from _steps(generation, news, newest)
                news, newest, shown = (), None, time.monotonic()
    except Cancelled:
        end = Message(generation, "cancelled")
    except GeneratorExit:
        raise
    except BaseException as error:
        end = Message(generation, "failed", ours(error))
    finally:
        if work is not None:
            _close(work)
    yield from _steps(generation, news, newest)
    yield end


def let_the_window_go_first() -> None:
    """Give way to the window's thread where there are not processors for both; on Linux, where a thread has its own priority."""
    if sys.platform == "linux" and threading.current_thread() is not threading.main_thread():
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _steps(generation: int, news: tuple[Any, ...], newest: Iterate | None) -> Iterator[Message]:
    if news:
        yield Message(generation, "stepped", news)
    if newest is not None:
        yield Message(generation, "stepped", newest)


def ours(error: BaseException) -> StemInpaintError:
    """Return ``error``, just caught, as one of ours without the traceback, which would keep the frames' arrays alive."""
    if not isinstance(error, StemInpaintError):
        log.error("The work failed:\n%s", traceback.format_exc())  # as text: a record would keep the arrays alive
    if isinstance(error, OSError) and getattr(error, "winerror", None) == 1114:
        return SolverError(
            "PyTorch could not be loaded beside this window (Windows error 1114): install the current Microsoft Visual C++ "
            "Redistributable, or use the command stem-inpaint reconstruct, which needs no window."
        )
    return SolverError(sentence(error))


def _close(work: Work) -> None:
    try:
        work.close()
    except Exception:
        log.error("The work did not end cleanly:\n%s", traceback.format_exc())


def _over(control: Control) -> None:
    garbage.thread_ends()
    control.close()


class Runner(QObject):
    """Runs one job at a time; its signals arrive in the window's thread and never from a run that was replaced."""

    said = Signal(str)
    stepped = Signal(object)  # Iterate, or a tuple of news
    returned = Signal(object)
    failed = Signal(str)
    cancelled = Signal()
    ended = Signal()  # after returned, failed or cancelled

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._generation = 0
        self._control: Control | None = None
        self._worker: Any = None
        self._last: Message | None = None
        self._held = False
        self._grace = QTimer(self)
        self._grace.setSingleShot(True)
        self._grace.setInterval(GRACE_MS)
        self._grace.timeout.connect(self._on_grace_over)

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self._control is not None

    @property
    def paused(self) -> bool:
        """Whether the job waits because it was asked to."""
        return self._control is not None and self._control.paused and not self._held

    def start(self, job: Job) -> None:
        """Start ``job``; one that is under way is dropped."""
        if self._control is not None:
            self._control.cancel()
        self._grace.stop()
        self._generation += 1
        self._last = None
        control = self._control = Control()
        self.destroyed.connect(control.cancel)
        self._worker = thread_worker(stream)(job, control, self._generation)
        worker = weakref.ref(self._worker)
        control.also_cancelled = lambda: getattr(worker(), "abort_requested", False)
        self._worker.yielded.connect(self._on_yielded)
        # Not through self: napari quits workers when the window closes, and this object goes with it.
        self._worker.finished.connect(lambda: _over(control))
        self._worker.finished.connect(self._on_finished)
        garbage.thread_begins()
        self._worker.start()

    def cancel(self) -> None:
        """End the job, at the latest when the grace time is over."""
        if self._control is not None:
            self._control.cancel()
            self._grace.start()

    def pause(self) -> None:
        """Let the job wait."""
        if self._control is not None:
            self._control.pause()

    def resume(self) -> None:
        """Let the job go on."""
        if self._control is not None:
            self._control.resume()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the job wait while the window does something slow: they share one interpreter."""
        control = None if self.paused else self._control
        if control is not None:
            control.pause()
            self._held = True
        try:
            yield
        finally:
            if control is not None:
                control.resume()
                self._held = False

    def _on_yielded(self, message: Message) -> None:
        if message.generation != self._generation or self._control is None:
            return
        if message.kind == "said":
            self.said.emit(message.payload)
        elif message.kind == "stepped":
            self.stepped.emit(message.payload)
        else:
            self._last = message  # acted upon when the worker has finished: until then it replaces Python's warning filters

    def _on_finished(self) -> None:
        if self._control is None or self._worker.is_running:
            return
        if self._last is not None:
            self._end(self._last)
        elif self._worker.abort_requested:  # napari quit the worker between two messages
            self._end(Message(self._generation, "cancelled"))

    def _on_grace_over(self) -> None:
        if self._control is not None:
            self._generation += 1
            self._end(Message(self._generation, "cancelled"))

    def _end(self, message: Message) -> None:
        self._grace.stop()
        self._control = self._worker = self._last = None
        if message.kind == "returned":
            self.returned.emit(message.payload)
        elif message.kind == "failed":
            self.failed.emit(sentence(message.payload))
        else:
            self.cancelled.emit()
        self.ended.emit()
