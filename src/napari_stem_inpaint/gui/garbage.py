"""While other threads work, garbage is collected in the window's thread alone: a widget deleted in another takes the program with it.

And only what is young is searched: all of it would stop the window for a quarter of a second.
"""

from __future__ import annotations

import gc
import threading

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

INTERVAL_MS = 1000

_lock = threading.Lock()
_at_work = 0


class _Sweeper(QTimer):
    """Collects what is young; what is old waits until nobody works any more."""

    def __init__(self, parent: QApplication) -> None:
        super().__init__(parent)
        self.setInterval(INTERVAL_MS)
        self.timeout.connect(self._on_timeout)
        self._enabled = True

    def begin(self) -> None:
        """Take over from Python, which collects in whichever thread happens to need memory."""
        if not self.isActive():
            self._enabled = False
            self.start()
        self._enabled |= gc.isenabled()
        gc.disable()

    def _on_timeout(self) -> None:
        if _at_work:
            gc.collect(1)
            return
        self.stop()
        if not gc.get_freeze_count():  # or somebody else's would be undone
            gc.freeze()
            gc.unfreeze()  # now all counts as old and nothing as new, so that Python does not search all of it at once
        if self._enabled:
            gc.enable()


def thread_begins() -> None:
    """Say, in the window's thread, that another is about to work."""
    global _at_work
    with _lock:
        _at_work += 1
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    (app.findChild(_Sweeper) or _Sweeper(app)).begin()


def thread_ends() -> None:
    """Say, in any thread, that one of those works no more."""
    global _at_work
    with _lock:
        _at_work -= 1
