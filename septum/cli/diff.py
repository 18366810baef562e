"""`septum diff`: two designs, and what one does and the other does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from septum.cli import completion, names
from septum.cli.check import _budget
from septum.cli.output import width, write, write_json
from septum.cli.progress import ProgressLine
from septum.cli.runs import Interrupt, Job, run
from septum.lang.errors import UserError

if TYPE_CHECKING:
    from septum.check.differ import Difference, Side
    from septum.check.result import Result

DIFFERS, UNKNOWN = 1, 3
EPILOG = "Exit status: 0 no difference found, 1 something differs, 2 bad input, 3 no difference found but not all compared."


@click.command(epilog=EPILOG, no_args_is_help=True, short_help="Say what one design does and another does not.")
@click.argument("one", shell_complete=completion.designs)
@click.argument("other", shell_complete=completion.designs)
@completion.scenario_option()
@click.option("--scope", metavar="NAME", default="", help="How large; see `septum list scopes` (default: small).")
@click.option("--budget", metavar="LIMIT", multiple=True, help="End each search at a time, a memory size or a number of states.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def diff(
    context: click.Context, /, one: str, other: str, scenarios: Sequence[str], scope: str, budget: Sequence[str], as_json: bool
) -> None:
    """Check ONE and OTHER, two designs or models, and compare what they come to.

    Prints which scenarios come to another verdict, and the shortest schedule to what one does and the other does not: a violation
    or an event.
    """
    designs = (one, other)
    if one == other:
        raise UserError(f"{one} is compared with itself; name two")
    found = compare(plan(designs, scenarios, scope), scope, _budget(budget))
    from septum.report.diff import document, render

    if as_json:
        write_json(document(designs, found))
    else:
        write(render(designs, found, width=width()))
    differs = any(one.verdicts_differ or one.behaviours for one in found)
    context.exit(DIFFERS if differs else UNKNOWN if any(one.unknown for one in found) else 0)


def plan(designs: tuple[str, str], scenarios: Sequence[str], scope: str) -> list[tuple[Job, Job]]:
    """Every scenario that one of them has, in both; UserError for a name that neither knows."""
    models = {design: names.load(design) for design in designs}
    known = names.scenarios(models.values())
    for scenario in scenarios:
        names.known("scenario", scenario, known)
    for design, model in models.items():
        if scope:
            names.known("scope", scope, names.scopes([model]), design)
    first, second = ([Job(design, model, name) for name in dict.fromkeys(scenarios or known)] for design, model in models.items())
    return list(zip(first, second, strict=True))


def compare(pairs: Sequence[tuple[Job, Job]], scope: str, budget: Any) -> list[Difference]:
    """What differs in each scenario; after Ctrl-C what was not compared is not known."""
    from septum.check.differ import Comparer, Difference

    jobs = [job for pair in pairs for job in pair if job.exists]
    results = {(one.design, one.scenario): one for one in run(jobs, {"scope_name": scope, "budget": budget, "fresh": False})}
    found = list[Difference]()
    with Interrupt() as interrupt:
        for first, second in pairs:
            one, other = (_side(job, results) for job in (first, second))
            line = ProgressLine(f"{first.scenario}: what one alone does")
            unknown = Difference(first.scenario, (one.result, other.result), unknown=("interrupted",))
            try:
                interrupt.running = not interrupt.seen
                compared = Comparer(scope, budget, line).compare(one, other) if interrupt.running else unknown
                found.append(replace(compared, unknown=("interrupted",)) if interrupt.seen else compared)
            except KeyboardInterrupt:
                found.append(unknown)
            finally:
                interrupt.running = False
                line.clear()
    return found


def _side(job: Job, results: dict[tuple[str, str], Result]) -> Side:
    from septum.check.differ import Side
    from septum.check.result import Result, Verdict

    missing = Result(job.design, job.scenario, Verdict.NOT_APPLICABLE, reason="there is no such scenario")
    return Side(job.model, results.get((job.design, job.scenario), missing))
