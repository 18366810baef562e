"""`septum hunt`: random schedules where exploring all would take too long, and what they found."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from septum.cli import completion
from septum.cli.output import colour, drawing_width, height, width, write, write_json
from septum.cli.progress import ProgressLine
from septum.lang.errors import UserError

if TYPE_CHECKING:
    from septum.cli.runs import Interrupt, Job
    from septum.hunt.hunt import Hunted

EPILOG = "Exit status: 0 nothing found, which proves nothing, 1 something is violated, 2 bad input, 3 interrupted."
NUMBER = click.IntRange(min=1)
INTERRUPTED, NOT_STARTED, STOPPED = "interrupted", "not started", "stopped"


@click.command(epilog=EPILOG, no_args_is_help=True, short_help="Run random schedules of a design.")
@click.argument("design", shell_complete=completion.designs)
@completion.scenario_option()
@click.option("--for", "duration", metavar="TIME", help="How long, for all scenarios together (default: 60s).")
@click.option("--runs", metavar="N", type=NUMBER, help="So many runs of each scenario, in place of a time.")
@click.option(
    "--seed", metavar="N", type=click.IntRange(0, 2**64 - 1), help="The same schedules again (default: others each time)."
)
@click.option(
    "--depth", metavar="D", type=click.IntRange(1, 16), default=3, help="Bugs that need so many orderings (default: 3)."
)
@completion.property_option
@click.option("--scope", "scope_name", metavar="NAME", default="", help="How large; see `septum list scopes` (default: small).")
@click.option("--vcpus", metavar="N", type=NUMBER, help="How many vCPUs the scenario runs.")
@click.option("--pages", metavar="N", type=NUMBER, help="How many physical pages there are.")
@click.option("--threads", metavar="N", type=NUMBER, help="How many cores to use (default: all).")
@click.option(
    "--memory", type=click.Choice(["sc", "x86-tso"]), default="sc", help="How memory keeps the order of accesses (default: sc)."
)
@click.option("--store-buffer", metavar="N", type=NUMBER, help="How many stores of a thread may wait under x86-tso (default: 4).")
@click.option("--keep-going", is_flag=True, help="Hunt on after something is found.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def hunt(
    context: click.Context,
    /,
    design: str,
    scenarios: Sequence[str],
    duration: str | None,
    seed: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run random schedules, in scopes too large to explore.

    DESIGN is a built-in design or a Python file. Prints a table of what was run, what chance a bug had to be found, and for each
    scenario the first schedule that fails, made shorter. A scenario ends early once something is found.
    """
    from septum.cli.runs import plan

    if duration and options["runs"]:
        raise UserError("--for and --runs: only one of them says when the hunt ends")
    jobs = plan([design], scenarios, [options["property"]] if options["property"] else [], options["scope_name"])
    seconds = None if options["runs"] else _seconds(duration or "60s")
    options["seed"] = random.SystemRandom().randrange(2**32) if seed is None else seed
    context.exit(_hunt(jobs, seconds, options, as_json))


def _seconds(text: str) -> float:
    from septum.cli.budget import limits

    try:
        found = limits([text])
    except UserError:
        found = {}
    if set(found) != {"seconds"}:
        raise UserError(f"--for {text}: write a duration (60s, 5m, 1h)")
    return float(found["seconds"])


def _hunt(jobs: Sequence[Job], seconds: float | None, options: dict[str, Any], as_json: bool) -> int:
    """Hunts and reports; also what is known when an error ends it early. The exit status."""
    hunts: list[Hunted] = []
    try:
        hunts.extend(_hunts(jobs, seconds, options))
    except Exception:
        if hunts:
            report(hunts, as_json)
        raise
    report(hunts, as_json)
    return (
        1
        if any(one.found for one in hunts)
        else 3
        if any(one.reason in (INTERRUPTED, NOT_STARTED, STOPPED) for one in hunts)
        else 0
    )


def _hunts(jobs: Sequence[Job], seconds: float | None, options: dict[str, Any]) -> Iterator[Hunted]:
    """One after another; what one leaves of the time goes to those after it. To translate and to shrink is not counted."""
    from septum.cli.runs import Interrupt
    from septum.hunt.hunt import NOTHING_FOUND, Hunted

    left = seconds or 0.0
    with Interrupt() as interrupt:
        for number, job in enumerate(jobs):
            if interrupt.seen:
                yield Hunted(job.design, job.scenario, NOTHING_FOUND, reason=NOT_STARTED)
                continue
            share = None if seconds is None else max(left, 0.0) / (len(jobs) - number)
            line = HuntLine(f"{number + 1}/{len(jobs)} {job.design} {job.scenario}")
            found = _one(job, {**options, "seconds": share}, line, interrupt)
            left -= found.seconds
            yield found


def _one(job: Job, options: dict[str, Any], line: HuntLine, interrupt: Interrupt) -> Hunted:
    from septum.hunt.hunt import NOTHING_FOUND, Hunted, hunt

    try:
        interrupt.running = True
        try:
            found = hunt(job.model, job.scenario, progress=line.tell, **options)
        finally:
            interrupt.running = False
        return replace(found, design=job.design, reason=found.reason or (INTERRUPTED if interrupt.seen else ""))
    except KeyboardInterrupt:
        return Hunted(job.design, job.scenario, NOTHING_FOUND, reason=INTERRUPTED)
    finally:
        line.clear()


class HuntLine(ProgressLine):
    """Runs, steps and rate of the running hunt; on a terminal only."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._began = time.monotonic()

    def tell(self, runs: int, steps: int) -> None:
        if self.on:
            rate = steps / max(time.monotonic() - self._began, 1e-9) / 1e6
            self._show([f"{runs:,} runs", f"{steps:,} steps", f"{rate:.1f} M/s"])


def report(hunts: list[Hunted], as_json: bool) -> None:
    """Prints what was found."""
    if as_json:
        from septum.report.hunt import document

        write_json(document(hunts))
    else:
        from septum.report.hunt import render

        write(render(hunts, width=width(), colour=colour(), height=height(), drawing=drawing_width()))
