"""TDH.MEM.PAGE.DEMOTE: a 2M leaf becomes a table of 4K leaves; tdx-module.md 7.9."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType, Role, gift, held_by_module
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, Gfn, Level, Pfn, RangeId, VmId
from septum.host.ranges import range_of
from septum.lang import Witness, process, reached
from septum.tdx.locks import release_exclusive, try_exclusive
from septum.tdx.mem import entry_of, removable, set_entry
from septum.tdx.pamt import count_page, install_pair, locate, lock_page, lock_pair_page, unlock_page, unlock_pair_page
from septum.tdx.sept import PERMISSIONS, TDB, TDEL, TDHP, TDP, begin, end, mapped_table, sept_page
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_PAGE_NOT_FREE, TDX_SUCCESS

demoted = Witness("demoted", "DEMOTE split a 2M leaf")


@process
def tdh_mem_page_demote(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn, page0: Pfn, page1: Pfn):
    """TDH.MEM.PAGE.DEMOTE: `page` becomes the S-EPT table, `page0` and `page1` the PAMT pair of the guest page's range.

    No interrupt poll: a module with enhanced DEMOTE interruptibility (tdx-module.md 12, 1).
    """
    yield from locate(m, page)
    if DYNAMIC_PAMT:
        yield from locate(m, page0)
        yield from locate(m, page1)
    yield
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    status = removable(m, vm, entry_of(m, vm, gfn, level))
    if status == TDX_SUCCESS:
        status = lock_pages(m, page, range_of(m, sept_page(entry_of(m, vm, gfn, level))), page0, page1)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, False)
        return status
    yield
    large = entry_of(m, vm, gfn, level) & ~(TDB | TDEL | TDHP)
    r = range_of(m, sept_page(large))
    for i in range(ENTRIES):
        m.table[page].word[i] = small_entry(large, i)
    gift(m, page, Role.EXTERNAL, PageType.EPT, vm)
    count_page(m, page)
    m.frame[sept_page(large)].bepoch = 0
    m.td[vm].chldcnt += 1
    unlock_pages(m, page, r, page0, page1)
    if DYNAMIC_PAMT:
        install_pair(m, r, page0, page1)
        m.pamt[r].count = ENTRIES
    set_entry(m, vm, gfn, level, mapped_table(page))
    end(m, vm, gfn, level, False)
    reached(demoted)
    return TDX_SUCCESS


def small_entry(large, i):
    """The i-th 4K leaf of a 2M leaf, unblocked: MAPPED or PENDING as the large one was. Its page number is aligned."""
    word = large | (i << PAGE_SHIFT)
    return word if large & TDP != 0 else word | PERMISSIONS


def lock_pages(m, page: Pfn, r: RangeId, page0: Pfn, page1: Pfn):
    """Steps 9 and 13: the S-EPT page; with Dynamic PAMT the guest page's 2M entry exclusive, the pair's pages shared and free."""
    status = lock_page(m, page)
    if status != TDX_SUCCESS:
        return status
    if DYNAMIC_PAMT:
        if not try_exclusive(m.pamt[r].lock):
            unlock_page(m, page)
            return TDX_OPERAND_BUSY
        if not lock_pair_page(m, page0, r):
            release_exclusive(m.pamt[r].lock)
            unlock_page(m, page)
            return TDX_OPERAND_BUSY
        if not lock_pair_page(m, page1, r):
            unlock_pair_page(m, page0, r)
            release_exclusive(m.pamt[r].lock)
            unlock_page(m, page)
            return TDX_OPERAND_BUSY
        if page0 == page1 or held_by_module(m, page0) or held_by_module(m, page1):
            unlock_pages(m, page, r, page0, page1)
            return TDX_PAGE_NOT_FREE
    return TDX_SUCCESS


def unlock_pages(m, page: Pfn, r: RangeId, page0: Pfn, page1: Pfn):
    """Releases what `lock_pages` took."""
    if DYNAMIC_PAMT:
        unlock_pair_page(m, page0, r)
        unlock_pair_page(m, page1, r)
        release_exclusive(m.pamt[r].lock)
    unlock_page(m, page)
