"""Mutations of a trace that change its meaning: each makes one event say what did not happen.

A mutation is left out where another trace of the same run could say the same: hardware may set A, and D of a writable page,
at any time, so an old value with more of these bits, or a new one with fewer, is as true as the original.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

CHANGE = re.compile(
    r"^(.*kvm_tdp_mmu_spte_changed: as id \d+ gfn )([0-9a-f]+)( level )(\d)( old_spte )([0-9a-f]+)( new_spte )([0-9a-f]+)$"
)
FOLLOWED = re.compile(r"spte_requested|set_spte|spte_changed|get_page|prepare_zap|split_huge|fast_page")
TASK = re.compile(r"-(\d+)\s+\[\d+\]")
PRESENT, HUGE, WRITABLE, ACCESSED, DIRTY = 1 << 11, 1 << 7, 1 << 1, 1 << 5, 1 << 6
FROZEN = (0x5A0, 0x80000000000005A0, 0x80000000000001A0)
NEARBY = 50
Entry = tuple[int, int]


@dataclass(frozen=True)
class Change:
    """The fields of kvm_tdp_mmu_spte_changed."""

    gfn: int
    level: int
    old: int
    new: int

    @property
    def entry(self) -> Entry:
        return (self.gfn, self.level)

    @property
    def is_silent(self) -> bool:
        """Whether a leaf loses nothing but what hardware sets at any time."""
        return self.is_leaf(self.old) and self.is_leaf(self.new) and not (self.old ^ self.new) & ~(ACCESSED | DIRTY)

    def is_leaf(self, value: int) -> bool:
        return bool(value & PRESENT and (self.level == 1 or value & HUGE))


@dataclass
class Trace:
    """A trace and where its events are."""

    name: str
    lines: list[str]
    changes: dict[int, Change] = field(default_factory=dict)
    followed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, line in enumerate(self.lines):
            if change := change_of(line):
                self.changes[number] = change
            if FOLLOWED.search(line):
                self.followed.append(number)
        self.changed = list(self.changes)

    def next_of_task(self, number: int) -> int | None:
        """The next followed event of the same thread, if it is near."""
        task = TASK.search(self.lines[number])
        for other in range(number + 1, min(number + NEARBY, len(self.lines))):
            if FOLLOWED.search(self.lines[other]) and TASK.search(self.lines[other])[1] == task[1]:
                return other
        return None


@dataclass(frozen=True)
class Mutation:
    """The lines of a mutated trace, the first that differs, and the last (exclusive: none) by which it has to be reported."""

    lines: list[str]
    first: int
    limit: int | None


def change_of(line: str) -> Change | None:
    found = CHANGE.match(line)
    return Change(int(found[2], 16), int(found[4]), int(found[6], 16), int(found[8], 16)) if found else None


def written(line: str, change: Change) -> str:
    """The line with other fields."""
    found = CHANGE.match(line)
    return f"{found[1]}{change.gfn:x}{found[3]}{change.level}{found[5]}{change.old:x}{found[7]}{change.new:x}"


def next_on(lines: list[str], begin: int, entries: set[Entry]) -> int | None:
    """The next change of one of these entries."""
    for number in range(begin, len(lines)):
        change = change_of(lines[number])
        if change and change.entry in entries:
            return number
    return None


def replaced(trace: Trace, number: int, **values: int) -> Mutation:
    """One change with other fields."""
    change = trace.changes[number]
    other = Change(**{**change.__dict__, **values})
    lines = [*trace.lines[:number], written(trace.lines[number], other), *trace.lines[number + 1 :]]
    return Mutation(lines, number, next_on(lines, number + 1, {change.entry, other.entry}))


def old_bit(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """Another bit of the old value."""
    change, bit = trace.changes[number], 1 << rng.randrange(64)
    old = change.old ^ bit
    if old & bit and old & PRESENT and (bit == ACCESSED or (bit == DIRTY and old & WRITABLE)):
        return None
    return replaced(trace, number, old=old)


def old_pfn(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """Another page in the old value."""
    change = trace.changes[number]
    return replaced(trace, number, old=change.old ^ rng.randrange(1, 1 << 28) << 12) if change.old & PRESENT else None


def new_bit(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """Another bit of the new value."""
    change, bit = trace.changes[number], 1 << rng.randrange(64)
    new = change.new ^ bit
    if not new & bit and change.is_leaf(change.new) and (bit == ACCESSED or (bit == DIRTY and new & WRITABLE)):
        return None
    return replaced(trace, number, new=new)


def new_pfn(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """Another page in the new value."""
    change = trace.changes[number]
    return replaced(trace, number, new=change.new ^ rng.randrange(1, 1 << 28) << 12) if change.new & PRESENT else None


def level(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """Another level."""
    return replaced(trace, number, level=rng.choice([one for one in (1, 2, 3, 4) if one != trace.changes[number].level]))


def gfn(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """Another GFN."""
    return replaced(trace, number, gfn=trace.changes[number].gfn ^ 1 << rng.randrange(30))


def dropped(trace: Trace, number: int) -> Mutation:
    lines = [*trace.lines[:number], *trace.lines[number + 1 :]]
    return Mutation(lines, number, next_on(lines, number, {trace.changes[number].entry}))


def dropped_child(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """One of the children of a removed table is not frozen."""
    return dropped(trace, number) if trace.changes[number].new in FROZEN else None


def dropped_split(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """A split that made 512 children did not happen."""
    change = trace.changes[number]
    splits = change.is_leaf(change.old) and change.new & PRESENT and not change.is_leaf(change.new)
    return dropped(trace, number) if splits else None


def dropped_change(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """Any change did not happen; but one that only clears A or D, which the CPU sets again, nobody can miss."""
    return None if trace.changes[number].is_silent else dropped(trace, number)


def doubled(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """A change happened twice."""
    lines = [*trace.lines[: number + 1], *trace.lines[number:]]
    return Mutation(lines, number, number + 1)


def swapped(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
    """Two events of one thread in the other order; time stamps stay.

    Two changes of entries that neither contain each other nor belong to one removed table may come in either order.
    """
    other = trace.next_of_task(number)
    if other is None or trace.changes[number].is_silent:
        return None
    first, second = trace.lines[number], trace.lines[other]
    one, two = trace.changes[number], trace.changes.get(other)
    if two:
        shift = 9 * (max(one.level, two.level) - 1)
        if (one.gfn >> shift != two.gfn >> shift and one.new not in FROZEN) or one == two:
            return None
    elif not re.search(r"split_huge|set_spte|prepare_zap", second):
        return None
    a, b = (line.index(": ") for line in (first, second))
    lines = list(trace.lines)
    lines[number], lines[other] = first[:a] + second[b:], second[:b] + first[a:]
    entries = {one.entry} | ({two.entry} if two else set())
    return Mutation(lines, number, next_on(lines, other if two else other + 1, entries))


def other_events(name: str, pattern: str, bits: tuple[int, ...], wanted: str = "") -> Callable[..., Mutation | None]:
    """A mutation of a hexadecimal field of another event."""

    def mutate(trace: Trace, number: int, rng: random.Random) -> Mutation | None:
        places = [one for one in trace.followed if name in trace.lines[one] and wanted in trace.lines[one]]
        if not places:
            return None
        at = rng.choice(places)
        line, flip = trace.lines[at], 1 << rng.choice(bits)
        changed = re.sub(pattern, lambda found: f"{found[1]}{int(found[2], 16) ^ flip:x}", line, count=1)
        limit = at
        if name == "spte_requested":
            end = trace.next_of_task(at)
            while end is not None and not re.search("set_spte|requested", trace.lines[end]):
                end = trace.next_of_task(end)
            if end is None or "set_spte" not in trace.lines[end]:
                return None  # a fault that was retried: its page is never used
            limit = end
        return Mutation([*trace.lines[:at], changed, *trace.lines[at + 1 :]], at, limit)

    return mutate


MUTATIONS: dict[str, Callable[[Trace, int, random.Random], Mutation | None]] = {
    "a bit of an old value": old_bit,
    "the PFN of an old value": old_pfn,
    "a bit of a new value": new_bit,
    "the PFN of a new value": new_pfn,
    "the level": level,
    "the GFN": gfn,
    "a dropped child of a removed table": dropped_child,
    "a dropped split": dropped_split,
    "a dropped change": dropped_change,
    "a doubled change": doubled,
    "a swapped pair": swapped,
    "the PFN that a fault asks for": other_events("spte_requested", r"( pfn )([0-9a-f]+)", tuple(range(20))),
    "the value that a fault reports": other_events(
        "set_spte", r"( spte )([0-9a-f]+)", (0, 1, 2, 7, 9, 10, 11, 12, 13, 20, 30, 63)
    ),
    "the old value of a fast page fault": other_events(
        "fast_page_fault", r"( old 0x)([0-9a-f]+)", (0, 2, 10, 11, 12, 13, 20, 30, 63), "fixed 1"
    ),
}


def mutations(traces: list[Trace], kind: str, count: int, rng: random.Random) -> Iterator[tuple[Trace, Mutation]]:
    """`count` mutations of one kind, of changes that are chosen at random; fewer if the traces have no more places for it."""
    places = {trace.name: rng.sample(trace.changed, len(trace.changed)) for trace in traces}
    made = 0
    while made < count and any(places.values()):
        trace = rng.choice([one for one in traces if places[one.name]])
        found = None
        while found is None and places[trace.name]:
            found = MUTATIONS[kind](trace, places[trace.name].pop(), rng)
        if found:
            yield trace, found
            made += 1
