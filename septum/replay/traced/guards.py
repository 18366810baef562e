"""Which change of an SPTE a TDP MMU can make: each step of the kernel with the guards that it has to pass, in order.

A guard only reads. It answers what stands in the way first, or Guard.NONE; effects.py makes the change.
"""

from septum.host.geometry import Level
from septum.replay.traced.events import Guard
from septum.replay.traced.followed import Followed, TableId, TaskId
from septum.replay.traced.layout import Word, frame_of, is_leaf_spte, is_nonleaf_spte, saved, word_of
from septum.replay.traced.tables import first_gfn, index_of, kind_at


def in_fault(m: Followed, task: TaskId, gfn, level: Level):
    """The task handles a fault inside of this entry; nothing is asked of a task whose fault may have begun before the trace."""
    if not m.traced.requested or m.task[task].blind:
        return Guard.NONE
    if not m.task[task].faulting:
        return Guard.NO_FAULT
    return Guard.NONE if first_gfn(m.task[task].gfn, level) == gfn else Guard.OTHER_GFN


def has_page(m: Followed, task: TaskId, gfn, level: Level):
    """The task has just made the table that it links below an entry at `level`."""
    if not m.traced.get_page or m.task[task].blind:
        return Guard.NONE
    if not m.task[task].has_page:
        return Guard.NO_PAGE
    made = m.task[task].page_gfn == gfn and m.task[task].page_level + 1 == level
    return Guard.NONE if made else Guard.NO_PAGE


def new_table_guards(m: Followed):
    """What linking and splitting share: a table that was just made, at a level that has tables below."""
    e = m.event
    if e.level == 1:
        return Guard.LEVEL
    if not is_nonleaf_spte(m, e.new) or frame_of(e.new) == 0:
        return Guard.ENCODING
    return has_page(m, e.task, e.gfn, e.level)


def link(m: Followed):
    """tdp_mmu_link_sp() in a fault [6.1], kvm-mmu.md 4.6: non-present to a table above the level that the fault wants."""
    e = m.event
    guard = in_fault(m, e.task, e.gfn, e.level)
    if guard != Guard.NONE:
        return guard
    if m.task[e.task].faulting and e.level <= m.task[e.task].goal:
        return Guard.OTHER_LEVEL
    return new_table_guards(m)


def leaf_in_fault(m: Followed):
    """tdp_mmu_map_handle_target_level() [6.1], kvm-mmu.md 4.5: the leaf is that which kvm_mmu_spte_requested named.

    Up to 6.9 the notifier change_pte() maps another page read-only, in no fault.
    """
    e = m.event
    if not is_leaf_spte(m, e.new, e.level):
        return Guard.ENCODING
    if m.layout.silent_unfreeze and not m.task[e.task].faulting and e.level == 1 and e.new & m.layout.writable == 0:
        return Guard.NONE
    return leaf_goal(m, frame_of(e.new))


def leaf_goal(m: Followed, pfn):
    """The fault that the task handles wants a leaf here, at this level, of this page if that is known.

    Below the level that it asked for where a table was already: disallowed_hugepage_adjust() [6.1], with nx_huge_pages.
    """
    e = m.event
    k = m.task[e.task]
    guard = in_fault(m, e.task, e.gfn, e.level)
    if guard != Guard.NONE or not k.faulting:
        return guard
    if e.level > k.goal or (e.level < k.goal and k.linked):
        return Guard.OTHER_LEVEL
    into = k.pfn ^ first_gfn(k.pfn, k.goal)
    if into != 0 and into != k.gfn ^ first_gfn(k.gfn, k.goal):
        return Guard.OTHER_PFN
    return Guard.NONE if pfn == 0 or pfn == page_wanted(m) else Guard.OTHER_PFN


def page_wanted(m: Followed):
    """The page at the event's entry, as the fault that the task handles asked for it."""
    e = m.event
    k = m.task[e.task]
    return first_gfn(k.pfn, k.goal) | (e.gfn ^ first_gfn(e.gfn, k.goal))


def same_page(m: Followed):
    """A present leaf keeps its page: handle_changed_spte() would be a BUG() otherwise, kvm-mmu.md 4.8."""
    if frame_of(m.event.old) != frame_of(m.event.new):
        return Guard.PFN
    return Guard.NONE if is_leaf_spte(m, m.event.new, m.event.level) else Guard.ENCODING


def cleared(m: Followed, bits):
    """The leaf loses exactly these bits."""
    guard = same_page(m)
    if guard != Guard.NONE:
        return guard
    return Guard.NONE if m.event.old & bits == bits and m.event.old ^ bits == m.event.new else Guard.OTHER_BITS


def remap(m: Followed):
    """A fault makes a present leaf anew, with other rights, or without D where it was writable."""
    guard = same_page(m)
    return guard if guard != Guard.NONE else leaf_in_fault(m)


def write_protect(m: Followed):
    """wrprot_gfn_range(), clear_dirty_pt_masked(), write_protect_gfn() [6.1], kvm-mmu.md 4.13: W goes, or MMU-writable too."""
    guard = cleared(m, m.layout.writable)
    if guard == Guard.OTHER_BITS and m.event.old & m.layout.mmu_writable != 0:
        other = cleared(m, m.layout.mmu_writable | (m.event.old & m.layout.writable))
        return Guard.NONE if other == Guard.NONE else guard
    return guard


def clear_dirty(m: Followed):
    """clear_dirty_slot(), clear_dirty_pt_masked() [6.1] where the hardware logs pages: D goes."""
    return cleared(m, m.layout.dirty)


def age(m: Followed):
    """age_gfn_range() [6.1]: A goes; without A/D bits mark_spte_for_access_track() puts R and X aside, and W goes as well."""
    if m.layout.accessed != 0:
        return cleared(m, m.layout.accessed)
    e = m.event
    guard = same_page(m)
    if guard != Guard.NONE:
        return guard
    rights = e.old & m.layout.access_track
    return Guard.NONE if rights != 0 and e.new == (e.old ^ rights) | saved(m, rights) else Guard.OTHER_BITS


def split(m: Followed):
    """tdp_mmu_split_huge_page() [6.1] in a fault, or for dirty logging, by a vCPU's thread too; kvm-mmu.md 4.12."""
    e = m.event
    if m.traced.requested and m.task[e.task].faulting:
        if not m.layout.splits:
            return Guard.VERSION
        if in_fault(m, e.task, e.gfn, e.level) == Guard.NONE and e.level <= m.task[e.task].goal:
            return Guard.OTHER_LEVEL
    return new_table_guards(m)


def outside_of_fault(m: Followed, task: TaskId):
    """Zapping is not what a fault does between its request and its end."""
    return Guard.WRONG_CONTEXT if m.task[task].owes_set else Guard.NONE


def remove_table(m: Followed):
    """tdp_mmu_zap_spte_atomic(), tdp_mmu_iter_set_spte() [6.1] of a table, kvm-mmu.md 4.9, 4.11."""
    if m.event.level == 1:
        return Guard.LEVEL
    return outside_of_fault(m, m.event.task)


def recover(m: Followed):
    """recover_huge_pages_range() [6.17], kvm-mmu.md 4.13: the huge leaf is made from a present leaf below."""
    e = m.event
    if not m.layout.recovers:
        return Guard.VERSION
    if not is_leaf_spte(m, e.new, e.level):
        return Guard.ENCODING
    below = leaf_below(m)
    shift = 9 * Level(e.level - 1)
    if below != 0 and frame_of(below) >> shift != frame_of(e.new) >> shift:
        return Guard.PFN
    return Guard.NONE


def leaf_below(m: Followed):
    """The first present leaf of the table below the event's entry, before the task froze it; 0 if there is none."""
    k = m.task[m.event.task]
    child = m.child[m.at].table[m.index] if m.at != 0 else TableId(0)
    for d in range(5):
        if d < k.depth and child != 0 and k.removal[d].table == child:
            return k.removal[d].first
    return first_present(m, child)


def first_present(m: Followed, table: TableId):
    """The first present word of a table, or 0."""
    if table == 0:
        return 0
    for i in range(512):
        seen = word_of(m, m.words[table].word[i], m.table[table].level)
        if seen == Word.LEAF:
            return m.words[table].word[i]
    return 0


def freeze_entry(m: Followed, depth):
    """handle_removed_pt() [6.1], kvm-mmu.md 4.9: the entries of a removed table in order, the non-present ones too if mmu_lock is
    held for read, and none of them if it is held for write."""
    e = m.event
    r = m.task[e.task].removal[depth - 1]
    if m.traced.zap_page and not r.announced:
        return Guard.UNANNOUNCED
    i = index_of(e.gfn, e.level)
    if i < r.next:
        return Guard.ORDER
    skipped = i != r.next
    for other in range(r.next, i):
        seen = kind_at(m, r.table, other)
        if seen == Word.LEAF or seen == Word.TABLE:
            return Guard.SKIPPED
    nonpresent = word_of(m, e.old, e.level) == Word.NONPRESENT
    if (skipped and (r.shared or nonpresent)) or (nonpresent and r.skipped):
        return Guard.SKIPPED
    return Guard.NONE


def removal_over(m: Followed, task: TaskId, depth):
    """Nothing is left of the removed table when its task goes on to something else."""
    r = m.task[task].removal[depth - 1]
    if m.traced.zap_page and not r.announced:
        return Guard.UNANNOUNCED
    if not r.unlinked:
        return Guard.STILL_LINKED
    if r.shared and r.next != 512:
        return Guard.LEFT
    for i in range(r.next, 512):
        seen = kind_at(m, r.table, i)
        if seen == Word.LEAF or seen == Word.TABLE:
            return Guard.LEFT
    return Guard.NONE
