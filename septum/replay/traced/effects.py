"""What an event changes, once its step is found."""

from septum.host.entry import FROZEN_SPTE
from septum.host.geometry import Level
from septum.lang import each, u8
from septum.replay.traced.events import Kind, Step
from septum.replay.traced.followed import Followed, RootId, TableId
from septum.replay.traced.layout import UNKNOWN, Word, frame_of, restored, same_but_hardware, word_of
from septum.replay.traced.removals import advance, announce, unlink
from septum.replay.traced.seamcalls import call_made, mirror_changed
from septum.replay.traced.tables import attach, fill_split, forget, new_root, new_table, store, word


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
        k.linked = False
        k.has_page = False
    elif kind == Kind.GET_PAGE:
        if e.level == 5 or (e.level == 4 and not (k.faulting and k.root != 0 and m.root[k.root].levels == 5)):
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
        if m.at != 0 and m.table[m.at].pfn == 0:
            m.table[m.at].pfn = e.sptep >> 12
        k.faulting = False
    elif kind == Kind.FAST:
        if m.step == Step.FIX_FAST:
            store(m, m.at, m.index, fixed_fast(m))
    elif kind == Kind.SEAMCALL:
        call_made(m)
    elif kind == Kind.ZAP_ALL:
        invalidate(m)
    else:
        k.faulting = False
        if kind == Kind.PAGE_FAULT and e.vcpu != 0:
            k.vcpu = e.vcpu


def fixed_fast(m: Followed):
    """What fast_page_fault() wrote: W, and the rights of an aged leaf. The event reads the entry again, maybe too late."""
    e = m.event
    right = restored(m, e.old)
    if right != e.old and (e.new == right or e.old & m.layout.mmu_writable == 0):
        return right
    return right | m.layout.writable


def invalidate(m: Followed):
    """kvm_mmu_zap_all_fast() [6.1]: the direct roots of the VM are invalid, kvm-mmu.md 4.11; without TGIDs, of its own."""
    k = m.task[m.event.task]
    for r in each(RootId):
        if m.root[r].table != 0 and not m.table[m.root[r].table].mirror:
            known = k.vm != 0 and m.root[r].vm == k.vm
            if known or (k.vm == 0 and (k.root == 0 or k.root == r)):
                m.root[r].invalid = True


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
        if same_but_hardware(m, held, e.old):
            m.hardware = m.hardware + 1
        else:
            m.refixed = m.refixed + 1
    child = m.child[m.at].table[m.index] if e.level != 1 else TableId(0)
    before = word_of(m, e.old, e.level)
    if child != 0 and before != Word.TABLE:
        forget(m, child)
        child = TableId(0)
    elif child == 0 and before == Word.TABLE and m.midlife:
        child = new_table(m, frame_of(e.old), e.gfn, Level(e.level - 1), False)
    store(m, m.at, m.index, e.new)
    below = TableId(0)
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
        k.linked = True
    elif m.step == Step.MAP or m.step == Step.REMAP or m.step == Step.COLLAPSE:
        if k.faulting and e.level < k.goal:
            m.lowered = m.lowered + 1
        k.owes_set = k.faulting and m.traced.set_spte
        k.owed_gfn = e.gfn
        k.owed_level = e.level
        k.faulting = k.owes_set
    if m.table[m.at].mirror:
        mirror_changed(m, below)
    if child != 0 and word_of(m, e.new, e.level) != Word.TABLE:
        unlink(m, child, kept)
    if m.step != Step.FREEZE_ENTRY:
        remember_root(m)


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
