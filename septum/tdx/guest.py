"""What the guest does: TDG.MEM.PAGE.ACCEPT; tdx-module.md 6.3, 11.1."""

from septum.host.geometry import Gfn, Level, VmId, index_at
from septum.lang import Enum, Witness, process, reached
from septum.tdx.sept import PERMISSIONS, TDEL, TDHP, TDP, SeptState, entry_busy, sept_state, sept_table, unlock_entry

page_accepted = Witness("page_accepted", "the guest accepted a page")


class Accepted(Enum):
    """How an ACCEPT ends."""

    DONE = 0
    BUSY = 1
    SIZE_MISMATCH = 2
    VIOLATION = 3  # TD exit: EPT violation of type ACCEPT
    KICKED = 4  # an interrupt came first: TD exit, nothing was done
    TOO_LARGE = 5  # TD exit: the same violation, and it says that a larger leaf is pending


@process
def tdg_mem_page_accept(m, vm: VmId, gfn: Gfn, level: Level):
    """TDG.MEM.PAGE.ACCEPT: a PENDING entry becomes MAPPED, its page zeroed; holds the entry's lock meanwhile."""
    table = sept_table(m, vm, gfn, level)
    if table == 0:
        return above(m, vm, gfn)
    i = index_at(gfn, level)
    word = m.table[table].word[i]
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
    word = m.table[table].word[i]
    m.table[table].word[i] = (word & ~TDP) | PERMISSIONS
    unlock_entry(m, table, i)
    reached(page_accepted)
    return Accepted.DONE


def above(m, vm: VmId, gfn: Gfn):
    """The walk stopped above the level asked for: at a 2M leaf, which may be accepted already or pending, or at nothing."""
    table = sept_table(m, vm, gfn, Level(2))
    if table == 0:
        return Accepted.VIOLATION
    state = sept_state(m.table[table].word[index_at(gfn, Level(2))])
    if state == SeptState.MAPPED:
        return Accepted.DONE
    return Accepted.TOO_LARGE if state == SeptState.PENDING else Accepted.VIOLATION
