"""An event after another: which entry it is about, which step of the kernel it tells of, and what that changes.

`follow` answers Guard.NONE when the model can make the step, and changes nothing otherwise: the same event may come again after
one that it overtook.
"""

from septum.host.entry import FROZEN_SPTE, SHADOW_NONPRESENT_VALUE
from septum.host.geometry import Level
from septum.kvm.events import Guard, Kind, Step
from septum.kvm.followed import (
    ANY_SPACE,
    ROOTS,
    Followed,
    RootId,
    TableId,
    TaskId,
    attach,
    detach,
    fill_split,
    first_gfn,
    free_table,
    index_of,
    kind_at,
    matches,
    new_root,
    new_table,
    store,
    table_gfn,
    walk,
    word,
)
from septum.kvm.guards import (
    age,
    clear_dirty,
    first_present,
    freeze_entry,
    leaf_in_fault,
    link,
    outside_of_fault,
    recover,
    remap,
    removal_over,
    remove_table,
    split,
    write_protect,
)
from septum.kvm.layout import UNKNOWN, Word, frame_of, word_of
from septum.lang import each, u8, u16, u32


def follow(m: Followed):
    """One event: its step in m.step, the place in m.at and m.index, and what stands in the way, if anything."""
    e = m.event
    m.step = Step.NONE
    m.at = 0
    m.index = 0
    kept = removals_kept(m)
    guard = debts(m, kept)
    if guard == Guard.NONE:
        guard = judge(m, kept)
    m.guard = guard
    if guard != Guard.NONE:
        return guard
    settle(m, kept)
    apply(m, kept)
    if e.kind == Kind.PAGE_FAULT or e.kind == Kind.REQUESTED or e.kind == Kind.EXIT or e.kind == Kind.ENTRY:
        m.task[e.task].blind = False
    return guard


def removals_kept(m: Followed):
    """How many of the task's removals in progress this event belongs to; it ends those above."""
    e = m.event
    k = m.task[e.task]
    depth = k.depth
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


def debts(m: Followed, kept: u8):
    """What the task's former events call for before this one."""
    e = m.event
    k = m.task[e.task]
    if e.task == 0:
        return Guard.NONE
    if k.owes_split and m.traced.split:
        if e.kind != Kind.SPLIT or e.failed:
            return Guard.SPLIT_MISSING
        same = e.level == k.owed_level and e.gfn == k.owed_gfn and e.old == k.owed
        return Guard.NONE if same else Guard.OTHER_SPLIT
    depth = k.depth
    while depth != kept:
        guard = removal_over(m, e.task, depth)
        if guard != Guard.NONE:
            return guard
        depth = u8(depth - 1)
    if k.owes_set and kept == 0 and m.traced.set_spte:
        if e.kind == Kind.ZAP_PAGE:
            return Guard.NONE
        if e.kind != Kind.SET or e.level != k.owed_level or e.gfn != k.owed_gfn:
            return Guard.SET_MISSING
    return Guard.NONE


def settle(m: Followed, kept: u8):
    """The removals that are over are forgotten, and so are the debts."""
    k = m.task[m.event.task]
    while k.depth != kept:
        k.depth = u8(k.depth - 1)
        free_table(m, k.removal[k.depth].table)
        k.removal[k.depth].table = 0
        m.removals = m.removals - 1
    if kept == 0 and m.event.kind != Kind.ZAP_PAGE:
        k.owes_set = False
        k.owes_split = False


def judge(m: Followed, kept: u8):
    """Finds the step that an event tells of."""
    kind = m.event.kind
    if kind == Kind.CHANGED:
        if kept != 0:
            return judge_removal(m, kept)
        return judge_change(m)
    if kind == Kind.SET:
        return judge_set(m)
    if kind == Kind.GET_PAGE:
        m.step = Step.NEW_TABLE
        return Guard.NONE
    if kind == Kind.ZAP_PAGE:
        return judge_announcement(m, kept)
    if kind == Kind.SPLIT:
        return judge_split(m)
    if kind == Kind.FAST:
        return judge_fast(m)
    m.step = Step.REQUEST if kind == Kind.REQUESTED else Step.FAULT if kind == Kind.PAGE_FAULT else Step.OTHER
    return Guard.NONE


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
    for i in range(512):
        if i >= r.next:
            seen = kind_at(m, r.table, i)
            if r.shared or seen == Word.LEAF or seen == Word.TABLE:
                return Guard.LEFT
    return Guard.NONE


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


def holds_old(m: Followed):
    """The entry holds the event's old value; in 6.1 a frozen one becomes non-present without an event."""
    held = word(m, m.at, m.index)
    if m.layout.silent_unfreeze and m.event.old == SHADOW_NONPRESENT_VALUE and held == FROZEN_SPTE:
        return True
    return matches(m, m.at, m.index, m.event.old)


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


def permitted(m: Followed):
    """The step by the kinds of the two values, and its guards."""
    e = m.event
    before = word_of(m, e.old, e.level)
    after = word_of(m, e.new, e.level)
    if before == Word.ODD or before == Word.UNKNOWN:
        return Guard.OLD_KIND
    if after == Word.ODD or after == Word.UNKNOWN:
        return Guard.NEW_KIND
    if after == Word.FROZEN:
        return permitted_freeze(m, before)
    if before == Word.FROZEN:
        return Guard.OLD_KIND
    if after == Word.MMIO or before == Word.MMIO:
        return permitted_mmio(m, before, after)
    if before == Word.NONPRESENT:
        m.step = Step.LINK if after == Word.TABLE else Step.MAP
        if after == Word.NONPRESENT:
            return Guard.NOT_A_CHANGE
        return link(m) if after == Word.TABLE else leaf_in_fault(m)
    if before == Word.LEAF:
        if after == Word.NONPRESENT:
            m.step = Step.ZAP_LEAF
            return outside_of_fault(m, e.task)
        if after == Word.TABLE:
            m.step = Step.SPLIT
            return split(m)
        return permitted_leaf(m)
    if after == Word.NONPRESENT:
        m.step = Step.REMOVE_TABLE
        return remove_table(m)
    if after == Word.TABLE:
        m.step = Step.NONE
        return Guard.NEW_KIND
    if m.task[e.task].faulting:
        m.step = Step.COLLAPSE
        return leaf_in_fault(m)
    m.step = Step.RECOVER
    return recover(m, u8(0))


def permitted_leaf(m: Followed):
    """A leaf that stays a leaf."""
    m.step = Step.WRITE_PROTECT
    guard = write_protect(m)
    if guard == Guard.OTHER_BITS:
        if clear_dirty(m) == Guard.NONE:
            m.step = Step.CLEAR_DIRTY
            guard = Guard.NONE
        elif age(m) == Guard.NONE:
            m.step = Step.AGE
            guard = Guard.NONE
    if guard != Guard.NONE or (m.step == Step.CLEAR_DIRTY and m.task[m.event.task].faulting):
        other = remap(m)
        if other == Guard.NONE or m.task[m.event.task].faulting:
            m.step = Step.REMAP
            guard = other
    return guard


def permitted_freeze(m: Followed, before: Word):
    """A frozen value outside of a removal: only 6.1 shows it, before a table or a huge leaf goes."""
    e = m.event
    m.step = Step.FREEZE_TABLE if before == Word.TABLE else Step.FREEZE_LEAF
    if m.task[e.task].blind:
        m.step = Step.UNSEEN
        return Guard.NONE
    if e.level == 1 or (before != Word.TABLE and before != Word.LEAF) or not m.layout.silent_unfreeze:
        return Guard.NO_REMOVAL
    return Guard.NONE


def permitted_mmio(m: Followed, before: Word, after: Word):
    """MMIO SPTEs come in faults without a memslot, and go when one is made; they carry their GFN."""
    e = m.event
    if after == Word.MMIO:
        m.step = Step.MAP_MMIO
        if e.level != 1:
            return Guard.LEVEL
        if frame_of(e.new) & 0x7FFFFFFFFF != e.gfn & 0x7FFFFFFFFF:
            return Guard.PFN
        return Guard.NONE if before == Word.NONPRESENT or before == Word.MMIO else Guard.OLD_KIND
    if after == Word.LEAF:
        m.step = Step.MAP
        return leaf_in_fault(m)
    m.step = Step.ZAP_MMIO
    return Guard.NONE if after == Word.NONPRESENT else Guard.NEW_KIND


def judge_set(m: Followed):
    """kvm_mmu_set_spte: the end of a fault, and the entry as it is read then."""
    e = m.event
    k = m.task[e.task]
    m.step = Step.REPORT if k.owes_set else Step.SPURIOUS
    if m.traced.requested and not k.blind:
        if not k.faulting:
            return Guard.NOT_REQUESTED
        if e.level != k.goal:
            return Guard.OTHER_LEVEL
        if first_gfn(k.gfn, e.level) != e.gfn:
            return Guard.OTHER_GFN
    best = Guard.NO_TABLE
    place = TableId(0)
    for n in range(ROOTS):
        root = k.root if n == 0 else RootId(n)
        if best != Guard.NONE and root != 0 and m.root[root].table != 0 and (n == 0 or is_candidate(m, root)):
            table = walk(m, root, e.gfn, e.level)
            if table != 0:
                guard = reported(m, table)
                if guard == Guard.NONE or place == 0:
                    best = guard
                    place = table
    m.at = place
    m.index = u16(index_of(e.gfn, e.level))
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
    if word_of(m, e.new, e.level) == Word.LEAF and first_gfn(m.task[e.task].pfn, e.level) != frame_of(e.new):
        return Guard.NONE if m.task[e.task].blind or not m.traced.requested else Guard.OTHER_PFN
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
            above = walk(m, root, e.gfn, Level(e.level + 1))
            if above != 0:
                m.at = m.child[above].table[index_of(e.gfn, Level(e.level + 1))]
    if m.at == 0:
        return Guard.NO_TABLE
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
    return Guard.NONE if m.event.old & m.layout.mmu_writable != 0 else Guard.NO_FAST_WRITE


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


def walk_known(m: Followed, root: RootId, gfn, level: Level):
    """As walk, without making up tables."""
    table = m.root[root].table
    at = m.root[root].levels
    while table != 0 and at > level:
        table = m.child[table].table[index_of(gfn, at)]
        at = Level(at - 1)
    return table if at == level else TableId(0)


def apply(m: Followed, kept: u8):
    """Makes the step that was found."""
    e = m.event
    k = m.task[e.task]
    kind = e.kind
    if kind == Kind.CHANGED:
        if m.step != Step.UNSEEN:
            change(m, kept)
    elif kind == Kind.REQUESTED:
        k.faulting = True
        k.gfn = e.gfn
        k.pfn = e.pfn
        k.goal = e.level
        k.has_page = False
    elif kind == Kind.GET_PAGE:
        if e.level == 5 or (e.level == 4 and not k.faulting):
            k.root = new_root(m, e.task, e.level, True)
            m.step = Step.NEW_ROOT
        else:
            k.has_page = True
            k.page_gfn = e.gfn
            k.page_level = e.level
    elif kind == Kind.ZAP_PAGE:
        announce(m, kept)
    elif kind == Kind.SPLIT:
        k.has_page = False
        k.owes_split = False
    elif kind == Kind.SET:
        if m.table[m.at].pfn == 0:
            m.table[m.at].pfn = e.sptep >> 12
    elif kind == Kind.FAST:
        if m.step == Step.FIX_FAST:
            store(m, m.at, m.index, e.old | m.layout.writable)
    else:
        k.faulting = False
        if kind == Kind.PAGE_FAULT and e.vcpu != 0:
            k.vcpu = e.vcpu


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
    r = k.removal[k.depth]
    r.table = table
    r.next = 0
    r.announced = False
    r.unlinked = unlinked
    r.shared = False
    r.skipped = False
    r.first = first_present(m, table)
    k.depth = u8(k.depth + 1)
    m.removals = m.removals + 1


def change(m: Followed, kept: u8):
    """Writes the entry, and what follows from it."""
    e = m.event
    k = m.task[e.task]
    held = word(m, m.at, m.index)
    if held == UNKNOWN:
        m.learned = m.learned + 1
    elif held == FROZEN_SPTE:
        m.unfrozen = m.unfrozen + 1
    elif held != e.old:
        m.hardware = m.hardware + 1
    child = m.child[m.at].table[m.index] if e.level != 1 else TableId(0)
    store(m, m.at, m.index, e.new)
    if m.step == Step.FREEZE_ENTRY:
        advance(m, kept)
    elif m.step == Step.LINK or m.step == Step.SPLIT:
        below = new_table(m, frame_of(e.new), e.gfn, Level(e.level - 1), True)
        attach(m, m.at, m.index, below)
        if m.step == Step.SPLIT:
            fill_split(m, below, e.old, e.level)
            k.owes_split = True
            k.owed = e.old
            k.owed_gfn = e.gfn
            k.owed_level = e.level
        k.has_page = False
    elif m.step == Step.MAP or m.step == Step.REMAP or m.step == Step.COLLAPSE:
        k.owes_set = k.faulting
        k.owed_gfn = e.gfn
        k.owed_level = e.level
    if child != 0 and word_of(m, e.new, e.level) != Word.TABLE:
        unlink(m, child, kept)
    if m.step != Step.FREEZE_ENTRY:
        remember_root(m)


def unlink(m: Followed, child: TableId, kept: u8):
    """The table below an entry is removed; its removal begins, or (7.3) was complete."""
    k = m.task[m.event.task]
    detach(m, child)
    if kept != 0 and k.removal[kept - 1].table == child:
        k.removal[kept - 1].unlinked = True
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


def remember_root(m: Followed):
    """The root that a task works on is looked at first the next time."""
    top = m.at
    while m.table[top].parent != 0:
        top = m.table[top].parent
    k = m.task[m.event.task]
    if k.root == 0 or m.root[k.root].table != top:
        for r in each(RootId):
            if m.root[r].table == top:
                k.root = RootId(r)
    if k.root != 0 and m.root[k.root].table == top:
        m.root[k.root].as_id = m.event.as_id
    else:
        m.in_removed = m.in_removed + 1


def lose(m: Followed):
    """Events were lost: nothing is known of any entry until it is seen again, nor what any task is in the middle of."""
    m.midlife = True
    m.epoch = u32(m.epoch + 1)


def adopt(m: Followed):
    """After an event that no step explains: the entry holds what the event says, and the task may be anywhere."""
    e = m.event
    k = m.task[e.task]
    m.guard = follow(m)
    while k.depth != 0:
        k.depth = u8(k.depth - 1)
        if m.table[k.removal[k.depth].table].parent == 0:
            free_table(m, k.removal[k.depth].table)
        k.removal[k.depth].table = 0
        m.removals = m.removals - 1
    k.owes_set = False
    k.owes_split = False
    k.faulting = False
    k.has_page = False
    k.blind = True
    if e.kind == Kind.CHANGED:
        overwrite(m)


def overwrite(m: Followed):
    """The entry that an unexplained event names takes its new value; what lies below it is forgotten."""
    e = m.event
    root = m.task[e.task].root if m.task[e.task].root != 0 else RootId(1)
    table = walk(m, root, e.gfn, e.level) if m.root[root].table != 0 else TableId(0)
    if table != 0:
        i = index_of(e.gfn, e.level)
        child = m.child[table].table[i] if e.level != 1 else TableId(0)
        after = word_of(m, e.new, e.level)
        if child != 0 and after != Word.TABLE:
            detach(m, child)
        store(m, table, i, e.new)
        if after == Word.TABLE and child == 0:
            attach(m, table, i, new_table(m, frame_of(e.new), e.gfn, Level(e.level - 1), False))


def guard_of(m: Followed, step: Step):
    """What stands in the way first if the event is to be this step of the kernel, at the entry that was found for it."""
    e = m.event
    if m.at == 0:
        return Guard.NO_TABLE
    held = word(m, m.at, m.index)
    before = word_of(m, held, e.level) if held != UNKNOWN else word_of(m, e.old, e.level)
    if step == Step.FREEZE_ENTRY:
        return Guard.NEW_KIND if e.new != FROZEN_SPTE else Guard.NO_REMOVAL
    if before != kind_before(step):
        return Guard.OLD_KIND
    if word_of(m, e.new, e.level) != kind_after(step):
        return Guard.NEW_KIND
    if not holds_old(m):
        return Guard.OLD_VALUE
    return guards_of(m, step)


def kind_before(step: Step):
    """What an entry is before a step."""
    if step == Step.LINK or step == Step.MAP:
        return Word.NONPRESENT
    if step == Step.REMOVE_TABLE or step == Step.RECOVER or step == Step.COLLAPSE:
        return Word.TABLE
    return Word.LEAF


def kind_after(step: Step):
    """What an entry is after a step."""
    if step == Step.LINK or step == Step.SPLIT:
        return Word.TABLE
    if step == Step.ZAP_LEAF or step == Step.REMOVE_TABLE:
        return Word.NONPRESENT
    return Word.LEAF


def guards_of(m: Followed, step: Step):
    """The guards of a step whose kinds of values fit."""
    if step == Step.LINK:
        return link(m)
    if step == Step.MAP or step == Step.COLLAPSE:
        return leaf_in_fault(m)
    if step == Step.REMAP:
        return remap(m)
    if step == Step.WRITE_PROTECT:
        return write_protect(m)
    if step == Step.CLEAR_DIRTY:
        return clear_dirty(m)
    if step == Step.AGE:
        return age(m)
    if step == Step.SPLIT:
        return split(m)
    if step == Step.ZAP_LEAF:
        return outside_of_fault(m, m.event.task)
    if step == Step.REMOVE_TABLE:
        return remove_table(m)
    return recover(m, u8(0))
