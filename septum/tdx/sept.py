"""Secure EPT: entries, their states and lock, the walk, and the prologue that the leaves on an entry share.

The encodings are those of tdx-module.md 5.1; a state is read from the bits PS, TDP, TDB, TDBW, TDEX.
"""

from septum.host.entry import ADDRESS_MASK, PAGE_SHIFT, SEPT_FREE
from septum.host.geometry import LEVELS, Gfn, Level, Pfn, VmId, index_at
from septum.lang import Enum, Witness, reached, u64
from septum.tdx.locks import busy, release_exclusive, release_shared, try_exclusive, try_shared
from septum.tdx.status import TDX_EPT_WALK_FAILED, TDX_OPERAND_BUSY, TDX_SUCCESS
from septum.tdx.td import enter_td, leave_td

PS = 1 << 7
TDEL = 1 << 11  # entry lock
TDHP = 1 << 52  # host priority
TDB = 1 << 55
TDP = 1 << 56
SVE = 1 << 63
PERMISSIONS = 0x407  # R, W, X, Xu
LEAF = SVE | 0xF0  # WB, IPAT, PS
NONLEAF = SVE
STATE_MASK = PS | TDP | TDB | 1 << 54 | 1 << 53

entry_busy = Witness("entry_busy", "host and guest met on the lock of an S-EPT entry")


class SeptState(Enum):
    """States of an entry without migration, tdx-module.md 5.2."""

    FREE = 0
    NL_MAPPED = 1
    NL_BLOCKED = 2
    MAPPED = 3
    BLOCKED = 4
    PENDING = 5
    PENDING_BLOCKED = 6


def sept_state(word):
    """The state that an entry encodes."""
    bits = word & STATE_MASK
    if bits == SEPT_FREE & STATE_MASK:
        return SeptState.FREE
    if bits == PS:
        return SeptState.MAPPED
    if bits == PS | TDB:
        return SeptState.BLOCKED
    if bits == PS | TDP:
        return SeptState.PENDING
    if bits == PS | TDP | TDB:
        return SeptState.PENDING_BLOCKED
    return SeptState.NL_BLOCKED if bits == TDB else SeptState.NL_MAPPED


def sept_page(word):
    """The page that an entry points to."""
    return Pfn((word & ADDRESS_MASK) >> PAGE_SHIFT)


def is_sept_leaf(word):
    """Whether an entry is a leaf, in any state."""
    return word & PS != 0


def is_blocked(word):
    """States with tracking that are blocked: NL_BLOCKED, BLOCKED, PENDING_BLOCKED."""
    return word & TDB != 0 and sept_state(word) != SeptState.FREE


def sept_table(m, vm: VmId, gfn: Gfn, level: Level):
    """The walk of tdx-module.md 5.3: the S-EPT page with the entry of `gfn` at `level`; 0 if it stops above."""
    table = m.td[vm].root
    at = Level(LEVELS)
    while at != level and table != 0:
        word = m.table[table].word[index_at(gfn, at)]
        table = sept_page(word) if sept_state(word) == SeptState.NL_MAPPED else 0
        at = Level(at - 1)
    return table


def host_lock(m, table: Pfn, i):
    """The host takes the lock of an entry; a failure gives it priority over guests. tdx-module.md 3."""
    word = m.table[table].word[i]
    if word & TDEL != 0:
        m.table[table].word[i] = word | TDHP
        reached(busy)
        reached(entry_busy)
        return False
    m.table[table].word[i] = (word & ~TDHP) | TDEL
    return True


def unlock_entry(m, table: Pfn, i):
    """Gives the lock of an entry back; host priority stays."""
    m.table[table].word[i] = m.table[table].word[i] & ~TDEL


def begin(m, vm: VmId, gfn: Gfn, level: Level, exclusive: bool):
    """entry_op() of tdx-module.md 15: TD, tree lock, walk, entry lock; on an error nothing stays locked."""
    td = m.td[vm]
    status = enter_td(m, vm)
    if status != TDX_SUCCESS:
        return status
    got = try_exclusive(td.tree) if exclusive else try_shared(td.tree)
    if not got:
        leave_td(m, vm)
        return TDX_OPERAND_BUSY
    table = sept_table(m, vm, gfn, level)
    locked = host_lock(m, table, index_at(gfn, level)) if table != 0 else False
    if not locked:
        leave_tree(m, vm, exclusive)
        return TDX_OPERAND_BUSY if table != 0 else TDX_EPT_WALK_FAILED
    return TDX_SUCCESS


def leave_tree(m, vm: VmId, exclusive: bool):
    """Gives tree and TDR back."""
    if exclusive:
        release_exclusive(m.td[vm].tree)
    else:
        release_shared(m.td[vm].tree)
    leave_td(m, vm)


def end(m, vm: VmId, gfn: Gfn, level: Level, exclusive: bool):
    """Releases all that `begin` took."""
    unlock_entry(m, sept_table(m, vm, gfn, level), index_at(gfn, level))
    leave_tree(m, vm, exclusive)


def pending_leaf(page: Pfn):
    """PENDING: waits for the guest to accept it; no permissions."""
    return (u64(page) << PAGE_SHIFT) | LEAF | TDP


def mapped_leaf(page: Pfn):
    """MAPPED: accepted."""
    return (u64(page) << PAGE_SHIFT) | LEAF | PERMISSIONS


def mapped_table(page: Pfn):
    """NL_MAPPED."""
    return (u64(page) << PAGE_SHIFT) | NONLEAF | PERMISSIONS
