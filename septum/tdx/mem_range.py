"""SEAMCALL leaves that block an entry and unblock it: RANGE.BLOCK, RANGE.UNBLOCK; tdx-module.md 7.10, 7.11."""

from septum.host.entry import PAGE_SHIFT
from septum.host.geometry import ENTRIES, Gfn, Level, VmId
from septum.lang import process
from septum.tdx.geometry import WHOLE
from septum.tdx.leaves import Leaf
from septum.tdx.pamt import set_bepoch
from septum.tdx.sept import (
    PERMISSIONS,
    TDB,
    TDP,
    SeptState,
    approach,
    begin,
    end,
    entry_of,
    is_blocked,
    is_sept_leaf,
    leaf_page,
    locked_entry,
    refuse_entry,
    sept_page,
    sept_state,
    set_entry,
)
from septum.tdx.status import TDX_EPT_ENTRY_STATE_INCORRECT, TDX_GPA_RANGE_ALREADY_BLOCKED, TDX_SUCCESS
from septum.tdx.tracking import tracking

ACCEPT_COUNTER = (ENTRIES - 1) << PAGE_SHIFT  # of a pending 2M leaf: its 4K pages that are done


@process
def tdh_mem_range_block(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MEM.RANGE.BLOCK, tdx-module.md 7.10: tree exclusive; the epoch is sampled after the entry is blocked."""
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_RANGE_BLOCK, vm, gfn, level, True)
        if status != TDX_SUCCESS:
            return status
    status = begin(m, vm, gfn, level, True)
    if status != TDX_SUCCESS:
        return status
    word = locked_entry(m, vm, gfn, level)
    if is_blocked(word) or sept_state(word) == SeptState.FREE:
        end(m, vm, gfn, level, True)
        refused = TDX_GPA_RANGE_ALREADY_BLOCKED if is_blocked(word) else TDX_EPT_ENTRY_STATE_INCORRECT
        return refuse_entry(m, refused, word, level)
    yield
    word = without_counter(locked_entry(m, vm, gfn, level), level)
    set_entry(m, vm, gfn, level, (word & ~PERMISSIONS) | TDB)
    if is_sept_leaf(word):
        set_bepoch(m, leaf_page(word, level), level, m.td[vm].epoch)
    else:
        set_bepoch(m, sept_page(word), Level(1), m.td[vm].epoch)
    end(m, vm, gfn, level, True)
    return TDX_SUCCESS


def without_counter(word, level: Level):
    """A 2M leaf whose ACCEPT was cut short starts over."""
    if WHOLE and level == 2 and sept_state(word) == SeptState.PENDING:
        return word & ~ACCEPT_COUNTER
    return word


@process
def tdh_mem_range_unblock(m, vm: VmId, gfn: Gfn, level: Level):
    """TDH.MEM.RANGE.UNBLOCK, tdx-module.md 7.11: a blocked entry that is tracked gets its state and permissions back."""
    if not WHOLE:
        status = yield from approach(m, Leaf.MEM_RANGE_UNBLOCK, vm, gfn, level, True)
        if status != TDX_SUCCESS:
            return status
    status = begin(m, vm, gfn, level, True)
    if status != TDX_SUCCESS:
        return status
    word = entry_of(m, vm, gfn, level)
    if is_blocked(word):
        page = leaf_page(word, level) if is_sept_leaf(word) else sept_page(word)
        status = tracking(m, vm, word, level, page, level if is_sept_leaf(word) else Level(1))
    else:
        status = refuse_entry(m, TDX_EPT_ENTRY_STATE_INCORRECT, word, level)
    if status != TDX_SUCCESS:
        end(m, vm, gfn, level, True)
        return status
    yield
    set_entry(m, vm, gfn, level, unblocked(entry_of(m, vm, gfn, level)))
    end(m, vm, gfn, level, True)
    return TDX_SUCCESS


def unblocked(word):
    """The entry as it was before it was blocked; permissions of a pending leaf are none."""
    opened = word & ~TDB
    return opened if word & TDP != 0 else opened | PERMISSIONS
