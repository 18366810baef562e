"""Which root a change is about. No event names it: the entry has to hold the old value, and the step has to be possible."""

from septum.host.geometry import Level
from septum.kvm.traced.events import Guard, Kind
from septum.kvm.traced.followed import ANY_SPACE, Followed, RootId, TableId, TaskId
from septum.kvm.traced.tables import first_gfn, index_of, new_root, table_gfn, walk
from septum.kvm.traced.transitions import holds_old, permitted
from septum.lang import each, u16


def judge_change(m: Followed):
    """An entry of some root, or of a table that another task is about to free."""
    e = m.event
    if e.gfn != first_gfn(e.gfn, e.level):
        return Guard.UNALIGNED
    if e.old == e.new:
        return Guard.NOT_A_CHANGE
    best = Guard.NO_TABLE
    place = TableId(0)
    if m.task[e.task].root != 0:
        best = consider(m, m.task[e.task].root)
        place = m.at
    if best != Guard.NONE:
        best = best_root(m, best, place)
        place = m.at
    if best != Guard.NONE and m.removals != 0:
        for other in each(TaskId):
            if best != Guard.NONE and m.task[other].depth != 0:
                guard = among_removed(m, other)
                if guard == Guard.NONE:
                    best = guard
                    place = m.at
    if best != Guard.NONE and m.midlife and m.task[e.task].root == 0:
        place = TableId(0)
        best = consider(m, unseen_root(m))
        place = m.at
    m.at = place
    m.index = u16(index_of(e.gfn, e.level))
    if place != 0 and best != Guard.NONE and best != Guard.OLD_VALUE:
        best = permitted(m)
    return best


def best_root(m: Followed, before: Guard, at: TableId):
    """The newest root that can explain the event, its table in m.at; or else what stands in the way."""
    best = before
    place = at
    found = RootId(0)
    for r in each(RootId):
        if m.root[r].table != 0 and r != m.task[m.event.task].root and is_candidate(m, r):
            guard = consider(m, r)
            if guard == Guard.NONE:
                if found != 0 and not m.root[found].midlife and not m.root[r].midlife:
                    m.ambiguous = m.ambiguous + 1
                if found == 0 or (m.root[r].born > m.root[found].born and not m.root[r].midlife):
                    found = r
                    place = m.at
                best = Guard.NONE
            elif best != Guard.NONE and m.at != 0 and (place == 0 or (best == Guard.OLD_VALUE and guard != Guard.OLD_VALUE)):
                best = guard
                place = m.at
    m.at = place
    return best


def is_candidate(m: Followed, root: RootId):
    """Whether a task may work on a root: address space and VM agree where they are known, and no other thread is this vCPU."""
    space = m.root[root].as_id
    if m.event.kind == Kind.CHANGED and space != ANY_SPACE and space != m.event.as_id:
        return False
    k = m.task[m.event.task]
    if k.vm != 0 and m.root[root].vm != 0 and m.root[root].vm != k.vm:
        return False
    if k.root != 0:
        return m.root[k.root].midlife or not m.root[root].midlife
    if k.vcpu != 0 and m.births > 1:
        for other in each(TaskId):
            if m.task[other].vcpu == k.vcpu and m.task[other].root == root:
                return False
    return True


def unseen_root(m: Followed):
    """The root of a VM that ran before the trace began; made up when its first event comes."""
    e = m.event
    vm = m.task[e.task].vm
    for r in each(RootId):
        if m.root[r].midlife and m.root[r].table != 0 and m.root[r].vm == vm:
            if m.root[r].as_id == ANY_SPACE or m.root[r].as_id == e.as_id:
                return RootId(r)
    levels = Level(5 if e.level == 5 or e.gfn >> 36 != 0 else 4)
    return new_root(m, e.task, levels, False)


def consider(m: Followed, root: RootId):
    """What stands in the way if the event is about the entry of this root; m.at is its table."""
    m.at = walk(m, root, m.event.gfn, m.event.level)
    if m.at == 0:
        return Guard.NO_TABLE
    m.index = u16(index_of(m.event.gfn, m.event.level))
    if m.event.sptep != 0 and m.table[m.at].pfn != 0 and m.event.sptep >> 12 != m.table[m.at].pfn:
        return Guard.OTHER_ADDRESS
    if not holds_old(m):
        return Guard.OLD_VALUE
    return permitted(m)


def among_removed(m: Followed, other: TaskId):
    """Another task removes the table; what a fault wrote into it before it was frozen has an event all the same."""
    e = m.event
    for d in range(5):
        if d < m.task[other].depth:
            r = m.task[other].removal[d]
            t = m.table[r.table]
            if t.level == e.level and table_gfn(e.gfn, t.level) == t.gfn:
                m.at = r.table
                m.index = u16(index_of(e.gfn, e.level))
                if m.index >= r.next and holds_old(m):
                    return permitted(m)
    return Guard.NO_TABLE
