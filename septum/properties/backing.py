"""Backing: Dynamic PAMT pairs and refcounts fit the pages that are in use; designs.md 2, I2 to I4."""

from septum.host.frames import PageType, Role
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, LAZY_RANGES, Pfn, RangeId
from septum.kvm.machine import Machine
from septum.kvm.seam.pamt import HOST_COUNTS
from septum.kvm.seam.pamt_dec_outside import COUNTED_AGAIN
from septum.kvm.tdp.tdp_mmu import BACKED_AT_ALLOCATION
from septum.lang import each, u16, u64


def backing(m: Machine):
    """Always: the module's count is right, and a range that the host counts users for has a pair, unless pamt_lock is held."""
    if DYNAMIC_PAMT and HOST_COUNTS:
        for r in each(RangeId):
            if m.range[r].refcount != 0 and m.pamt_lock.writer == 0:
                assert m.pamt[r].type == PageType.PAMT, f"backing: range {r} has users and no PAMT pair"
            if m.pamt[r].type == PageType.PAMT:
                counted = m.range[r].refcount >= m.pamt[r].count or m.pamt_lock.writer != 0
                assert counted, f"backing: range {r} has more pages in use than users counted"


def backing_at_rest(m: Machine):
    """At rest: a range has a pair if and only if it has users: as many as the module holds pages in it.

    A pair that PAMT.REMOVE did not give back stays, and where it is counted as one user it stays so.
    """
    if DYNAMIC_PAMT and HOST_COUNTS:
        for r in each(RangeId):
            if m.pamt[r].type != PageType.REG:
                users = m.range[r].refcount
                assert as_many(m, r, users), f"backing: range {r} has refcount {users} and {m.pamt[r].count} pages in use"
                fits = (m.pamt[r].type == PageType.PAMT) == (users != 0) or m.leaked_pair == r
                assert fits, f"backing: range {r} keeps a pair without users"


def as_many(m: Machine, r: RangeId, users):
    """Whether a range has as many users as pages that need its pair.

    Where a page lies by its number, nobody can tell of one that waits whether it was ever backed. A pair that the module did not
    give back may be counted once more.
    """
    leaked = 1 if m.leaked_pair == r and COUNTED_AGAIN else 0
    if LAZY_RANGES:
        return users == m.pamt[r].count + waiting_pages(m, r) + leaked
    return m.pamt[r].count + leaked <= users and users <= m.pamt[r].count + waiting_pages(m, r) + leaked


def waiting_pages(m: Machine, r: RangeId):
    """How many pages of a range have a reference while they wait: in a cache of backed pages, or in an unlinked table."""
    count = u16(0)
    if BACKED_AT_ALLOCATION:
        if LAZY_RANGES:
            for page in each(Pfn):
                if waits(m, page) and m.frame[page].range == r:
                    count = u16(count + 1)
        else:
            for i in range(ENTRIES):
                if waits(m, Pfn(u64(r) * ENTRIES + i)):
                    count = u16(count + 1)
    return count


def waits(m: Machine, page: Pfn):
    """Whether a page is for the module, which does not hold it yet, or no more."""
    return m.frame[page].role in (Role.POOL, Role.EXTERNAL, Role.LEAKED) and m.frame[page].type == PageType.NDA


def pages_in(m: Machine, r: RangeId):
    """How many 4K pages of a range the module holds."""
    count = u16(0)
    for page in each(Pfn):
        if m.frame[page].range == r and m.frame[page].type in (PageType.REG, PageType.EPT, PageType.TDR, PageType.TDCX):
            count = u16(count + 1)
    return count
