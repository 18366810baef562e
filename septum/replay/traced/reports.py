"""Events that tell of a change made before, or without an event of its own: a fault's end, a split's, a fast page fault."""

from septum.host.geometry import Level
from septum.lang import each, u16
from septum.replay.traced.events import Guard, Step
from septum.replay.traced.followed import ROOTS, Followed, RootId, TableId, TaskId
from septum.replay.traced.guards import page_wanted
from septum.replay.traced.layout import Word, frame_of, is_access_allowed, restored, word_of
from septum.replay.traced.roots import is_candidate
from septum.replay.traced.tables import first_gfn, index_of, kind_at, matches, table_gfn, walk, walk_known


def judge_set(m: Followed):
    """kvm_mmu_set_spte: the end of a fault, and the entry as it is read then."""
    e = m.event
    k = m.task[e.task]
    m.step = Step.REPORT if k.owes_set else Step.SPURIOUS
    if m.traced.requested and not k.blind:
        if not k.faulting:
            return Guard.NOT_REQUESTED
        if e.level > k.goal or (e.level < k.goal and k.linked):
            return Guard.OTHER_LEVEL
        if first_gfn(k.gfn, e.level) != e.gfn:
            return Guard.OTHER_GFN
    best = Guard.NO_TABLE
    place = TableId(0)
    for n in range(ROOTS):
        root = k.root if n == 0 else RootId(n)
        if best != Guard.NONE and root != 0 and m.root[root].table != 0 and (n == 0 or is_candidate(m, root)):
            table = walk(m, root, e.gfn, e.level) if n == 0 else walk_known(m, root, e.gfn, e.level)
            if table != 0:
                guard = reported(m, table)
                if guard == Guard.NONE or place == 0:
                    best = guard
                    place = table
    m.at = place
    m.index = u16(index_of(e.gfn, e.level))
    if best == Guard.NO_TABLE and m.midlife:
        m.step = Step.UNSEEN
        return Guard.NONE
    return best


def reported(m: Followed, table: TableId):
    """Whether kvm_mmu_set_spte may have read this entry."""
    e = m.event
    i = index_of(e.gfn, e.level)
    if e.sptep & 4095 != 8 * i:
        return Guard.OTHER_ADDRESS
    if m.table[table].pfn != 0 and m.table[table].pfn != e.sptep >> 12:
        return Guard.OTHER_ADDRESS
    if not matches(m, table, i, e.new):
        return Guard.OLD_VALUE
    k = m.task[e.task]
    if m.traced.requested and k.faulting and not k.blind and word_of(m, e.new, e.level) == Word.LEAF:
        return Guard.NONE if page_wanted(m) == frame_of(e.new) else Guard.OTHER_PFN
    return Guard.NONE


def judge_split(m: Followed):
    """kvm_mmu_split_huge_page: the former event of the task was the split, or it lost a race."""
    m.step = Step.SPLIT_LOST if m.event.failed else Step.SPLIT_DONE
    k = m.task[m.event.task]
    if m.event.failed or k.owes_split or k.blind:
        return Guard.NONE
    return Guard.OTHER_SPLIT


def judge_fast(m: Followed):
    """fast_page_fault() [6.1], kvm-mmu.md 4.3: W comes without an event of its own."""
    if m.event.spurious:
        m.step = Step.FAST_SPURIOUS
        return Guard.NONE if is_access_allowed(m, m.event.old, m.event.access) else Guard.NOT_ALLOWED
    m.step = Step.FAST_OTHER
    if m.event.failed:
        return Guard.NONE
    m.step = Step.FIX_FAST
    best = Guard.NO_TABLE
    for n in range(ROOTS):
        root = m.task[m.event.task].root if n == 0 else RootId(n)
        if best != Guard.NONE and root != 0 and m.root[root].table != 0:
            for level in range(1, 4):
                if best != Guard.NONE:
                    guard = fast_at(m, root, Level(level))
                    if guard != Guard.NO_TABLE:
                        best = guard
    if best != Guard.NONE and m.removals != 0:
        for other in each(TaskId):
            if best != Guard.NONE and m.task[other].depth != 0 and fast_among_removed(m, other) == Guard.NONE:
                best = Guard.NONE
    if best == Guard.NO_TABLE and m.midlife:
        m.step = Step.UNSEEN
        return Guard.NONE
    return best


def fast_at(m: Followed, root: RootId, level: Level):
    """Whether the leaf of a fast page fault is the entry of this root at this level; NO_TABLE if it has no leaf there."""
    table = walk_known(m, root, m.event.gfn, level)
    if table == 0:
        return Guard.NO_TABLE
    i = u16(index_of(m.event.gfn, level))
    if kind_at(m, table, i) != Word.LEAF:
        return Guard.NO_TABLE
    m.at = table
    m.index = i
    if not matches(m, table, i, m.event.old):
        return Guard.OLD_VALUE
    may = m.event.old & m.layout.mmu_writable != 0 or restored(m, m.event.old) != m.event.old
    return Guard.NONE if may else Guard.NO_FAST_WRITE


def fast_among_removed(m: Followed, other: TaskId):
    """A fast page fault fixes a leaf of a table that another task removes, before it is frozen."""
    for d in range(5):
        if d < m.task[other].depth:
            r = m.task[other].removal[d]
            t = m.table[r.table]
            i = u16(index_of(m.event.gfn, t.level))
            if table_gfn(m.event.gfn, t.level) == t.gfn and i >= r.next and kind_at(m, r.table, i) == Word.LEAF:
                if matches(m, r.table, i, m.event.old) and m.event.old & m.layout.mmu_writable != 0:
                    m.at = r.table
                    m.index = i
                    return Guard.NONE
    return Guard.NO_TABLE
