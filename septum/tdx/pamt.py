"""PAMT: 2M entries with their page pairs, the walk for a page that the host hands in, PAMT.ADD and PAMT.REMOVE.

The 1G level and the lock of the 4K entry are left out: nothing in this slice competes for them (docs/fidelity.md).
"""

from septum.host.frames import PageType, Role, fill, gift, give_back, held_by_module
from septum.host.geometry import DYNAMIC_PAMT, Pfn, RangeId
from septum.host.ranges import place, range_of
from septum.lang import Struct, Witness, process, reached, u16
from septum.tdx.locks import TryLock, release_exclusive, release_shared, try_exclusive, try_shared
from septum.tdx.status import (
    TDX_HPA_RANGE_NOT_FREE,
    TDX_MISSING_PAMT_PAGE_PAIR,
    TDX_NO_PAMT_PAGE_PAIR,
    TDX_OPERAND_BUSY,
    TDX_PAGE_METADATA_INCORRECT,
    TDX_PAGE_NOT_FREE,
    TDX_PAMT_PAGE_NOT_EMPTY,
    TDX_SUCCESS,
)

pair_added = Witness("pair_added", "PAMT.ADD installed a page pair")
pair_removed = Witness("pair_removed", "PAMT.REMOVE took a page pair back")


class Pamt2M(Struct):
    """The PAMT entry of a 2M range: NDA, REG (a 2M private page) or PAMT with a pair and the count of 4K pages in use."""

    type: PageType
    page0: Pfn
    page1: Pfn
    count: u16
    lock: TryLock


def lock_page(m, page: Pfn):
    """An explicit HPA operand at 4K that must be free, tdx-module.md 4.2: its 2M entry locked shared."""
    if DYNAMIC_PAMT:
        entry = m.pamt[range_of(m, page)]
        if not try_shared(entry.lock):
            return TDX_OPERAND_BUSY
        if entry.type != PageType.PAMT or held_by_module(m, page):
            release_shared(entry.lock)
            return TDX_MISSING_PAMT_PAGE_PAIR if entry.type == PageType.NDA else TDX_PAGE_METADATA_INCORRECT
    elif held_by_module(m, page):
        return TDX_PAGE_METADATA_INCORRECT
    return TDX_SUCCESS


def unlock_page(m, page: Pfn):
    """Releases what `lock_page` took."""
    if DYNAMIC_PAMT:
        release_shared(m.pamt[range_of(m, page)].lock)


def count_page(m, page: Pfn):
    """A page is in use at 4K."""
    if DYNAMIC_PAMT:
        m.pamt[range_of(m, page)].count += 1


def uncount_page(m, page: Pfn):
    """A page is no longer in use at 4K; the removal hint is ignored, as Linux does."""
    if DYNAMIC_PAMT:
        m.pamt[range_of(m, page)].count -= 1


def lock_pair_page(m, page: Pfn, r: RangeId):
    """A page offered for the pair of range `r`: its own 2M entry shared, unless that is `r` or nobody can tell."""
    if range_of(m, page) == 0 or range_of(m, page) == r:
        return True
    return try_shared(m.pamt[range_of(m, page)].lock)


def unlock_pair_page(m, page: Pfn, r: RangeId):
    """Releases what `lock_pair_page` took."""
    if range_of(m, page) != 0 and range_of(m, page) != r:
        release_shared(m.pamt[range_of(m, page)].lock)


@process
def tdh_phymem_pamt_add(m, r: RangeId, page0: Pfn, page1: Pfn):
    """TDH.PHYMEM.PAMT.ADD, tdx-module.md 2.4: the range exclusive, the pages shared; with a pair it is HPA_RANGE_NOT_FREE."""
    yield
    entry = m.pamt[r]
    if not try_exclusive(entry.lock):
        return TDX_OPERAND_BUSY
    if entry.type != PageType.NDA:
        release_exclusive(entry.lock)
        return TDX_HPA_RANGE_NOT_FREE
    if not lock_pair_page(m, page0, r):
        release_exclusive(entry.lock)
        return TDX_OPERAND_BUSY
    if not lock_pair_page(m, page1, r):
        unlock_pair_page(m, page0, r)
        release_exclusive(entry.lock)
        return TDX_OPERAND_BUSY
    if page0 == page1 or held_by_module(m, page0) or held_by_module(m, page1):
        unlock_pair_page(m, page0, r)
        unlock_pair_page(m, page1, r)
        release_exclusive(entry.lock)
        return TDX_PAGE_NOT_FREE
    yield
    install_pair(m, r, page0, page1)
    unlock_pair_page(m, page0, r)
    unlock_pair_page(m, page1, r)
    release_exclusive(entry.lock)
    reached(pair_added)
    return TDX_SUCCESS


def install_pair(m, r: RangeId, page0: Pfn, page1: Pfn):
    """The 2M entry becomes PAMT; both pages are cleared and their bits in the PAMT page bitmap set."""
    gift(m, page0, Role.PAIR, PageType.PAMT, 0)
    gift(m, page1, Role.PAIR, PageType.PAMT, 0)
    fill(m, page0, 0)
    fill(m, page1, 0)
    m.pamt[r].type = PageType.PAMT
    m.pamt[r].page0 = page0
    m.pamt[r].page1 = page1
    m.pamt[r].count = 0


@process
def tdh_phymem_pamt_remove(m, r: RangeId):
    """TDH.PHYMEM.PAMT.REMOVE, tdx-module.md 2.4. The pair that it returns in RDX and R8 stays in the entry's page0 and page1
    for the caller, who takes it in the same step."""
    yield
    entry = m.pamt[r]
    if not try_exclusive(entry.lock):
        return TDX_OPERAND_BUSY
    if entry.type != PageType.PAMT:
        release_exclusive(entry.lock)
        return TDX_NO_PAMT_PAGE_PAIR
    if entry.count != 0:
        release_exclusive(entry.lock)
        return TDX_PAMT_PAGE_NOT_EMPTY
    yield
    entry.type = PageType.NDA
    give_back(m, entry.page0)
    give_back(m, entry.page1)
    release_exclusive(entry.lock)
    reached(pair_removed)
    return TDX_SUCCESS


@process
def locate(m, page: Pfn):
    """Before a page is handed in at 4K: where it lies, which with static PAMT nobody can tell."""
    if DYNAMIC_PAMT:
        yield from place(m, page)
