"""The table of verdicts a row at a time, as the checks end, with what is left of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.text import Text

from septum.check.result import Result, Verdict
from septum.report.style import VERDICT_STYLE, rendered
from septum.report.terminal import another, finding, numbers, shortened, steps, verdict_text

WIDTH, NAME, VERDICT_AND_STATES = 80, 20, 26
HEADING = f"  {'scenario':<{NAME}}  {'verdict':<{VERDICT_AND_STATES - 6}}states{'transitions':>13}{'seconds':>9}"


def heading() -> str:
    return f"{HEADING}\n  {'-' * (WIDTH - 2)}\n"


def row(result: Result, left: str = "", *, colour: bool = False) -> str:
    """One line: the scenario, its verdict, states, transitions, seconds, and `left`, how long the other checks may take."""
    verdict = verdict_text(result)
    states, transitions, _, seconds = numbers(result)
    room = max(VERDICT_AND_STATES - len(verdict), len(states) + 1)
    text = Text(f"  {shortened(result.scenario, NAME):<{NAME}}  ").append(verdict, VERDICT_STYLE[result.verdict])
    text.append(f"{states:>{room}}{transitions:>13}{seconds:>9}  {left}")
    return rendered(text, width=2 * WIDTH, colour=colour)


def violated(results: Iterable[Result]) -> str:
    """What is violated, a line each; nothing where all holds."""
    found = [one for result in results if result.verdict is Verdict.VIOLATED for one in result.each()]
    lines = [f"  {one.design}, {one.scenario}: {one.clause or one.property}\n" for one in found]
    return "".join(["Violated:\n", *lines]) if found else ""


def drawn(results: Iterable[Result], width: int) -> Iterator[str]:
    """Of each design its shortest counterexample, and each other one in a line, by its token."""
    for design, group in groupby(results, lambda one: one.design):
        found = sorted((one for result in group for one in result.each() if one.counterexample), key=steps)
        if found:
            yield finding(found[0], width=width)
        lines = [f"  {another(one, found[0])}\n" for one in found[1:]]
        if lines:
            yield f"{design} also fails in\n{''.join(lines)}"


def time_left(seconds: float) -> str:
    """40 s left, 12 min left."""
    return f"{seconds:.0f} s left" if seconds < 100 else f"{seconds / 60:.0f} min left"
