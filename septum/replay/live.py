"""A running kernel, followed as it goes: the trace_pipe of an instance of one's own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from septum.replay.replay import Options, followed
from septum.replay.result import Result
from septum.replay.session import Session
from septum.replay.tracefs import instance

BUFFER = 65536  # KiB for each CPU
EVERY = 1.0  # seconds between two lines
SIZES = ((1, "4K"), (2, "2M"), (3, "1G"))


def follow(options: Options, seconds: float | None, tell: Callable[[str], None]) -> Result:
    """Follows the kernel that runs, for some seconds or until Ctrl-C; `tell` gets a line a second. UserError without tracefs.

    The kernel is what uname(2) says, unless the options name one.
    """
    begun = time.monotonic()

    def over() -> bool:
        return seconds is not None and time.monotonic() - begun >= seconds

    with instance(BUFFER) as made, made.recording():
        known = options if options.kernel else replace(options, kernel=os.uname().release)
        result = followed("trace_pipe", made.pieces(over), known, Teller(tell, begun))
    return replace(result, reading=replace(result.reading, truncated=""))  # Ctrl-C is how it ends


class Teller:
    """A line a second about a session."""

    def __init__(self, tell: Callable[[str], None], begun: float) -> None:
        self.tell, self.begun, self.told = tell, begun, begun

    def __call__(self, session: Session, diverged: int) -> None:
        now = time.monotonic()
        if now - self.told < EVERY:
            return
        self.told = now
        m, state = session.m, session.state
        leaves = ", ".join(f"{int(m.mapped[level]):,} x {size}" for level, size in SIZES if m.mapped[level])
        lost = f", {int(state.scan.lost):,} lost" if state.scan.losses else ""
        self.tell(
            f"{now - self.begun:.0f} s: {int(state.followed):,} events followed{lost}, {diverged:,} divergences, "
            f"{leaves or 'nothing'} mapped"
        )
