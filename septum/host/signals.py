"""Signals, for loops that look for them. Only where a scenario sends some (SIGNALS): then one may be pending at each look."""

from septum.lang import Size, Witness, choose, process, reached

SIGNALS = Size("SIGNALS", 0)
interrupted = Witness("interrupted", "a thread that looked for a signal found one")


@process
def signal_pending(m):
    """signal_pending(current)."""
    if not SIGNALS:
        return False
    pending = yield choose(2)
    if pending == 1:
        reached(interrupted)
    return pending == 1
