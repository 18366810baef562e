"""A scenario that one steps oneself: where a schedule leads, who can go on from there, and what each next step would do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from septum.check import tokens
from septum.check.result import Change, Counterexample, Result, Step, Verdict
from septum.check.stuck import stuck
from septum.check.trace import Replay, at_rest, first_failure, gone_behind
from septum.explore.build import Build
from septum.lang.engine import Engine, Status
from septum.lang.errors import UserError
from septum.lang.processes import property_of
from septum.lang.types import scope
from septum.page.document import drawn
from septum.page.scene import Painter, Scene
from septum.report.calltrace import short
from septum.report.changes import shorter
from septum.report.diagram import Holders

Schedule = Sequence[tuple[int, int]]
MOST_STEPS, RUNS, STAYS = 3000, 40, 0.8


@dataclass(frozen=True)
class Option:
    """A step that may come next: whose, by which choice, from which line, what it changes, and what fails in it."""

    thread: int
    name: str
    choice: int
    ways: int
    line: str
    changes: tuple[Change, ...]
    fails: str


class Walk:
    """One scenario, walked. It keeps the last schedule that it was asked for, so that one step more is one step more."""

    def __init__(self, build: Build, design: str, sizes: dict[str, int], schedule: Schedule = ()) -> None:
        """`schedule` is the one to begin with; `design` is as the user named it."""
        self.build, self.design, self.sizes, self.begins = build, design, sizes, tuple(schedule)
        self._taken: list[tuple[int, int]] = []
        with scope(build.bindings):
            self._restart()
        locks = frozenset(path for path, _, _ in self._replay.locks)
        self._holders = Holders(tuple(thread.name for thread in build.threads), locks)

    def about(self) -> dict[str, Any]:
        """What does not change: names, witnesses, the schedule to begin with."""
        scenario = self.build.scenario
        witnesses = [{"name": one.name, "title": one.title} for one in scenario.witnesses]
        return {"design": self.design, "scenario": scenario.name, "title": scenario.title, "witnesses": witnesses,
                "begins": [list(step) for step in self.begins]}  # fmt: skip

    def look(self, schedule: Schedule) -> dict[str, Any]:
        """The steps and states of a schedule, what failed, and what may come next; UserError for one that cannot be taken."""
        with scope(self.build.bindings):
            self._go(schedule)
            found = self.found()
            names = [thread.name for thread in self.build.threads]
            reached = {name: number for number, step in reversed([*enumerate(self.steps, 1)]) for name in step.events}
            return {
                **drawn(found, self.scenes, names), "schedule": [list(step) for step in schedule], "fails": self._fails(),
                "options": [asdict(option) for option in self.options()], "reached": reached,
            }  # fmt: skip

    def found(self) -> Counterexample:
        """Where it stands, as if it were a counterexample; its token is one once it fails."""
        threads = tuple(self._replay.standing(number) for number in range(len(self.build.threads)))
        return Counterexample(tuple(self.steps), threads, "", None)

    def at(self, schedule: Schedule) -> list[dict[str, Any]]:
        """What may come next after a schedule."""
        with scope(self.build.bindings):
            return [asdict(option) for option in self._options(schedule)]

    def token(self, schedule: Schedule) -> str:
        """A token for the schedule, wherever it ends, or the name of a file with it."""
        with scope(self.build.bindings):
            engine = self._engine(schedule)
            stuck, passed = engine.failure is None and bool(self._stuck(engine)), gone_behind(self.build, engine)
            return tokens.write(self.build, tuple(schedule), self.sizes, stuck, Path("."), excepted=passed)

    def result(self, schedule: Schedule) -> Result:
        """The schedule as what a replay of it finds; UserError where nothing fails at its end."""
        with scope(self.build.bindings):
            self._go(schedule)
            clause = self._fails()
            if not clause:
                raise UserError("nothing fails at the end of this schedule")
            name, found = self.build.scenario.name, self.found()
            return Result(self.design, name, Verdict.VIOLATED, property_of(clause), clause, counterexample=found)

    def way_to(self, witness: str) -> list[tuple[int, int]]:
        """A schedule to a witness, the shortest of those that random runs find; UserError where none does."""
        best: list[tuple[int, int]] = []
        with scope(self.build.bindings):
            for seed in range(RUNS):
                found = self._run(random.Random(seed), witness, len(best) or MOST_STEPS)
                best = found or best
        if not best:
            raise UserError(f"no run of {RUNS} came to {witness}; that says nothing of whether it can be reached")
        return best

    def _run(self, rng: random.Random, witness: str, limit: int) -> list[tuple[int, int]]:
        """A random run of fewer steps than `limit` to a witness; empty if it does not come there."""
        engine, found, thread = self.build.engine(), list[tuple[int, int]](), 0
        while len(found) < limit - 1:
            able = [number for number in range(len(engine.threads)) if engine.can_step(number)]
            if not able:
                return []
            if thread not in able or rng.random() > STAYS:
                thread = rng.choice(able)
            found.append((thread, rng.randrange(engine.choices(thread))))
            if engine.step(*found[-1]) is Status.FAILED:
                return []
            if any(one.name == witness for one in engine.reached):
                return found
        return []

    def options(self) -> Iterator[Option]:
        """What may come next where it stands."""
        return self._options(self._taken) if not self._fails() else iter(())

    def _options(self, schedule: Schedule) -> Iterator[Option]:
        first = self._engine(schedule)
        if first.failure:
            return
        moves = [(n, choice) for n in range(len(first.threads)) if first.can_step(n) for choice in range(first.choices(n))]
        for number, (thread, choice) in enumerate(moves):
            engine = first if number == 0 else self._engine(schedule)
            yield self._option(engine, thread, choice)

    def _option(self, engine: Engine, thread: int, choice: int) -> Option:
        ways, before, stack = engine.choices(thread), engine.world(), engine.stack(thread)
        actor, takes = engine.threads[thread], engine.stores(thread, choice)
        ways -= engine.pending(thread)
        if takes:
            said, ways = "the memory takes its oldest store", 1
        elif stack:
            function, file, line, text = stack[-1]
            said = f"{function}() {short(file)}:{line} {text.strip()}"
        else:
            call = actor.thread.calls[actor.call]
            said = f"{call.process.__name__}({', '.join(map(str, call.arguments))})"
        engine.step(thread, choice)
        failure = engine.failure or first_failure(self.build, engine, at_rest(engine))
        changes = shorter([self._holders.named(change) for change in self._replay.changes(before, engine.world())])
        return Option(thread, actor.thread.name, choice, ways, said, tuple(changes), failure.clause if failure else "")

    def _engine(self, schedule: Schedule) -> Engine:
        engine = self.build.engine()
        for thread, choice in schedule:
            engine.step(thread, choice)
        return engine

    def _restart(self) -> None:
        self._replay, self._painter = Replay(self.build), Painter(self.build)
        self.steps: list[Step] = []
        self.scenes: list[Scene] = [self._painter.scene(self._replay)]
        self._taken, self._clause = [], ""

    def _go(self, schedule: Schedule) -> None:
        """Takes the steps that are new; from the start, where what was taken is no beginning of the schedule."""
        if list(schedule[: len(self._taken)]) != self._taken:
            self._restart()
        for number, (thread, choice) in enumerate(schedule[len(self._taken) :], len(self._taken) + 1):
            engine = self._replay.engine
            if self._clause:
                raise UserError(f"step {number}: the run has failed before it")
            if not 0 <= thread < len(engine.threads) or not engine.can_step(thread) or not 0 <= choice < engine.choices(thread):
                raise UserError(f"step {number}: thread {thread} cannot take a step with choice {choice} there")
            step, failure = self._replay.step(thread, choice)
            failure = failure or first_failure(self.build, engine, at_rest(engine))
            self.steps.append(step)
            self.scenes.append(self._painter.scene(self._replay))
            self._taken.append((thread, choice))
            self._clause = failure.clause if failure else ""

    def _fails(self) -> str:
        """What fails where it stands, if anything does."""
        if self._clause:
            return self._clause
        names = [self.build.threads[number].name for number in sorted(self._stuck(self._replay.engine))]
        return f"deadlock: {', '.join(names)} can never go on" if names else ""

    def _stuck(self, engine: Engine) -> set[int]:
        """Who can never go on; that takes the footprints of all steps, so not where nobody waits."""
        waits = any(not actor.ended and not engine.can_step(number) for number, actor in enumerate(engine.threads))
        return stuck(self.build, engine) if waits else set()
