"""What is known after events were lost, or after one that no step explains."""

from septum.host.geometry import Level
from septum.lang import u8, u32
from septum.replay.traced.effects import change
from septum.replay.traced.events import Call, Guard, Kind, Step
from septum.replay.traced.followed import Followed, RootId, TableId, TaskId
from septum.replay.traced.layout import UNKNOWN, Word, frame_of, word_of
from septum.replay.traced.removals import removals_kept
from septum.replay.traced.steps import follow
from septum.replay.traced.tables import attach, end_removal, fill_split, forget, index_of, new_table, store, walk


def lose(m: Followed):
    """Events were lost: nothing is known of any entry until it is seen again, nor what any task is in the middle of."""
    m.midlife = True
    m.epoch = u32(m.epoch + 1)


def blind(m: Followed, task: TaskId):
    """Nothing is known of what a task is in the middle of; what it had unlinked is gone."""
    k = m.task[task]
    while k.depth != 0:
        k.depth = u8(k.depth - 1)
        table = k.removal[k.depth].table
        end_removal(m, task)
        if m.table[table].parent == 0:
            forget(m, table)
    k.owes_set = False
    k.owes_split = False
    k.faulting = False
    k.linked = False
    k.has_page = False
    k.call = Call.NONE
    k.owes_call = Call.NONE
    k.blind = True


def adopt(m: Followed):
    """After an event that no step explains: the entry holds what the event says, and the task may be anywhere."""
    e = m.event
    kept = removals_kept(m)
    m.guard = follow(m)
    if m.step == Step.FREEZE_ENTRY and kept != 0 and m.at != 0:
        change(m, kept)
        return
    blind(m, e.task)
    m.guard = follow(m)
    if m.guard != Guard.NONE and e.kind == Kind.CHANGED:
        overwrite(m)
    if e.kind == Kind.SPLIT and not e.failed:
        split_unseen(m)


def split_unseen(m: Followed):
    """kvm_mmu_split_huge_page tells of a split whose change was not seen: the table is there, by whatever entry."""
    e = m.event
    root = m.task[e.task].root if m.task[e.task].root != 0 else RootId(1)
    table = walk(m, root, e.gfn, e.level) if m.root[root].table != 0 else TableId(0)
    if table != 0:
        i = index_of(e.gfn, e.level)
        if m.child[table].table[i] == 0:
            below = new_table(m, 0, e.gfn, Level(e.level - 1), True)
            store(m, table, i, UNKNOWN)
            attach(m, table, i, below)
            fill_split(m, below, e.old, e.level)


def overwrite(m: Followed):
    """The entry that an unexplained event names takes its new value; what lies below it is forgotten."""
    e = m.event
    table = m.at
    root = m.task[e.task].root if m.task[e.task].root != 0 else RootId(1)
    if table == 0 and m.root[root].table != 0:
        table = walk(m, root, e.gfn, e.level)
    if table != 0:
        i = index_of(e.gfn, e.level)
        child = m.child[table].table[i] if e.level != 1 else TableId(0)
        after = word_of(m, e.new, e.level)
        if child != 0 and after != Word.TABLE:
            forget(m, child)
        store(m, table, i, e.new)
        if after == Word.TABLE and child == 0:
            attach(m, table, i, new_table(m, frame_of(e.new), e.gfn, Level(e.level - 1), False))
