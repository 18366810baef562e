"""SEAMCALL leaves on S-EPT pages: SEPT.ADD, SEPT.REMOVE, SEPT.RD; tdx-module.md 7.1 - 7.3.

A SEAMCALL is two steps. The first takes the try-locks and makes every check, or answers; the second takes effect and
releases. Before the first another CPU may run. Levels are KVM's; the module's are one less.
"""

from septum.host.entry import PAGE_SHIFT, SEPT_FREE
from septum.host.frames import PageType, Role, fill
from septum.host.geometry import ENTRIES, Gfn, Level, Pfn, VmId
from septum.lang import process, u64
from septum.tdx.geometry import WHOLE
from septum.tdx.leaves import Leaf
from septum.tdx.operands import R8, R9, R10, R11, RCX
from septum.tdx.pamt import assign, locate, lock_implicit, lock_page, release, uncount_page, unlock_implicit, unlock_page
from septum.tdx.processor import me, refuse, succeed
from septum.tdx.sept import (
    SeptState,
    approach,
    begin,
    end,
    entry_of,
    locked_entry,
    mapped_table,
    refuse_entry,
    report,
    sept_page,
    sept_state,
    set_entry,
)
from septum.tdx.status import (
    TDX_EPT_ENTRY_STATE_INCORRECT,
    TDX_EPT_PAGE_NOT_FREE,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_INVALID,
    TDX_SUCCESS,
)
from septum.tdx.td import add_children, drop_children
from septum.tdx.tracking import tracking

REMOVAL_HINT = 1 << 62  # Dynamic PAMT: no 4K page of the range is in use any more
NO_PAGE = (1 << 64) - 1  # SEPT.ADD version 1: no page is offered
EXISTING = 1 << 63  # SEPT.ADD version 1: R8 was not used


@process
def tdh_mem_sept_add(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """TDH.MEM.SEPT.ADD, tdx-module.md 7.1: `page` becomes the S-EPT table below the entry of `gfn` at `level`."""
    yield from locate(m, page)
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_SEPT_ADD, vm, gfn, level, False)
        if status != TDX_SUCCESS:
            return status
    status = begin_with_table(m, vm, gfn, level, page)
    if status != TDX_SUCCESS:
        return status
    yield
    if WHOLE and sept_state(entry_of(m, vm, gfn, level)) == SeptState.NL_MAPPED:
        if m.lp[me()].version == 1:
            m.lp[me()].answer.r8 = m.lp[me()].given.r8 | EXISTING
        end(m, vm, gfn, level, False)
        return TDX_SUCCESS
    fill(m, page, SEPT_FREE)
    assign(m, page, Level(1), Role.EXTERNAL, PageType.EPT, vm)
    add_children(m.td[vm], 1)
    set_entry(m, vm, gfn, level, mapped_table(page))
    unlock_page(m, page)
    end(m, vm, gfn, level, False)
    if WHOLE and m.lp[me()].version == 1:
        m.lp[me()].answer.r8 = NO_PAGE
    return TDX_SUCCESS


def begin_with_table(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """The first step of SEPT.ADD: tree shared, the entry, and last the page, which an entry that has one does not need."""
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    word = locked_entry(m, vm, gfn, level)
    state = sept_state(word)
    status = TDX_EPT_ENTRY_STATE_INCORRECT
    if WHOLE and state in (SeptState.FREE, SeptState.NL_MAPPED):
        lp = m.lp[me()]
        if lp.given.r8 == NO_PAGE and lp.version == 0:
            end(m, vm, gfn, level, False)
            return refuse(m, TDX_OPERAND_INVALID, R8)
        if state == SeptState.NL_MAPPED and (lp.given.rdx & 1 != 0 or (lp.given.r8 == NO_PAGE and lp.version == 1)):
            status = TDX_SUCCESS
        elif state == SeptState.FREE and lp.given.r8 != NO_PAGE:
            status = lock_page(m, page, R8)
        operand = l2_page_offered(m)
        if status == TDX_SUCCESS and operand != 0:
            if state == SeptState.FREE:
                unlock_page(m, page)
            status = refuse(m, TDX_OPERAND_INVALID, operand)
    elif state == SeptState.FREE:
        status = lock_page(m, page, R8)
    if status == TDX_EPT_ENTRY_STATE_INCORRECT:
        refuse_entry(m, status, word, level)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, False)
    return status


def l2_page_offered(m):
    """Version 1 of SEPT.ADD: the first of R9 to R11 that is not -1, though the TD has no L2 VM; 0 if none is."""
    lp = m.lp[me()]
    if lp.version == 0:
        return 0
    if lp.given.r9 != NO_PAGE:
        return R9
    if lp.given.r10 != NO_PAGE:
        return R10
    return 0 if lp.given.r11 == NO_PAGE else R11


@process
def tdh_mem_sept_remove(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MEM.SEPT.REMOVE, tdx-module.md 7.2: an S-EPT page without entries goes back to the host; tree exclusive."""
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_SEPT_REMOVE, vm, gfn, level, True)
        if status != TDX_SUCCESS:
            return status
    status = begin(m, vm, gfn, level, True)
    if status != TDX_SUCCESS:
        return status
    status = removable_table(m, vm, gfn, level)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, True)
        return status
    yield
    page = sept_page(locked_entry(m, vm, gfn, level))
    set_entry(m, vm, gfn, level, SEPT_FREE)
    drop_children(m.td[vm], 1)
    release(m, page, Level(1))
    if WHOLE:
        yield
    unlock_implicit(m, page, Level(1))
    last = uncount_page(m, page)
    end(m, vm, gfn, level, True)
    return succeed(m, freed(page, last), 0)


def removable_table(m, vm: VmId, gfn: Gfn, level: Level):
    """The checks of SEPT.REMOVE; on success the PAMT entry of the S-EPT page is locked."""
    word = entry_of(m, vm, gfn, level)
    if sept_state(word) not in (SeptState.NL_MAPPED, SeptState.NL_BLOCKED):
        return refuse_entry(m, TDX_EPT_ENTRY_STATE_INCORRECT, word, level)
    page = sept_page(word)
    if not lock_implicit(m, page, Level(1)):
        return refuse(m, TDX_OPERAND_BUSY, RCX)
    status = tracking(m, vm, word, level, page, Level(1))
    if status == TDX_SUCCESS and not is_empty(m, page):
        status = refuse_entry(m, TDX_EPT_PAGE_NOT_FREE, word, level)
    if status != TDX_SUCCESS:
        unlock_implicit(m, page, Level(1))
    return status


def is_empty(m, page: Pfn):
    """Whether every entry of an S-EPT page is FREE."""
    for i in range(ENTRIES):
        if sept_state(m.table[page].word[i]) != SeptState.FREE:
            return False
    return True


def freed(page: Pfn, last: bool):
    """A freed page as a leaf returns it: its address, and the removal hint."""
    return u64((u64(page) << PAGE_SHIFT) | (REMOVAL_HINT if last else 0))


@process
def tdh_mem_sept_rd(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MEM.SEPT.RD, tdx-module.md 7.3: what an entry says."""
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_SEPT_RD, vm, gfn, level, False)
        if status != TDX_SUCCESS:
            return status
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    yield
    report(m, entry_of(m, vm, gfn, level), level)
    end(m, vm, gfn, level, False)
    return TDX_SUCCESS
