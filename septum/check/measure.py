"""Measuring by exploring: what a design does in all schedules of a scenario, as data, and what becomes of its properties."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from septum.check.result import Verdict
from septum.check.trace import End, trace
from septum.explore.build import DEADLOCK, Build, build
from septum.explore.explore import Budget, Exploration, Outcome, explore
from septum.host.locks import Lock, Mutex, RwLock, SpinLock
from septum.host.pools import POOL_PLACES
from septum.lang.errors import UserError
from septum.lang.measure import LOCK_CLASSES, Place, unpacked
from septum.lang.model import Model, Property, Scenario
from septum.lang.places import Places
from septum.lang.processes import MEASURING, Meter, property_of
from septum.lang.struct import Struct
from septum.lang.types import scope
from septum.properties.measures import measured
from septum.translate.compile import compiler

NOTES = 1 << 16
LOCK_KINDS: dict[type[Struct], str] = {SpinLock: "spinlock", RwLock: "rwlock", Mutex: "mutex"}
UNJUDGED = "scope"
"""Of a scenario that is only measured, whether its scope suffices is all that is judged."""


@dataclass(frozen=True)
class Held:
    """A lock that is held, by the name of its class: `vm.mmu_lock`; shared with other readers or not."""

    lock: str
    shared: bool

    def __str__(self) -> str:
        return f"{self.lock} (read)" if self.shared else self.lock


@dataclass(frozen=True)
class Observation:
    """A meter showed a value, in a line of the model (None: in a state, between steps), under these locks."""

    scenario: str
    meter: str
    value: int
    place: Place | None
    held: tuple[Held, ...]


@dataclass(frozen=True)
class Measured:
    """One scenario of one design, measured: up to its end, or to what ended it. `violated` is the property that was.

    `names` says which struct lies at an offset, `locks` of which kind a class of locks is; `lines` are the places by number.
    """

    scenario: str
    verdict: Verdict
    violated: str
    ended: str
    states: int
    seconds: float
    observations: tuple[Observation, ...]
    names: Mapping[int, str]
    locks: Mapping[str, str]
    lines: tuple[Place, ...]
    entered: tuple[str, ...]
    reached: frozenset[str]

    @property
    def complete(self) -> bool:
        """Whether all schedules were seen."""
        return self.verdict in (Verdict.HOLDS, Verdict.VACUOUS)

    def of(self, meter: Meter | str) -> Iterator[Observation]:
        """What one meter showed."""
        name = meter if isinstance(meter, str) else meter.name
        return (one for one in self.observations if one.meter == name)

    def largest(self, meter: Meter | str) -> int:
        """The largest value that a meter showed; 0 if it showed none."""
        return max((one.value for one in self.of(meter)), default=0)


class _LockPlace(ctypes.Structure):
    """lock_place_t of measure.c."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("writer", "readers", "age", "lock_class")]


def measuring(model: Model) -> Model:
    """The same model, built to measure."""
    return replace(
        model,
        properties=(*model.properties, Property("measures", "what is measured of every state", measured)),
        bindings={**model.bindings, MEASURING: 1},
    )


def measure(
    model: Model, scenario: Scenario, budget: Budget = Budget(), threads: int | None = None, judged: bool = False
) -> Measured:
    """Explores one scenario of a model that `measuring` made, and reads its meters. UserError without a C compiler.

    Where it is `judged`, it ends with the first violation of a property.
    """
    compiler()
    built = build(model, scenario, property="" if judged else UNJUDGED)
    if built.translation.world_size > POOL_PLACES:
        raise UserError(f"{model.name}, {scenario.name}: the world is too large to be measured")
    with scope(built.bindings):
        library = built.reducible()
        places = Places(model.world, built.translation.realised)
        names = dict(_structs(places, model.world, "", 0))
        classes = lock_classes(places)
        _tell_locks(library, places, classes)
        locks = {template(path): LOCK_KINDS.get(kind, kind.__name__) for path, _, kind in places.structs(Lock)}
        found = explore(
            library,
            built.initial,
            len(built.threads),
            daemons=built.daemons,
            workers=threads or os.cpu_count() or 1,
            budget=budget,
            fusion=True,
            partial=True,
        )
        observations = tuple(_observations(built, library, classes))
    reached = frozenset(_reached(built, found.witnesses))
    verdict, violated, ended = _verdict(built, found, reached if judged else None)
    translation = built.translation
    return Measured(
        scenario.name, verdict, violated, ended, found.states, found.seconds, observations, names, locks,
        tuple(translation.places), tuple(translation.entered), reached,
    )  # fmt: skip


def _verdict(built: Build, found: Exploration, reached: frozenset[str] | None) -> tuple[Verdict, str, str]:
    """The verdict, the property that is violated, and what ended the exploration. `reached`: the witnesses, if they count."""
    if found.outcome is Outcome.COMPLETE:
        missed = [one.name for one in built.scenario.witnesses if reached is not None and one.name not in reached]
        return (Verdict.VACUOUS if missed else Verdict.HOLDS), "", f"never reached: {', '.join(missed)}" if missed else ""
    if found.outcome is Outcome.DEADLOCK and not found.traced:
        return Verdict.INCOMPLETE, "", "a deadlock that could not be confirmed"
    if found.outcome is Outcome.DEADLOCK:
        trace(built, found.schedule, End.DEADLOCK)
        return Verdict.VIOLATED, DEADLOCK, DEADLOCK
    if found.failure is None or found.failure < 0:
        return Verdict.INCOMPLETE, "", found.outcome.name.lower().replace("_", " ")
    site = built.translation.sites[found.failure]
    return (
        (Verdict.VIOLATED, property_of(site.message), site.message)
        if site.is_assertion
        else (Verdict.INCOMPLETE, "", site.message)
    )


def _structs(places: Places, of: object, path: str, offset: int) -> Iterator[tuple[int, str]]:
    """Where every struct lies, and its name; the innermost comes last."""
    for part, part_path, part_offset in places.parts(of, path, offset):
        if isinstance(part, type) and issubclass(part, Struct):
            yield part_offset, template(part_path)
        yield from _structs(places, part, part_path, part_offset)


def _reached(built: Build, witnesses: int) -> Iterator[str]:
    return (one.name for number, one in enumerate(built.translation.witnesses) if witnesses >> number & 1)


def template(path: str) -> str:
    """`vm[1].mmu_lock` as `vm.mmu_lock`: what all of a kind have in common."""
    return re.sub(r"\[\d+\]", "", path)


def lock_classes(places: Places) -> list[str]:
    """The classes of the kernel's locks, by name, in order of place."""
    found = list(dict.fromkeys(template(path) for path, _, _ in places.structs(Lock)))
    if len(found) > LOCK_CLASSES:
        raise UserError(f"{len(found)} classes of locks, and {LOCK_CLASSES} can be measured: {', '.join(found)}")
    return found


def _tell_locks(library: ctypes.CDLL, places: Places, classes: Sequence[str]) -> None:
    """Where the locks lie. How long one is held counts where others spin for it: steps under a mutex are not counted."""
    *parts, age = _parts(places)
    table = [
        _LockPlace(*(at + part for part in parts), 0 if issubclass(kind, Mutex) else at + age, classes.index(template(path)))
        for path, at, kind in places.structs(Lock)
    ]
    library.septum_locks(len(table), (_LockPlace * len(table))(*table))


def _parts(places: Places) -> list[int]:
    offsets = {path: offset for _, path, offset in places.parts(Lock, "", 0)}
    return [offsets[name] for name in ("writer", "readers", "age")]


def _observations(built: Build, library: ctypes.CDLL, classes: Sequence[str]) -> Iterator[Observation]:
    words = (ctypes.c_uint64 * NOTES)()
    if not library.septum_notes(words):
        raise UserError(f"{built.scenario.name}: too many different observations to keep")
    for word in words:
        if word:
            note = unpacked(word, built.translation.meters, built.translation.places)
            held = tuple(_held(note.held, classes))
            yield Observation(built.scenario.name, note.meter.name, note.value, note.place, held)


def _held(mask: int, classes: Sequence[str]) -> Iterator[Held]:
    for number, name in enumerate(classes):
        if mask >> 2 * number & 1:
            yield Held(name, bool(mask >> 2 * number & 2))


def applicable(model: Model, names: Iterable[str]) -> list[Scenario]:
    """Those of the named scenarios of a model that its operations allow."""
    wanted = set(names)
    return [one for one in model.scenarios if one.needs <= model.operations and one.name in wanted]
