"""Mapped memory by page size over a trace, as a picture (PNG) or a page (HTML). Needs matplotlib: the extra `septum[plot]`."""

from __future__ import annotations

import html
import importlib.util
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from septum.lang.errors import UserError
from septum.lang.whole import whole, write_whole
from septum.replay.result import Result
from septum.report.numbers import memory
from septum.report.replay import SIZES, evenly, sizes

COLOURS = ("#4c78a8", "#f58518", "#54a24b")
SUFFIXES = (".png", ".html")
TABLE_ROWS = 24
PHASES_SHOWN = 12
NEAR, ROWS_OF_NUMBERS = 0.025, 3
"""Numbers of phases that are nearer to each other than this part of the width stand on up to so many rows."""

MOST = 120


def check_plot(name: str) -> None:
    """UserError, before the trace is read, if a plot cannot be drawn into this file."""
    path = Path(name)
    if path.suffix not in SUFFIXES:
        raise UserError(f"--plot {name}: the name ends in .png or .html")
    if not path.parent.is_dir():
        raise UserError(f"--plot {name}: there is no directory {path.parent}")
    if not importlib.util.find_spec("matplotlib"):
        raise UserError(f"--plot needs matplotlib: {install()}")


def install() -> str:
    """The command that installs what a plot needs, from here: beside the Python that runs, and into a checkout if this is one."""
    pip, checkout = Path(sys.executable).with_name("pip"), Path(__file__).parents[2]
    shown = os.path.relpath(pip) if pip.is_relative_to(Path.cwd()) else str(pip)
    if not (checkout / "pyproject.toml").is_file():
        return f"{shown} install 'septum[plot]'"
    return f"{shown} install -e '{os.path.relpath(checkout) if Path.cwd() == checkout else checkout}[plot]'"


def draw(result: Result, name: str) -> None:
    """Draws a replay into a file; its suffix says how."""
    figure = _figure(result)
    if name.endswith(".png"):
        with whole(Path(name)) as file:
            figure.savefig(file, dpi=120, format="png")
        return
    picture = io.StringIO()
    figure.savefig(picture, format="svg")
    write_whole(Path(name), page(result, picture.getvalue()))


def _figure(result: Result) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    phases = result.phases[:PHASES_SHOWN]
    figure = Figure(figsize=(10, 4.5 + 0.16 * len(phases)), layout="constrained")
    axes = figure.subplots()
    points = sizes(result.samples) or [(0.0, (0, 0, 0))]
    times = [time for time, _ in points]
    stacks = [[values[level] for _, values in points] for level in range(len(SIZES))]
    axes.stackplot(times, stacks, labels=[size for size, _ in SIZES], colors=COLOURS, step="post")
    axes.set_xlim(times[0], max(times[-1], times[0] + 1e-6))
    axes.set_ylim(0, max(1.08 * max(map(sum, zip(*stacks, strict=True))), 1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: memory(int(value))))
    unit = 1 << max(0, (max(1, int(axes.get_ylim()[1])).bit_length() - 3))
    axes.yaxis.set_major_locator(MultipleLocator(unit))
    axes.set_xlabel("time of the trace, seconds")
    axes.set_ylabel("mapped memory")
    axes.set_title(f"{Path(result.trace).name}: mapped memory by page size", loc="left", pad=18 + 8 * (ROWS_OF_NUMBERS - 1))
    begin, end = axes.get_xlim()
    moments = [time for time, _ in phases]
    for number, (time, row) in enumerate(zip(moments, staggered(moments, end - begin), strict=True), 1):
        axes.axvline(time, color="#888888", linewidth=0.7, linestyle=":")
        axes.annotate(str(number), (time, 1.01 + 0.03 * row), xycoords=("data", "axes fraction"), fontsize=7, ha="center")
    for number, group in enumerate(result.groups):
        axes.axvline(_time_of(result, group.first.at.text), color="#d62728", linewidth=1.2, label="" if number else "divergence")
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 1.2), ncols=4, fontsize=8, frameon=False)
    if phases:
        text = "\n".join(f"{number}  {clipped(text)}" for number, (_, text) in enumerate(phases, 1))
        figure.supxlabel(text, x=0.08, ha="left", fontsize=7)
    return figure


def staggered(times: Sequence[float], span: float) -> list[int]:
    """For each time the row of its number, so that no two near ones stand on each other as long as there are rows."""
    last = [float("-inf")] * ROWS_OF_NUMBERS
    rows = []
    for time in times:
        row = next((one for one, before in enumerate(last) if time - before >= NEAR * span), last.index(min(last)))
        last[row] = time
        rows.append(row)
    return rows


def clipped(text: str) -> str:
    """A phase in one line."""
    return text if len(text) <= MOST else f"{text[: MOST - 3]}..."


def _time_of(result: Result, line: str) -> float:
    """The time stamp of a line of the trace."""
    for part in line.replace(":", ": ").split():
        if part.endswith(":") and part[:-1].replace(".", "", 1).isdigit():
            return float(part[:-1])
    return result.ends


def page(result: Result, picture: str) -> str:
    """One HTML page, complete in itself: the plot and the numbers behind it."""
    rows = "\n".join(
        f"<tr><td>{one.time:.6f}</td>" + "".join(f"<td>{count:,}</td>" for count in one.leaves) + "</tr>"
        for one in evenly(result.samples, TABLE_ROWS)
    )
    steps = "\n".join(f"<tr><td>{html.escape(name)}</td><td>{count:,}</td></tr>" for name, count in result.steps.items())
    heads = "".join(f"<th>{size}</th>" for size, _ in SIZES)
    title = html.escape(Path(result.trace).name)
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px sans-serif; margin: 2em; max-width: 70em }}
svg {{ width: 100%; height: auto }}
table {{ border-collapse: collapse; display: inline-table; margin-right: 3em; vertical-align: top }}
td, th {{ padding: 0.15em 0.8em; text-align: right; border-bottom: 1px solid #ddd }}
td:first-child, th:first-child {{ text-align: left }}
</style>
<h1>{title}</h1>
<p>Kernel {html.escape(result.kernel)}, {html.escape(result.format)}; {result.verdict}: {result.followed:,} events explained.</p>
{picture[picture.index("<svg") :]}
<table><tr><th>time</th>{heads}</tr>
{rows}
</table>
<table><tr><th>step</th><th>times</th></tr>
{steps}
</table>
</html>
"""
