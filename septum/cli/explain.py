"""`septum explain`: a counterexample again, replayed in the Python engine from its token."""

from __future__ import annotations

from dataclasses import replace

import click

from septum.cli.check import EPILOG
from septum.cli.output import drawing_width, height, write, write_json
from septum.cli.page import html_option, write_page
from septum.lang.errors import UserError


@click.command(epilog=EPILOG, short_help="Replay a counterexample.")
@click.argument("token")
@click.argument("design", default="")
@click.option("--race", "brief", is_flag=True, help="Only the race, as a kernel change log draws it.")
@click.option("--slice", "cut", is_flag=True, help="Only the steps on which the failed clause depends.")
@click.option("--whole", is_flag=True, help="Every step, also in a terminal with fewer lines.")
@click.option("--explain", "explained", is_flag=True, help="Also the state that matters, before and after.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@html_option
@click.pass_context
def explain(
    context: click.Context, /, token: str, design: str, brief: bool, cut: bool, whole: bool, explained: bool, as_json: bool,
    html: str | None,
) -> None:  # fmt: skip
    """Replay the schedule of a counterexample, step by step, in the Python engine.

    TOKEN is what the counterexample ends with: a token, or a schedule file. Name its DESIGN where that is a user's file. In a
    terminal, a schedule that is longer than the screen is shown as its slice.
    """
    if brief + cut + whole > 1:
        raise UserError("--race, --slice and --whole are three drawings: choose one")
    from septum.check import check
    from septum.cli.runs import status

    found = check.explain(token, design)
    result = replace(found, design=design) if design else found
    if as_json:
        from septum.report.document import document

        write_json(document([result]))
    else:
        from septum.report.terminal import Drawing, finding, readable

        given = {Drawing.RACE: brief, Drawing.SLICE: cut, Drawing.WHOLE: whole}
        drawing = next((one for one, said in given.items() if said), None) or readable(result, drawing_width(), height())
        write(finding(result, drawing, explained=explained, width=drawing_width()))
    if html:
        write_page(html, f"{result.design}, {result.scenario}: {result.property}", [result])
    context.exit(status([result]))
