"""`septum explain`: a counterexample again, replayed in the Python engine from its token."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from septum.cli.output import write, write_json


def explain(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="What a counterexample ends with: a token, or a schedule file.")],
    design: Annotated[str, typer.Argument(metavar="[DESIGN]", help="Its design, where that is a user's file.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Replay the schedule of a counterexample, step by step, in the Python engine."""
    from septum.check import check
    from septum.cli.runs import status

    found = check.explain(token, design)
    result = replace(found, design=design) if design else found
    if as_json:
        from septum.report.document import document

        write_json(document([result]))
    else:
        from septum.report.terminal import finding

        write(finding(result))
    raise typer.Exit(status([result]))
