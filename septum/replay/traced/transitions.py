"""Which step of the kernel a change is, by the kinds of its two values, and whether its guards let it pass."""

from septum.host.entry import FROZEN_SPTE, SHADOW_NONPRESENT_VALUE
from septum.replay.traced.events import Guard, Step
from septum.replay.traced.followed import Followed
from septum.replay.traced.guards import (
    age,
    clear_dirty,
    leaf_in_fault,
    link,
    outside_of_fault,
    recover,
    remap,
    remove_table,
    split,
    write_protect,
)
from septum.replay.traced.layout import UNKNOWN, Word, frame_of, word_of
from septum.replay.traced.seamcalls import mirrored
from septum.replay.traced.tables import matches, word

MMIO_GFNS = (1 << 28) - 1  # above, bits against L1TF may stand


def permitted(m: Followed):
    """The step by the kinds of the two values, and its guards; those of the S-EPT as well where the table is a mirror."""
    guard = by_kinds(m)
    return mirrored(m) if guard == Guard.NONE and m.table[m.at].mirror else guard


def by_kinds(m: Followed):
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
    return recover(m)


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
    if m.task[e.task].blind or (m.layout.parent_last and not m.traced.zap_page):
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
        if frame_of(e.new) & MMIO_GFNS != e.gfn & MMIO_GFNS:
            return Guard.PFN
        return Guard.NONE if before == Word.NONPRESENT or before == Word.MMIO else Guard.OLD_KIND
    if after == Word.LEAF:
        m.step = Step.MAP
        return leaf_in_fault(m)
    m.step = Step.ZAP_MMIO
    return Guard.NONE if after == Word.NONPRESENT else Guard.NEW_KIND


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
    return recover(m)


def holds_old(m: Followed):
    """The entry holds the event's old value; in 6.1 a frozen one becomes non-present without an event."""
    held = word(m, m.at, m.index)
    if m.layout.silent_unfreeze and m.event.old == SHADOW_NONPRESENT_VALUE and held == FROZEN_SPTE:
        return True
    return matches(m, m.at, m.index, m.event.old)
