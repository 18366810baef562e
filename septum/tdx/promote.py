"""TDH.MEM.PAGE.PROMOTE: a table of equal leaves becomes one large leaf; tdx-module.md 7.8."""

from septum.host.entry import ADDRESS_MASK, PAGE_SHIFT
from septum.host.frames import PageType
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, Gfn, Level, Pfn, VmId
from septum.host.ranges import range_of
from septum.lang import Witness, process, reached, u64
from septum.tdx.demote import poll
from septum.tdx.geometry import WHOLE
from septum.tdx.leaves import Leaf
from septum.tdx.mem_range import ACCEPT_COUNTER
from septum.tdx.mem_sept import freed
from septum.tdx.operands import RCX
from septum.tdx.pairs import withdraw_pair
from septum.tdx.pamt import (
    gig_of,
    lock_implicit,
    paired,
    release,
    tdr_at,
    uncount_page,
    unlock_implicit,
)
from septum.tdx.processor import me, refuse, succeed
from septum.tdx.sept import (
    TDEL,
    TDHP,
    SeptState,
    approach,
    begin,
    end,
    entry_of,
    host_lock,
    leaf_page,
    refuse_entry,
    sept_page,
    sept_state,
    set_entry,
    unlock_entry,
)
from septum.tdx.status import (
    TDX_EPT_ENTRY_STATE_INCORRECT,
    TDX_EPT_INVALID_PROMOTE_CONDITIONS,
    TDX_OPERAND_BUSY,
    TDX_SUCCESS,
)
from septum.tdx.td import drop_children
from septum.tdx.tracking import tracking
from septum.tdx.versions import PROMOTE_EXCLUSIVE

promoted = Witness("promoted", "PROMOTE merged a table into a leaf")


@process
def tdh_mem_page_promote(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MEM.PAGE.PROMOTE: the entry at `level` becomes a leaf; its S-EPT page, and a PAMT pair, go back to the host.

    The S-EPT tree is exclusive since 1.5.20, and shared before.
    """
    exclusive = PROMOTE_EXCLUSIVE != 0
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_PAGE_PROMOTE, vm, gfn, level, exclusive)
        if status != TDX_SUCCESS:
            return status
    status = begin(m, vm, gfn, level, exclusive)
    if status != TDX_SUCCESS:
        return status
    status = mergeable(m, vm, gfn, level)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, exclusive)
        return status
    yield
    page = sept_page(entry_of(m, vm, gfn, level))
    word = m.table[page].word[0] & ~(TDEL | TDHP)
    first = leaf_page(word, Level(level - 1))
    merge_metadata(m, first, level)
    set_entry(m, vm, gfn, level, word)
    unlock_implicit(m, first, level)
    release(m, page, Level(1))
    yield
    unlock_implicit(m, page, Level(1))
    last = uncount_page(m, page)
    drop_children(m.td[vm], 1)
    end(m, vm, gfn, level, exclusive)
    reached(promoted)
    return succeed(m, freed(page, last), 0)


def mergeable(m, vm: VmId, gfn: Gfn, level: Level):
    """Steps 7 to 13; on success S-EPT page, children and the large page's PAMT entry are locked."""
    word = entry_of(m, vm, gfn, level)
    if sept_state(word) not in (SeptState.NL_MAPPED, SeptState.NL_BLOCKED):
        return refuse_entry(m, TDX_EPT_ENTRY_STATE_INCORRECT, word, level)
    page = sept_page(word)
    if not lock_implicit(m, page, Level(1)):
        return refuse(m, TDX_OPERAND_BUSY, RCX)
    status = tracking(m, vm, word, level, page, Level(1))
    if status == TDX_SUCCESS:
        status = lock_children(m, word, page, level)
    if status == TDX_SUCCESS:
        status = poll_and_lock(m, vm, page, level)
    if status != TDX_SUCCESS:
        unlock_implicit(m, page, Level(1))
    return status


def lock_children(m, parent, page: Pfn, level: Level):
    """Every child locked, and each the same leaf a page further; a child that is not lets all go."""
    for i in range(ENTRIES):
        if not host_lock(m, page, i):
            unlock_children(m, page, i)
            return refuse_entry(m, TDX_OPERAND_BUSY, parent, level)
        if not continues(m, page, i, level):
            unlock_children(m, page, i + 1)
            return refuse_entry(m, TDX_EPT_INVALID_PROMOTE_CONDITIONS, parent, level)
    return TDX_SUCCESS


def continues(m, page: Pfn, i, level: Level):
    """Whether the i-th child is the i-th part of what the first one begins; accept counters do not matter."""
    word = without_counter(m.table[page].word[i], level)
    first = without_counter(m.table[page].word[0], level)
    pages = ENTRIES if level == 3 else 1
    if i == 0:
        aligned = (first & ADDRESS_MASK) % ((pages * ENTRIES) << PAGE_SHIFT) == 0
        return aligned and sept_state(first) in (SeptState.MAPPED, SeptState.PENDING)
    return word == first + ((i * pages) << PAGE_SHIFT)


def without_counter(word, level: Level):
    """A child of a table whose leaves would be `level`, without the counter of a pending 2M leaf."""
    return word & ~ACCEPT_COUNTER if level == 3 and sept_state(word) == SeptState.PENDING else word


def unlock_children(m, page: Pfn, count):
    """Releases the first `count` children."""
    for i in range(count):
        unlock_entry(m, page, i)


def poll_and_lock(m, vm: VmId, page: Pfn, level: Level):
    """The poll for an interrupt and a host call that lost the tree, then the PAMT entry of the page that is to be."""
    status = poll(m, vm)
    if status != TDX_SUCCESS:
        unlock_children(m, page, ENTRIES)
        return status
    first = leaf_page(m.table[page].word[0], Level(level - 1))
    if not lock_implicit(m, first, level):
        unlock_children(m, page, ENTRIES)
        return refuse(m, TDX_OPERAND_BUSY, RCX)
    return TDX_SUCCESS


def merge_metadata(m, first: Pfn, level: Level):
    """One PAMT entry for what were many. A pair that is not needed any more is handed back, in the whole module in R12 and R13,
    inside of a machine in the entry's page0 and page1; there the parts keep their own metadata."""
    if WHOLE:
        if level == 3:
            merge_ranges(m, first)
            return
        merge_pages(m, first)
    r = range_of(m, first)
    pair = DYNAMIC_PAMT and paired(m)
    if pair:
        withdraw_pair(m, r)
        m.pamt[r].count = 0
    m.pamt[r].type = PageType.REG
    if WHOLE:
        hand_back(m, m.pamt[r], tdr_at(m, first, Level(1)), pair)


def merge_ranges(m, first: Pfn):
    """What were 2M pages is one of 1G."""
    gig = m.gig[gig_of(first)]
    gig.owner = tdr_at(m, first, Level(2))
    for i in range(ENTRIES):
        m.pamt[range_of(m, Pfn(first + i * ENTRIES))].type = PageType.NDA
    gig.type = PageType.REG
    if paired(m):
        gig.bepoch = 0


def merge_pages(m, first: Pfn):
    """What were 4K pages is one of 2M."""
    for i in range(ENTRIES):
        m.frame[Pfn(first + i)].type = PageType.NDA


def hand_back(m, entry, owner: Pfn, pair: bool):
    """The 2M entry's own words, where the pair was; with static PAMT its BEPOCH is what it was last."""
    if pair:
        answer = m.lp[me()].answer
        answer.r12 = u64(entry.page0) << PAGE_SHIFT
        answer.r13 = u64(entry.page1) << PAGE_SHIFT
        entry.page0 = 0
        entry.page1 = 0
        entry.large.bepoch = 0
    entry.large.owner = owner
