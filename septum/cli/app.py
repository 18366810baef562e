"""The application: its commands, and what becomes of an error. No mistake of a user ends in a traceback."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click  # and not typer, which rests on pydantic and takes 0.1 s more to start

from septum.lang.errors import EnginesDisagree, OutOfTime, SeptumError

BAD_INPUT, INCOMPLETE = 2, 3
RARELY = (100_000, 20, 20)
"""When Python looks for garbage: a model's trees stay, and to walk them as often as by default takes a tenth of the time."""

NO_ROOM = ("failed to map segment", "annot allocate memory", "without exception set", "without setting an exception")
"""In these words the loader says that there is no memory for a library, and Python that it met its end inside of itself."""

DEFECT = "a defect of septum, please report it"
PACKAGE = Path(__file__).parents[1]


MODULES = {
    "demo": "demo", "lint": "lint", "check": "check", "watch": "watch", "diff": "diff",
    "hunt": "hunt", "compare": "compare", "provenance": "provenance", "claims": "claims", "replay": "replay",
    "record": "record",
    "new": "new", "sources": "sources", "list": "listing", "show": "show", "footprints": "footprints", "explain": "explain",
    "explore": "explore", "tdx": "tdx", "simulate": "simulate",
}  # fmt: skip


class _Commands(click.Group):
    """Each command is imported when it is asked for, so that none waits for what the others need."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(MODULES)

    def resolve_command(self, context: click.Context, arguments: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """An unknown command is met with the nearest known."""
        if arguments[0] not in MODULES and not arguments[0].startswith("-"):
            from difflib import get_close_matches

            if near := get_close_matches(arguments[0], MODULES, n=1):
                context.fail(f"No such command '{arguments[0]}'; did you mean {near[0]}?")
        return super().resolve_command(context, arguments)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in MODULES:
            return None
        module = import_module(f"septum.cli.{MODULES[name]}")
        commands = [one for one in vars(module).values() if isinstance(one, click.Command) and one.name == name]
        return commands[0]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="septum", message="septum %(version)s")
def app() -> None:
    """Check designs for the page tables of KVM's TDX guests under every interleaving of a small scope."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; the exit status."""
    _open_streams()
    gc.set_threshold(*RARELY)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was checked is told
    try:
        return _run(arguments)
    except Exception as error:  # the last resort: whatever comes here is nobody's bad input
        return _complain(f"{DEFECT}: {_described(error)}")


def _run(arguments: Sequence[str] | None) -> int:
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        status = app.main(args=given, prog_name="septum", standalone_mode=False, obj=tuple(given))
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except click.Abort:  # Ctrl-C before or after the checks
        return INCOMPLETE
    except OutOfTime:
        return _complain("the time ended before anything was checked: reading the design took it", INCOMPLETE)
    except MemoryError:
        return _complain("the memory ended", INCOMPLETE)
    except (ImportError, SystemError) as error:
        if any(said in str(error) for said in NO_ROOM):
            return _complain("the memory ended", INCOMPLETE)
        raise
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return _complain("the memory ended", INCOMPLETE)
        return _complain(str(error))
    except EnginesDisagree as error:
        return _complain(f"{DEFECT}: {error}")
    except SeptumError as error:
        return _complain(str(error))
    return status if isinstance(status, int) else 0


def _open_streams() -> None:
    """Gives streams that the caller closed (`>&-`) a reader of nothing, so that no file of a check gets their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)


def _described(error: Exception) -> str:
    """Type, message, and where in septum it happened."""
    from traceback import extract_tb

    frames = [frame for frame in extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(PACKAGE)]
    places = [f" ({Path(frame.filename).relative_to(PACKAGE.parent)}:{frame.lineno})" for frame in frames]
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return what + "".join(places[-1:])


def _complain(message: str, status: int = BAD_INPUT) -> int:
    with suppress(OSError):  # what cannot be said is no other verdict
        print(f"septum: {message}", file=sys.stderr)
    return status
