"""Which threads of a scenario are alike, and with them vCPUs, VMs and other values of index types.

An automorphism renames threads and values so that the programs and the first state stay as they are; the functions that the
programs call, and the properties, do not tell apart what it renames. Every state and its image are then one under two names.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from septum.lang.model import Thread
from septum.lang.types import Array, Index, Scalar
from septum.lang.values import Kind, Of, Ref, is_index
from septum.reduce.apart import Distinction, distinctions, thread_types, told_apart
from septum.reduce.packed import Packed, rows
from septum.reduce.symmetry import PLACE, Place, Tables, is_scalarset, of_scalar
from septum.translate.translation import Translation
from septum.translate.tree import Function, called

MOST = 120
"""Renamings of threads that are tried: those of five that are alike."""

LARGEST_WORLD = 1 << 16
"""Bytes; the first state of a larger world is not compared with its images, and nothing in it is alike."""

Numbers = tuple[int, ...]
Shift = tuple[int, int, int]


@dataclass(frozen=True)
class Automorphism:
    """Where each thread goes, and the new number of every value of the index types whose values are renamed."""

    threads: Numbers
    numbers: Mapping[Index, Numbers]


class Automorphisms:
    """All of a scenario; the identity comes first. Used under the scope of the model."""

    def __init__(self, unit: Translation, threads: Sequence[Thread], world: bytes) -> None:
        self._unit, self._world, self._tables = unit, world, Tables(unit)
        self._threads = [_Program(unit, thread) for thread in threads]
        entries = [entry for program in self._threads for entry in program.entries]
        self._distinct = told_apart([*entries, *unit.properties]) | set(self._begun(entries))
        self._types = [index for index in self._tables.sets if index not in self._distinct and not is_scalarset(index)]
        self.all = [Automorphism(tuple(range(len(threads))), {})]
        self._thread_types = thread_types(unit.functions)
        small = unit.world_size <= LARGEST_WORLD
        if small and None not in self._distinct and self._thread_types <= set(self._types):
            self.all += self._found()

    def _begun(self, entries: Sequence[Function]) -> Iterator[Index]:
        """The index types of arrays that begin where a reference in a frame points: to the array, or to its first element."""
        points = (point for function in called(entries) if function.frames for point in function.frames.points)
        for kind in (saved.kind for point in points for saved in point.saved):
            of = kind.to if isinstance(kind, Ref) else None
            while of is not None and not isinstance(of, Scalar):
                if isinstance(of, Array):
                    if of.index:
                        yield of.index
                    of = of.element
                else:
                    of = next((part for part, _, _ in self._unit.bytes.parts(of)), None)

    def alike(self) -> list[tuple[int, ...]]:
        """The threads that an automorphism makes of each other, by number; only groups of at least two."""
        groups = {frozenset(one.threads[thread] for one in self.all) for thread in range(len(self._threads))}
        return sorted(tuple(sorted(group)) for group in groups if len(group) > 1)

    def reasons(self) -> list[Distinction]:
        """For each type that the programs name values of, and for the numbers of threads, one place that tells values apart."""
        named = {kind.scalar for program in self._threads for kind in program.kinds() if isinstance(kind, Of) and is_index(kind)}
        wanted = [None, *sorted((one for one in named if isinstance(one, Index)), key=lambda index: index.name)]
        roots = [entry for program in self._threads for entry in program.entries]
        found = sorted(
            (one for function in called([*roots, *self._unit.properties]) for one in distinctions(function)),
            key=lambda one: (one.file, one.line, one.why),
        )
        return [one for index in wanted for one in [next((one for one in found if one.index is index), None)] if one]

    def give(self, library: ctypes.CDLL) -> None:
        """Makes these the renamings by which `library` reduces, if there are any but the identity."""
        if len(self.all) > 1:
            given = _Given(self._tables.sets, [(one, list(self._shifts(one)), list(self._places(one))) for one in self.all])
            library.septum_automorphisms(len(self.all), given.all)
            library.given_automorphisms = given  # type: ignore[attr-defined]

    @property
    def content(self) -> str:
        """All that is given."""
        return repr([(one.threads, list(self._shifts(one)), list(self._places(one))) for one in self.all])

    # -- candidates: what the programs allow

    def _found(self) -> Iterator[Automorphism]:
        """For each way to exchange threads (the first exchanges none) the first way to rename values with them, if any."""
        for threads in itertools.islice(_permutations(self._threads), 1, None):
            renamed = self._renamed_by(threads)
            if renamed is not None:
                yield from itertools.islice(filter(self._stays, self._completed(threads, renamed)), 1)

    def _renamed_by(self, threads: Numbers) -> dict[Index, dict[int, int]] | None:
        """What becomes of the values that the programs name, and of those that none may be exchanged for."""
        renamed: dict[Index, dict[int, int]] = {index: {0: 0} if index.none else {} for index in self._types}
        for index in self._thread_types & renamed.keys():
            renamed[index] = {place: threads[place] if place < len(threads) else place for place in range(index.limit)}
        for program, place in zip(self._threads, threads, strict=True):
            for kind, old, new in program.pairs(self._threads[place]):
                of = renamed.get(kind.scalar) if isinstance(kind, Of) and is_index(kind) else None  # type: ignore[call-overload]
                if (of is None and old != new) or (of is not None and of.setdefault(old, new) != new):
                    return None
        whole = all(len(set(of.values())) == len(of) and set(of) == set(of.values()) for of in renamed.values())
        return renamed if whole else None

    def _completed(self, threads: Numbers, renamed: Mapping[Index, dict[int, int]]) -> Iterator[Automorphism]:
        """With each way to rename the values that no program names, where these are few."""
        ways: list[list[Numbers]] = []
        for index, of in renamed.items():
            left = [value for value in range(index.limit) if value not in of]
            orders = itertools.permutations(left) if len(left) <= 3 else iter([tuple(left)])
            ways.append([])
            for order in orders:
                numbers = {**of, **dict(zip(left, order, strict=True))}
                ways[-1].append(tuple(numbers[value] for value in range(index.limit)))
        for choice in itertools.product(*ways):
            yield self._with_scalarsets(Automorphism(threads, dict(zip(renamed, choice, strict=True))))

    # -- the first state

    def _with_scalarsets(self, one: Automorphism) -> Automorphism:
        """With the values of scalarsets that have a name renamed as the first state demands."""
        image = self._image(one, self._world)
        numbers = dict(one.numbers)
        for index, met, wanted in zip(self._scalarsets, self._met(image), self._met(self._world), strict=True):
            if len(met) == len(wanted):
                numbers[index] = _extended(dict(zip(met, wanted, strict=True)), index.limit)
        return Automorphism(one.threads, numbers)

    @property
    def _scalarsets(self) -> list[Index]:
        return self._tables.sets[: self._tables.scalarsets]

    def _met(self, world: bytes) -> list[list[int]]:
        """The values of each scalarset in the order in which a walk meets them: in the world, then in their elements."""
        met: dict[Index, list[int]] = {index: [] for index in self._scalarsets}
        queue: list[tuple[Index, int]] = []

        def walk(places: Sequence[Place], offset: int) -> None:
            for place in places:
                assert place.index
                word = int.from_bytes(world[offset + place.offset : offset + place.offset + place.bytes], "little")
                value = word >> place.low & place.mask if place.kind == "PACKED" else word
                if value and value not in met[place.index]:
                    met[place.index].append(value)
                    queue.append((place.index, value))

        walk(self._tables.world, 0)
        for of, value in queue:
            for offset, stride, index, places in self._tables.members:
                if index is of:
                    walk(places, offset + value * stride)
        return list(met.values())

    def _stays(self, one: Automorphism) -> bool:
        """Whether the first state is its own image, and values with a name get such names, which nobody tells apart."""
        for index in self._scalarsets:
            numbers = one.numbers.get(index, ())
            renamed = [value for value, number in enumerate(numbers[: index.fixed]) if value != number]
            if any(numbers[value] >= index.fixed for value in renamed) or (renamed and index in self._distinct):
                return False
        return self._image(one, self._world) == self._world

    def _image(self, one: Automorphism, world: bytes) -> bytes:
        image = bytearray(world)
        for old, new, size in self._shifts(one):
            image[new : new + size] = world[old : old + size]
        for place in self._places(one):
            assert place.index
            at = slice(place.offset, place.offset + place.bytes)
            image[at] = _renamed(place, one.numbers[place.index], int.from_bytes(image[at], "little")).to_bytes(
                place.bytes, "little"
            )
        return bytes(image)

    # -- an automorphism as bytes

    def _shifts(self, one: Automorphism) -> Iterator[Shift]:
        """What lies elsewhere in the image: from, to, bytes; neighbours in one."""
        last: Shift | None = None
        for old, new, size in self._blocks(self._unit.world, 0, 0, one):
            if last and last[0] + last[2] == old and last[1] + last[2] == new:
                last = (last[0], last[1], last[2] + size)
                continue
            if last and last[0] != last[1]:
                yield last
            last = (old, new, size)
        if last and last[0] != last[1]:
            yield last

    def _blocks(self, of: object, old: int, new: int, one: Automorphism) -> Iterator[Shift]:
        if isinstance(of, Scalar):
            yield old, new, of.bits // 8
        elif isinstance(of, Array):
            size = self._unit.bytes.size(of.element)
            numbers = one.numbers.get(of.index) if of.index else None
            for place in range(of.length):
                to = numbers[place] if numbers else place
                yield from self._blocks(of.element, old + place * size, new + to * size, one)
        else:
            for part, _, at in self._unit.bytes.parts(of):
                yield from self._blocks(part, old + at, new + at, one)

    def _places(self, one: Automorphism) -> Iterator[Place]:
        """Where the world holds a value that is renamed."""
        renamed = {index for index, numbers in one.numbers.items() if _renames(numbers)}
        return (place for place in self._scalars(self._unit.world, 0) if place.index in renamed)

    def _scalars(self, of: object, offset: int) -> Iterator[Place]:
        if isinstance(of, Scalar):
            yield from of_scalar(of, offset)
        for part, _, at in self._unit.bytes.parts(of, offset=offset):
            yield from self._scalars(part, at)


@dataclass
class _Program:
    """What a thread runs: processes, and the numbers that they are called with, by kind."""

    unit: Translation
    thread: Thread
    entries: list[Function] = field(default_factory=list)

    def __post_init__(self) -> None:
        entry = self.unit.entry
        self.entries = [self.unit.entries[entry(call.process, len(call.arguments))] for call in self.thread.calls]

    def form(self) -> tuple[object, ...]:
        """What two programs must have in common to be alike."""
        return (self.thread.daemon, *self.entries)

    def kinds(self) -> Iterator[Kind]:
        """The kinds of the numbers that its processes are called with."""
        return (kind for entry in self.entries for kind in list(entry.parameters.values())[1:])

    def pairs(self, other: _Program) -> Iterator[tuple[Kind, int, int]]:
        """The numbers of this program and of another of the same form, by kind."""
        calls = zip(self.entries, self.thread.calls, other.thread.calls, strict=True)
        for entry, mine, others in calls:
            kinds = list(entry.parameters.values())[1:]
            yield from zip(kinds, mine.arguments, others.arguments, strict=True)


def _permutations(programs: Sequence[_Program]) -> Iterator[Numbers]:
    """Every way to exchange threads of one form, the identity first; of many, only the first few are exchanged."""
    forms: dict[object, list[int]] = {}
    for number, program in enumerate(programs):
        forms.setdefault(program.form(), []).append(number)
    groups = list(forms.values())
    while math.prod(math.factorial(len(group)) for group in groups) > MOST:
        max(groups, key=len).pop()
    for orders in itertools.product(*(itertools.permutations(group) for group in groups)):
        to = dict(enumerate(range(len(programs))))
        for group, order in zip(groups, orders, strict=True):
            to.update(zip(group, order, strict=True))
        yield tuple(to.values())


def _extended(renamed: dict[int, int], limit: int) -> Numbers:
    """With a number for the values that were not met: their own, if it is left."""
    left = [value for value in range(limit) if value not in renamed.values()]
    kept = {value for value in left if value not in renamed}
    others = iter([value for value in left if value not in kept])
    return tuple(renamed[value] if value in renamed else value if value in kept else next(others) for value in range(limit))


def _renames(numbers: Numbers) -> bool:
    """Whether any value gets another number."""
    return any(value != number for value, number in enumerate(numbers))


def _renamed(place: Place, numbers: Numbers, word: int) -> int:
    if place.kind == "MEMBERS":
        return sum(1 << number for value, number in enumerate(numbers) if word >> value & 1)
    if place.kind == "PACKED":
        return word & ~(place.mask << place.low) | numbers[word >> place.low & place.mask] << place.low
    return numbers[word]


class _Given:
    """The automorphisms as automorphisms.c reads them; they live as long as this does."""

    def __init__(self, sets: list[Index], found: Iterable[tuple[Automorphism, list[Shift], list[Place]]]) -> None:
        self._sets = sets
        self._kept: list[Packed] = []
        self.all = rows(f"32B32BII{2 + len(sets)}P", [self._row(*one) for one in found])

    def _row(self, one: Automorphism, shifts: list[Shift], places: list[Place]) -> Iterator[int]:
        """automorphism_t."""
        threads = [*one.threads, *range(len(one.threads), 32)]
        yield from threads
        yield from (threads.index(place) for place in range(32))
        yield from (len(shifts), len(places))
        yield self._keep("3I", shifts)
        yield self._keep(PLACE, [place.row(self._sets) for place in places])
        for index in self._sets:
            numbers = one.numbers.get(index, ())
            yield self._keep(f"{len(numbers)}H", [numbers]) if _renames(numbers) else 0

    def _keep(self, layout: str, of: Sequence[Sequence[int]]) -> int:
        self._kept.append(rows(layout, of))
        return ctypes.addressof(self._kept[-1])
