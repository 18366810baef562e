"""Which root a change is about. No event names it: the entry has to hold the old value, and the step has to be possible."""

from septum.host.entry import FROZEN_SPTE
from septum.lang import each, u16, u32
from septum.replay.traced.events import Guard, Kind, Step
from septum.replay.traced.followed import ANY_SPACE, Followed, RootId, TableId, TaskId
from septum.replay.traced.tables import index_of, table_gfn, unseen_root, walk, walk_known
from septum.replay.traced.transitions import holds_old, permitted


def judge_change(m: Followed):
    """An entry of some root, or of a table that another task is about to free."""
    e = m.event
    best = Guard.NO_TABLE
    place = TableId(0)
    own = m.task[e.task].root
    if own != 0 and not m.root[own].invalid and is_candidate(m, own):
        best = consider(m, own, True)
        place = m.at
    if best != Guard.NONE:
        best = best_root(m, best, place)
        place = m.at
    if best != Guard.NONE and m.midlife:
        best = made_up_root(m, best, place)
        place = m.at
    if best != Guard.NONE and m.removals != 0:
        for other in each(TaskId):
            if best != Guard.NONE and m.task[other].depth != 0:
                guard = among_removed(m, other)
                if guard == Guard.NONE:
                    best = guard
                    place = m.at
    if best != Guard.NONE and m.midlife and own == 0 and (m.roots == 0 or m.last_resort):
        unseen = unseen_root(m)
        best = consider(m, unseen, True)
        place = m.at
    m.at = place
    m.index = u16(index_of(e.gfn, e.level))
    if place != 0 and best != Guard.NONE and best != Guard.OLD_VALUE:
        best = permitted(m)
    if best == Guard.NO_TABLE and m.task[e.task].blind and e.new == FROZEN_SPTE:
        m.step = Step.UNSEEN
        return Guard.NONE
    return best


def best_root(m: Followed, before: Guard, at: TableId):
    """The likeliest root that can explain the event, its table in m.at; or else what stands in the way."""
    best = before
    place = at
    found = RootId(0)
    for r in each(RootId):
        if m.root[r].table != 0 and is_candidate(m, RootId(r)):
            guard = consider(m, RootId(r), False)
            if guard == Guard.NONE:
                if found != 0 and m.task[m.event.task].vm == 0 and not m.root[found].midlife and not m.root[r].midlife:
                    m.ambiguous = m.ambiguous + 1
                if found == 0 or is_likelier(m, RootId(r), found):
                    found = RootId(r)
                    place = m.at
                best = Guard.NONE
            elif best != Guard.NONE and m.at != 0 and (place == 0 or (best == Guard.OLD_VALUE and guard != Guard.OLD_VALUE)):
                best = guard
                place = m.at
    m.at = place
    return best


def made_up_root(m: Followed, before: Guard, at: TableId):
    """In the middle of a VM's life: the likeliest root that may have tables which no event has told of."""
    best = before
    found = RootId(0)
    for r in each(RootId):
        if m.root[r].table != 0 and is_candidate(m, RootId(r)) and walk_known(m, RootId(r), m.event.gfn, m.event.level) == 0:
            if found == 0 or is_likelier(m, RootId(r), found):
                found = RootId(r)
    if found != 0:
        best = consider(m, found, True)
    if best != Guard.NONE and (found == 0 or m.at == 0 or at != 0):
        m.at = at
        best = before
    return best


def is_candidate(m: Followed, root: RootId):
    """Whether a task may work on a root: address space and VM agree where they are known."""
    space = m.root[root].as_id
    if m.event.kind == Kind.CHANGED and space != ANY_SPACE and space != m.event.as_id:
        return False
    k = m.task[m.event.task]
    return k.vm == 0 or m.root[root].vm == 0 or m.root[root].vm == k.vm


def is_likelier(m: Followed, root: RootId, other: RootId):
    """A valid root goes before an invalid one, then the root of the nearest PID, then the newest."""
    if m.root[root].invalid != m.root[other].invalid:
        return m.root[other].invalid
    one = distance(m.task[m.event.task].pid, m.root[root].pid)
    two = distance(m.task[m.event.task].pid, m.root[other].pid)
    return one < two if one != two else m.root[root].born > m.root[other].born


def distance(a, b):
    """How far two PIDs are apart."""
    return u32(a - b) if a > b else u32(b - a)


def consider(m: Followed, root: RootId, make):
    """What stands in the way if the event is about the entry of this root; m.at is its table, which `make` may make up."""
    e = m.event
    m.at = walk(m, root, e.gfn, e.level) if make else walk_known(m, root, e.gfn, e.level)
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
