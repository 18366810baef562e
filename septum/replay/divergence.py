"""An event that no step explains, with what a maintainer needs to see at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from septum.replay.native import Record
from septum.replay.result import Divergence, Line, Place
from septum.replay.traced.events import Guard, Kind, Step
from septum.replay.words import GUARDS, STEPS, word

BEFORE = 8
CHANGES = (
    Step.LINK, Step.MAP, Step.REMAP, Step.WRITE_PROTECT, Step.CLEAR_DIRTY, Step.AGE, Step.SPLIT, Step.ZAP_LEAF, Step.REMOVE_TABLE,
    Step.RECOVER, Step.COLLAPSE, Step.FREEZE_ENTRY,
)  # fmt: skip


class Session(Protocol):
    """What is asked of a session that has stopped: its world, where it stopped, and the lines that led there."""

    m: Any
    state: Any

    def record(self, number: int) -> Record: ...

    def text(self, record: Record) -> str: ...

    def history(self, number: int) -> Iterable[Record]: ...

    def guard_of(self, step: Step) -> Guard: ...


def describe(session: Session) -> Divergence:
    """The divergence at which a session has stopped."""
    m, number = session.m, session.state.diverged_at
    record = session.record(number)
    step, guard, at, index = Step(int(m.step)), Guard(int(m.guard)), int(m.at), int(m.index)
    path = tuple(way(m, at, index)) if at else tuple(deepest(m, record))
    others = (
        [(STEPS[one], GUARDS[session.guard_of(one)]) for one in CHANGES if one is not step] if record.kind == Kind.CHANGED else []
    )
    return Divergence(
        at=Line(record.line, session.text(record)),
        step=STEPS[step],
        guard=GUARDS[guard],
        explained=session.state.followed,
        gfn=record.gfn,
        level=record.level,
        holds=path[-1].word if at and path else "",
        path=path,
        alternatives=tuple(others),
        before=tuple(before(session, number, record)),
    )


def way(m: Any, table: int, index: int) -> list[Place]:
    """The entries from the root, or from a removed table, down to an entry."""
    places: list[Place] = []
    while table:
        places.append(place(m, table, index))
        table, index = int(m.table[table].parent), int(m.table[table].slot)
    return places[::-1]


def deepest(m: Any, record: Record) -> list[Place]:
    """The way towards an entry whose table is not there, in the thread's root or the newest."""
    root = int(m.task[record.task].root) or max(range(len(m.root)), key=lambda one: int(m.root[one].born))
    places: list[Place] = []
    table = int(m.root[root].table) if root else 0
    while table and int(m.table[table].level) >= max(record.level, 1):
        index = record.gfn >> (9 * (int(m.table[table].level) - 1)) & 511
        places.append(place(m, table, index))
        table = int(m.child[table].table[index])
    return places


def place(m: Any, table: int, index: int) -> Place:
    """One entry."""
    level = int(m.table[table].level)
    gfn = int(m.table[table].gfn) + (index << 9 * (level - 1))
    return Place(level, index, gfn, word(int(m.words[table].word[index]), level))


def before(session: Session, number: int, record: Record) -> list[Line]:
    """The last events before one that are about the same entry, one above it or one below it."""
    found: list[Line] = []
    for one in session.history(number):
        if one.kind in ABOUT and related(one, record):
            found.append(Line(one.line, session.text(one)))
            if len(found) == BEFORE:
                break
    return found[::-1]


ABOUT = (Kind.CHANGED, Kind.REQUESTED, Kind.SET, Kind.GET_PAGE, Kind.ZAP_PAGE, Kind.SPLIT, Kind.FAST, Kind.PAGE_FAULT)


def related(one: Record, other: Record) -> bool:
    """Whether two events are about one entry, or one about an entry below or above that of the other."""
    shift = 9 * (max(one.level, other.level, 1) - 1)
    return bool(one.gfn >> shift == other.gfn >> shift)
