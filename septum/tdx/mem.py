"""SEAMCALL leaves on an S-EPT entry: SEPT.ADD, PAGE.AUG, RANGE.BLOCK, PAGE.REMOVE.

A SEAMCALL is two steps. The first takes the try-locks and makes every check, or answers; the second takes effect and
releases. Before the first another CPU may run. Levels are KVM's; the module's are one less.
"""

from septum.host.entry import SEPT_FREE
from septum.host.frames import PageType, Role, fill, gift, give_back
from septum.host.geometry import Gfn, Level, Pfn, VmId, index_at
from septum.lang import process
from septum.tdx.pamt import count_page, locate, lock_page, uncount_page, unlock_page
from septum.tdx.sept import (
    PERMISSIONS,
    TDB,
    TDEL,
    SeptState,
    begin,
    end,
    is_blocked,
    mapped_table,
    pending_leaf,
    sept_page,
    sept_state,
    sept_table,
)
from septum.tdx.status import (
    TDX_EPT_ENTRY_STATE_INCORRECT,
    TDX_GPA_RANGE_ALREADY_BLOCKED,
    TDX_GPA_RANGE_NOT_BLOCKED,
    TDX_SUCCESS,
    TDX_TLB_TRACKING_NOT_DONE,
)
from septum.tdx.tracking import tracked


@process
def tdh_mem_sept_add(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """TDH.MEM.SEPT.ADD, tdx-module.md 7.1: `page` becomes the S-EPT table below the entry of `gfn` at `level`."""
    yield from locate(m, page)
    yield
    status = begin_with_page(m, vm, gfn, level, page)
    if status != TDX_SUCCESS:
        return status
    yield
    fill(m, page, SEPT_FREE)
    gift(m, page, Role.EXTERNAL, PageType.EPT, vm)
    set_entry(m, vm, gfn, level, mapped_table(page))
    end_with_page(m, vm, gfn, level, page)
    return TDX_SUCCESS


@process
def tdh_mem_page_aug(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """TDH.MEM.PAGE.AUG, tdx-module.md 7.5, at 4K: `page` becomes private memory that the guest has to accept."""
    yield from locate(m, page)
    yield
    status = begin_with_page(m, vm, gfn, level, page)
    if status != TDX_SUCCESS:
        return status
    yield
    gift(m, page, Role.GUEST, PageType.REG, vm)
    set_entry(m, vm, gfn, level, pending_leaf(page))
    end_with_page(m, vm, gfn, level, page)
    return TDX_SUCCESS


def begin_with_page(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """The first step of a leaf that fills a FREE entry with a page: tree shared, the entry, and last the page."""
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    status = TDX_EPT_ENTRY_STATE_INCORRECT
    if sept_state(entry_of(m, vm, gfn, level)) == SeptState.FREE:
        status = lock_page(m, page)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, False)
    return status


def end_with_page(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """The end of its second step: the page counts, and every lock is released."""
    count_page(m, page)
    m.td[vm].chldcnt += 1
    unlock_page(m, page)
    end(m, vm, gfn, level, False)


def entry_of(m, vm: VmId, gfn: Gfn, level: Level):
    """The entry of `gfn` at `level`, whose table is there."""
    return m.table[sept_table(m, vm, gfn, level)].word[index_at(gfn, level)]


def set_entry(m, vm: VmId, gfn: Gfn, level: Level, word):
    """Writes an entry that is locked; it stays locked."""
    m.table[sept_table(m, vm, gfn, level)].word[index_at(gfn, level)] = word | TDEL


@process
def tdh_mem_range_block(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MEM.RANGE.BLOCK, tdx-module.md 7.10: tree exclusive; the epoch is sampled after the entry is blocked."""
    yield
    status = begin(m, vm, gfn, level, True)
    if status != TDX_SUCCESS:
        return status
    word = entry_of(m, vm, gfn, level)
    if is_blocked(word) or sept_state(word) == SeptState.FREE:
        end(m, vm, gfn, level, True)
        return TDX_GPA_RANGE_ALREADY_BLOCKED if is_blocked(word) else TDX_EPT_ENTRY_STATE_INCORRECT
    yield
    word = entry_of(m, vm, gfn, level)
    set_entry(m, vm, gfn, level, (word & ~PERMISSIONS) | TDB)
    m.frame[sept_page(word)].bepoch = m.td[vm].epoch
    end(m, vm, gfn, level, True)
    return TDX_SUCCESS


@process
def tdh_mem_page_remove(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MEM.PAGE.REMOVE, tdx-module.md 7.6: a leaf that is blocked and tracked; the page goes back to the host."""
    yield
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    status = removable(m, vm, entry_of(m, vm, gfn, level))
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, False)
        return status
    yield
    page = sept_page(entry_of(m, vm, gfn, level))
    set_entry(m, vm, gfn, level, SEPT_FREE)
    give_back(m, page)
    uncount_page(m, page)
    m.td[vm].chldcnt -= 1
    end(m, vm, gfn, level, False)
    return TDX_SUCCESS


def removable(m, vm: VmId, word):
    """PAGE.REMOVE and DEMOTE: a leaf, blocked, and no vCPU may still hold its translation; tdx-module.md 6.1."""
    state = sept_state(word)
    if state in (SeptState.FREE, SeptState.NL_MAPPED, SeptState.NL_BLOCKED):
        return TDX_EPT_ENTRY_STATE_INCORRECT
    if not is_blocked(word):
        return TDX_GPA_RANGE_NOT_BLOCKED
    return TDX_SUCCESS if tracked(m, vm, m.frame[sept_page(word)].bepoch) else TDX_TLB_TRACKING_NOT_DONE
