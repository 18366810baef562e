"""TDH.MEM.PAGE.DEMOTE: a large leaf becomes a table of smaller leaves; tdx-module.md 7.9."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType, Role
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, Gfn, Level, Pfn, VmId
from septum.host.ranges import range_of
from septum.lang import Witness, process, reached, u32
from septum.tdx.geometry import WHOLE
from septum.tdx.leaves import Leaf
from septum.tdx.locks import was_lost
from septum.tdx.mem_range import without_counter
from septum.tdx.operands import R8, R12, R13, RCX
from septum.tdx.pairs import check_pair, install_pair, lock_pair, lock_range, unlock_pair, unlock_range
from septum.tdx.pamt import (
    assign,
    bepoch_at,
    gig_of,
    locate,
    lock_implicit,
    lock_page,
    paired,
    set_bepoch,
    tdr_at,
    unlock_implicit,
    unlock_page,
)
from septum.tdx.processor import me, refuse
from septum.tdx.sept import (
    PERMISSIONS,
    TDB,
    TDEL,
    TDHP,
    TDP,
    approach,
    begin,
    end,
    entry_of,
    is_sept_leaf,
    leaf_page,
    mapped_table,
    refuse_entry,
    set_entry,
)
from septum.tdx.status import (
    TDX_EPT_ENTRY_STATE_INCORRECT,
    TDX_INTERRUPTED_BUSY,
    TDX_INTERRUPTED_RESTARTABLE,
    TDX_OPERAND_BUSY,
    TDX_SUCCESS,
)
from septum.tdx.td import add_children
from septum.tdx.tracking import tracking
from septum.tdx.versions import ENHANCED_DEMOTE, TREE_PRIORITY

demoted = Witness("demoted", "DEMOTE split a 2M leaf")


@process
def tdh_mem_page_demote(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn, page0: Pfn, page1: Pfn):
    """TDH.MEM.PAGE.DEMOTE: `page` becomes the S-EPT table, `page0` and `page1` the PAMT pair of the guest page's range.

    A module without enhanced DEMOTE interruptibility polls before it commits (tdx-module.md 12, 1).
    """
    yield from locate(m, page)
    if DYNAMIC_PAMT and not WHOLE:
        yield from locate(m, page0)
        yield from locate(m, page1)
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_PAGE_DEMOTE, vm, gfn, level, False)
        if status != TDX_SUCCESS:
            return status
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    status = lock_split(m, vm, gfn, level, page, page0, page1)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, False)
        return status
    yield
    large = entry_of(m, vm, gfn, level)
    first = leaf_page(large, level)
    if not WHOLE:
        write_children(m, page, large, level)
    bepoch = bepoch_at(m, page, Level(1))
    assign(m, page, Level(1), Role.EXTERNAL, PageType.EPT, vm)
    set_bepoch(m, page, Level(1), bepoch)  # what it was: DEMOTE does not write it
    add_children(m.td[vm], 1)
    unlock_split(m, page, first, level, page0, page1)
    split_metadata(m, first, level, page0, page1)
    set_entry(m, vm, gfn, level, mapped_table(page))
    end(m, vm, gfn, level, False)
    reached(demoted)
    return TDX_SUCCESS


def write_children(m, page: Pfn, large, level: Level):
    """The new S-EPT page: the large leaf in parts, unblocked."""
    word = large & ~(TDB | TDEL | TDHP)
    pages = ENTRIES if WHOLE and level == 3 else 1
    for i in range(ENTRIES):
        m.table[page].word[i] = part_of(word, i * pages)


def part_of(large, offset: u32):
    """A part of a large leaf, unblocked: MAPPED or PENDING as the large one was. Its page number is aligned."""
    word = large | (offset << PAGE_SHIFT)
    return word if large & TDP != 0 else word | PERMISSIONS


def lock_split(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn, page0: Pfn, page1: Pfn):
    """Steps 7 to 13: what is split, the S-EPT page, the large page's PAMT entry exclusive, the pair's pages shared and free."""
    large = entry_of(m, vm, gfn, level)
    if not is_sept_leaf(large):
        return refuse_entry(m, TDX_EPT_ENTRY_STATE_INCORRECT, large, level)
    first = leaf_page(large, level)
    status = tracking(m, vm, without_counter(large, level), level, first, level)
    if status == TDX_SUCCESS:
        status = lock_page(m, page, R8)
    if status != TDX_SUCCESS:
        return status
    if WHOLE:
        write_children(m, page, large, level)
    if not ENHANCED_DEMOTE:
        status = poll(m, vm)
    if status == TDX_SUCCESS:
        status = lock_metadata(m, first, level, page0, page1)
    if status != TDX_SUCCESS:
        unlock_page(m, page)
    return status


def poll(m, vm: VmId):
    """The poll of a long leaf before it commits, for an interrupt and, since 1.5.20, for a host call that lost the tree to it.

    Nothing is committed then, and the caller finds its RCX and RDX as they were.
    """
    status = TDX_SUCCESS
    if WHOLE and m.lp[me()].interrupt:
        status = TDX_INTERRUPTED_RESTARTABLE
    elif TREE_PRIORITY and was_lost(m.td[vm].tree):
        status = TDX_INTERRUPTED_BUSY
    if WHOLE and status != TDX_SUCCESS:
        lp = m.lp[me()]
        lp.answer.rcx = lp.given.rcx
        lp.answer.rdx = lp.given.rdx
    return refuse(m, status, 0)


def lock_metadata(m, first: Pfn, level: Level, page0: Pfn, page1: Pfn):
    """Step 13: the PAMT entry of the large page, then the pair that a 2M page needs with Dynamic PAMT."""
    if not lock_large(m, first, level):
        return refuse(m, TDX_OPERAND_BUSY, RCX)
    status = TDX_SUCCESS
    if needs_pair(m, level):
        status = check_pair(m, page0, R12, page1, R13)
        if status == TDX_SUCCESS:
            status = lock_pair(m, page0, R12, page1, R13, range_of(m, first), False)
    if status != TDX_SUCCESS:
        unlock_large(m, first, level)
    return status


def lock_large(m, first: Pfn, level: Level):
    """The PAMT entry of the page that is split."""
    if WHOLE:
        return lock_implicit(m, first, level)
    if DYNAMIC_PAMT:
        return lock_range(m, range_of(m, first), TDX_OPERAND_BUSY) == TDX_SUCCESS
    return True


def unlock_large(m, first: Pfn, level: Level):
    """Releases what `lock_large` took."""
    if WHOLE:
        unlock_implicit(m, first, level)
    elif DYNAMIC_PAMT:
        unlock_range(m, range_of(m, first))


def needs_pair(m, level: Level):
    """Whether the parts are 4K pages with metadata in a pair."""
    if WHOLE:
        return DYNAMIC_PAMT != 0 and paired(m) and level == 2
    return DYNAMIC_PAMT != 0


def unlock_split(m, page: Pfn, first: Pfn, level: Level, page0: Pfn, page1: Pfn):
    """Releases what `lock_split` took."""
    if needs_pair(m, level):
        unlock_pair(m, page0, page1, range_of(m, first), False)
    unlock_large(m, first, level)
    unlock_page(m, page)


def split_metadata(m, first: Pfn, level: Level, page0: Pfn, page1: Pfn):
    """The PAMT entries of the parts, and of what was one page; inside of a machine the parts have theirs already."""
    if WHOLE:
        owner = tdr_at(m, first, level)
        if level == 3:
            m.gig[gig_of(first)].type = PageType.NDA
            for i in range(ENTRIES):
                part = m.pamt[range_of(m, Pfn(first + i * ENTRIES))]
                part.type = PageType.REG
                part.large.owner = owner
                part.large.bepoch = 0
            return
        for i in range(ENTRIES):
            frame = m.frame[Pfn(first + i)]
            frame.type = PageType.REG
            frame.owner = owner
            frame.bepoch = 0
        m.pamt[range_of(m, first)].type = PageType.NDA
    else:
        m.frame[first].bepoch = 0
    if needs_pair(m, level):
        install_pair(m, range_of(m, first), page0, page1)
        m.pamt[range_of(m, first)].count = ENTRIES
