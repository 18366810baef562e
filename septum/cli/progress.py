"""One line on standard error that says how far the running check is; on a terminal only."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

from septum.report.numbers import duration, memory

if TYPE_CHECKING:
    from septum.check.explore import Progress

INTERVAL = 0.2


class ProgressLine:
    """Called with a Progress, rewrites its line; `clear` takes it away."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.on = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        if self.on and time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL
            self._put(f"{self.title}: {describe(progress)}")

    def clear(self) -> None:
        if self.on:
            self._put("")

    def _put(self, text: str) -> None:
        room = shutil.get_terminal_size((80, 24)).columns - 1
        sys.stderr.write(f"\r{text[:room]:<{room}}\r{text[:room]}")
        sys.stderr.flush()


def describe(progress: Progress) -> str:
    """States, rate, frontier, depth, memory and time in one line."""
    rate = progress.transitions / progress.seconds / 1e6 if progress.seconds else 0.0
    return (
        f"{progress.states:,} states, {rate:.1f} M/s, frontier {progress.frontier:,}, depth {progress.depth}, "
        f"{memory(progress.bytes)}, {duration(progress.seconds)}"
    )
