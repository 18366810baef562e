"""The command line, one file a command. Nothing is imported before it can be said that there is no memory for it."""

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

INCOMPLETE = 3

# Until the commands are there, which takes some tenths of a second, Ctrl-C ends the program without a word.
_quiet = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _quiet:
    signal.signal(signal.SIGINT, lambda *_: os._exit(INCOMPLETE))


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Runs one command line; the exit status. Without arguments it is that of the process, and run in a process of its own."""
    if arguments is not None or "_SEPTUM_COMPLETE" in os.environ:  # a shell that completes a word asks for no verdict
        return _main(arguments)
    try:
        from septum.cli.supervise import supervised
    except MemoryError:
        return INCOMPLETE
    return supervised(_main, quiet=_quiet)


def _main(arguments: "Sequence[str] | None" = None) -> int:
    from septum.cli.app import main as run

    if _quiet:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run(arguments)
