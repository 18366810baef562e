"""SEAMCALLs of a traced TD, beside the mirror: what is installed has its call before its change, what is zapped its calls behind
it (before it from 7.2 on); kvm-mmu.md 4.7, 4.10, 5.4, 5.5.

Only what was recorded is asked for, and of a TD under construction less: up to its first AUG, PAGE.ADD may come after the change.
"""

from septum.host.geometry import Level
from septum.lang import each, u8, u16
from septum.replay.traced.events import Call, Guard, Kind, Step
from septum.replay.traced.followed import Followed, RootId, Sept, TableId
from septum.replay.traced.guards import has_page, leaf_goal
from septum.replay.traced.layout import Word, frame_of
from septum.replay.traced.tables import index_of, is_empty, kind_at, new_root, walk


def recorded(m: Followed, call: Call):
    """Whether the trace has this call at all."""
    return m.traced.calls & (1 << (u8(call) & 15)) != 0


def judge_call(m: Followed):
    """A SEAMCALL: its step, the entry of the mirror that it is about, and whether the S-EPT lets it pass."""
    call = m.event.call
    m.step = step_of(call)
    if m.event.failed:
        m.step = Step.SEAMCALL_REFUSED
        return Guard.NONE
    if call == Call.TRACK or call == Call.OTHER:
        return Guard.NONE
    if m.task[m.event.task].owes_call != Call.NONE and call != m.task[m.event.task].owes_call:
        return Guard.OTHER_SEAMCALL
    find_mirror(m)
    if m.at == 0:
        return Guard.NONE if m.midlife else Guard.NO_TABLE
    if call == Call.PAGE_AUG or call == Call.PAGE_ADD or call == Call.SEPT_ADD:
        return installs(m)
    if call == Call.RANGE_BLOCK:
        return blocks(m)
    return removes(m)


def step_of(call: Call):
    """The step that a call is."""
    if call == Call.PAGE_AUG:
        return Step.PAGE_AUG
    if call == Call.PAGE_ADD:
        return Step.PAGE_ADD
    if call == Call.SEPT_ADD:
        return Step.SEPT_ADD
    if call == Call.RANGE_BLOCK:
        return Step.RANGE_BLOCK
    if call == Call.TRACK:
        return Step.TRACK
    if call == Call.PAGE_REMOVE:
        return Step.PAGE_REMOVE
    return Step.PAGE_DEMOTE if call == Call.PAGE_DEMOTE else Step.SEAMCALL


def find_mirror(m: Followed):
    """The entry that a call is about: of a mirror root where the call is possible, or else of any mirror root of the VM."""
    e = m.event
    known = False
    for r in each(RootId):
        if m.root[r].table != 0 and m.table[m.root[r].table].mirror and same_vm(m, RootId(r)):
            known = True
            table = walk(m, RootId(r), e.gfn, e.level)
            if table != 0 and (m.at == 0 or not possible(m, m.at)):
                m.at = table
                m.index = u16(index_of(e.gfn, e.level))
    if not known and (e.call == Call.SEPT_ADD or m.midlife):
        root = first_mirror(m)
        m.at = walk(m, root, e.gfn, e.level) if root != 0 else TableId(0)
        m.index = u16(index_of(e.gfn, e.level))


def same_vm(m: Followed, root: RootId):
    """Whether a root may belong to the VM of the task."""
    return m.task[m.event.task].vm == 0 or m.root[root].vm == 0 or m.root[root].vm == m.task[m.event.task].vm


def possible(m: Followed, table: TableId):
    """Whether the S-EPT is in a state that the call can go on from."""
    state = m.external[table].state[index_of(m.event.gfn, m.event.level)]
    if state == Sept.UNKNOWN:
        return True
    if m.event.call == Call.RANGE_BLOCK:
        return state == Sept.MAPPED
    if m.event.call == Call.PAGE_REMOVE or m.event.call == Call.PAGE_DEMOTE:
        return state == Sept.BLOCKED
    return state == Sept.FREE


def first_mirror(m: Followed):
    """The root that turns out to be a mirror: the oldest empty one of the VM, made before the direct root; kvm-mmu.md 1.6."""
    oldest = RootId(0)
    for r in each(RootId):
        if m.root[r].table != 0 and same_vm(m, RootId(r)) and not m.root[r].midlife and is_empty(m, m.root[r].table):
            if oldest == 0 or m.root[r].born < m.root[oldest].born:
                oldest = RootId(r)
    if oldest == 0 and m.midlife:
        oldest = new_root(m, m.event.task, Level(5 if m.event.gfn >> 36 != 0 else 4), False)
    if oldest != 0:
        m.table[m.root[oldest].table].mirror = True
    return oldest


def installs(m: Followed):
    """SEPT.ADD of the table that the task made, AUG or ADD of the page that its fault asked for."""
    e = m.event
    if not possible(m, m.at):
        return Guard.SEPT_STATE
    held = kind_at(m, m.at, m.index)
    if e.call == Call.PAGE_ADD and held == Word.LEAF:
        return Guard.NONE
    if held != Word.NONPRESENT and held != Word.UNKNOWN:
        return Guard.OLD_KIND
    if e.call == Call.SEPT_ADD:
        return Guard.LEVEL if e.level == 1 else has_page(m, e.task, e.gfn, e.level)
    return leaf_goal(m, e.pfn) if e.call == Call.PAGE_AUG else Guard.NONE


def blocks(m: Followed):
    """RANGE.BLOCK of a leaf that was zapped, or of one that is to be split."""
    e = m.event
    k = m.task[e.task]
    if k.owes_call == Call.RANGE_BLOCK and (k.call_gfn != e.gfn or k.call_level != e.level):
        return Guard.OTHER_SEAMCALL
    if e.level == 1 and not m.layout.parent_last and kind_at(m, m.at, m.index) == Word.LEAF:
        return Guard.NOT_ZAPPED
    return Guard.NONE if possible(m, m.at) else Guard.SEPT_STATE


def removes(m: Followed):
    """PAGE.REMOVE or PAGE.DEMOTE of a leaf that is blocked and tracked."""
    k = m.task[m.event.task]
    if not possible(m, m.at):
        return Guard.SEPT_STATE
    if m.event.call == Call.PAGE_REMOVE and k.owes_call == Call.PAGE_REMOVE:
        if k.call_gfn != m.event.gfn or k.call_level != m.event.level:
            return Guard.OTHER_SEAMCALL
    return Guard.NONE if k.tracked or k.blind or not recorded(m, Call.TRACK) else Guard.NO_TRACK


def call_made(m: Followed):
    """What a SEAMCALL that succeeded leaves behind."""
    e = m.event
    k = m.task[e.task]
    if e.failed or e.call == Call.OTHER:
        return
    if e.call == Call.TRACK:
        k.tracked = True
    if k.owes_call == e.call:
        k.owes_call = next_owed(m, e.call)
    if m.at == 0:
        return
    if e.call == Call.RANGE_BLOCK:
        k.tracked = False
        m.external[m.at].state[m.index] = Sept.BLOCKED
    elif e.call == Call.PAGE_REMOVE:
        m.external[m.at].state[m.index] = Sept.FREE
    elif e.call == Call.PAGE_DEMOTE or e.call == Call.SEPT_ADD:
        m.external[m.at].state[m.index] = Sept.TABLE
    else:
        m.external[m.at].state[m.index] = Sept.MAPPED
    if e.call == Call.PAGE_AUG:
        m.table[top_of(m, m.at)].running = True
    if e.call == Call.PAGE_AUG or e.call == Call.SEPT_ADD or (e.call == Call.PAGE_ADD and kind_at(m, m.at, m.index) != Word.LEAF):
        k.call = e.call
        k.call_gfn = e.gfn
        k.call_level = e.level
        k.call_pfn = e.pfn
    for r in each(RootId):
        if m.root[r].table == top_of(m, m.at):
            k.root = RootId(r)


def top_of(m: Followed, table: TableId):
    """The page at the top of a table's tree."""
    top = table
    while m.table[top].parent != 0:
        top = m.table[top].parent
    return top


def next_owed(m: Followed, call: Call):
    """The call that comes after this one when a leaf is removed, of those that were recorded."""
    if call == Call.NONE and recorded(m, Call.RANGE_BLOCK):
        return Call.RANGE_BLOCK
    if (call == Call.NONE or call == Call.RANGE_BLOCK) and recorded(m, Call.TRACK):
        return Call.TRACK
    return Call.PAGE_REMOVE if call != Call.PAGE_REMOVE and recorded(m, Call.PAGE_REMOVE) else Call.NONE


def calls_owed(m: Followed):
    """What the task's former calls and changes ask for before this event."""
    e = m.event
    k = m.task[e.task]
    if e.kind > Kind.EXIT or k.blind:
        return Guard.NONE
    if k.owes_call != Call.NONE:
        return Guard.SEAMCALL_MISSING
    if k.call == Call.NONE:
        return Guard.NONE
    if e.kind != Kind.CHANGED:
        return Guard.CHANGE_MISSING
    return Guard.NONE if e.gfn == k.call_gfn and e.level == k.call_level else Guard.OTHER_SEAMCALL


def mirrored(m: Followed):
    """Whether the step found for a change of a mirror table has its SEAMCALL, and may happen to a mirror; kvm-mmu.md 4.14."""
    e = m.event
    k = m.task[e.task]
    if m.step == Step.LINK:
        return Guard.NONE if k.call == Call.SEPT_ADD or not recorded(m, Call.SEPT_ADD) or k.blind else Guard.NO_SEAMCALL
    if m.step == Step.MAP:
        if k.call == Call.PAGE_AUG or k.call == Call.PAGE_ADD:
            return Guard.NONE if k.call_pfn == 0 or k.call_pfn == frame_of(e.new) else Guard.OTHER_PFN
        built = m.table[top_of(m, m.at)].running and recorded(m, Call.PAGE_AUG) and not k.blind
        return Guard.NO_SEAMCALL if built else Guard.NONE
    if m.step == Step.ZAP_LEAF:
        state = m.external[m.at].state[m.index]
        late = m.layout.parent_last and recorded(m, Call.PAGE_REMOVE)
        return Guard.NO_SEAMCALL if late and state != Sept.FREE and state != Sept.UNKNOWN else Guard.NONE
    if m.step == Step.SPLIT or m.step == Step.REMOVE_TABLE or m.step == Step.FREEZE_ENTRY:
        return Guard.NONE
    return Guard.MIRROR


def mirror_changed(m: Followed, child: TableId):
    """After a change of a mirror table: the call is used up, or calls are owed; `child` is a table made for it."""
    e = m.event
    k = m.task[e.task]
    k.call = Call.NONE
    state = m.external[m.at].state[m.index]
    if m.step == Step.MAP and state == Sept.FREE:
        m.external[m.at].state[m.index] = Sept.UNKNOWN
    if m.step == Step.SPLIT and child != 0:
        for i in range(512):
            m.external[child].state[i] = Sept.MAPPED if recorded(m, Call.PAGE_DEMOTE) else Sept.UNKNOWN
    zapped = m.step == Step.ZAP_LEAF or (m.step == Step.FREEZE_ENTRY and state == Sept.MAPPED)
    if zapped and state == Sept.MAPPED and not m.layout.parent_last:
        k.owes_call = next_owed(m, Call.NONE)
        k.call_gfn = e.gfn
        k.call_level = e.level
