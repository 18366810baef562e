"""The checks of one command: which design in which scenario, one after another, until the last or Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from septum.check.result import Result, Verdict
from septum.cli import names
from septum.cli.progress import ProgressLine
from septum.lang.model import Model


@dataclass(frozen=True)
class Job:
    """One check: a design as the user named it, its model, and the name of a scenario."""

    design: str
    model: Model
    scenario: str

    @property
    def exists(self) -> bool:
        """Whether the model has the scenario at all."""
        return self.scenario in names.scenarios([self.model])

    @property
    def applies(self) -> bool:
        """Whether the design has the operations that the scenario needs."""
        return any(one.name == self.scenario and one.needs <= self.model.operations for one in self.model.scenarios)

    def unfinished(self, reason: str) -> Result:
        return Result(self.design, self.scenario, Verdict.INCOMPLETE, reason=reason)

    def refused(self, reason: str) -> Result:
        return Result(self.design, self.scenario, Verdict.REFUSED, reason=reason)


def plan(designs: Sequence[str], scenarios: Sequence[str], properties: Sequence[str], scope: str = "") -> list[Job]:
    """The jobs of a command line. All its names are looked up here, so that a wrong one costs no exploration."""
    models = {design: names.load(design) for design in designs}
    for design, model in models.items():
        for scenario in scenarios:
            names.known("scenario", scenario, names.scenarios([model]), design)
        for of in properties:
            names.known("property", of, names.properties([model]), design)
        if scope:
            names.known("scope", scope, names.scopes([model]), design)
    return [
        Job(design, model, scenario)
        for design, model in models.items()
        for scenario in dict.fromkeys(scenarios or names.scenarios([model]))
    ]


class Interrupt:
    """The first Ctrl-C or SIGTERM ends the running check, whose result may still come, and no other one starts."""

    def __init__(self) -> None:
        self.seen = self.running = False

    def __enter__(self) -> Interrupt:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        first, self.seen = not self.seen, True
        if first and self.running:
            raise KeyboardInterrupt


def run(jobs: Sequence[Job], options: dict[str, Any]) -> Iterator[Result]:
    """A result for every job; `options` are the keyword arguments of septum.check."""
    with Interrupt() as interrupt:
        for number, job in enumerate(jobs, 1):
            if interrupt.seen:
                yield job.unfinished("not started")
            else:
                yield _run(job, options, ProgressLine(f"{number}/{len(jobs)} {job.design} {job.scenario}"), interrupt)


def _run(job: Job, options: dict[str, Any], line: ProgressLine, interrupt: Interrupt) -> Result:
    from septum.check.check import check

    options = {key: value for key, value in options.items() if value is not None}
    try:
        interrupt.running = True
        try:
            found = check(job.model, job.scenario, progress=line, **options)
        finally:
            interrupt.running = False
        # The design is named as the user named it, so that the command that replays a counterexample finds it again.
        return replace(found, design=job.design)
    except KeyboardInterrupt:
        return job.unfinished("interrupted")
    finally:
        line.clear()


def status(results: Sequence[Result]) -> int:
    """The exit status: 1 something is violated or vacuous, 3 nothing is but not everything was explored, 0 otherwise."""
    verdicts = {result.verdict for result in results}
    if verdicts & {Verdict.VIOLATED, Verdict.VACUOUS}:
        return 1
    return 3 if Verdict.INCOMPLETE in verdicts else 0
