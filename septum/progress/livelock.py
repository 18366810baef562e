"""Progress: threads that may go round for ever although each that could run does; graph.c, fair.c and lasso.c do the work."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from septum.explore.build import Build
from septum.explore.explore import LIVELOCKS, Budget, Outcome, Progress, limit, watch
from septum.explore.run import Run

Schedule = tuple[tuple[int, int], ...]

MOST_TURNS = 64
"""So often a loop is gone round at most until every page has the name again that it had."""


@dataclass(frozen=True)
class Livelock:
    """What was found: VIOLATED with a schedule whose steps from `loop` on go round for ever, COMPLETE, or why the search ended.

    The way to the loop is the `shortest`. Under symmetry the schedule may be missing (`traced` is False), where no way around was
    found that restores all names.
    """

    outcome: Outcome
    states: int
    seconds: float
    schedule: Schedule = ()
    loop: int = 0
    traced: bool = True
    shortest: bool = True


class _Livelock(ctypes.Structure):
    """struct septum_livelock."""

    _fields_: ClassVar = [("run", Run), ("loop", ctypes.c_uint64)]

    run: Run
    loop: int


def find_livelock(
    built: Build, *, symmetry: bool = True, budget: Budget = Budget(), progress: Callable[[Progress], None] | None = None
) -> Livelock:
    """Looks for a fair cycle in which a thread that is no daemon never ends. All states' numbers and edges stay in memory."""
    library = built.library(LIVELOCKS)
    found = _Livelock()
    run = found.run
    run.initial, run.threads, run.daemons, run.symmetry = built.initial, len(built.threads), built.daemons, symmetry
    run.most_states, run.most_bytes = limit(budget.states), limit(budget.bytes)
    run.most_seconds = 0.0 if budget.seconds is None else max(budget.seconds, 1e-9)
    run.outcome = Outcome.STOPPED.value
    try:
        watch(lambda: library.septum_find_livelock(ctypes.byref(found)), run, progress)
        pairs = run.schedule[: 2 * run.steps] if run.steps else []
    finally:
        library.septum_free(ctypes.byref(run))
    outcome, states, seconds = Outcome(run.outcome), run.progress.states, run.seconds
    schedule = tuple(zip(pairs[::2], pairs[1::2], strict=True))
    if outcome is not Outcome.VIOLATED or not symmetry:
        return Livelock(outcome, states, seconds, schedule, found.loop)
    lasso = _Renamed(built, library).unrolled(schedule, found.loop)
    if lasso is None:
        return Livelock(outcome, states, seconds, traced=False)
    return Livelock(outcome, states, seconds, *lasso, shortest=lasso[1] == found.loop)


class _Step(ctypes.Structure):
    """step_t."""

    _fields_: ClassVar = [("choice", ctypes.c_uint32), ("failure", ctypes.c_int32), ("witnesses", ctypes.c_uint64)]


class _Renamed:
    """Turns a schedule of states as symmetry names them into one of real states, which goes with it move by move."""

    def __init__(self, built: Build, library: ctypes.CDLL) -> None:
        self.library, self.size = library, len(built.initial)
        self.real, self.named = built.initial, self.canonical(built.initial)
        self.moves: list[tuple[int, int]] = []

    def unrolled(self, schedule: Schedule, loop: int) -> tuple[Schedule, int] | None:
        """The real schedule and where its loop begins. The loop is gone round until a state comes back under its own names."""
        starts: dict[bytes, int] = {}
        part = schedule[:loop]
        while len(starts) <= MOST_TURNS:
            if not all(self.follow(*move) for move in part):
                return None
            if self.real in starts:
                return tuple(self.moves), starts[self.real]
            starts[self.real] = len(self.moves)
            part = schedule[loop:]
        return None

    def follow(self, thread: int, choice: int) -> bool:
        """Makes the real move that leads to the state which the move leads to, renamed; whether there is one."""
        self.named = self.canonical(self.moved(self.named, thread, choice))
        for real in range(self.library.septum_choices(self.real, thread)):
            after = self.moved(self.real, thread, real)
            if self.canonical(after) == self.named:
                self.real = after
                self.moves.append((thread, real))
                return True
        return False

    def moved(self, state: bytes, thread: int, choice: int) -> bytes:
        after = ctypes.create_string_buffer(state, self.size)
        self.library.septum_step(after, thread, ctypes.byref(_Step(choice, -1, 0)))
        return after.raw

    def canonical(self, state: bytes) -> bytes:
        to = ctypes.create_string_buffer(self.size)
        self.library.septum_canonical(state, to)
        return to.raw
