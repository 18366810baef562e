"""One line on standard error that says how far the running check is; on a terminal only."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from septum.report.numbers import duration, memory

if TYPE_CHECKING:
    from septum.explore.explore import Progress

INTERVAL = 0.2
FIRST = 3
"""So many parts are worth more than the whole title: time, memory and states."""


class ProgressLine:
    """Called with a Progress, rewrites its line; `clear` takes it away."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.on = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        if self.on and time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL
            self._show(describe(progress))

    def clear(self) -> None:
        if self.on:
            self._put("")

    def _show(self, parts: Sequence[str]) -> None:
        """As many parts as there is room for, behind a title that leaves room for the first of them."""
        self._put(fitted(self.title, parts, _room()))

    def _put(self, text: str) -> None:
        room = _room()
        sys.stderr.write(f"\r{text[:room]:<{room}}\r{text[:room]}")
        sys.stderr.flush()


def _room() -> int:
    return shutil.get_terminal_size((80, 24)).columns - 1


def fitted(title: str, parts: Sequence[str], room: int) -> str:
    """`title: part, part`, in at most `room` columns: without the last parts, and where need be with a clipped title."""
    left = room - len(f": {', '.join(parts[:FIRST])}")
    if len(title) > left:
        title = f"{title[: max(left - 3, 0)]}..."
    shown = list(parts)
    while len(shown) > FIRST and len(f"{title}: {', '.join(shown)}") > room:
        shown.pop()
    return f"{title}: {', '.join(shown)}" if shown else title


def describe(progress: Progress) -> list[str]:
    """Time, memory, states, rate, frontier and depth, the most important first; nothing of what is not known yet."""
    rate = progress.transitions / progress.seconds if progress.seconds else 0.0
    parts = [
        (progress.seconds, duration(progress.seconds)),
        (progress.bytes, memory(progress.bytes)),
        (progress.states, f"{progress.states:,} states"),
        (rate, f"{rate / 1e6:.1f} M/s" if rate >= 1e5 else f"{rate / 1e3:.1f} k/s"),
        (progress.frontier, f"frontier {progress.frontier:,}"),
        (progress.depth, f"depth {progress.depth}"),
    ]
    return [text for known, text in parts if known]
