"""The traced model is one source for two engines: event after event both take the same step and hold the same tables."""

from __future__ import annotations

import pytest

from septum.host.geometry import LEVELS
from septum.lang.struct import allocate, realise
from septum.lang.types import scope
from septum.replay.session import Session, Settings
from septum.replay.traced.events import Guard
from septum.replay.traced.followed import MAX_LEVEL, Followed
from septum.replay.traced.steps import follow
from tests.replay.samples import lines_of

EVENTS = 400
FIELDS = ("kind", "call", "as_id", "level", "failed", "task", "gfn", "pfn", "old", "new", "sptep", "vcpu", "access", "spurious")


@pytest.mark.parametrize("name", ["6.1-dirty-lazy", "6.12-race-exits", "7.3-dirty-eager"])
def test_python_follows_as_c_does(name):
    lines = [line for line in lines_of(name) if not line.startswith("#")][:EVENTS]
    session = Session(Settings(), lambda kind, line, describe: pytest.fail(str(kind)))
    session.feed(("\n".join(lines) + "\n").encode())
    session.finish()
    with scope({LEVELS: MAX_LEVEL}):
        python = allocate(realise(Followed, {}))[0]
        begin(python, session.m)
        for number in range(EVENTS):
            record = session.record(number)
            show(python, record, session)
            assert follow(python) == Guard.NONE, lines[number]
    assert held(python) == held(session.m)


def begin(python, c) -> None:
    for name, _ in type(c.layout)._fields_:
        setattr(python.layout, name, getattr(c.layout, name))
    for name, _ in type(c.traced)._fields_:
        setattr(python.traced, name, getattr(c.traced, name))


def show(m, record, session) -> None:
    """The event of a record, with the kernel's special values as the model has them."""
    special = {session.state.nonpresent: 1 << 63, session.state.frozen: 0x80000000000005A0}
    e = m.event
    e.kind, e.as_id, e.level, e.failed, e.task = record.kind, record.as_id, record.level, bool(record.failed), record.task
    e.gfn, e.pfn, e.sptep, e.vcpu = record.gfn, record.pfn, record.sptep, record.vcpu + 1
    e.old = record.old if record.kind == 8 else special.get(record.old, record.old or 2)
    e.new = special.get(record.value, record.value or 2)
    m.task[record.task].pid = record.pid


def held(m) -> tuple[object, ...]:
    tables = [[int(m.words[t].word[i]) for i in range(512)] for t in range(1, int(m.used) + 1)]
    return (
        int(m.used),
        int(m.tables),
        [int(m.mapped[level]) for level in range(6)],
        [int(m.root[r].table) for r in range(4)],
        tables,
    )
