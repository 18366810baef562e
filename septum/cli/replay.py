"""`septum replay`: a trace of a real kernel, followed by the model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from septum.cli import duration
from septum.cli.output import width, write, write_json
from septum.cli.page import html_option

if TYPE_CHECKING:
    from septum.replay.result import Result

INCOMPLETE = 3
EPILOG = (
    "Exit status: 0 every event is explained, 1 an event is not, 2 bad input, 3 there is nothing to follow, or the trace could "
    "not be read to its end. "
    "Record with: trace-cmd record -e kvmmmu -e kvm:kvm_page_fault -e kvm:kvm_unmap_hva_range."
)


@click.command(epilog=EPILOG, no_args_is_help=True, short_help="Follow a trace of a real kernel.")
@click.argument("trace", required=False)
@click.option("--follow", is_flag=True, help="Follow the kernel that runs, with a line a second, until Ctrl-C (needs root).")
@click.option("--for", "seconds", type=duration.seconds, metavar="TIME", help="With --follow: how long, as 10s.")
@click.option("--kernel", metavar="VERSION", default="", help="The kernel that was traced, as 6.12 (default: inferred).")
@click.option("--formats", metavar="FILE", help="Its event formats: events/kvmmmu of tracefs, or its files in one.")
@click.option("--midlife", is_flag=True, help="VMs were running before the trace began (default: inferred).")
@click.option("--keep-going", is_flag=True, help="Go on behind a divergence, and list all, grouped.")
@click.option("--strict", is_flag=True, help="Exit status 3 if more than a tenth of the changes was taken on trust.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--plot", metavar="FILE", help="Also draw mapped memory by page size, as .png or .html (needs septum[plot]).")
@html_option
@click.pass_context
def replay(
    context: click.Context, /, trace: str | None, follow: bool, seconds: float | None, strict: bool, as_json: bool,
    plot: str | None, html: str | None, **options: Any,
) -> None:  # fmt: skip
    """Follow the KVM events of a trace in the model, at real geometry: which change of a page table could no kernel make?

    TRACE is the text of tracefs (trace, trace_pipe), trace-cmd report or perf script, plain or compressed (gzip, xz, zstd);
    trace.dat or perf.data where their tools are installed; or - for standard input. septum record makes one.
    """
    from septum.replay.result import Verdict

    if (trace is None) != follow:
        raise click.UsageError("give either TRACE or --follow")
    if plot:
        from septum.report.plot import check_plot

        check_plot(plot)
    result = followed(seconds, options) if trace is None else read(trace, options)
    if plot:
        from septum.report.plot import draw

        draw(result, plot)
    if as_json:
        from septum.report.replay import document

        write_json(document(result))
    else:
        from septum.report.replay import render

        write(render(result, width=width()))
    if html:
        from septum.page.file import write as write_page
        from septum.page.sections import document as sections
        from septum.page.sections import of_replay
        from septum.report.replay import render

        write_page(html, f"septum replay {result.trace}", sections(of_replay(result)), render(result))
    whole = INCOMPLETE if result.reading.truncated or (strict and result.checked.poorly) else 0
    context.exit({Verdict.FOLLOWED: whole, Verdict.DIVERGED: 1, Verdict.NOTHING: INCOMPLETE}[result.verdict])


def read(trace: str, options: dict[str, Any]) -> Result:
    """A trace that was recorded."""
    from septum.replay.replay import replay as run

    return run(trace, **options)


def followed(seconds: float | None, options: dict[str, Any]) -> Result:
    """The kernel that runs."""
    from septum.replay.live import follow
    from septum.replay.replay import Options

    return follow(Options(**options), seconds, lambda line: print(line, file=sys.stderr, flush=True))
