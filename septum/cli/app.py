"""The application: its commands, and what becomes of an error. No mistake of a user ends in a traceback."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click  # and not typer, which which rests on pydantic and takes 0.1 s more to start

from septum.cli.check import check
from septum.cli.explain import explain
from septum.cli.hunt import hunt
from septum.cli.listing import list_
from septum.cli.show import show
from septum.lang.errors import EnginesDisagree, SeptumError

BAD_INPUT, INCOMPLETE = 2, 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def app() -> None:
    """Check designs for the page tables of KVM's TDX guests under every interleaving of a small scope."""


for command in (check, hunt, list_, show, explain):
    app.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; the exit status."""
    try:
        status = app.main(args=None if arguments is None else list(arguments), prog_name="septum", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except click.Abort:  # Ctrl-C before or after the checks
        return INCOMPLETE
    except EnginesDisagree as error:
        return _complain(f"a defect of septum, please report it: {error}")
    except (SeptumError, OSError) as error:
        return _complain(str(error))
    return status if isinstance(status, int) else 0


def _complain(message: str) -> int:
    print(f"septum: {message}", file=sys.stderr)
    return BAD_INPUT
