"""Answers to requests that come faster than they can be met: the newest is worked on, older ones are dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from ..errors import StemInpaintError
from . import garbage
from .worker import ours

POLL_MS = 10


class Desk:
    """What window and thread share: the newest request, the newest outcome. It holds no widget, so the thread cannot touch one."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._request: tuple[Any, ...] | None = None
        self._outcome: Any = None
        self.busy = False

    def put(self, request: tuple[Any, ...]) -> None:
        """Replace the request; a thread works as long as there is one, and ends when there is none."""
        with self._lock:
            self._request = request
            if not self.busy:
                self.busy = True
                garbage.thread_begins()
                threading.Thread(target=self._serve, name="preview").start()

    def take(self) -> tuple[Any, bool]:
        """Return the newest outcome, None where there is no new one, and whether another is to come."""
        with self._lock:
            outcome, self._outcome = self._outcome, None
            return outcome, self.busy

    def clear(self) -> None:
        """Drop the request that has not been begun, so that the thread ends."""
        with self._lock:
            self._request = None

    def _serve(self) -> None:
        while True:
            with self._lock:
                request, self._request = self._request, None
                if request is None:
                    self.busy = False
                    garbage.thread_ends()
                    return
            try:
                outcome = self._work(*request)
            except Exception as error:
                outcome = ours(error)
            with self._lock:
                self._outcome = outcome


class Newest(QObject):
    """Runs ``work`` on the newest request beside the window; ``ready`` and ``failed`` come in the window's own thread."""

    ready = Signal(object)
    failed = Signal(str)

    def __init__(self, parent: QObject, work: Callable[..., Any]) -> None:
        super().__init__(parent)
        self._desk = desk = Desk(work)
        # Asked for, not sent: the thread may outlive this object.
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._on_timeout)
        self.destroyed.connect(desk.clear)

    @property
    def busy(self) -> bool:
        """Whether an outcome is still to come."""
        return self._timer.isActive()

    def request(self, *request: Any) -> None:
        """Ask for ``work(*request)``; what has been asked for and not begun is dropped."""
        self._desk.put(request)
        self._timer.start()

    def drop(self) -> None:
        """Want nothing any more, not even the outcome of what has been begun."""
        self._desk.clear()
        self._timer.stop()

    def _on_timeout(self) -> None:
        outcome, more = self._desk.take()
        if not more:
            self._timer.stop()
        if isinstance(outcome, StemInpaintError):
            self.failed.emit(str(outcome))
        elif outcome is not None:
            self.ready.emit(outcome)
