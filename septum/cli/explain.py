"""`septum explain`: a counterexample again, replayed in the Python engine from its token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from septum.cli import completion, names
from septum.cli.check import EPILOG
from septum.cli.output import drawing_width, height, write, write_json
from septum.cli.page import html_option, write_page
from septum.cli.patched import patch_option
from septum.lang.errors import UserError
from septum.lang.whole import write_whole

if TYPE_CHECKING:
    from septum.check.result import Result


@click.command(epilog=EPILOG, short_help="Replay a counterexample.")
@click.argument("token")
@click.argument("design", default="", shell_complete=completion.designs)
@click.option("--race", "brief", is_flag=True, help="Only the race, as a kernel change log draws it.")
@click.option("--slice", "cut", is_flag=True, help="Only the steps on which the failed clause depends.")
@click.option("--whole", is_flag=True, help="Every step, also in a terminal with fewer lines.")
@click.option("--explain", "explained", is_flag=True, help="Also the state that matters, before and after.")
@click.option("--json", "form", flag_value="json", help="Print one JSON document.")
@click.option("--itf", "form", flag_value="itf", help="Print every state as a trace in ITF (Apalache, Quint).")
@click.option("--perfetto", "form", flag_value="perfetto", help="Print the schedule as a trace that Perfetto opens.")
@click.option("--pytest", "form", flag_value="pytest", help="Print a test that fails as long as the design lets this happen.")
@click.option("--svg", metavar="FILE", help="Also draw the race as a picture.")
@patch_option
@html_option
@click.pass_context
def explain(
    context: click.Context, /, token: str, design: str, brief: bool, cut: bool, whole: bool, explained: bool, form: str | None,
    svg: str | None, html: str | None,
) -> None:  # fmt: skip
    """Replay the schedule of a counterexample, step by step, in the Python engine.

    TOKEN is what the counterexample ends with: a token, or a schedule file. Name its DESIGN where that is a user's file. In a
    terminal, a schedule that is longer than the screen is shown as its slice.
    """
    if brief + cut + whole > 1:
        raise UserError("--race, --slice and --whole are three drawings: choose one")
    from septum.check.explain import explain as replayed
    from septum.check.result import Verdict
    from septum.cli.runs import status

    found = replayed(token, design)
    result = replace(found, design=design) if design else found
    if result.verdict is Verdict.REACHED and (html or svg or form == "pytest"):
        raise UserError("--html, --svg and --pytest show a schedule that fails; this one leads to an event")
    if form:
        export(result, token, form)
    else:
        from septum.report.terminal import Drawing, finding, readable

        given = {Drawing.RACE: brief, Drawing.SLICE: cut, Drawing.WHOLE: whole}
        drawing = next((one for one, said in given.items() if said), None) or readable(result, drawing_width(), height())
        write(finding(result, drawing, explained=explained, width=drawing_width()))
    if svg:
        from septum.page.svg import svg as picture

        write_whole(Path(svg), picture(result))
    if html:
        write_page(html, f"{result.design}, {result.scenario}: {result.property}", [result])
    context.exit(status([result]))


def export(result: Result, token: str, form: str) -> None:
    """Prints the schedule for another tool."""
    from septum.check import tokens
    from septum.check.explain import schedule_of
    from septum.page.exports import as_itf, as_perfetto, as_pytest
    from septum.report.document import document

    if form == "json":
        write_json(document([result]))
    elif form == "perfetto" and result.counterexample:
        write_json(as_perfetto(result.counterexample.steps))
    else:
        built, schedule = schedule_of(names.load(result.design), token)
        if form == "itf":
            write_json(as_itf(built, schedule, tokens.read(token).loop))
        else:
            write(as_pytest(result, built, schedule, tokens.read(token).sizes))
