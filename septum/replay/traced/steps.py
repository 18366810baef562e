"""An event after another: which entry it is about, which step of the kernel it tells of, and what that changes.

`follow` answers Guard.NONE when the model can make the step, and changes nothing otherwise: the same event may come again after
one that it overtook.
"""

from septum.lang import u8
from septum.replay.traced.effects import apply
from septum.replay.traced.events import Guard, Kind, Step
from septum.replay.traced.followed import Followed
from septum.replay.traced.guards import removal_over
from septum.replay.traced.removals import judge_announcement, judge_removal, removals_kept
from septum.replay.traced.reports import judge_fast, judge_set, judge_split
from septum.replay.traced.roots import judge_change
from septum.replay.traced.seamcalls import calls_owed, judge_call
from septum.replay.traced.tables import end_removal, first_gfn, forget


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
    if (
        e.kind == Kind.PAGE_FAULT
        or e.kind == Kind.REQUESTED
        or e.kind == Kind.EXIT
        or e.kind == Kind.ENTRY
        or e.kind == Kind.MARKER
    ):
        m.task[e.task].blind = False
    return guard


def debts(m: Followed, kept: u8):
    """What the task's former events call for before this one."""
    e = m.event
    k = m.task[e.task]
    if e.task == 0:
        return Guard.NONE
    if m.traced.calls != 0:
        guard = calls_owed(m)
        if guard != Guard.NONE:
            return guard
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
        table = k.removal[k.depth].table
        end_removal(m, m.event.task)
        forget(m, table)
    if kept == 0 and m.event.kind != Kind.ZAP_PAGE:
        k.owes_set = False
        k.owes_split = False


def judge(m: Followed, kept: u8):
    """Finds the step that an event tells of."""
    kind = m.event.kind
    if kind == Kind.CHANGED:
        if m.event.gfn != first_gfn(m.event.gfn, m.event.level):
            return Guard.UNALIGNED
        if m.event.old == m.event.new:
            return Guard.NOT_A_CHANGE
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
    if kind == Kind.SEAMCALL:
        return judge_call(m)
    if kind == Kind.ZAP_ALL:
        m.step = Step.ZAP_ALL
        return Guard.NONE
    m.step = Step.REQUEST if kind == Kind.REQUESTED else Step.FAULT if kind == Kind.PAGE_FAULT else Step.OTHER
    return Guard.NONE
