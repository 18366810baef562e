"""`septum compare`: designs beside each other, by what exploring them shows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from septum.cli import completion, names
from septum.cli.check import NUMBER, _budget, _designs
from septum.cli.output import colour, width, write, write_json
from septum.cli.page import html_option

if TYPE_CHECKING:
    from septum.check.evidence import Evidence


@click.command(no_args_is_help=True, short_help="Compare designs by measuring them.")
@click.argument("designs", metavar="DESIGN...", nargs=-1, shell_complete=completion.designs)
@click.option("--all", "every", is_flag=True, help="Every built-in design.")
@click.option(
    "--budget", metavar="LIMIT", multiple=True, help="End each exploration at a time, a memory size or a number of states."
)
@click.option("--threads", metavar="N", type=NUMBER, help="How many designs to explore at a time (default: as many as cores).")
@click.option(
    "--module", metavar="VERSION", default="", help="Which TDX module: 1.5.16, 1.5.25, 1.5.28 or 2.0 (default: 1.5.16)."
)
@click.option("--no-verdicts", is_flag=True, help="Only the worst cases of one actor alone: pages and pairs, no verdicts.")
@click.option("--json", "form", flag_value="json", help="Print one JSON document.")
@click.option("--csv", "form", flag_value="csv", help="Print a row of comma-separated values for each design.")
@html_option
@click.pass_context
def compare(
    context: click.Context, /, designs: Sequence[str], every: bool, budget: Sequence[str], threads: int | None, module: str,
    no_verdicts: bool, form: str | None, html: str | None,
) -> None:  # fmt: skip
    """Measure designs by exploring them, and print the figures beside each other.

    DESIGN is a built-in design or a Python file. Every figure is the worst that any schedule of the scenarios shows.
    """
    from septum.report import compare as report

    chosen = _designs(designs, every)
    for name in chosen:
        names.load_design(name, "compare")
    found = list(measure_all(chosen, _budget(budget), threads or os.cpu_count() or 1, not no_verdicts, module))
    if form == "json":
        write_json(report.document(found))
    elif form == "csv":
        write(report.as_csv(found))
    else:
        write(report.render(found, width=width(), colour=colour()))
    if html:
        from septum.page.file import write as write_page
        from septum.page.sections import document, of_designs

        write_page(html, f"septum compare {' '.join(chosen)}", document(of_designs(found)), report.render(found))
    context.exit(0)


def measure_all(designs: Sequence[str], budget: Any, workers: int, judge: bool, module: str = "") -> Iterator[Evidence]:
    """The evidence of each design with a version of the TDX module, in order; several are explored at a time."""
    if workers == 1 or len(designs) == 1:
        for name in designs:
            yield _one(name, budget, workers, judge, module)
        return
    many = len(designs)
    with ProcessPoolExecutor(min(workers, many)) as pool:
        yield from pool.map(_one, designs, [budget] * many, [1] * many, [judge] * many, [module] * many)


def _one(design: str, budget: Any, threads: int, judge: bool, module: str) -> Evidence:
    from dataclasses import replace

    from septum.check.evidence import evidence
    from septum.tdx.versions import MODULE, version_number

    model, version = names.load(design), version_number(module)
    if version is not None:
        model = replace(model, bindings={**model.bindings, MODULE: version})
    return replace(evidence(model, budget, threads, _tell, judge), design=design)


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<78}\r")
        sys.stderr.flush()
