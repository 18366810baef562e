"""A call that changes the state is made once, wherever in an expression it stands, also where every access is told."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.lang.errors import LanguageError

MODEL = """
from septum.lang import Model, Scenario, Struct, call, process, u8

class World(Struct):
    n: u8
    seen: u8[4]

def bump(m):
    m.n = u8(m.n + 1)
    return m.n

@process
def once(m):
    yield
    {statement}
    assert m.n == 1, "asserts: it was called once"

def start(setup):
    setup.thread("T", call(once))

model = Model("once", World, (Scenario("s", "One thread", start),))
"""


@pytest.mark.parametrize("races", [False, True])
@pytest.mark.parametrize(
    "statement",
    ["m.seen[bump(m)] = 1", "x = m.seen[bump(m)]", "m.seen[0] = min(bump(m), 3)", "m.seen[0] = max(2, bump(m))"],
)  # fmt: skip
def test_a_call_that_changes_the_state_is_made_once(statement, races, tmp_path, quickly_compiled):
    path = tmp_path / "once.py"
    path.write_text(MODEL.format(statement=statement))
    result = check(str(path), "s", races=races)
    assert result.holds, result.clause


def test_a_place_that_is_read_and_written_by_one_statement_calls_nothing_that_changes_the_state(tmp_path):
    path = tmp_path / "once.py"
    path.write_text(MODEL.format(statement="m.seen[bump(m)] += 1"))
    with pytest.raises(LanguageError, match=r"once.py:15: .* a call in it changes the state"):
        check(str(path), "s")
