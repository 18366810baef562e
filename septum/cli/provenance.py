"""`septum provenance`: where the pages of a design come from and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from septum.cli import completion, names
from septum.cli.check import NUMBER, _budget
from septum.cli.compare import _tell
from septum.cli.output import width, write, write_json

if TYPE_CHECKING:
    from septum.check.evidence import Evidence
    from septum.check.result import Result
    from septum.lang.model import Model


@click.command(short_help="Show where pages come from and go.")
@click.argument("design", shell_complete=completion.designs)
@completion.scenario_option("Only what these reach (default: all that apply).")
@click.option(
    "--budget", metavar="LIMIT", multiple=True, help="End each exploration at a time, a memory size or a number of states."
)
@click.option("--threads", metavar="N", type=NUMBER, help="How many cores to use (default: all).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def provenance(design: str, scenarios: Sequence[str], budget: Sequence[str], threads: int | None, as_json: bool) -> None:
    """Show every line that allocates or frees pages of a field, as reached by exploring all scenarios that apply.

    For sp->spt, sp->external_spt, PAMT pairs and control pages: the pool, the flags, the initial value, the locks held, and the
    scenarios that reached it. Whether unequal initial values can be observed is answered by a check.
    """
    from septum.check.evidence import Evidence as Found
    from septum.check.evidence import frees, measured_runs, sources
    from septum.report import provenance as report
    from septum.scenarios.measures import dry_fault

    model = names.load_design(design, "provenance")
    for scenario in scenarios:
        names.known("scenario", scenario, names.scenarios([model]), design)
    wanted = scenarios or list(names.scenarios([model]))
    runs = list(measured_runs(model, [*wanted, dry_fault.name], _budget(budget), threads, _tell))
    usual, dry = [run for run in runs if run.scenario != dry_fault.name], [run for run in runs if run.scenario == dry_fault.name]
    incomplete = tuple(run.scenario for run in runs if not run.complete)
    found = Found(design, sources=sources(usual), fallbacks=sources(dry), frees=frees(usual), incomplete=incomplete)
    observed = _observed(model, found, [run.scenario for run in usual], threads)
    chosen = list(dict.fromkeys(scenarios))
    if as_json:
        write_json(report.document(found, observed))
    else:
        write(report.render(found, observed, chosen, width=width()))


def _observed(model: Model, found: Evidence, scenarios: Sequence[str], threads: int | None) -> dict[str, Result]:
    """For each field of unequal initial values, the check that would notice: violated, or the last that holds."""
    from septum.check.check import check
    from septum.report.provenance import NOTICED_BY, unequal

    observed: dict[str, Result] = {}
    for name in unequal(found):
        for scenario in scenarios:
            observed[name] = replace(check(model, scenario, property=NOTICED_BY[name], threads=threads), design=found.design)
            if not observed[name].holds:
                break
    return observed
