"""What the guest does: TDG.MEM.PAGE.ACCEPT, and accesses that walk the Secure EPT; tdx-module.md 6.3, 9.2, 11.1."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType
from septum.host.geometry import ENTRIES, Gfn, Level, Pfn, VmId, index_at
from septum.lang import Enum, Witness, atomic, process, reached, u8, u64
from septum.tdx.geometry import WHOLE
from septum.tdx.mem_range import ACCEPT_COUNTER
from septum.tdx.pamt import owner_at, type_at
from septum.tdx.processor import me, refuse
from septum.tdx.sept import (
    PERMISSIONS,
    TDEL,
    TDHP,
    TDP,
    SeptState,
    entry_busy,
    entry_of,
    is_sept_leaf,
    leaf_page,
    reported,
    sept_state,
    sept_table,
    stop_level,
    unlock_entry,
)
from septum.tdx.status import TDX_PAGE_ALREADY_ACCEPTED, TDX_PAGE_SIZE_MISMATCH
from septum.tdx.tlb import cache, cached, cached_page

page_accepted = Witness("page_accepted", "the guest accepted a page")

EXT_ACCEPT = 1  # types of the extended exit qualification
EXT_ATTRIBUTES = 5
EXT_PENDING = 6


class Accepted(Enum):
    """How an ACCEPT ends."""

    DONE = 0
    BUSY = 1
    SIZE_MISMATCH = 2
    VIOLATION = 3  # TD exit: EPT violation of type ACCEPT
    KICKED = 4  # an interrupt came first: TD exit, nothing was done
    TOO_LARGE = 5  # TD exit: the same violation, and it says that a larger leaf is pending
    ALREADY = 6
    HOST_PRIORITY = 7
    PENDING = 8  # ATTR: done, on a page that is pending


@process
def tdg_mem_page_accept(m, vm: VmId, gfn: Gfn, level: Level):
    """TDG.MEM.PAGE.ACCEPT: a PENDING entry becomes MAPPED, its page zeroed; holds the entry's lock meanwhile."""
    atomic("one walk: no table of it goes before TRACK saw the vCPU leave the guest")
    table = sept_table(m, vm, gfn, level)
    if table == 0:
        return above(m, vm, gfn, level)
    i = index_at(gfn, level)
    word = m.table[table].word[i]
    if WHOLE:
        leaf = is_sept_leaf(word)
        yield
        refused = guest_lock(m, table, i)
        if refused != Accepted.DONE:
            return refused
        found(m, m.table[table].word[i], level)
        ended = acceptable(m, m.table[table].word[i], level, leaf)
        if ended != Accepted.DONE:
            unlock_entry(m, table, i)
            return ended
    else:
        state = sept_state(word)
        if state == SeptState.MAPPED:
            return Accepted.DONE
        if state in (SeptState.NL_MAPPED, SeptState.NL_BLOCKED):
            return Accepted.SIZE_MISMATCH
        if state != SeptState.PENDING:
            return Accepted.VIOLATION
        if word & (TDEL | TDHP) != 0:
            reached(entry_busy)
            return Accepted.BUSY
        m.table[table].word[i] = word | TDEL
    yield
    atomic("the entry is locked, and a host that asks for priority meanwhile does so by a locked instruction")
    word = m.table[table].word[i]
    if WHOLE and level == 2:
        done = (word & ACCEPT_COUNTER) >> PAGE_SHIFT
        if m.lp[me()].interrupt and done + 1 < ENTRIES:
            m.table[table].word[i] = (word & ~ACCEPT_COUNTER) | ((done + 1) << PAGE_SHIFT)
            unlock_entry(m, table, i)
            return Accepted.KICKED
        word = word & ~ACCEPT_COUNTER
    m.table[table].word[i] = (word & ~TDP) | PERMISSIONS
    unlock_entry(m, table, i)
    reached(page_accepted)
    return Accepted.DONE


def above(m, vm: VmId, gfn: Gfn, level: Level):
    """The walk stopped above the level asked for: at a 2M leaf, which may be accepted already or pending, or at nothing."""
    if WHOLE:
        at = stop_level(m, vm, gfn, level)
        state = sept_state(entry_of(m, vm, gfn, at))
        found(m, entry_of(m, vm, gfn, at), at)
        if state == SeptState.MAPPED:
            refuse(m, TDX_PAGE_ALREADY_ACCEPTED, u8(at - 1))
            return Accepted.ALREADY
        return Accepted.TOO_LARGE if state == SeptState.PENDING else Accepted.VIOLATION
    table = sept_table(m, vm, gfn, Level(2))
    if table == 0:
        return Accepted.VIOLATION
    state = sept_state(m.table[table].word[index_at(gfn, Level(2))])
    if state == SeptState.MAPPED:
        return Accepted.DONE
    return Accepted.TOO_LARGE if state == SeptState.PENDING else Accepted.VIOLATION


def found(m, word, at: Level):
    """Remembers the entry at which a guest's leaf ended, and its level: what a TD exit says of it."""
    m.lp[me()].word = word
    m.lp[me()].at = at


def guest_lock(m, table: Pfn, i):
    """The guest takes the lock of an entry: not from a host that holds it or has priority; tdx-module.md 3."""
    atomic("the module takes the lock of an entry by compare-and-exchange")
    word = m.table[table].word[i]
    if word & TDEL != 0:
        reached(entry_busy)
        return Accepted.BUSY
    if word & TDHP != 0:
        return Accepted.HOST_PRIORITY
    m.table[table].word[i] = word | TDEL
    return Accepted.DONE


def acceptable(m, word, level: Level, leaf: bool):
    """What an ACCEPT finds at its level, tdx-module.md 6.3; whether it is a leaf was read before the lock was taken."""
    state = sept_state(word)
    if state == SeptState.MAPPED:
        refuse(m, TDX_PAGE_ALREADY_ACCEPTED, u8(level - 1))
        return Accepted.ALREADY
    if state in (SeptState.NL_MAPPED, SeptState.NL_BLOCKED) or (state == SeptState.PENDING and not leaf):
        refuse(m, TDX_PAGE_SIZE_MISMATCH, u8(level - 1))
        return Accepted.SIZE_MISMATCH
    return Accepted.DONE if state == SeptState.PENDING else Accepted.VIOLATION


@process
def tdg_mem_page_attr_wr(m, vm: VmId, gfn: Gfn, level: Level):
    """TDG.MEM.PAGE.ATTR.WR, tdx-module.md 11.2: attributes for L2 VMs. There are none: what is kept is lock and checks."""
    table = sept_table(m, vm, gfn, level)
    if table == 0:
        at = stop_level(m, vm, gfn, level)
        found(m, entry_of(m, vm, gfn, at), at)
        return Accepted.VIOLATION
    return (yield from attributes(m, table, gfn, level, True))


@process
def tdg_mem_page_attr_rd(m, vm: VmId, gfn: Gfn):
    """TDG.MEM.PAGE.ATTR.RD, tdx-module.md 11.2: the leaf of a GPA, wherever it is."""
    at = stop_level(m, vm, gfn, Level(1))
    return (yield from attributes(m, sept_table(m, vm, gfn, at), gfn, at, False))


@process
def attributes(m, table: Pfn, gfn: Gfn, level: Level, must_fit: bool):
    """The entry is locked, looked at and unlocked: a leaf that is mapped, or pending; a table where the level must fit."""
    i = index_at(gfn, level)
    yield
    refused = guest_lock(m, table, i)
    if refused != Accepted.DONE:
        return refused
    yield
    unlock_entry(m, table, i)
    word = m.table[table].word[i]
    found(m, word, level)
    state = sept_state(word)
    if must_fit and state in (SeptState.NL_MAPPED, SeptState.NL_BLOCKED):
        refuse(m, TDX_PAGE_SIZE_MISMATCH, u8(level - 1))
        return Accepted.SIZE_MISMATCH
    if state == SeptState.PENDING:
        return Accepted.PENDING
    return Accepted.DONE if state == SeptState.MAPPED else Accepted.VIOLATION


def would_fault(m, vm: VmId, gfn: Gfn, pending_passes: bool):
    """Whether an access to a private page ends in a TD exit; that to a pending one may be a #VE in the guest."""
    state = sept_state(entry_of(m, vm, gfn, stop_level(m, vm, gfn, Level(1))))
    return state != SeptState.MAPPED and not (pending_passes and state == SeptState.PENDING)


def translate(m, vm: VmId, gfn: Gfn):
    """The page that the guest reaches at `gfn`: of its cached translation if it has one, else by a walk; 0 if it faults.

    What it reaches must be the TD's: tlb, the consequence of every mistake in the tracking of translations.
    """
    place = cached(m, vm, gfn)
    at = Level(0)
    if place == 0:
        at = stop_level(m, vm, gfn, Level(1))
        word = entry_of(m, vm, gfn, at)
        if sept_state(word) != SeptState.MAPPED:
            return Pfn(0)
        cache(m, vm, gfn, at, leaf_page(word, at))
        place = cached(m, vm, gfn)
    page = cached_page(m, place, gfn)
    owned = type_of(m, page) == PageType.REG and owner_of(m, page) == vm
    assert owned, "tlb: the guest reaches a page that is not the TD's any more"
    return page


def size_at(m, page: Pfn):
    """The size of the page that holds a frame, by the PAMT."""
    if type_at(m, page, Level(3)) == PageType.REG:
        return Level(3)
    return Level(2) if type_at(m, page, Level(2)) == PageType.REG else Level(1)


def type_of(m, page: Pfn):
    """The type of the page that holds a frame."""
    return type_at(m, page, size_at(m, page))


def owner_of(m, page: Pfn):
    """The TD that owns the page that holds a frame."""
    return owner_at(m, page, size_at(m, page))


def failed_info(word, at: Level, level: Level, of: u8):
    """Extended exit qualification of a failed ACCEPT or ATTR: requested level, and level, state and kind of the failing entry."""
    leaf = 1 if is_sept_leaf(word) else 0
    info = u8(level - 1) | (u8(at - 1) << 3) | (reported(sept_state(word)) << 6) | (leaf << 14)
    return u64((info << 32) | of)


def failed_qualification(word):
    """Exit qualification of a failed ACCEPT or ATTR: a write, and the permissions of the failing entry."""
    return u64(2 | ((word & 7) << 3))
