"""A schedule as a reader sees it: replayed in the Python engine, step by step, with what each step changed.

Every counterexample is replayed here before it is printed; a replay that comes to another end is a defect of septum.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from septum.check.result import Call, Change, Standing, Step
from septum.check.slicing import Slice, Watched
from septum.check.stuck import deadlock_clause, stuck
from septum.explore.build import DEADLOCK, PROGRESS, Build
from septum.host.locks import Lock
from septum.kvm.replacing import replaced
from septum.lang.engine import OUT_OF_RANGE, Engine, Failure, Status
from septum.lang.errors import EnginesDisagree
from septum.lang.paths import shown_path
from septum.lang.places import Places
from septum.lang.processes import property_of
from septum.lang.struct import Realised
from septum.lang.types import EnumType, scope
from septum.lang.values import Ref

Schedule = Sequence[tuple[int, int]]

MEMORY = Call("memory", "", 0, "")
"""What stands in the place of a function where the memory takes a store."""


@dataclass(frozen=True)
class Trace:
    """A replayed schedule: its steps, where the threads stand, and what broke, at which place ("file:line").

    `passed` are the sites behind which it went on, as they are excepted; `behind` says them, each with its place.
    """

    steps: tuple[Step, ...]
    threads: tuple[Standing, ...]
    property: str
    clause: str
    place: str = ""
    passed: frozenset[int] = frozenset()
    behind: tuple[str, ...] = ()


class End(Enum):
    """What a schedule leads to."""

    VIOLATION = "a violation"
    DEADLOCK = "a deadlock"
    RACE = "a state without a violation"
    EVENT = "an event"


def trace(build: Build, schedule: Schedule, end: End = End.VIOLATION, loop: int | None = None) -> Trace:
    """Replays a schedule that ends so, or goes round for ever from step `loop` on; EnginesDisagree if it does not."""
    with scope(build.bindings):
        replay = Replay(build)
        found = replay.run(schedule, end) if loop is None else replay.go_round(schedule, loop)
        passed = gone_behind(build, replay.engine)
        behind = tuple(f"{site.message} ({site.place})" for n, site in enumerate(build.translation.sites) if n in passed)
        return replace(found, place=replay.place, passed=passed, behind=behind)


def first_failure(build: Build, engine: Engine, at_rest: bool) -> Failure | None:
    """The first clause of a property that the engine's state violates."""
    for one in build.model.properties:
        if one.check and (at_rest or not one.at_rest):
            failure = engine.assess(one.check)
            if failure and not is_excused(build, failure):
                return failure
    return None


def gone_behind(build: Build, engine: Engine) -> frozenset[int]:
    """The excepted sites that failed so far in a run."""
    sites = build.translation.sites
    return frozenset(one for one in build.excepted if (sites[one].file, sites[one].line) in engine.passed)


def at_rest(engine: Engine) -> bool:
    """Every thread has ended, or is a daemon, and the memory has taken all stores."""
    pending = any(engine.pending(number) for number in range(len(engine.threads)))
    return not pending and all(actor.ended or actor.thread.daemon for actor in engine.threads)


def is_excused(build: Build, failure: Failure) -> bool:
    """Whether what failed is not judged; a value out of range always is."""
    return failure.kind != OUT_OF_RANGE and (failure.file, failure.line) in build.excused.places


def marked(steps: Sequence[Step], *found: Slice) -> tuple[Step, ...]:
    """The steps, each with what of it these slices have."""
    made = []
    for number, step in enumerate(steps):
        touches = {at: touch for one in found for at, touch in one.touches(number).items()}
        in_order = tuple(dict.fromkeys(touches[at] for at in sorted(touches)))
        made.append(replace(step, needed=any(number in one.parts for one in found), touches=in_order))
    return tuple(made)


def _with_last(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The last step is always needed: it is the one that fails, or after which nobody goes on."""
    return (*steps[:-1], *(replace(step, needed=True) for step in steps[-1:]))


class Replay:
    """A run of a build in the Python engine, a step at a time; use it inside of `scope(build.bindings)`."""

    def __init__(self, build: Build) -> None:
        self.build, self.watched = build, Watched(build)
        self.engine, self.recorder, self.places = self.watched.engine, self.watched.recorder, self.watched.places
        self.locks = list(self.places.structs(Lock))
        self.place = ""
        put = replaced(build.bindings).items()
        self.instead = {(new.__name__, shown_path(new.__code__.co_filename)): old.__name__ for new, old in put}

    def run(self, schedule: Schedule, end: End) -> Trace:
        steps, failure = [], None
        for thread, choice in schedule:
            if failure:
                raise EnginesDisagree(f"{self.build.scenario.name}: the schedule goes on after {failure.clause}")
            step, failure = self.step(thread, choice)
            steps.append(step)
        if failure is None:
            with self.recorder.watching(len(steps)):
                failure = first_failure(self.build, self.engine, at_rest(self.engine))
        self.place = f"{failure.file}:{failure.line}" if failure else ""
        if (failure is None) is (end is End.VIOLATION) or (end is End.DEADLOCK and not stuck(self.build, self.engine)):
            raise EnginesDisagree(f"{self.build.scenario.name}: the schedule ends without {end.value} in the Python engine")
        standing = tuple(self.standing(number) for number in range(len(self.engine.threads)))
        if end is End.EVENT:
            return Trace(tuple(replace(step, needed=True) for step in steps), standing, *self._event(steps))
        if self.engine.buffers and end is not End.DEADLOCK:  # a slice does not know which store a read saw
            assert failure
            return Trace(
                tuple(replace(step, needed=True) for step in steps), standing, property_of(failure.clause), failure.clause
            )
        found = Slice(self.watched, [step.locks for step in steps])
        if failure is None:
            if end is End.RACE:  # what it depends on is known where the race is
                return Trace(tuple(steps), standing, DEADLOCK, "")
            who = stuck(self.build, self.engine)
            found.of_waits(who)
            clause = deadlock_clause(self.build, self.watched, steps, {number: standing[number] for number in sorted(who)})
            if self.engine.buffers:
                return Trace(tuple(replace(step, needed=True) for step in steps), standing, DEADLOCK, clause)
            return Trace(_with_last(marked(steps, found)), standing, DEADLOCK, clause)
        return Trace(_with_last(marked(steps, found.of_failure())), standing, property_of(failure.clause), failure.clause)

    def _event(self, steps: Sequence[Step]) -> tuple[str, str]:
        """What the last step reached for the first time, by name, and with titles."""
        reached = steps[-1].events if steps else ()
        if not reached:
            raise EnginesDisagree(f"{self.build.scenario.name}: the last step reaches no event in the Python engine")
        titles = {one.name: one.title for one in self.engine.reached}
        return ", ".join(reached), "; ".join(f"{name}: {titles[name]}" for name in reached)

    def go_round(self, schedule: Schedule, loop: int) -> Trace:
        """A schedule that comes back to the state before step `loop`; every thread that could run since then has run."""
        steps, able, start = [], set[int](), b""
        for number, (thread, choice) in enumerate(schedule):
            start = self.engine.state() if number == loop else start
            able |= {n for n in range(len(self.engine.threads)) if number >= loop and self.engine.can_step(n)}
            step, failure = self.step(thread, choice)
            if failure:
                raise EnginesDisagree(
                    f"{self.build.scenario.name}: {failure.clause}, in a schedule that should go round for ever"
                )
            steps.append(step)
        if self.engine.state() != start or able - {thread for thread, _ in schedule[loop:]}:
            raise EnginesDisagree(f"{self.build.scenario.name}: the schedule does not go round for ever in the Python engine")
        if at_rest(self.engine):
            raise EnginesDisagree(f"{self.build.scenario.name}: all has come to an end in the Python engine")
        standing = tuple(self.standing(number) for number in range(len(self.engine.threads)))
        waiting = [number for number, one in enumerate(standing) if one.state == "blocked"]
        found = Slice(self.watched, [step.locks for step in steps]).of_loop(loop, waiting)
        return Trace(marked(steps, found), standing, PROGRESS, self._livelock(standing))

    def _livelock(self, standing: Sequence[Standing]) -> str:
        kept = [
            f"{one.thread}{f' in {one.stack[0].function}()' if one.stack else ''}"
            for actor, one in zip(self.engine.threads, standing, strict=True)
            if not actor.ended and not actor.thread.daemon
        ]
        return f"progress: {', '.join(kept)} may never come to an end"

    def step(self, thread: int, choice: int) -> tuple[Step, Failure | None]:
        """The next step of a thread, and what failed in it; EnginesDisagree where there is none."""
        name = self.build.scenario.name
        if not 0 <= thread < len(self.engine.threads) or not 0 <= choice < self.engine.choices(thread):
            raise EnginesDisagree(f"{name}: there is no thread {thread} with a choice {choice} in the Python engine")
        takes = self.engine.stores(thread, choice)
        before, from_stack = self.engine.world(), (MEMORY,) if takes else self.stack(thread)
        ways, waiting = self.engine.choices(thread) - self.engine.pending(thread), self._waiting(thread)
        known, number = set(self.engine.reached), len(self.watched.threads)
        status = self.watched.step(thread, choice)
        if status is Status.BLOCKED:
            raise EnginesDisagree(f"{name}: {self.engine.threads[thread].thread.name} is blocked in the Python engine")
        failure = self.engine.failure if status is Status.FAILED else None
        if failure and is_excused(self.build, failure):
            raise EnginesDisagree(f"{name}: {failure.clause}, which is not judged, in the Python engine")
        stored = self._waiting(thread)[len(waiting) :] if not takes else ()
        changes = (*self.changes(before, self.engine.world()), *stored)
        events = tuple(sorted(witness.name for witness in self.engine.reached - known))
        runs = self.engine.threads[thread].thread.name
        first = from_stack[-1]
        begins = self.watched.begins(number, first.function) if first.source.startswith("def ") else ()
        chosen, passed = choice if ways > 1 and not takes else None, self._passed(thread, number, changes)
        return Step(runs, chosen, from_stack, changes, self.held(thread), events, passed, begins, takes=takes), failure

    def _waiting(self, thread: int) -> tuple[Change, ...]:
        """The stores of a thread that the memory has yet to take, oldest first."""
        world, found = self.engine.world(), list[Change]()
        for offset, value in self.engine.buffers.queues[thread] if self.engine.buffers else ():
            path, of = self.places.scalar(offset)
            old = int.from_bytes(world[offset : offset + of.bits // 8], "little")
            found.append(Change(path, of.show(old), f"{of.show(value)}, buffered"))
        return tuple(found)

    def _passed(self, thread: int, number: int, changes: Sequence[Change]) -> tuple[str, ...]:
        """The locks that a step took and released: written, and as before."""
        written = {access.offset for access in self.recorder.writes_of(number) if access.value >> thread & 1}
        changed = {change.place for change in changes}
        names = {"writer": "write", "readers": "read"}
        return tuple(
            f"{path} ({names[field]})"
            for path, offset, _ in self.locks
            for _, place, at in self.places.parts(Lock, path, offset)
            if at in written and place not in changed and (field := place.rpartition(".")[2]) in names
        )

    def changes(self, before: bytes, after: bytes) -> Iterator[Change]:
        """What is not the same in two worlds."""
        for found in self.places.differences(before, after):
            if found.path.startswith("cpu[") and found.path.endswith("].held"):
                continue  # the locks say it themselves
            yield Change(found.path, found.of.show(found.old), found.of.show(found.new))

    def stack(self, thread: int) -> tuple[Call, ...]:
        """The calls in which a thread stands; before its first step, the call that it is about to make."""
        actor = self.engine.threads[thread]
        if actor.ended:
            return ()
        if actor.generator is None:
            call = actor.thread.calls[actor.call]
            source = self.build.translation.entries[self.build.translation.entry(call.process, len(call.arguments))].source
            where = source.name, source.file, source.tree.lineno, f"def {source.name}"
            return (self._call(where, ", ".join(map(str, call.arguments))),)
        arguments = [self._arguments(point_instance, frame) for point_instance, frame in self.engine.calls(thread)]
        return tuple(self._call(where, shown) for where, shown in zip(self.engine.stack(thread), arguments, strict=True))

    def _call(self, where: tuple[str, str, int, str], arguments: str = "") -> Call:
        return Call(*where, arguments, self.instead.get((where[0], where[1]), ""))

    def _arguments(self, instance: Any, frame: Any) -> str:
        shown = []
        for name, kind in instance.parameters.items():
            value = frame.f_locals.get(name)
            if isinstance(kind, Ref):
                path = self._path(value) if kind.to is not self.build.model.world else ""
                if path:
                    shown.append(path)
            elif value is not None:
                scalar = getattr(kind, "scalar", None)
                shown.append(
                    scalar.show(int(value))
                    if isinstance(scalar, EnumType)
                    else f"{name}={int(value):#x}"
                    if int(value) > 4096
                    else f"{name}={int(value)}"
                )
        return ", ".join(shown)

    def _path(self, value: object) -> str:
        if not isinstance(value, Realised):
            return ""
        offset = ctypes.addressof(value) - ctypes.addressof(self.engine.m)
        of: object = self.build.model.world
        path, at = "", 0
        while of is not value._struct or at != offset:
            inside = [
                part
                for part in self.places.parts(of, path, at)
                if part[2] <= offset < part[2] + max(self.places.size(part[0]), 1)
            ]
            if not inside:
                return path
            of, path, at = inside[-1]
        return path

    def held(self, thread: int) -> tuple[str, ...]:
        """The locks that a thread holds."""
        return locks_held(self.engine.world(), thread, self.places)

    def standing(self, number: int) -> Standing:
        """Where a thread stands now."""
        actor, failure = self.engine.threads[number], self.engine.failure
        if failure and failure.thread == number:
            stack = tuple(map(self._call, failure.stack))
            return Standing(actor.thread.name, stack, "failed", self.held(number))
        name, stack, held = actor.thread.name, self.stack(number), self.held(number)
        if actor.ended:
            return Standing(name, stack, "ended", held)
        if self.engine.can_step(number):
            return Standing(name, stack, "not started" if actor.generator is None and actor.call == 0 else "can run", held)
        return Standing(name, stack, "blocked", held, self._blockers(number))

    def _blockers(self, number: int) -> str:
        """Who holds the lock that the innermost call of a blocked thread was given."""
        frames = list(self.engine.frames(number))
        for value in frames[-1].f_locals.values() if frames else ():
            if isinstance(value, Realised) and issubclass(value._struct, Lock):
                path = self._path(value)
                owners = [n for n in range(len(self.engine.threads)) if any(h.startswith(path + " ") for h in self.held(n))]
                if number in owners:
                    return f"{path}, which it holds itself"
                names = [self.engine.threads[n].thread.name for n in owners]
                return f"{path}, held by {', '.join(names)}" if owners else path
        return stack[-1].source if (stack := self.stack(number)) else ""


def locks_held(world: bytes, thread: int, places: Places) -> tuple[str, ...]:
    """The locks that a thread holds, by the bytes of a world."""
    found = ((path, _how(lock_view(world, offset, places), thread)) for path, offset, _ in places.structs(Lock))
    return tuple(f"{path} ({how})" for path, how in found if how)


def _how(lock: _LockView, thread: int) -> str:
    if lock.writer >> thread & 1:
        return "write"
    return "read" if lock.readers >> thread & 1 else ""


@dataclass(frozen=True)
class _LockView:
    writer: int
    readers: int


def lock_view(world: bytes, offset: int, places: Places) -> _LockView:
    """A lock's holders in the bytes of a world."""
    values = {path: int.from_bytes(world[at : at + places.size(of)], "little") for of, path, at in places.parts(Lock, "", offset)}
    return _LockView(values["writer"], values["readers"])
