"""Tables that a task removes: handle_removed_pt() [6.1], event by event; kvm-mmu.md 4.9."""

from septum.host.entry import FROZEN_SPTE
from septum.lang import u8, u16
from septum.replay.traced.events import Guard, Kind, Step
from septum.replay.traced.followed import ROOTS, Followed, RootId, TableId
from septum.replay.traced.guards import first_present, freeze_entry
from septum.replay.traced.layout import Word, word_of
from septum.replay.traced.tables import abandon, detach, forget, index_of, kind_at, matches, table_gfn, unseen_root, walk
from septum.replay.traced.transitions import permitted


def removals_kept(m: Followed):
    """How many of the task's removals in progress this event belongs to; it ends those above."""
    e = m.event
    k = m.task[e.task]
    depth = k.depth
    if e.kind == Kind.SEAMCALL:
        return depth
    while depth != 0:
        if belongs(m, u8(depth)):
            return u8(depth)
        depth = u8(depth - 1)
    return u8(0)


def belongs(m: Followed, depth: u8):
    """Whether an event is part of the removal of this table: its announcement, an entry, its parent's entry, a child."""
    e = m.event
    r = m.task[e.task].removal[u8(depth - 1)]
    t = m.table[r.table]
    inside = table_gfn(e.gfn, t.level) == t.gfn
    if e.kind == Kind.CHANGED:
        if e.level == t.level and inside and e.new == FROZEN_SPTE:
            return True
        return not r.unlinked and e.level == t.level + 1 and inside and word_of(m, e.old, e.level) == Word.TABLE
    if e.kind == Kind.ZAP_PAGE:
        return (not r.announced and e.level == t.level and inside) or (e.level < t.level and inside)
    return False


def judge_removal(m: Followed, kept: u8):
    """An entry of a table that the task removes, or, where it comes last, the entry that pointed to the table."""
    e = m.event
    r = m.task[e.task].removal[kept - 1]
    if e.level == m.table[r.table].level:
        m.at = r.table
        m.index = u16(index_of(e.gfn, e.level))
        m.step = Step.FREEZE_ENTRY
        if not matches(m, r.table, m.index, e.old):
            return Guard.OLD_VALUE
        return freeze_entry(m, kept)
    m.at = m.table[r.table].parent
    m.index = m.table[r.table].slot
    if m.at == 0 or not matches(m, m.at, m.index, e.old):
        return Guard.OLD_VALUE
    done = removal_unlinking(m, kept)
    if done != Guard.NONE:
        return done
    if e.new == FROZEN_SPTE:
        m.step = Step.FREEZE_ENTRY
        return freeze_entry(m, u8(kept - 1)) if kept > 1 else Guard.NO_REMOVAL
    return permitted(m)


def removal_unlinking(m: Followed, depth: u8):
    """The entries of a table are done with when the event of its parent comes (7.3)."""
    r = m.task[m.event.task].removal[depth - 1]
    for i in range(r.next, 512):
        seen = kind_at(m, r.table, i)
        if r.shared or seen == Word.LEAF or seen == Word.TABLE:
            return Guard.LEFT
    return Guard.NONE


def judge_announcement(m: Followed, kept: u8):
    """kvm_mmu_prepare_zap_page: of the table just removed, or (7.3) of one that is about to be."""
    e = m.event
    k = m.task[e.task]
    m.step = Step.ANNOUNCE
    if kept != 0 and not k.removal[kept - 1].announced and m.table[k.removal[kept - 1].table].level == e.level:
        return Guard.NONE
    if not m.layout.parent_last:
        return Guard.NONE if k.blind else Guard.NO_REMOVAL
    for n in range(ROOTS):
        root = k.root if n == 0 else RootId(n)
        if m.at == 0 and root != 0 and m.root[root].table != 0:
            m.at = removable(m, walk(m, root, e.gfn, e.level))
    if m.at == 0 and m.midlife:
        unseen = unseen_root(m)
        m.at = removable(m, walk(m, unseen, e.gfn, e.level))
    return Guard.NO_TABLE if m.at == 0 else Guard.NONE


def removable(m: Followed, table: TableId):
    """A table that nobody else removes, and that is no root, which goes without an announcement; or else none."""
    other = m.table[table].remover
    return table if m.table[table].parent != 0 and (other == 0 or other == m.event.task) else TableId(0)


def announce(m: Followed, kept: u8):
    """The table of a removal, known from now on."""
    k = m.task[m.event.task]
    if kept != 0 and not k.removal[kept - 1].announced and m.table[k.removal[kept - 1].table].level == m.event.level:
        k.removal[kept - 1].announced = True
    elif m.at != 0:
        begin_removal(m, m.at, False)
        k.removal[u8(k.depth - 1)].announced = True


def begin_removal(m: Followed, table: TableId, unlinked):
    """handle_removed_pt() begins."""
    k = m.task[m.event.task]
    if m.table[table].remover != 0:
        abandon(m, m.table[table].remover, table)
    r = k.removal[k.depth]
    r.table = table
    m.table[table].remover = m.event.task
    r.next = 0
    r.announced = False
    r.unlinked = unlinked
    r.shared = False
    r.skipped = False
    r.first = first_present(m, table)
    k.depth = u8(k.depth + 1)
    m.removals = m.removals + 1


def unlink(m: Followed, child: TableId, kept: u8):
    """The table below an entry is removed; its removal begins, or (7.3) was complete."""
    k = m.task[m.event.task]
    detach(m, child)
    if kept != 0 and k.removal[kept - 1].table == child:
        k.removal[kept - 1].unlinked = True
    elif m.layout.parent_last and (k.blind or not m.traced.zap_page):
        forget(m, child)
    else:
        begin_removal(m, child, True)


def advance(m: Followed, kept: u8):
    """One more entry of a removed table is frozen."""
    e = m.event
    depth = kept
    k = m.task[e.task]
    if e.level != m.table[k.removal[u8(depth - 1)].table].level:
        k.removal[u8(depth - 1)].unlinked = True
        depth = u8(depth - 1)
    r = k.removal[u8(depth - 1)]
    i = index_of(e.gfn, e.level)
    if i != r.next:
        r.skipped = True
    if word_of(m, e.old, e.level) == Word.NONPRESENT:
        r.shared = True
    r.next = u16(i + 1)
