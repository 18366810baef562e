"""Secure EPT: entries, their states and lock, the walk, and the prologue that the leaves on an entry share.

The encodings are those of tdx-module.md 5.1; a state is read from the bits PS, TDP, TDB, TDBW, TDEX.
"""

from septum.host.entry import ADDRESS_MASK, PAGE_SHIFT, SEPT_FREE
from septum.host.geometry import ENTRY_BITS, Gfn, Level, Pfn, VmId, index_at
from septum.lang import Enum, Size, Struct, Witness, atomic, choose, commutes, process, reached, u8, u64
from septum.tdx.geometry import WHOLE
from septum.tdx.injection import fails, ways
from septum.tdx.leaves import Leaf
from septum.tdx.locks import busy, release_tree, try_tree
from septum.tdx.operands import RCX, RDX, SEPT_TREE
from septum.tdx.processor import me, refuse
from septum.tdx.status import TDX_EPT_WALK_FAILED, TDX_OPERAND_BUSY, TDX_OPERAND_INVALID, TDX_SUCCESS
from septum.tdx.td import enter_td, leave_td, top_level
from septum.tdx.versions import KEEPS_PRIORITY, TREE_PRIORITY

IPAT = 1 << 6
PS = 1 << 7
TDEL = 1 << 11  # entry lock
TDHP = 1 << 52  # host priority
TDB = 1 << 55
TDP = 1 << 56
SVE = 1 << 63
PERMISSIONS = 0x407  # R, W, X, Xu
MEMORY_TYPE = 0x38
LEAF = SVE | 0xF0  # WB, IPAT, PS
NONLEAF = SVE
STATE_MASK = PS | TDP | TDB | 1 << 54 | 1 << 53

WALKS_ONCE = Size("WALKS_ONCE", 0)  # in a machine: a call remembers where its walk ended, as the module does; more state
entry_busy = Witness("entry_busy", "host and guest met on the lock of an S-EPT entry")


class Walk(Struct):
    """Where the walk of the call that a CPU is in ended."""

    table: Pfn


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


def reported(state: SeptState):
    """How extended error information names a state, tdx-module.md 5.2."""
    if state == SeptState.NL_MAPPED:
        return 0x84
    if state == SeptState.NL_BLOCKED:
        return 0x81
    if state == SeptState.MAPPED:
        return 4
    if state == SeptState.BLOCKED:
        return 1
    if state == SeptState.PENDING:
        return 2
    return 3 if state == SeptState.PENDING_BLOCKED else 0


def sept_page(word):
    """The page that an entry points to."""
    return Pfn((word & ADDRESS_MASK) >> PAGE_SHIFT)


def leaf_page(word, level: Level):
    """The first page of a leaf. The accept counter of a pending 2M leaf lies in the bits below."""
    if WHOLE and level == 2:
        return Pfn(((word & ADDRESS_MASK) >> (PAGE_SHIFT + ENTRY_BITS)) << ENTRY_BITS)
    return sept_page(word)


def is_sept_leaf(word):
    """Whether an entry is a leaf, in any state."""
    return word & PS != 0


def is_blocked(word):
    """States with tracking that are blocked: NL_BLOCKED, BLOCKED, PENDING_BLOCKED."""
    return word & TDB != 0 and sept_state(word) != SeptState.FREE


def sept_table(m, vm: VmId, gfn: Gfn, level: Level):
    """The walk of tdx-module.md 5.3: the S-EPT page with the entry of `gfn` at `level`; 0 if it stops above."""
    table = m.td[vm].root
    at = top_level(m, vm)
    while at != level and table != 0:
        word = m.table[table].word[index_at(gfn, at)]
        table = sept_page(word) if sept_state(word) == SeptState.NL_MAPPED else 0
        at = Level(at - 1)
    return table


def stop_level(m, vm: VmId, gfn: Gfn, level: Level):
    """The level at which a walk to `level` ends: `level` itself, or that of the entry that cannot be passed."""
    at = top_level(m, vm)
    while at != level:
        if sept_state(entry_of(m, vm, gfn, at)) != SeptState.NL_MAPPED:
            return at
        at = Level(at - 1)
    return at


def report(m, word, level: Level):
    """Extended error information, tdx-module.md 5.4: the entry in RCX, its level and state in RDX."""
    if WHOLE:
        state = sept_state(word)
        answer = m.lp[me()].answer
        answer.rdx = u8(level - 1) | (reported(state) << 8)
        if state == SeptState.FREE:
            answer.rcx = SVE
        elif is_sept_leaf(word):
            answer.rcx = u64(word & (SVE | PERMISSIONS | MEMORY_TYPE | IPAT | PS | ADDRESS_MASK))
        else:
            answer.rcx = u64(word & PERMISSIONS)


def refuse_entry(m, status, word, level: Level):
    """A status about the entry of RCX, with its extended error information."""
    report(m, word, level)
    return refuse(m, status, RCX)


def host_lock(m, table: Pfn, i):
    """The host takes the lock of an entry; a failure gives it priority over guests. tdx-module.md 3."""
    atomic("the module takes the lock of an entry by compare-and-exchange")
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
    commutes("a call has acted before it releases, and who is BUSY in between was BUSY before that too")
    m.table[table].word[i] = m.table[table].word[i] & ~TDEL


def walk(m, vm: VmId, gfn: Gfn, level: Level, exclusive: bool):
    """entry_op() of tdx-module.md 15 as far as the walk: TD, operand, tree lock; on an error nothing stays locked.

    The whole module remembers what it read: another LP may run before the entry is locked and read again.
    """
    td = m.td[vm]
    status = enter_td(m, vm)
    if status != TDX_SUCCESS:
        return status
    if WHOLE and m.lp[me()].leaf == Leaf.MEM_SEPT_RD and m.lp[me()].given.rdx & 1 != 0:  # attributes, of debug TDs only
        leave_td(m, vm)
        return refuse(m, TDX_OPERAND_INVALID, RDX)
    if WHOLE and level == 0:
        leave_td(m, vm)
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    if not try_tree(td.tree, exclusive):
        leave_td(m, vm)
        return refuse(m, TDX_OPERAND_BUSY, SEPT_TREE)
    table = sept_table(m, vm, gfn, level)
    if table == 0:
        if WHOLE:
            at = stop_level(m, vm, gfn, level)
            report(m, entry_of(m, vm, gfn, at), at)
        leave_tree(m, vm, exclusive)
        return refuse(m, TDX_EPT_WALK_FAILED, RCX)
    if WHOLE:
        m.lp[me()].walked = table
        m.lp[me()].word = m.table[table].word[index_at(gfn, level)]
    if WALKS_ONCE:
        m.cpu[me()].walk.table = table
    return TDX_SUCCESS


@process
def approach(m, leaf: Leaf, vm: VmId, gfn: Gfn, level: Level, exclusive: bool):
    """What comes before `begin` inside of a machine: another CPU may run, and the call may be made to fail.

    Where a loser marks the tree, it is taken in a step of its own: another call may lose it to one that will not get its entry.
    """
    way = yield choose(lambda: ways(m, leaf))
    if fails(m, way):
        return m.injection.status
    status = TDX_SUCCESS
    if TREE_PRIORITY:
        status = walk(m, vm, gfn, level, exclusive)
        if status == TDX_SUCCESS:
            yield
    return status


def begin(m, vm: VmId, gfn: Gfn, level: Level, exclusive: bool):
    """entry_op() of tdx-module.md 15 to its end, the entry lock; on an error nothing stays locked."""
    atomic("one walk, below a tree that is locked; docs/fidelity.md says what a call that loses a later lock hides")
    if not WHOLE and not TREE_PRIORITY:
        status = walk(m, vm, gfn, level, exclusive)
        if status != TDX_SUCCESS:
            return status
    table = m.cpu[me()].walk.table if WALKS_ONCE else sept_table(m, vm, gfn, level)
    if WHOLE and table != m.lp[me()].walked:  # PROMOTE freed it, and left its entries locked
        return refuse_busy(m, vm, level, exclusive)
    if not host_lock(m, table, index_at(gfn, level)):
        return refuse_busy(m, vm, level, exclusive)
    return TDX_SUCCESS


def refuse_busy(m, vm: VmId, level: Level, exclusive: bool):
    """An entry that is locked; extended error information is that of the walk."""
    if WHOLE:
        report(m, m.lp[me()].word, level)
    leave_tree(m, vm, exclusive)
    return refuse(m, TDX_OPERAND_BUSY, RCX)


def leave_tree(m, vm: VmId, exclusive: bool):
    """Gives tree and TDR back."""
    release_tree(m.td[vm].tree, exclusive)
    leave_td(m, vm)


def end(m, vm: VmId, gfn: Gfn, level: Level, exclusive: bool):
    """Releases all that `begin` took."""
    unlock_entry(m, walked_to(m, vm, gfn, level), index_at(gfn, level))
    leave_tree(m, vm, exclusive)


def walked_to(m, vm: VmId, gfn: Gfn, level: Level):
    """The S-EPT page with the entry that `begin` locked; the whole module remembers it."""
    if WALKS_ONCE:
        return m.cpu[me()].walk.table
    return m.lp[me()].walked if WHOLE else sept_table(m, vm, gfn, level)


def entry_of(m, vm: VmId, gfn: Gfn, level: Level):
    """The entry of `gfn` at `level`, whose table is there."""
    return m.table[sept_table(m, vm, gfn, level)].word[index_at(gfn, level)]


def locked_entry(m, vm: VmId, gfn: Gfn, level: Level):
    """The entry that `begin` locked."""
    if WALKS_ONCE:
        return m.table[m.cpu[me()].walk.table].word[index_at(gfn, level)]
    return entry_of(m, vm, gfn, level)


def set_entry(m, vm: VmId, gfn: Gfn, level: Level, word):
    """Writes an entry that is locked; it stays locked."""
    atomic("the module walks once, when it locks the entry, and the tree is locked against who removes tables")
    table = walked_to(m, vm, gfn, level)
    i = index_at(gfn, level)
    if KEEPS_PRIORITY:
        m.table[table].word[i] = word | TDEL | (m.table[table].word[i] & TDHP)
    else:
        m.table[table].word[i] = word | TDEL


def pending_leaf(page: Pfn):
    """PENDING: waits for the guest to accept it; no permissions."""
    return (u64(page) << PAGE_SHIFT) | LEAF | TDP


def mapped_leaf(page: Pfn):
    """MAPPED: accepted."""
    return (u64(page) << PAGE_SHIFT) | LEAF | PERMISSIONS


def mapped_table(page: Pfn):
    """NL_MAPPED."""
    return (u64(page) << PAGE_SHIFT) | NONLEAF | PERMISSIONS
