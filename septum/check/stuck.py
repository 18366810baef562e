"""Who waits for whom at the end of a deadlock: for which places each stuck thread waits, and who changed them last."""

from __future__ import annotations

from collections.abc import Sequence

from septum.check.result import Step
from septum.check.trace import Trace, stuck
from septum.explore.build import DEADLOCK, Build
from septum.lang.engine import Engine
from septum.lang.types import scope

Schedule = Sequence[tuple[int, int]]


def deadlock_clause(build: Build, schedule: Schedule, replayed: Trace) -> str:
    """The threads that can never go on after a schedule, each with what it waits for, and who holds or changed that."""
    with scope(build.bindings):
        engine = build.engine()
        for thread, choice in schedule:
            engine.step(thread, choice)
        waits = [_waits(build, engine, number, replayed) for number in sorted(stuck(build, engine))]
    return f"{DEADLOCK}: " + ("; ".join(waits) or "no thread can go on")


def _waits(build: Build, engine: Engine, number: int, replayed: Trace) -> str:
    standing = replayed.threads[number]
    places = _condition(build, engine, number)
    last = next((step for step in reversed(replayed.steps) if any(change.place in places for change in step.changes)), None)
    if " held by " in standing.waits_for or standing.waits_for.endswith("which it holds itself") or last is None:
        return f"{standing.thread} waits for {standing.waits_for}"
    place = next(change.place for change in last.changes if change.place in places)
    return f"{standing.thread} waits for {standing.waits_for}: {place}, which {_by(last, standing.thread)}"


def _by(last: Step, thread: str) -> str:
    return "it holds itself" if last.thread == thread else f"{last.thread} changed last"


def _condition(build: Build, engine: Engine, number: int) -> set[str]:
    """The places that the condition of a waiting thread may read."""
    spot = build.tables().standing(number, engine.frame(number))[-1]
    footprints = build.tables().footprints
    return {_shown(path) for path in footprints.places(spot.waits.reads)}


def _shown(path: tuple[str | int | None, ...]) -> str:
    return "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in path).removeprefix(".")
