"""2M physical ranges: which range a page lies in, and the host's Dynamic PAMT refcount of each.

The allocator does not say where a page lies before somebody can tell. `place` decides it at the first moment that it
matters, as a choice that is explored: any range that other pages of the scenario lie in, or one of its own.
"""

from septum.host.geometry import ENTRIES, LAZY_RANGES, Pfn, RangeId
from septum.lang import Slot, Struct, Witness, alike, choose, commutes, each, process, reached, u8, u16, u64

range_shared = Witness("range_shared", "two pages given to the module lie in one 2M range")

RANGE_DESIGN = Slot("range.design")


class Range(Struct):
    """The host's side of a 2M range: pages of the scenario known to lie in it, and the pamt_refcount of Dynamic PAMT."""

    placed: u8
    refcount: u16
    design: RANGE_DESIGN
    closed: bool  # wholly taken by fixed pages: no other page can lie in it


def range_of(m, page: Pfn):
    """The 2M range of a page: pfn // 512 at real geometry."""
    commutes("where a page lies is said by its number, and by no memory that anybody writes")
    if LAZY_RANGES:
        return m.frame[page].range
    return RangeId(u64(page) // ENTRIES)


def in_use(m, r: RangeId):
    """Whether anything is known of a range; the others are all alike."""
    commutes("which ranges a page may lie in is the scenario's choice")
    return m.range[r].placed != 0 or m.range[r].refcount != 0 or m.pamt[r].page0 != 0


def candidates(m):
    """How many ranges that are in use a page may lie in."""
    count = u8(0)
    for r in each(RangeId):
        if in_use(m, r) and not m.range[r].closed:
            count = u8(count + 1)
    return count


def has_fresh(m):
    """1 if there is a range that is not in use, 0 if pages have to share."""
    for r in each(RangeId):
        alike("any range that is not in use will do")
        if not in_use(m, r) and not m.range[r].closed:
            return u8(1)
    return u8(0)


def candidate(m, choice):
    """The `choice`-th range in use, counted from 0; after the last of them the first that is not in use."""
    left = u16(choice)
    for r in each(RangeId):
        alike("every range in use is the one of some choice, and all choices are made")
        if in_use(m, r) and not m.range[r].closed:
            if left == 0:
                return r
            left = u16(left - 1)
    for r in each(RangeId):
        alike("nothing is known of a range that is not in use")
        if not in_use(m, r) and not m.range[r].closed:
            return r
    assert False, "scope: out of 2M ranges, raise RANGES"
    return RangeId(0)


@process
def place(m, page: Pfn):
    """Decides which 2M range a page lies in, unless that is known: one that is in use, or a fresh one."""
    if LAZY_RANGES and m.frame[page].range == 0:
        choice = 0
        if LAZY_RANGES == 1:
            choice = yield choose(lambda: candidates(m) + has_fresh(m))
        if LAZY_RANGES == 2:
            choice = candidates(m)
        if m.frame[page].range == 0:  # another CPU may have placed it meanwhile
            lies_in(m, page, candidate(m, choice))


def lies_in(m, page: Pfn, r: RangeId):
    """From now on it is known that a page lies in a range."""
    commutes("the page lay there all along")
    if m.range[r].placed != 0:
        reached(range_shared)
    m.frame[page].range = r
    m.range[r].placed += 1
