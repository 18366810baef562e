"""Hosts: how much memory, on how many NUMA nodes, and which of it is free: all, holes, or what /proc/buddyinfo says."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from septum.host.tdmrs import Shape, construct_tdmrs
from septum.lang import UserError

PAGE, RANGE_PAGES, BLOCK_ORDER = 4096, 512, 10
BLOCK_PAGES = 1 << BLOCK_ORDER
GIB_PAGES = 1 << 18
FIRST = BLOCK_PAGES
"""Below lies what no kernel hands out; 0 is no page."""

FRESH, FRAGMENTED = "fresh", "fragmented"
MOST_HOLE_ORDER = 4
"""Of a fragmented host: free and used pages alternate in runs of up to 2**4 pages, at random, so that half is free."""

Pattern = tuple[tuple[int, int], ...]
"""Free blocks, each by its offset in pages and its order."""

WHOLE_BLOCK: Pattern = ((0, BLOCK_ORDER),)


@dataclass(frozen=True)
class Host:
    """The pages of a host by NUMA node, each `begin` to the one before `end`; its free memory in the order of its freeing."""

    name: str
    nodes: tuple[tuple[int, int], ...]
    free_at: tuple[tuple[int, Pattern], ...]

    @property
    def pages(self) -> int:
        """The first page number that the host has not."""
        return self.nodes[-1][1]

    @property
    def free(self) -> int:
        """How many pages are free."""
        return sum(1 << order for _, pattern in self.free_at for _, order in pattern)

    def pamt(self, dynamic: bool) -> int:
        """The bytes of the PAMT areas that Linux sets aside for TDMRs over this memory, with or without Dynamic PAMT."""
        tdmrs = construct_tdmrs([(begin * PAGE, end * PAGE) for begin, end in self.nodes], Shape(dynamic=dynamic))
        return sum(end - begin for tdmr in tdmrs for begin, end in tdmr.pamt)


def host(name: str, needed: int, nodes: int = 1, seed: int = 0) -> Host:
    """A host by name with at least `needed` free pages, or one as a file of the form of /proc/buddyinfo says."""
    if name == FRESH:
        spans = _nodes(needed, nodes)
        return Host(name, spans, tuple((page, WHOLE_BLOCK) for begin, end in reversed(spans) for page in blocks_down(begin, end)))
    if name == FRAGMENTED:
        spans = _nodes(2 * needed + needed // 64, nodes)
        return Host(name, spans, tuple(_holes(spans, random.Random(seed))))
    return _from_buddyinfo(Path(name), needed, random.Random(seed))


def _nodes(pages: int, nodes: int) -> tuple[tuple[int, int], ...]:
    each = -(-pages // nodes // GIB_PAGES) * GIB_PAGES
    return tuple((max(node * each, FIRST), (node + 1) * each) for node in range(nodes))


def blocks_down(begin: int, end: int) -> range:
    """The blocks of 4M from the highest to the lowest, which is then in front of its list."""
    return range(end - BLOCK_PAGES, begin - 1, -BLOCK_PAGES)


def _holes(spans: Sequence[tuple[int, int]], chance: random.Random) -> Iterator[tuple[int, Pattern]]:
    """Runs of pages, every second one free, in each 4M block another pattern; the blocks in random order."""
    blocks = [page for begin, end in spans for page in range(begin, end, BLOCK_PAGES)]
    chance.shuffle(blocks)
    patterns = [_pattern(chance) for _ in range(64)]
    for block in blocks:
        yield block, chance.choice(patterns)


def _pattern(chance: random.Random) -> Pattern:
    """The free blocks of 4M of which half is used: of each pair of buddies of a random order one is free."""
    found, at = [], 0
    while at < BLOCK_PAGES:
        order = chance.randint(0, MOST_HOLE_ORDER)
        while at % (2 << order):
            order -= 1
        found.append((at + (chance.randrange(2) << order), order))
        at += 2 << order
    chance.shuffle(found)
    return tuple(found)


def _from_buddyinfo(path: Path, needed: int, chance: random.Random) -> Host:
    """Each node as large as twice its free memory; its free blocks at random places, none beside its free buddy."""
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(f"--host {path}: {(error.strerror or str(error)).lower()}; or {FRESH}, or {FRAGMENTED}") from None
    found: dict[int, list[int]] = {}
    for line in text.splitlines():
        match = re.match(r"Node\s+(\d+), zone\s+(\w+)((?:\s+\d+)+)\s*$", line)
        if match is None:
            raise UserError(f"--host {path}: {line[:60]!r} is no line of /proc/buddyinfo")
        counts = [int(count) for count in match[3].split()][: BLOCK_ORDER + 1]
        before = found.setdefault(int(match[1]), [0] * (BLOCK_ORDER + 1))
        for order, count in enumerate(counts):
            before[order] += count
    spans, blocks, at = [], [], 0
    for counts in found.values():
        span, placed = _placed(counts, at, chance)
        at = span[1]
        spans.append(span)
        blocks += placed
    made = Host(path.name, tuple(spans), tuple(blocks))
    if made.free < needed:
        raise UserError(f"--host {path}: {made.free * PAGE >> 20} MiB are free, and the workload needs {needed * PAGE >> 20} MiB")
    return made


def _placed(counts: Sequence[int], begin: int, chance: random.Random) -> tuple[tuple[int, int], list[tuple[int, Pattern]]]:
    """A node from `begin` on with so many free blocks of each order: whole 4M blocks, and others with holes of one order each."""
    free = sum(count << order for order, count in enumerate(counts))
    needed = counts[BLOCK_ORDER] + sum(-(-count // (BLOCK_PAGES >> order + 1)) for order, count in enumerate(counts[:-1])) + 1
    size = max(-(-2 * free // GIB_PAGES), -(-(needed + 1) * BLOCK_PAGES // GIB_PAGES), 1) * GIB_PAGES
    first = max(begin, FIRST)
    places = list(range(first, begin + size, BLOCK_PAGES))
    chance.shuffle(places)
    blocks: list[tuple[int, Pattern]] = [(places.pop(), WHOLE_BLOCK) for _ in range(counts[BLOCK_ORDER])]
    for order, count in enumerate(counts[:-1]):
        holes: list[int] = []
        while len(holes) < count:
            place = places.pop()
            holes += [place + at + (chance.randrange(2) << order) for at in range(0, BLOCK_PAGES, 2 << order)]
        blocks += [(hole, ((0, order),)) for hole in chance.sample(holes, count)]
    return (first, begin + size), blocks
