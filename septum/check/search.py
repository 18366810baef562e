"""The Python engine as an explorer: breadth first, every state reached by replaying its schedule. Slow, and needs no compiler."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

from septum.check.stuck import stuck
from septum.check.trace import at_rest, first_failure, is_excused
from septum.explore.build import Build
from septum.explore.explore import ENDED_THERE, POLL_SECONDS, WENT_ON, Budget, Exploration, Outcome, Progress
from septum.lang.engine import Engine, Status
from septum.lang.processes import Place

Path = tuple[tuple[int, int], ...]


class Search:
    """One exploration; the scope of the build must be active."""

    def __init__(self, build: Build, budget: Budget, progress: Callable[[Progress], None] | None) -> None:
        self.build, self.budget, self.progress = build, budget, progress
        self.began = self.told = time.monotonic()
        self.states = {build.engine().state()}
        self.transitions = self.depth = self.final = self.witnesses = 0
        self.covered, self.deadlocked = Counter[Place](), False
        self.level: list[Path] = [()]
        self.following: list[Path] = []

    def run(self) -> Exploration:
        """Explores until something is found, all is explored, or the budget ends."""
        try:
            found = self._failure(self.build.engine())
            if found:
                return self._exploration(Outcome.VIOLATED, ())
            while self.level:
                for path in self.level:
                    ended = self._out_of_budget()
                    if ended:
                        return self._exploration(ended, ())
                    outcome = self._expand(path)
                    if outcome:
                        return self._exploration(*outcome)
                self.depth += bool(self.following)
                self.level, self.following = self.following, []
        except KeyboardInterrupt:
            return self._exploration(Outcome.STOPPED, ())
        return self._exploration(Outcome.COMPLETE, ())

    def _expand(self, path: Path) -> tuple[Outcome, Path] | None:
        engine = self._replay(path)
        moves = list(self._moves(engine))
        if self._is_stuck(engine, {thread for thread, _ in moves}):
            if self.build.deadlocks:
                return Outcome.DEADLOCK, path
            self.deadlocked = True
        self.final += not moves and all(actor.ended for actor in engine.threads)
        for number, move in enumerate(moves):
            engine = engine if number == 0 else self._replay(path)
            status = engine.step(*move)
            if status is Status.FAILED:
                if not self._is_excused(engine):
                    self.depth += 1
                    return Outcome.VIOLATED, (*path, move)
                continue
            if self._visit(engine):
                self.following.append((*path, move))
                if self._failure(engine):
                    self.depth += 1
                    return Outcome.VIOLATED, (*path, move)
        return None

    def _is_stuck(self, engine: Engine, able: set[int]) -> bool:
        """Whether a thread that waits can never go on, whatever the others do."""
        waiting = {number for number, actor in enumerate(engine.threads) if not actor.ended} - able
        if all(engine.threads[number].thread.daemon for number in waiting):
            return False
        return not able or bool(stuck(self.build, engine))

    def _moves(self, engine: Engine) -> Iterator[tuple[int, int]]:
        for thread in range(len(engine.threads)):
            if engine.can_step(thread):
                for choice in range(engine.choices(thread)):
                    yield thread, choice

    def _visit(self, engine: Engine) -> bool:
        self.transitions += 1
        for witness in engine.reached:
            self.witnesses |= 1 << self.build.translation.witnesses.index(witness)
        self._note(engine)
        state = engine.state()
        new = state not in self.states
        self.states.add(state)
        return new

    def _failure(self, engine: Engine) -> bool:
        failure = first_failure(self.build, engine, at_rest(engine))
        self._note(engine)
        return failure is not None

    def _is_excused(self, engine: Engine) -> bool:
        """Whether the failure of a step is not judged, so that the schedule only ends there."""
        assert engine.failure
        excused = is_excused(self.build, engine.failure)
        if excused:
            self.covered[(engine.failure.file, engine.failure.line)] |= ENDED_THERE
        self._note(engine)
        return excused

    def _note(self, engine: Engine) -> None:
        """What of the excused failed, so that the run went on."""
        for place in engine.passed:
            self.covered[place] |= WENT_ON
        engine.passed.clear()

    def _replay(self, path: Path) -> Engine:
        engine = self.build.engine()
        for thread, choice in path:
            engine.step(thread, choice)
        engine.reached.clear()
        engine.passed.clear()
        return engine

    def _out_of_budget(self) -> Outcome | None:
        now = time.monotonic()
        if self.progress and now - self.told > POLL_SECONDS:
            self.told = now
            self.progress(
                Progress(len(self.states), self.transitions, len(self.following), self.depth, self._bytes(), now - self.began)
            )
        if self.budget.seconds is not None and now - self.began > self.budget.seconds:
            return Outcome.OUT_OF_TIME
        if self.budget.states is not None and len(self.states) > self.budget.states:
            return Outcome.OUT_OF_STATES
        return Outcome.OUT_OF_MEMORY if self.budget.bytes is not None and self._bytes() > self.budget.bytes else None

    def _bytes(self) -> int:
        return len(self.states) * (self.build.translation.state_size + 100)

    def _exploration(self, outcome: Outcome, schedule: Path) -> Exploration:
        return Exploration(
            outcome, None, len(self.states), self.transitions, self.depth, self.final,
            time.monotonic() - self.began, self._bytes(),
            self.witnesses, schedule, True, bytes(self._marks()), deadlocked=self.deadlocked,
        )  # fmt: skip

    def _marks(self) -> Iterator[int]:
        """Every line is said to have run: here nobody counts them."""
        of, ignored = self.build.translation, self.build.ignored
        yield from (1 for _ in of.covered_lines)
        yield from (self.covered[(site.file, site.line)] * (number in ignored) for number, site in enumerate(of.sites))
