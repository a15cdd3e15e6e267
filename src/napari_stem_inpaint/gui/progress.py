"""How far a reconstruction is, how long it takes, and how good it is, in words."""

from __future__ import annotations

import time

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar

from ..frames import Iterate, Reconstruction

NAMES = {
    "sre_db": "SRE {:.1f} dB",
    "sre_unmeasured_db": "unmeasured positions {:.1f} dB",
    "sre_mean_removed_db": "mean removed {:.1f} dB",
    "psnr_db": "PSNR {:.1f} dB",
    "ssim": "SSIM {:.5f}",
}


PARTS = 1000  # of the bar


class Progress(QProgressBar):
    """A bar that says step, time so far and time left."""

    def __init__(self) -> None:
        super().__init__()
        self.step: Iterate | None = None
        self.part, self._parts = 0, 1
        self._seconds = 0.0  # without pauses
        self._since: float | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(500)
        self._timer.timeout.connect(self._on_timeout)
        self.setTextVisible(True)
        self.setRange(0, PARTS)
        self.clear()

    def clear(self) -> None:
        """Show that nothing runs."""
        self._show(0.0, "")

    def start(self, parts: int = 1) -> None:
        """Begin to count the time of a new run, of as many ``parts`` as there are images."""
        self.clear()
        self.step, self._seconds, self._since = None, 0.0, time.monotonic()
        self.part, self._parts = 0, parts
        self._timer.start()
        self._on_timeout()

    def hold(self, paused: bool) -> None:
        """Stop or go on counting."""
        self._seconds, self._since = self.seconds, None if paused else time.monotonic()
        self._on_timeout()

    def show_part(self, part: int) -> None:
        """Show that so many parts are done."""
        self.step, self.part = None, part
        self._on_timeout()

    def show_step(self, iterate: Iterate) -> None:
        """Show the step of ``iterate``, of the part that is under way."""
        self.step = iterate
        self._on_timeout()

    def stop(self, how: str) -> None:
        """Stop counting, and say how it ended: "done", "cancelled" or "failed"."""
        self._timer.stop()
        self._seconds, self._since = self.seconds, None
        if how == "done":
            self._show(1.0, f"done in {clock(self.seconds)}")
        else:
            self._show(self._share(), f"{how}{f' at {self._place()}' if self._place() else ''} after {clock(self.seconds)}")

    @property
    def seconds(self) -> float:
        """Time of the run so far, without pauses."""
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    def _share(self) -> float:
        """Return how much is done, 0 to 1."""
        return (self.part + (self.step.index / self.step.total if self.step else 0.0)) / self._parts

    def _place(self) -> str:
        image = f"image {min(self.part + 1, self._parts)} of {self._parts}" if self._parts > 1 else ""
        step = "" if self.step is None else f"step {self.step.index} of {self.step.total}"
        return ", ".join(words for words in (image, step) if words)

    def _on_timeout(self) -> None:
        paused = "paused, " if self._since is None else ""
        share = self._share()
        if not share:
            self._show(0.0, f"{paused}preparing, {clock(self.seconds)}")
            return
        left = self.seconds / share * (1 - share)
        self._show(share, f"{paused}{self._place()}, {clock(self.seconds)}, about {clock(left)} left")

    def _show(self, share: float, words: str) -> None:
        """Show both with one repaint: a bar repaints itself at once whenever its value changes."""
        self.setUpdatesEnabled(False)
        self.setFormat(words)
        self.setValue(round(PARTS * share))
        self.setUpdatesEnabled(True)


def clock(seconds: float) -> str:
    """Return a duration as "8 s", "2 min 05 s" or "3 h 07 min"."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def in_words(what: Iterate | Reconstruction, last: Iterate | None = None) -> str:
    """Return one sentence on how good ``what`` is, and what the solver is at or did; ``last`` is a result's last iterate."""
    if isinstance(what, Iterate):
        stage, last, remarks = what.stage, what, what.remarks
    else:
        stage, remarks = str(what.recipe.get("outcome", "done")), tuple(what.recipe.get("remarks", ()))
    figures = [text.format(what.scores[name]) for name, text in NAMES.items() if name in what.scores]
    if not figures and last is not None and last.residual > 0:
        figures = [f"error at withheld positions {last.residual:.4g} (RMS)"]
    return f"{stage[:1].upper()}{stage[1:]}{': ' if figures else ''}{', '.join(figures)}.{''.join(f' {remark}' for remark in remarks)}"
