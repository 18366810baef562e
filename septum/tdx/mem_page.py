"""SEAMCALL leaves on private pages: PAGE.AUG, PAGE.REMOVE, PAGE.ADD, PAGE.RELOCATE; tdx-module.md 7.4 - 7.7."""

from septum.host.entry import ADDRESS_MASK, PAGE_SHIFT, SEPT_FREE
from septum.host.frames import PageType, Role
from septum.host.geometry import DYNAMIC_PAMT, Gfn, Level, Pfn, VmId, index_at, pages_per_leaf
from septum.lang import choose, process, u64
from septum.tdx.geometry import BUILDS, WHOLE, PageCount
from septum.tdx.injection import fails, ways
from septum.tdx.leaves import Leaf, OpState
from septum.tdx.mem_range import unblocked, without_counter
from septum.tdx.mem_sept import freed
from septum.tdx.operands import R8, R9, RCX
from septum.tdx.pamt import (
    assign,
    explicit,
    locate,
    lock_implicit,
    lock_page,
    release,
    uncount_page,
    unlock_implicit,
    unlock_page,
    unlock_walk,
)
from septum.tdx.processor import malformed, refuse, succeed
from septum.tdx.sept import (
    SeptState,
    approach,
    begin,
    end,
    entry_of,
    is_sept_leaf,
    leaf_page,
    locked_entry,
    mapped_leaf,
    pending_leaf,
    refuse_entry,
    sept_state,
    sept_table,
    set_entry,
    stop_level,
)
from septum.tdx.status import (
    TDX_EPT_ENTRY_STATE_INCORRECT,
    TDX_EPT_WALK_FAILED,
    TDX_OP_STATE_INCORRECT,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_INVALID,
    TDX_SUCCESS,
)
from septum.tdx.td import add_children, drop_children, enter_tdr, leave_tdr
from septum.tdx.tracking import tracking


@process
def tdh_mem_page_aug(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """TDH.MEM.PAGE.AUG, tdx-module.md 7.5: `page` becomes private memory that the guest has to accept."""
    yield from locate(m, page)
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_PAGE_AUG, vm, gfn, level, False)
        if status != TDX_SUCCESS:
            return status
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    word = locked_entry(m, vm, gfn, level)
    if BUILDS and not WHOLE and m.td[vm].build.op_state != OpState.RUNNABLE:
        status = TDX_OP_STATE_INCORRECT
    elif sept_state(word) != SeptState.FREE:
        status = refuse_entry(m, TDX_EPT_ENTRY_STATE_INCORRECT, word, level)
    else:
        status = lock_free_page(m, page, level)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, False)
        return status
    yield
    assign(m, page, level, Role.GUEST, PageType.REG, vm)
    add_children(m.td[vm], PageCount(pages_per_leaf(level)))
    set_entry(m, vm, gfn, level, pending_leaf(page))
    if WHOLE:
        unlock_walk(m, page, level, True)
    else:
        unlock_page(m, page)
    end(m, vm, gfn, level, False)
    return TDX_SUCCESS


def lock_free_page(m, page: Pfn, level: Level):
    """The page that AUG is given, at its size."""
    if WHOLE:
        return explicit(m, page, R8, PageType.NDA, level, True)
    return lock_page(m, page, R8)


@process
def tdh_mem_page_remove(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MEM.PAGE.REMOVE, tdx-module.md 7.6: a leaf that is blocked and tracked; the page goes back to the host."""
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_PAGE_REMOVE, vm, gfn, level, False)
        if status != TDX_SUCCESS:
            return status
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    word = locked_entry(m, vm, gfn, level)
    status = lock_leaf(m, vm, word, level)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, False)
        return status
    yield
    page = leaf_page(locked_entry(m, vm, gfn, level), level)
    set_entry(m, vm, gfn, level, SEPT_FREE)
    drop_children(m.td[vm], PageCount(pages_per_leaf(level)))
    release(m, page, level)
    if WHOLE or DYNAMIC_PAMT:
        yield
    unlock_implicit(m, page, level)
    last = uncount_page(m, page) if level == 1 else False
    end(m, vm, gfn, level, False)
    return succeed(m, freed(page, last), 0)


def lock_leaf(m, vm: VmId, word, level: Level):
    """A leaf whose page may be taken away: its PAMT entry locked, and no vCPU that may still hold the translation."""
    if not is_sept_leaf(word):
        return refuse_entry(m, TDX_EPT_ENTRY_STATE_INCORRECT, word, level)
    page = leaf_page(word, level)
    if not lock_implicit(m, page, level):
        return refuse(m, TDX_OPERAND_BUSY, RCX)
    status = tracking(m, vm, without_counter(word, level), level, page, level)
    if status != TDX_SUCCESS:
        unlock_implicit(m, page, level)
    return status


@process
def tdh_mem_page_add(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """TDH.MEM.PAGE.ADD, tdx-module.md 7.4: a page with content, before the TD runs; TDR exclusive, no other lock."""
    yield from locate(m, page)
    if not WHOLE:
        way = yield choose(lambda: ways(m, Leaf.MEM_PAGE_ADD))
        if fails(m, way):
            return m.injection.status
    status = enter_tdr(m, vm, True)
    if status != TDX_SUCCESS:
        return status
    status = addable(m, vm, gfn, level, page)
    if status != TDX_SUCCESS:
        leave_tdr(m, vm, True)
        return status
    yield
    assign(m, page, level, Role.GUEST, PageType.REG, vm)
    add_children(m.td[vm], 1)
    m.table[sept_table(m, vm, gfn, level)].word[index_at(gfn, level)] = mapped_leaf(page)
    unlock_page(m, page)
    leave_tdr(m, vm, True)
    return TDX_SUCCESS


def addable(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """The checks of PAGE.ADD after the TD: entry, source, page; on success the page is locked."""
    if level == 0:
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    at = stop_level(m, vm, gfn, level)
    word = entry_of(m, vm, gfn, at)
    if at != level:
        return refuse_entry(m, TDX_EPT_WALK_FAILED, word, at)
    if sept_state(word) != SeptState.FREE:
        return refuse_entry(m, TDX_EPT_ENTRY_STATE_INCORRECT, word, level)
    if WHOLE and malformed(m, R9):
        return refuse(m, TDX_OPERAND_INVALID, R9)
    return lock_page(m, page, R8)


@process
def tdh_mem_page_relocate(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """TDH.MEM.PAGE.RELOCATE, tdx-module.md 7.7: a private page moves to another frame, and is unblocked."""
    status = begin(m, vm, gfn, level, False)
    if status != TDX_SUCCESS:
        return status
    word = entry_of(m, vm, gfn, level)
    status = relocatable(m, vm, word, level, page)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, False)
        return status
    yield
    word = entry_of(m, vm, gfn, level)
    old = leaf_page(word, level)
    assign(m, page, level, Role.GUEST, PageType.REG, vm)
    set_entry(m, vm, gfn, level, unblocked((word & ~ADDRESS_MASK) | (u64(page) << PAGE_SHIFT)))
    release(m, old, level)
    yield
    unlock_implicit(m, old, level)
    last = uncount_page(m, old)
    unlock_page(m, page)
    end(m, vm, gfn, level, False)
    return succeed(m, freed(old, last), 0)


def relocatable(m, vm: VmId, word, level: Level, page: Pfn):
    """The checks of RELOCATE on entry and pages; on success both pages are locked."""
    if not is_sept_leaf(word):
        return refuse_entry(m, TDX_EPT_ENTRY_STATE_INCORRECT, word, level)
    if leaf_page(word, level) == page and not malformed(m, R8):
        return refuse(m, TDX_OPERAND_INVALID, R8)
    status = lock_leaf(m, vm, word, level)
    if status != TDX_SUCCESS:
        return status
    status = lock_page(m, page, R8)
    if status != TDX_SUCCESS:
        unlock_implicit(m, leaf_page(word, level), level)
    return status
