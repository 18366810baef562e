"""`septum demo`: what septum is for, in a minute: a design that holds, one that breaks and why, and what that cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from septum.check.result import Result, Verdict
from septum.cli.output import write
from septum.cli.runs import Job, plan, run, status
from septum.cli.streamed import Left, streamed

INTERRUPTED = 3


@dataclass(frozen=True)
class Chapter:
    """A part of the story: a design, and in which scenarios (default: all that apply)."""

    text: str
    design: str
    scenarios: tuple[str, ...] = ()
    expected: Verdict = Verdict.HOLDS

    def jobs(self) -> list[Job]:
        return [job for job in plan([self.design], self.scenarios, []) if job.applies]


STORY = (
    Chapter("The kernel's design holds: Dynamic PAMT as it was merged (dpamt_merged)", "dpamt_merged"),
    Chapter(
        "Version 4 as it was posted breaks, where two TDs share a range (dpamt_v4_as_posted)",
        "dpamt_v4_as_posted", ("two_tds",), Verdict.VIOLATED,
    ),
    Chapter("With the count under the lock, version 4 holds (dpamt_v4)", "dpamt_v4", ("two_tds",)),
)  # fmt: skip


@click.command(short_help="See in a minute what septum does.")
@click.pass_context
def demo(context: click.Context) -> None:
    """Check three designs of Dynamic PAMT, and draw the race that one of them has.

    Exit status: 0 each verdict is as it should be, 1 one is not, 3 it was interrupted.
    """
    context.exit(_told(STORY))


def _told(story: Sequence[Chapter]) -> int:
    from septum.report.rows import heading

    write("Private memory of TDX guests, checked under every interleaving of a small scope.\n")
    began, results = time.monotonic(), list[Result]()
    jobs = [chapter.jobs() for chapter in story]
    left = Left(sum(map(len, jobs)))
    unlike = False
    for number, (chapter, own) in enumerate(zip(story, jobs, strict=True), 1):
        write(f"\n{number}. {chapter.text}\n\n{heading()}")
        found = list(streamed(run(own, {"fresh": False}), left))
        results += found
        if status(found) == INTERRUPTED:
            write("\ninterrupted")
            return INTERRUPTED
        unlike |= any(one.verdict is not chapter.expected for one in found)
        for one in found:
            _draw(one)
    write(_ending(results, time.monotonic() - began))
    return int(unlike)


def _draw(result: Result) -> None:
    from septum.report.race import race_at_its_end

    if result.counterexample:
        write(f"\n{race_at_its_end(result)}")


def _ending(results: Sequence[Result], seconds: float) -> str:
    states, transitions = sum(one.states for one in results), sum(one.transitions for one in results)
    token = next((one.counterexample.token for one in results if one.counterexample), "")
    return f"""
{len(results)} checks, {states:,} states, {transitions:,} transitions, {seconds:.0f} s: every order of the steps of each scenario,
and every failed allocation that it allows.

Where to go on
  septum explain {token} --whole
  septum check dpamt_v4_as_posted        this design in every scenario
  septum new mine --from dpamt_merged    a design of your own
  make demo-all                          every design of the lists in every scenario
  docs/tour.md                           a tour
"""
