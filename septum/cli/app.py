"""The application: its commands, and what becomes of an error. No mistake of a user ends in a traceback."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from septum.cli.check import check
from septum.cli.explain import explain
from septum.cli.listing import list_
from septum.cli.show import show
from septum.lang.errors import EnginesDisagree, SeptumError

BAD_INPUT = 2
EPILOG = (
    "Exit status: 0 all that applies holds, 1 something is violated or vacuous, 2 bad input, "
    "3 nothing violated but not everything explored."
)

# Plain help rather than rich's boxes: the same text on a terminal and in a pipe, and a quicker start.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("check", epilog=EPILOG, no_args_is_help=True)(check)
app.command("list")(list_)
app.command("show")(show)
app.command("explain", epilog=EPILOG)(explain)


@app.callback()
def septum() -> None:
    """Check designs for the page tables of KVM's TDX guests under every interleaving of a small scope."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; the exit status."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="septum")
    except SystemExit as stop:  # typer always ends so, also after a command that went well
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else BAD_INPUT
    except EnginesDisagree as error:
        return _complain(f"a defect of septum, please report it: {error}")
    except (SeptumError, OSError) as error:
        return _complain(str(error))
    return 0


def _complain(message: str) -> int:
    print(f"septum: {message}", file=sys.stderr)
    return BAD_INPUT
