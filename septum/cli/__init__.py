"""The command line, one file a command: check, list, show, explain."""

import os
import signal

# Until the commands are there, which takes some tenths of a second, Ctrl-C ends the program without a word.
_before = signal.getsignal(signal.SIGINT)
if _before is signal.default_int_handler:
    signal.signal(signal.SIGINT, lambda *_: os._exit(3))

from septum.cli.app import main  # noqa: E402

if _before is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["main"]
