"""An end to everything that a check does: reading, translating, compiling, searching, replaying."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from septum.lang.errors import OutOfTime

GRACE_SECONDS, AGAIN_SECONDS = 1.0, 0.2
"""A search ends in time of its own accord, and has these to say what it found; what does not end is told again."""


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Inside, OutOfTime is raised so long after the start, and a moment; only the main thread can be interrupted."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    main, over = threading.main_thread().ident, threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if not over.is_set():
            raise OutOfTime

    def tell() -> None:
        wait = seconds + GRACE_SECONDS
        while not over.wait(wait):
            signal.pthread_kill(main or 0, signal.SIGVTALRM)
            wait = AGAIN_SECONDS

    before = signal.signal(signal.SIGVTALRM, stop)
    teller = threading.Thread(target=tell, daemon=True)
    try:
        teller.start()
        yield
    finally:
        over.set()
        teller.join()
        signal.signal(signal.SIGVTALRM, before)


class Clock:
    """How much of a budget is left."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds, self.began = seconds, time.monotonic()

    @property
    def left(self) -> float | None:
        return None if self.seconds is None else max(self.seconds - (time.monotonic() - self.began), 0.0)
