"""Signals, for loops that look for them. Only where a scenario sends some (SIGNALS): as long as there are some left, one may be
pending at each look."""

from septum.lang import Size, Witness, choose, commutes, process, reached

SIGNALS = Size("SIGNALS", 0)  # so many, as nobody sends signals for ever
interrupted = Witness("interrupted", "a thread that looked for a signal found one")


@process
def signal_pending(m):
    """signal_pending(current)."""
    if not SIGNALS:
        return False
    pending = yield choose(lambda: ways(m))
    if pending == 1:
        take_signal(m)
        reached(interrupted)
    return pending == 1


def ways(m):
    """In how many ways a look for a signal may go."""
    commutes("what the scenario sends is no memory of the kernel")
    return 2 if m.signals != 0 else 1


def take_signal(m):
    """A signal was found, and is handled."""
    commutes("what the scenario sends is no memory of the kernel")
    m.signals -= 1
