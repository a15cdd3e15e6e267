"""The worker: throttling, cancelling, pausing, and failures of every kind arriving as one sentence."""

import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QObject, QThread

from napari_stem_inpaint.errors import InputError, StemInpaintError
from napari_stem_inpaint.frames import Iterate
from napari_stem_inpaint.gui.worker import INTERVAL_S, NICENESS, Cancelled, Control, Message, Runner, stream


def step(k: int, image: np.ndarray | None = None) -> Iterate:
    return Iterate(k, 10, np.full((4, 4), k, np.float32) if image is None else image, 0.0, 0.0, "s")


def kinds(messages: list[Message]) -> list[str]:
    return [m.kind for m in messages]


def test_the_last_iterate_always_arrives_and_fast_ones_are_left_out() -> None:
    def job(tick: Any) -> Iterator[Iterate]:
        for k in range(50):
            yield step(k)
        return "result"

    messages = list(stream(job, Control(), 7))
    steps = [m.payload.index for m in messages if m.kind == "stepped"]
    assert steps[0] == 0
    assert steps[-1] == 49
    assert len(steps) < 10
    assert messages[-1] == Message(7, "returned", "result")


def test_of_tuples_of_news_none_is_lost() -> None:
    def job(tick: Any) -> Iterator[tuple[int, ...]]:
        for k in range(30):
            yield (k,)
            time.sleep(0.01)
        return "result"

    messages = list(stream(job, Control(), 7))
    told = [m.payload for m in messages if m.kind == "stepped"]
    assert [k for news in told for k in news] == list(range(30))
    assert len(told) < 8


def test_at_most_ten_iterates_a_second() -> None:
    def job(tick: Any) -> Iterator[Iterate]:
        end = time.monotonic() + 0.55
        while time.monotonic() < end:
            yield step(1)

    steps = [m for m in stream(job, Control(), 1) if m.kind == "stepped"]
    assert 3 <= len(steps) <= 0.55 / INTERVAL_S + 2


def test_iterates_have_memory_of_their_own() -> None:
    buffer = np.zeros((4, 4), np.float32)

    def job(tick: Any) -> Iterator[Iterate]:
        for k in range(2):
            buffer[:] = k + 1
            yield step(k, buffer)
        buffer[:] = 99

    steps = [m.payload for m in stream(job, Control(), 1) if m.kind == "stepped"]
    assert [s.image[0, 0] for s in steps] == [1, 2]
    assert all(s.image.base is None and s.image.dtype == np.float32 for s in steps)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("bad value"), "ValueError: bad value"),
        (RuntimeError("CUDA error:\n out"), "RuntimeError: CUDA error: out"),
        (MemoryError(), "Not enough memory"),
        (StopIteration("early"), "generator raised StopIteration"),
        (InputError("The mask is wrong."), "The mask is wrong."),
    ],
)
@pytest.mark.parametrize("when", ["at once", "later"])
def test_every_exception_becomes_one_of_ours(error: Exception, words: str, when: str) -> None:
    def job(tick: Any) -> Iterator[Iterate]:
        if when == "later":
            yield step(1)
        raise error

    *_, last = stream(job, Control(), 1)
    assert last.kind == "failed"
    assert isinstance(last.payload, StemInpaintError)
    assert not isinstance(last.payload, RuntimeError)
    assert words in str(last.payload)
    assert "\n" not in str(last.payload)
    assert last.payload.__traceback__ is None


def test_a_job_that_cannot_even_start_is_reported() -> None:
    def job(tick: Any) -> Any:
        raise RuntimeError("no generator")

    assert kinds(list(stream(job, Control(), 1))) == ["failed"]


def test_the_windows_loading_failure_of_torch_is_explained() -> None:
    def job(tick: Any) -> Iterator[Iterate]:
        error = OSError("DLL")
        error.winerror = 1114  # type: ignore[attr-defined]
        raise error
        yield

    (last,) = stream(job, Control(), 1)
    assert "stem-inpaint reconstruct" in str(last.payload)


def test_cancel_closes_the_work_and_keeps_the_last_iterate() -> None:
    control, ends = Control(), []

    def job(tick: Any) -> Iterator[Iterate]:
        try:
            yield step(1)
            yield step(2)
            control.cancel()
            yield step(3)
            yield step(4)
        finally:
            ends.append("closed")

    messages = list(stream(job, control, 1))
    assert kinds(messages) == ["stepped", "stepped", "cancelled"]
    assert messages[1].payload.index == 3
    assert ends == ["closed"]


def test_tick_raises_when_cancelled_even_while_paused() -> None:
    control = Control()
    control.tick()
    control.pause()
    raised = threading.Event()

    def wait() -> None:
        try:
            control.tick()
        except Cancelled:
            raised.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert control.paused
    control.cancel()
    assert raised.wait(0.5)
    thread.join()


def test_tick_ends_a_pause_when_napari_quits_the_worker() -> None:
    control = Control()
    control.pause()
    control.also_cancelled = lambda: True
    with pytest.raises(Cancelled):
        control.tick()


def endless(tick: Any) -> Iterator[Iterate]:
    k = 0
    while True:
        tick()
        k += 1
        yield step(k)


def test_results_arrive_in_the_windows_thread(qtbot: Any) -> None:
    runner, threads = Runner(parent := QObject()), []
    runner.stepped.connect(lambda _: threads.append(QThread.currentThread()))
    runner.returned.connect(lambda _: threads.append(QThread.currentThread()))

    def job(tick: Any) -> Iterator[Iterate]:
        threads.append(threading.current_thread())
        yield step(1)
        return 5

    with qtbot.waitSignal(runner.ended, timeout=5000):
        runner.start(job)
    assert threads[0] is not threading.main_thread()
    assert threads[1:] == [parent.thread()] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads of one process have one priority")
def test_the_window_goes_first(qtbot: Any) -> None:
    def niceness(tick: Any) -> Iterator[str]:
        yield "Looking…"
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    runner = Runner(_parent := QObject())
    with qtbot.waitSignal(runner.returned, timeout=5000) as told:
        runner.start(niceness)
    assert told.args == [max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0))]


def test_garbage_is_collected_in_the_windows_thread(qtbot: Any) -> None:
    class Widget:
        def __init__(self) -> None:
            self.itself = self

    def many_objects(tick: Any) -> Iterator[Iterate]:
        end = time.monotonic() + 20
        while not threads and time.monotonic() < end:
            kept = [[k] for k in range(10000)]
            yield step(len(kept))

    threads: list[threading.Thread] = []
    runner = Runner(_parent := QObject())
    gc.enable()
    gc.collect()
    weakref.finalize(Widget(), lambda: threads.append(threading.current_thread()))
    with qtbot.waitSignal(runner.returned, timeout=30000):
        runner.start(many_objects)
    assert threads == [threading.main_thread()]
    qtbot.waitUntil(gc.isenabled, timeout=5000)


def test_a_replaced_run_says_nothing_more(qtbot: Any) -> None:
    runner, got = Runner(parent := QObject()), []
    runner.stepped.connect(lambda i: got.append(i.stage))
    runner.cancelled.connect(lambda: got.append("cancelled"))

    def second(tick: Any) -> Iterator[Iterate]:
        for k in range(3):
            yield Iterate(k, 3, np.zeros((2, 2), np.float32), 0.0, 0.0, "second")
        return None

    with qtbot.waitSignal(runner.stepped, timeout=5000):
        runner.start(endless)
    got.clear()
    with qtbot.waitSignal(runner.returned, timeout=5000):
        runner.start(second)
    assert set(got) == {"second"}
    del parent


def test_a_step_that_cannot_be_interrupted_is_left_to_end_on_its_own(qtbot: Any) -> None:
    runner, entered, release, done = Runner(parent := QObject()), threading.Event(), threading.Event(), threading.Event()

    def stuck(tick: Any) -> Iterator[Iterate]:
        yield step(1)
        entered.set()
        release.wait(20)
        done.set()
        yield step(2)

    with qtbot.waitSignal(runner.stepped, timeout=5000):
        runner.start(stuck)
    qtbot.waitUntil(entered.is_set, timeout=5000)
    stale: list[Any] = []
    begin = time.monotonic()
    with qtbot.waitSignal(runner.cancelled, timeout=2000):
        runner.cancel()
    assert time.monotonic() - begin < 0.5
    assert not runner.running
    runner.stepped.connect(stale.append)
    release.set()
    qtbot.waitUntil(done.is_set, timeout=5000)
    with qtbot.waitSignal(runner.returned, timeout=5000):
        runner.start(lambda tick: (yield from ()))
    assert not stale
    del parent


def test_when_napari_quits_the_worker_the_run_ends_and_is_closed(qtbot: Any) -> None:
    runner, closed = Runner(parent := QObject()), threading.Event()

    def job(tick: Any) -> Iterator[Iterate]:
        try:
            yield from endless(tick)
        finally:
            closed.set()

    with qtbot.waitSignal(runner.stepped, timeout=5000):
        runner.start(job)
    with qtbot.waitSignal(runner.cancelled, timeout=5000):
        runner._worker.quit()
    assert closed.wait(2)
    assert not runner.running
    del parent


def test_the_work_ends_with_its_widget(qtbot: Any) -> None:
    parent, closed = QObject(), threading.Event()
    runner = Runner(parent)

    def job(tick: Any) -> Iterator[Iterate]:
        try:
            yield from endless(tick)
        finally:
            closed.set()

    with qtbot.waitSignal(runner.stepped, timeout=5000):
        runner.start(job)
    parent.deleteLater()
    qtbot.waitUntil(closed.is_set, timeout=2000)


def test_nothing_of_a_finished_run_stays_alive(qtbot: Any) -> None:
    runner, refs = Runner(parent := QObject()), []

    class Big:
        pass

    def job(tick: Any) -> Iterator[Iterate]:
        big = Big()
        refs.append(weakref.ref(big))
        yield step(1)
        raise ValueError("with a traceback")

    with qtbot.waitSignal(runner.failed, timeout=5000):
        runner.start(job)

    def gone() -> bool:
        gc.collect()
        return refs[0]() is None

    qtbot.waitUntil(gone, timeout=5000)
    del parent
