"""`septum check`: designs in scenarios, and a table of the verdicts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from septum.check.result import Result
from septum.cli.output import colour, width, write, write_json
from septum.lang.errors import SeptumError, UserError


class Engine(StrEnum):
    """What explores: the translation to C, or the Python source as it stands."""

    C = "c"
    PYTHON = "python"


def check(
    designs: Annotated[list[str] | None, typer.Argument(metavar="DESIGN...", help="A built-in design or a Python file.")] = None,
    scenario: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this scenario (default: all).")] = None,
    property_: Annotated[str, typer.Option("--property", metavar="NAME", help="Only this property (default: all).")] = "",
    every: Annotated[bool, typer.Option("--all", help="Every built-in design.")] = False,
    vcpus: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many vCPUs the scenario runs.")] = None,
    pages: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many physical pages there are.")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="LIMIT", help="End each check at a time (60s), a memory size (4GiB) or a number of states (10M)."),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="What explores.")] = Engine.C,
    threads: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many cores to use (default: all).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check designs under every interleaving and every failure of a small scope.

    Prints a table of verdicts, the shortest counterexample for each that is violated, and what each pass is worth: the
    events that it reached, and the lines of the design that it did not.
    """
    chosen = _designs(designs or [], every)
    options: dict[str, Any] = {
        "property": property_,
        "vcpus": vcpus,
        "pages": pages,
        "budget": _budget(budget or []),
        "engine": engine.value,
        "threads": threads,
    }
    raise typer.Exit(_check(chosen, scenario or [], options, as_json))


def _designs(given: list[str], every: bool) -> list[str]:
    if every:
        from septum.check.check import designs

        given = [*designs(), *given]
    if not given:
        raise UserError("which design? Name one, or its file, or say --all; `septum list designs` names those built in")
    return list(dict.fromkeys(given))


def _budget(texts: list[str]) -> Any:
    from septum.check.explore import Budget
    from septum.cli.budget import limits

    return Budget(**limits(texts))


def _check(designs: list[str], scenarios: list[str], options: dict[str, Any], as_json: bool) -> int:
    """Runs and reports; also what is known when an error ends the run early. The exit status."""
    from septum.cli.runs import plan, run, status

    results: list[Result] = []
    try:
        jobs = plan(designs, scenarios, [options["property"]] if options["property"] else [])
        results.extend(run(jobs, options))
    except KeyboardInterrupt:  # before the first check could start
        return 3
    except (SeptumError, OSError):
        if results:
            report(results, as_json)
        raise
    report(results, as_json)
    return status(results)


def report(results: list[Result], as_json: bool) -> None:
    """Prints the results."""
    if as_json:
        from septum.report.document import document

        write_json(document(results))
    else:
        from septum.report.terminal import render

        write(render(results, width=width(), colour=colour()))
