"""The tables of footprints.c: for every place where a thread of a scenario may stand, what it touches next and later, as bits.

A bit stands for places that are told apart: a field, for an index that is known or for all others. Only places that one thread
writes and another touches, or a property reads, have one; places that the same steps touch share it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator

from septum.lang.places import Places
from septum.reduce.footprint import Context, Footprint, Footprints, Path, Spot
from septum.reduce.meets import MeetingTables
from septum.reduce.packed import rows, sets

MOST_CALLS, MOST_PLACES, ENDED = 32, 1024, 255


class AloneTables:
    """What footprints.c needs to know of a scenario; `give` hands it to a compiled model and keeps it alive."""

    def __init__(self, footprints: Footprints) -> None:
        self.footprints = footprints
        self._first: dict[Context, int] = {}
        self.stands: list[tuple[Context, Spot]] = []
        for context in footprints.contexts():
            self._first[context] = len(self.stands)
            self.stands += [(context, spot) for spot in context.spots]
        spots = [spot for _, spot in self.stands]
        self._bits = _Bits(footprints, [spot.step for spot in spots])
        self.words = max((self._bits.count + 63) // 64, 1)
        self._spots = rows("IH4B6x", map(self._spot, spots))
        self._sets = sets((mask for spot in spots for mask in self._sets_of(spot)), self.words)
        self._judged = sets([self._masks(footprints.judged).reads], self.words)
        first = [[self._first[call] for call in program] + [0] * (MOST_CALLS - len(program)) for program in footprints.programs]
        self._roots = (ctypes.c_uint32 * (len(first) * MOST_CALLS))(*(number for program in first for number in program))
        self._rests = [[total(program[call + 1 :]) for call in range(MOST_CALLS)] for program in footprints.programs]
        self._rest = sets((mask for rests in self._rests for of in rests for mask in self._masks(of)), self.words)

    def meetings(self, places: Places, size: int) -> MeetingTables:
        """The same bits for who watches: of every place in a world of so many bytes."""
        return MeetingTables(self.footprints, places, size, self.words, self._bits.of)

    def give(self, library: ctypes.CDLL) -> None:
        """Makes these the footprints by which `library` reduces."""
        library.septum_footprints(self.words, self._spots, self._sets, self._judged, self._roots, self._rest)
        library.given_footprints = self  # type: ignore[attr-defined]

    @property
    def content(self) -> bytes:
        """All that is given."""
        return b"".join(bytes(one) for one in (self._spots, self._sets, self._judged, self._roots, self._rest))

    def stuck(self, frames: list[bytes], waiting: set[int]) -> set[int]:
        """Which of the threads that wait can never go on, whatever the others do; `frames` are as the state has them.

        Those that are left when each is taken off for whose condition a thread that is not among them may still write something.
        """
        stuck, before = set(waiting), set[int]()
        stands = {thread: self.standing(thread, frame) for thread, frame in enumerate(frames) if frame[0] != ENDED}
        while stuck != before:
            before, writes = set(stuck), 0
            for thread in stands.keys() - stuck:
                later = self._rests[thread][frames[thread][0]]
                for spot in stands[thread]:
                    later |= spot.later
                writes |= self._bits.of(later.writes)
            stuck -= {thread for thread in stuck if self._bits.of(stands[thread][-1].waits.reads) & writes}
        return stuck

    def standing(self, thread: int, frame: bytes) -> list[Spot]:
        """The spots of the processes in which a thread stands, outermost first."""
        first, position, found = self._roots[thread * MOST_CALLS + frame[0]], 1, list[Spot]()
        while True:
            found.append(self.stands[first + frame[position]][1])
            inner = found[-1].inner
            if inner is None:
                return found
            first, position = self._first[inner], position + found[-1].end

    def _spot(self, spot: Spot) -> tuple[int, ...]:
        """spot_t."""
        inner = self._first[spot.inner] if spot.inner else 0
        return inner, spot.end, spot.leaves, spot.turns, spot.step == Footprint(), spot.inner is not None

    def _sets_of(self, spot: Spot) -> tuple[int, ...]:
        return *self._masks(spot.step), *self._masks(spot.later), self._masks(spot.waits).reads

    def _masks(self, of: Footprint) -> Footprint:
        return Footprint(self._bits.of(of.reads), self._bits.of(of.writes))


class _Bits:
    """Which bits stand for which paths."""

    def __init__(self, footprints: Footprints, steps: Iterable[Footprint]) -> None:
        self._of_paths: dict[int, int] = {}
        paths = list(footprints.paths)
        places = _places(paths)
        totals = [total(program) for program in footprints.programs]
        steps = list(steps)
        signatures: dict[object, int] = {}
        self.count = 0
        self._paths = [0] * len(paths)
        for members in places:
            mask = sum(1 << number for number in members)
            if not _matters(mask, totals, footprints.judged):
                continue
            readers = tuple(number for number, step in enumerate(steps) if step.reads & mask)
            writers = tuple(number for number, step in enumerate(steps) if step.writes & mask)
            signature = (readers, writers, bool(footprints.judged.reads & mask))
            bit = signatures.setdefault(signature, min(len(signatures), MOST_PLACES - 1))
            self.count = max(self.count, bit + 1)
            for number in members:
                self._paths[number] |= 1 << bit

    def of(self, paths: int) -> int:
        """The bits of a set of paths."""
        if paths not in self._of_paths:
            found, left = 0, paths
            while left:
                lowest = left & -left
                found |= self._paths[lowest.bit_length() - 1]
                left ^= lowest
            self._of_paths[paths] = found
        return self._of_paths[paths]


def total(program: list[Context]) -> Footprint:
    """What these calls touch."""
    found = Footprint()
    for context in program:
        found |= context.total
    return found


def _matters(mask: int, totals: list[Footprint], judged: Footprint) -> bool:
    """Whether a thread writes it, and another thread, or a property, touches it."""
    writers = [number for number, total in enumerate(totals) if total.writes & mask]
    others = [number for number, total in enumerate(totals) if (total.reads | total.writes) & mask and [number] != writers]
    return bool(writers) and bool(others or judged.reads & mask)


def _places(paths: list[Path]) -> Iterator[list[int]]:
    """The numbers of the paths that may name one place: for each place that is named in full, and for others that overlap."""
    kinds: dict[Path, list[int]] = {}
    for number, path in enumerate(paths):
        kinds.setdefault(tuple(step if isinstance(step, str) else None for step in path), []).append(number)
    for numbers in kinds.values():
        for exact in numbers:
            if None not in paths[exact]:
                yield [number for number in numbers if _overlap(paths[number], paths[exact])]
        vague = [number for number in numbers if None in paths[number]]
        while vague:
            together = [vague.pop()]
            for member in together:
                near = [number for number in vague if _overlap(paths[number], paths[member])]
                together += near
                vague = [number for number in vague if number not in near]
            yield together


def _overlap(one: Path, other: Path) -> bool:
    """Whether two paths of one kind may name one place."""
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))
