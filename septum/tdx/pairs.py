"""Dynamic PAMT page pairs: PHYMEM.PAMT.ADD and PHYMEM.PAMT.REMOVE; tdx-module.md 2.4."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType, Role, fill, gift, give_back, held_by_module
from septum.host.geometry import ENTRIES, LAZY_RANGES, Level, Pfn, RangeId
from septum.host.ranges import range_of
from septum.lang import Witness, alike, choose, each, process, reached, u8, u64
from septum.tdx.geometry import WHOLE
from septum.tdx.injection import fails, ways
from septum.tdx.leaves import Leaf
from septum.tdx.locks import release_exclusive, release_shared, try_exclusive, try_shared
from septum.tdx.operands import R8, RCX, RDX
from septum.tdx.pamt import gig_of, lock_walk, stops, type_at, unlock_walk, usable
from septum.tdx.processor import malformed, me, refuse
from septum.tdx.status import (
    TDX_HPA_RANGE_NOT_FREE,
    TDX_NO_PAMT_PAGE_PAIR,
    TDX_OPERAND_ADDR_RANGE_ERROR,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_INVALID,
    TDX_PAGE_NOT_FREE,
    TDX_PAMT_PAGE_NOT_EMPTY,
    TDX_SUCCESS,
    Status,
)

pair_added = Witness("pair_added", "PAMT.ADD installed a page pair")
pair_removed = Witness("pair_removed", "PAMT.REMOVE took a page pair back")


@process
def tdh_phymem_pamt_add(m, r: RangeId, page0: Pfn, page1: Pfn):
    """TDH.PHYMEM.PAMT.ADD, tdx-module.md 2.4: the range exclusive, the pages shared; with a pair it is HPA_RANGE_NOT_FREE."""
    if not WHOLE:
        way = yield choose(lambda: ways(m, Leaf.PHYMEM_PAMT_ADD))
        if fails(m, way):
            return m.injection.status
    status = check_pair(m, page0, RDX, page1, R8)
    if status == TDX_SUCCESS:
        status = lock_range(m, r, TDX_HPA_RANGE_NOT_FREE)
    if status != TDX_SUCCESS:
        return status
    if m.pamt[r].type != PageType.NDA:
        unlock_range(m, r)
        return refuse(m, TDX_HPA_RANGE_NOT_FREE, RCX)
    status = lock_pair(m, page0, RDX, page1, R8, r, True)
    if status != TDX_SUCCESS:
        unlock_range(m, r)
        return status
    yield
    install_pair(m, r, page0, page1)
    if WHOLE:
        for i in range(ENTRIES):
            m.frame[Pfn(u64(r) * ENTRIES + i)].owner = 0
    unlock_pair(m, page0, page1, r, True)
    unlock_range(m, r)
    reached(pair_added)
    return TDX_SUCCESS


def lock_range(m, r: RangeId, otherwise: Status):
    """The 2M entry exclusive; in the whole module its 1G entry shared, and the walk must come as far, `otherwise` it says so."""
    if WHOLE:
        page = Pfn(u64(r) * ENTRIES)
        if malformed(m, RCX):
            return refuse(m, TDX_OPERAND_INVALID, RCX)
        if not usable(m, page):
            return refuse(m, TDX_OPERAND_ADDR_RANGE_ERROR, RCX)
        level = lock_walk(m, page, Level(2), True)
        if level == 3:
            unlock_walk(m, page, level, True)
            return refuse(m, otherwise, RCX)
        return refuse(m, TDX_OPERAND_BUSY, RCX) if level == 0 else TDX_SUCCESS
    return TDX_SUCCESS if try_exclusive(m.pamt[r].lock) else TDX_OPERAND_BUSY


def unlock_range(m, r: RangeId):
    """Releases what `lock_range` took."""
    release_exclusive(m.pamt[r].lock)
    if WHOLE:
        release_shared(m.gig[gig_of(Pfn(u64(r) * ENTRIES))].lock)


def check_pair(m, page0: Pfn, operand0: u8, page1: Pfn, operand1: u8):
    """The two pages offered for a pair, before any lock."""
    if WHOLE:
        status = check_pair_page(m, page0, operand0)
        return status if status != TDX_SUCCESS else check_pair_page(m, page1, operand1)
    return TDX_SUCCESS


def check_pair_page(m, page: Pfn, operand: u8):
    """A page number, in an initialised TDMR block."""
    if malformed(m, operand):
        return refuse(m, TDX_OPERAND_INVALID, operand)
    if not usable(m, page):
        return refuse(m, TDX_OPERAND_ADDR_RANGE_ERROR, operand)
    return TDX_SUCCESS


def lock_pair(m, page0: Pfn, operand0: u8, page1: Pfn, operand1: u8, r: RangeId, inside: bool):
    """Both pages locked shared and free: in use neither by a TD nor in the PAMT page bitmap. `r` is locked already: a page in it
    needs no lock of its own where the leaf takes one from `inside`, and is busy where it does not.

    Their bits are tested and set at once, since others may hold the same locks; no check follows that could fail.
    """
    status = lock_pair_page(m, page0, operand0, r, inside)
    if status != TDX_SUCCESS:
        return status
    status = lock_pair_page(m, page1, operand1, r, inside)
    if status != TDX_SUCCESS:
        unlock_pair_page(m, page0, r, inside)
        return status
    if held_by_module(m, page0) or page0 == page1 or held_by_module(m, page1):
        operand = operand0 if held_by_module(m, page0) else operand1
        unlock_pair(m, page0, page1, r, inside)
        return refuse(m, TDX_PAGE_NOT_FREE, operand)
    if WHOLE:
        m.frame[page0].type = PageType.PAMT
        m.frame[page1].type = PageType.PAMT
    return TDX_SUCCESS


def unlock_pair(m, page0: Pfn, page1: Pfn, r: RangeId, inside: bool):
    """Releases what `lock_pair` took."""
    unlock_pair_page(m, page0, r, inside)
    unlock_pair_page(m, page1, r, inside)


def lock_pair_page(m, page: Pfn, operand: u8, r: RangeId, inside: bool):
    """A page offered for the pair of range `r`: its own walk shared, unless it lies in `r` or nobody can tell."""
    if WHOLE:
        if inside and range_of(m, page) == r:
            return TDX_SUCCESS
        level = lock_walk(m, page, Level(1), False)
        if level == 0:
            return refuse(m, TDX_OPERAND_BUSY, operand)
        if type_at(m, page, level) in (PageType.NDA, PageType.PAMT, PageType.RSVD):  # the last two: its bit in the bitmap
            return TDX_SUCCESS
        unlock_walk(m, page, level, False)
        return refuse(m, TDX_PAGE_NOT_FREE, operand)
    if range_of(m, page) == 0 or range_of(m, page) == r or try_shared(m.pamt[range_of(m, page)].lock):
        return TDX_SUCCESS
    return TDX_OPERAND_BUSY


def unlock_pair_page(m, page: Pfn, r: RangeId, inside: bool):
    """Releases what `lock_pair_page` took."""
    if WHOLE:
        if not inside or range_of(m, page) != r:
            unlock_walk(m, page, leaf_level(m, page), False)
    elif range_of(m, page) != 0 and range_of(m, page) != r:
        release_shared(m.pamt[range_of(m, page)].lock)


def leaf_level(m, page: Pfn):
    """The level at which a PAMT walk to the leaf ends."""
    if m.gig[gig_of(page)].type != PageType.NDA:
        return Level(3)
    return Level(2) if stops(m, m.pamt[range_of(m, page)]) else Level(1)


def install_pair(m, r: RangeId, page0: Pfn, page1: Pfn):
    """The 2M entry becomes PAMT; both pages are cleared and their bits in the PAMT page bitmap set."""
    if not WHOLE:
        gift(m, page0, Role.PAIR, PageType.PAMT, 0)
        gift(m, page1, Role.PAIR, PageType.PAMT, 0)
        fill(m, page0, 0)
        fill(m, page1, 0)
    m.pamt[r].type = PageType.PAMT
    m.pamt[r].page0 = page0
    m.pamt[r].page1 = page1
    m.pamt[r].count = 0


def withdraw_pair(m, r: RangeId):
    """The 2M entry has no pair any more; the bits of its pages are cleared."""
    if WHOLE:
        m.frame[m.pamt[r].page0].type = PageType.NDA
        m.frame[m.pamt[r].page1].type = PageType.NDA
    else:
        give_back(m, m.pamt[r].page0)
        give_back(m, m.pamt[r].page1)
    m.pamt[r].type = PageType.NDA


@process
def tdh_phymem_pamt_remove(m, r: RangeId):
    """TDH.PHYMEM.PAMT.REMOVE, tdx-module.md 2.4. The pair that it returns in RDX and R8 stays in the entry's page0 and page1
    for the caller, who takes it in the same step."""
    if not WHOLE:
        way = yield choose(lambda: ways(m, Leaf.PHYMEM_PAMT_REMOVE))
        if fails(m, way):
            return m.injection.status
    status = lock_range(m, r, TDX_NO_PAMT_PAGE_PAIR)
    if status != TDX_SUCCESS:
        return status
    entry = m.pamt[r]
    if entry.type != PageType.PAMT:
        unlock_range(m, r)
        return refuse(m, TDX_NO_PAMT_PAGE_PAIR, RCX)
    full = pages_in_use(m, r)
    if full != 0:
        unlock_range(m, r)
        return refuse(m, TDX_PAMT_PAGE_NOT_EMPTY, u8(full - 1))
    assert entry.count == 0, "fatal: PAMT.REMOVE of a range whose last page is being freed stops the module"
    yield
    withdraw_pair(m, r)
    if WHOLE:
        return_pair(m, r)
    unlock_range(m, r)
    reached(pair_removed)
    return TDX_SUCCESS


def pages_in_use(m, r: RangeId):
    """0 if no 4K entry of the range is in use, else 1 or 2: the page of the pair that holds the first that is."""
    if LAZY_RANGES:
        for page in each(Pfn):
            alike("one page in use is as good as another")
            if range_of(m, page) == r and m.frame[page].type not in (PageType.NDA, PageType.PAMT):
                return 1
        return 0
    first = u64(r) * ENTRIES
    for i in range(ENTRIES):
        if m.frame[Pfn(first + i)].type not in (PageType.NDA, PageType.PAMT, PageType.RSVD):
            return 1 if i < ENTRIES // 2 else 2
    return 0


def return_pair(m, r: RangeId):
    """The pair in RDX and R8."""
    answer = m.lp[me()].answer
    answer.rdx = u64(m.pamt[r].page0) << PAGE_SHIFT
    answer.r8 = u64(m.pamt[r].page1) << PAGE_SHIFT
    m.pamt[r].page0 = 0
    m.pamt[r].page1 = 0
