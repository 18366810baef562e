"""A race as a reader sees it: which step is no whole, who may come into it, what both touch, and which locks each side holds."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from septum.check.result import Access, Race, Standing
from septum.check.slicing import Slice, Watched
from septum.check.trace import End, Trace, locks_held, marked, trace
from septum.explore.build import RACE, Build
from septum.explore.watching import FoundRace, RaceRecord
from septum.lang.engine import Status
from septum.lang.errors import EnginesDisagree
from septum.lang.places import Places
from septum.lang.types import scope

Schedule = Sequence[tuple[int, int]]
Buffer = ctypes.Array[ctypes.c_char]

MOST_FOLLOWED = 8
"""So many steps of the partner are looked at, as in watched.c."""

STEP_WORDS = 6
"""Of a step_t, the first of which is the choice."""


@dataclass(frozen=True)
class RacingTrace:
    """The schedule to the state from which a race begins, as a Trace, and the race."""

    trace: Trace
    race: Race


def race_at(build: Build, schedule: Schedule) -> FoundRace | None:
    """A race between two threads' next steps after a schedule, if any; it takes a C compiler, and the scope of the build."""
    library, state = build.reducible(watched=True), _state_after(build, schedule)
    record = RaceRecord()
    library.septum_race_at(state, len(build.threads), ctypes.byref(record))
    return record.read()


def _state_after(build: Build, schedule: Schedule, begun: Schedule = ()) -> Buffer:
    """The state after a schedule, and after steps that are `begun` there and need not come to their ends.

    EnginesDisagree for a schedule that cannot be taken: the library takes the number of a thread as it is.
    """
    library, state = build.watched(), ctypes.create_string_buffer(build.initial, len(build.initial))
    for number, (thread, choice) in enumerate(schedule, 1):
        known = thread < len(build.threads) and choice < library.septum_choices(state, thread)
        step = (ctypes.c_uint32 * STEP_WORDS)(choice)
        if not known or library.septum_step(state, thread, ctypes.byref(step)) != Status.DONE.value:
            raise EnginesDisagree(f"{build.scenario.name}: step {number} cannot be taken")
    for thread, choice in begun:
        library.septum_step(state, thread, ctypes.byref((ctypes.c_uint32 * STEP_WORDS)(choice)))
    return state


def racing_trace(build: Build, schedule: Schedule) -> RacingTrace:
    """The schedule in the Python engine, and the race that it leads to; EnginesDisagree if it leads to none."""
    with scope(build.bindings):
        found = race_at(build, schedule)
        if found is None:
            raise EnginesDisagree(f"{build.scenario.name}: the schedule leads to no race")
        replayed = trace(build, schedule, End.RACE)
        race = _race(build, schedule, found, replayed.threads)
        steps = marked(replayed.steps, *_slices(build, schedule, found, [step.locks for step in replayed.steps]))
    return RacingTrace(replace(replayed, steps=steps, property=RACE, clause=clause_of(race)), race)


def _slices(build: Build, schedule: Schedule, found: FoundRace, locks: Sequence[Sequence[str]]) -> Iterator[Slice]:
    """What the accesses of either side depend on: of the step, and of the steps of the partner, before it or else after it."""
    written = [bool(found.written >> number & 1) for number in range(4)]
    step, wanted, comes = (found.thread, found.choice), list(zip(found.offsets, written, strict=True)), _comes(found)
    yield Slice(_until(build, [*schedule], [step], wanted[:2])[0], locks).of_accesses(len(schedule), wanted[:2])
    for before in ([], [step]):
        watched, made = _until(build, [*schedule, *before], comes, wanted[2:])
        if made or before:
            yield Slice(watched, locks).of_accesses(len(schedule) + len(before), wanted[2:])
            return


def _comes(found: FoundRace) -> Schedule:
    """The steps of the partner that are looked at."""
    return [(found.partner, found.partner_choice), *[(found.partner, 0)] * (MOST_FOLLOWED - 1)]


def _until(build: Build, schedule: Schedule, then: Schedule, wanted: Sequence[tuple[int, bool]]) -> tuple[Watched, bool]:
    """A run of the schedule, and of the steps that follow until they have made the wanted accesses; whether they have."""
    watched = Watched(build)
    for thread, choice in schedule:
        watched.step(thread, choice)
    for thread, choice in then:
        ways = watched.engine.choices(thread)
        if not watched.engine.can_step(thread) or watched.step(thread, choice if choice < ways else 0) is Status.FAILED:
            return watched, False
        if {(access.offset, access.written) for access in watched.recorder.made(len(schedule))} >= set(wanted):
            return watched, True
    return watched, False


def _race(build: Build, schedule: Schedule, found: FoundRace, standing: Sequence[Standing]) -> Race:
    step, one, two = (found.thread, found.choice), standing[found.thread], standing[found.partner]
    held = _held(build, _state_after(build, schedule), [step], (0, 1), found)
    tries = [_held(build, _state_after(build, schedule, begun), _comes(found), (2, 3), found) for begun in ([], [step])]
    others = max(tries, key=len)  # some are made only once the step was begun; the two may be one
    locks = [*(held if len(held) == 2 else [one.locks] * 2), *(others or [two.locks])]
    a, b, x, y = (_access(build, found, number, locks[min(number, len(locks) - 1)]) for number in range(4))
    return Race(one, two, (a, b), (x, y), found.apart)


def _held(build: Build, state: Buffer, steps: Schedule, numbers: Sequence[int], found: FoundRace) -> list[tuple[str, ...]]:
    """The locks that a thread holds as it makes these accesses of a race, in steps from the state, as far as it does."""
    library, places = build.watched(), Places(build.model.world, build.translation.realised)
    sites, left, held = (*found.sites, *found.partner_sites), list(numbers), []
    world = ctypes.create_string_buffer(build.translation.world_size)
    library.septum_world_before.restype = ctypes.c_int64
    for thread, choice in steps:
        at, choice = 0, choice if choice < library.septum_choices(state, thread) else 0
        while left:
            place = sites[left[0]], found.offsets[left[0]]
            at = library.septum_world_before(state, thread, choice, at, *place, world) + 1
            if not at:
                break
            held.append(locks_held(world.raw, thread, places))
            left = left[1:]
        if not left or library.septum_step(state, thread, ctypes.byref((ctypes.c_uint32 * STEP_WORDS)(choice))):
            break
    return held


def _access(build: Build, found: FoundRace, number: int, locks: tuple[str, ...]) -> Access:
    site, offset = (*found.sites, *found.partner_sites)[number], found.offsets[number]
    named = build.translation.named[site]
    places = Places(build.model.world, build.translation.realised)
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in places.path(offset)).removeprefix(".")
    return Access(path, bool(found.written >> number & 1), named.function, named.file, named.line, named.text, locks)


def clause_of(race: Race) -> str:
    """What races, in a sentence: the two accesses of the step, those of who comes between, and the locks on either side."""
    first, second = race.accesses
    x, y = race.partner_accesses
    alone = (x.place, x.line, x.written) == (y.place, y.line, y.written)
    comes = _said(x) if alone else f"{_said(x)} and {'then ' if race.apart else ''}{_said(y)}"
    return (
        f"{RACE}: a step of {race.thread.thread}, which holds {_locks(first, second)}, {_said(first)} and then {_said(second)}; "
        f"{race.partner.thread}, which holds {_locks(x, x if alone else y)}, may come between: it {comes}"
    )


def sites_said(build: Build, found: FoundRace) -> str:
    """What is known of a race whose schedule could not be rebuilt."""
    a, b = (build.translation.named[site] for site in found.sites)
    return f"{RACE}: one step of {a.function}() touches {a.text} ({a.file}:{a.line}) and {b.text} ({b.file}:{b.line})"


def _said(access: Access) -> str:
    return f"{'writes' if access.written else 'reads'} {access.place} ({access.file.rsplit('/', 1)[-1]}:{access.line})"


def _locks(first: Access, second: Access) -> str:
    one, two = (", ".join(access.locks) or "no lock" for access in (first, second))
    return one if one == two else f"{one} at first and {two} at last"
