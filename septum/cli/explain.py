"""`septum explain`: a counterexample again, replayed in the Python engine from its token."""

from __future__ import annotations

from dataclasses import replace

import click

from septum.cli.check import EPILOG
from septum.cli.output import write, write_json


@click.command(epilog=EPILOG, short_help="Replay a counterexample.")
@click.argument("token")
@click.argument("design", default="")
@click.option("--race", "brief", is_flag=True, help="Only the race, as a kernel change log draws it.")
@click.option("--explain", "explained", is_flag=True, help="Also the state that matters, before and after.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def explain(context: click.Context, token: str, design: str, brief: bool, explained: bool, as_json: bool) -> None:
    """Replay the schedule of a counterexample, step by step, in the Python engine.

    TOKEN is what the counterexample ends with: a token, or a schedule file. Name its DESIGN where that is a user's file.
    """
    from septum.check import check
    from septum.cli.runs import status

    found = check.explain(token, design)
    result = replace(found, design=design) if design else found
    if as_json:
        from septum.report.document import document

        write_json(document([result]))
    else:
        from septum.report.terminal import finding

        write(finding(result, brief=brief, explained=explained))
    context.exit(status([result]))
