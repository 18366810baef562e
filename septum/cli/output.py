"""Standard output: in colour on a terminal, plain in a pipe, and quiet when its reader leaves."""

from __future__ import annotations

import json
import os
import shutil
import sys

from septum.lang.errors import UserError

PLAIN_WIDTH, MAIL_WIDTH = 80, 75
WIDEST, WIDEST_DRAWING = 120, 160


def write(text: str) -> bool:
    """Prints `text`. A reader that left early, as `head` does, changes neither the exit status nor earns a message: False."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="backslashreplace")  # a source line may hold what a terminal's encoding lacks
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    except OSError as error:
        raise UserError(f"standard output: {(error.strerror or str(error)).lower()}") from None
    return True


def write_json(document: object) -> None:
    """Prints one document."""
    write(json.dumps(document, indent=2))


def colour() -> bool:
    """Whether standard output shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """The columns of standard output."""
    return min(shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns, WIDEST) if sys.stdout.isatty() else PLAIN_WIDTH


def drawing_width() -> int:
    """The columns for a drawing: those of a terminal, or those of a mail."""
    if not sys.stdout.isatty():
        return MAIL_WIDTH
    return min(shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns, WIDEST_DRAWING)


def height() -> int:
    """The lines of the screen; 0 where standard output is no terminal."""
    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).lines if sys.stdout.isatty() else 0
