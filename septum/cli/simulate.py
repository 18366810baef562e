"""`septum simulate`: what designs cost on a machine of real size."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from septum.cli import completion, names
from septum.cli.check import NUMBER
from septum.cli.output import colour, width, write, write_json
from septum.cli.page import html_option
from septum.cli.progress import ProgressLine
from septum.report.numbers import duration

if TYPE_CHECKING:
    from septum.lang.model import Model
    from septum.simulate.costs import Costs
    from septum.simulate.kept import Kept
    from septum.simulate.simulate import Options, Simulated
    from septum.simulate.workloads import Workload

BROKEN, INCOMPLETE = 1, 3
UNITS = {"MiB": 8, "GiB": 18, "TiB": 28}
EPILOG = "Exit status: 0 the workload came to its end, 1 a clause does not hold or a page leaked, 2 bad input, 3 it was stopped."


@click.command(epilog=EPILOG, no_args_is_help=True, short_help="What designs cost at real size.")
@click.argument("designs", metavar="DESIGN...", nargs=-1, required=True, shell_complete=completion.designs)
@click.option("--memory", default="1GiB", metavar="SIZE", help="The memory of each TD, as 512MiB, 64GiB, 1TiB (default: 1GiB).")
@click.option(
    "--vcpus", type=NUMBER, default=1, metavar="N", help="vCPUs of each TD, which fault beside each other (default: 1)."
)
@click.option("--tds", type=NUMBER, default=1, metavar="N", help="TDs that are there at a time (default: 1).")
@click.option("--workload", default="boot", metavar="NAME|FILE", help="A workload by name, or a Python file (default: boot).")
@click.option("--host", default="fresh", metavar="NAME|FILE", help="fresh, fragmented, or a file like /proc/buddyinfo.")
@click.option("--nodes", type=NUMBER, default=1, metavar="N", help="NUMA nodes of a host without a file (default: 1).")
@click.option("--levels", type=click.Choice(["4", "5"]), default="4", help="Levels of the Secure EPT (default: 4).")
@click.option("--module", default="", metavar="VERSION", help="Which TDX module (default: that of septum check).")
@click.option("--kernel", default="", metavar="VERSION", help="Which kernel (default: that of septum check).")
@click.option("--costs", default="", metavar="FILE", help="What things take, read over the default table (TOML).")
@click.option("--seed", type=int, default=1, metavar="N", help="For what is random (default: 1).")
@click.option("--resume", metavar="FILE", help="Keep results in a file, and play only what it does not have.")
@click.option("--plot", metavar="FILE", help="Also draw memory and SEAMCALLs over time, as .png or .svg (needs septum[plot]).")
@click.option("--json", "form", flag_value="json", help="Print one JSON document.")
@click.option("--csv", "form", flag_value="csv", help="Print a row of comma-separated values for each design.")
@html_option
@click.pass_context
def simulate(
    context: click.Context, /, designs: Sequence[str], memory: str, workload: str, costs: str, levels: str, form: str | None,
    html: str | None, plot: str | None, resume: str | None, **sizes: Any,
) -> None:  # fmt: skip
    """Play a workload with each DESIGN at real geometry: the code that check explores, 512 entries, terabytes.

    DESIGN is a built-in design or a Python file.
    """
    from septum.report import simulate as report
    from septum.simulate.costs import read_costs
    from septum.simulate.kept import Kept
    from septum.simulate.simulate import Options
    from septum.simulate.workloads import find_workload

    if plot:
        from septum.report.plot_simulation import check_plot

        check_plot(plot)
    table, played = read_costs(costs), find_workload(workload)
    options = Options(pages(memory), levels=int(levels), **sizes)
    models = [names.load_design(name, "simulate") for name in designs]
    kept = Kept(resume, (played.name, options, table)) if resume else None
    found, status = _all(models, played, options, table, kept)
    if not found:
        context.exit(status)
    if form == "json":
        write_json(report.document(found))
    elif form == "csv":
        write(report.as_csv(found))
    else:
        write(report.render(found, table, width=width(), colour=colour()))
    if html:
        from septum.page.file import write as write_page
        from septum.page.sections import WIDTH, document, of_simulations

        text = report.render(found, table, width=WIDTH)
        write_page(html, f"septum simulate {' '.join(designs)}", document(of_simulations(found, text)), text)
    if plot:
        from septum.report.plot_simulation import draw

        draw(found, plot)
    context.exit(status)


def _all(
    models: Sequence[Model], workload: Workload, options: Options, costs: Costs, kept: Kept | None
) -> tuple[list[Simulated], int]:
    """What there is to tell, also where a clause was broken or Ctrl-C came between two designs, and the exit status."""
    from septum.simulate.machine import Broken

    found: list[Simulated] = []
    try:
        found += _played(models, workload, options, costs, kept)
    except Broken as error:
        print(f"septum: {error}", file=sys.stderr)
        return found, BROKEN
    except KeyboardInterrupt:
        return found, INCOMPLETE
    return found, INCOMPLETE if not found[-1].finished else int(any(one.leaks for one in found))


def _played(
    models: Sequence[Model], workload: Workload, options: Options, costs: Costs, kept: Kept | None
) -> Iterator[Simulated]:
    """The results in order, up to the one that Ctrl-C ended."""
    from septum.simulate.simulate import simulate as play

    for model in models:
        line = _Line(f"{model.name} {workload.name}")
        try:
            one = (kept.find(model) if kept else None) or play(model, workload, options, costs, line)
        finally:
            line.clear()
        if kept and one.finished:
            kept.keep(model, one)
        yield one
        if not one.finished:
            return


class _Line(ProgressLine):
    """How many pages were touched, on standard error."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._began = time.monotonic()

    def __call__(self, touched: int) -> None:  # type: ignore[override]
        if self.on and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.2
            self._show([duration(time.monotonic() - self._began), f"{touched:,} pages touched"])


def pages(text: str) -> int:
    """A memory size in pages of 4K; click.BadParameter if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]iB)", text, re.ASCII)
    number = int(float(found[1]) * (1 << UNITS[found[2]])) if found and found[2] in UNITS else 0
    if number < 1:
        raise click.BadParameter(f"--memory {text}: write 512MiB, 64GiB or 1TiB")
    return number
