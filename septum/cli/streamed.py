"""Checks whose rows are printed as they end, each with what is left of all of them; and a report too long for a screen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from septum.check.result import Result, Verdict
from septum.cli.output import colour, drawing_width, write
from septum.cli.runs import Job
from septum.lang.whole import write_whole
from septum.report.rows import drawn, heading, row, time_left, violated
from septum.report.terminal import render, section, summary, unfinished, vacuous

WIDTH = 80


class Left:
    """How long the checks that are left may take, if they take as long as those that ended; `jobs` are those that apply."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.done, self.began = jobs, 0, time.monotonic()

    def after(self, result: Result) -> str:
        """What is left after one more; what does not apply takes no time, and there is nothing to say at the end."""
        if result.verdict is not Verdict.NOT_APPLICABLE:
            self.jobs, self.done = self.jobs - 1, self.done + 1
        return time_left(self.jobs * (time.monotonic() - self.began) / self.done) if self.jobs and self.done else ""


def streamed(results: Iterable[Result], left: Left) -> Iterator[Result]:
    """The results, each of which is printed as it comes."""
    for result in results:
        if result.states or result.verdict is not Verdict.INCOMPLETE:  # what Ctrl-C left out is no row
            write(row(result, left.after(result), colour=colour()))
        yield result


def table(results: Iterable[Result], jobs: Sequence[Job]) -> Iterator[Result]:
    """The results of these jobs, printed below the design of each."""
    write(heading())
    left = Left(sum(job.applies for job in jobs))
    for design, group in groupby(results, lambda one: one.design):
        write(design)
        yield from streamed(group, left)


def brief(results: Sequence[Result], file: Path) -> None:
    """Prints one counterexample a design and what is violated, and writes the whole report."""
    write_whole(file, render(results))
    parts = [
        section("Not explored to the end", unfinished(results), WIDTH),
        section("Vacuous: these witnesses were never reached", vacuous(results), WIDTH),
        *drawn(results, drawing_width()),
        violated(results),
        f"{summary(results)}The whole report: {file}\n",
    ]
    write("\n" + "\n".join(part for part in parts if part))
