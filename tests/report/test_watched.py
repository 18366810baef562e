"""A file that is watched: what is known of it, as a screen and as lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from septum.check.result import Result
from septum.report.board import Board, Done, Event, Exploring, Found, Planned, Still, Wrong
from septum.report.watched import lines, screen
from tests.report.samples import HOLDS, NOT_APPLICABLE, VIOLATED

BROKEN = replace(VIOLATED, design="mine.py", scenario="pair")
WHOLE = replace(HOLDS, design="mine.py", scenario="pair")
PLAN = Planned(("tiny", "small"), ("pair", "split"))


def found(result: Result, *scopes: str) -> list[Event]:
    return [Found(scope, result) for scope in scopes]


def board(*saves: list[Event]) -> Board:
    """A board after these saves, each with what happened after it."""
    made = Board("mine.py")
    for number, events in enumerate(saves):
        if number:
            made.saved()
        for event in events:
            made.note(event)
    return made


def shown(board: Board, width: int = 80, height: int = 24) -> list[str]:
    rows = screen(board, width, height).plain.split("\n")
    assert len(rows) == height
    assert max(map(len, rows)) <= width
    return [row.rstrip() for row in rows]


def told(board: Board, *events: Event) -> list[str]:
    """The lines that a pipe gets for events."""
    said = []
    for event in events:
        board.note(event)
        said += lines(board, event)
    return said


def test_the_first_look_tells_what_does_not_hold() -> None:
    said = told(Board("mine.py"), PLAN, *found(BROKEN, "tiny"), *found(WHOLE, "small"), Done())
    assert said == [
        "mine.py: 2 scenarios, tiny then small",
        f"tiny pair: violated: custody ({BROKEN.clause}); septum explain {BROKEN.counterexample.token} mine.py",
        "mine.py: tiny: 1 violated; small: 1 holds",
    ]


@pytest.mark.parametrize(("old", "new", "line"), [
    (BROKEN, WHOLE, ["tiny pair: violated: custody -> holds"]),
    (WHOLE, NOT_APPLICABLE, ["tiny pair: holds -> not applicable (the design has no split)"]),
    (WHOLE, WHOLE, []),
    (BROKEN, replace(BROKEN, clause="custody: page 3 is lost"), []),
])  # fmt: skip
def test_a_later_save_tells_what_changed(old: Result, new: Result, line: list[str]) -> None:
    now = board([PLAN, *found(old, "tiny"), Done()], [PLAN])
    [event] = found(replace(new, scenario="pair"), "tiny")
    assert told(now, event) == line
    assert told(now, Done())[0].endswith("; 1 changed" if line else "; nothing changed")


def test_a_scenario_that_is_new_is_told() -> None:
    now = board([PLAN, *found(WHOLE, "tiny"), Done()], [PLAN])
    assert told(now, *found(replace(WHOLE, scenario="fresh"), "tiny")) == ["tiny fresh: holds"]


def test_what_a_save_cut_short_keeps_its_last_verdict() -> None:
    now = board([PLAN, *found(BROKEN, "tiny"), Done()], [PLAN, Exploring("tiny", "pair")], [PLAN])
    assert told(now, *found(WHOLE, "tiny")) == ["tiny pair: violated: custody -> holds"]


def test_what_is_wrong_is_told_until_the_next_save() -> None:
    now = board([PLAN, *found(BROKEN, "tiny"), Done()], [])
    assert told(now, Wrong("mine.py:3: a mistake")) == ["mine.py:3: a mistake"]
    assert now.rests
    assert "mine.py:3: a mistake" in shown(now)
    now.saved()
    assert (now.wrong, now.rests) == ("", False)


def test_the_screen_has_the_counts_of_each_scope_what_changed_and_the_first_lines_of_a_counterexample() -> None:
    now = board([PLAN, *found(WHOLE, "tiny", "small"), Done()], [PLAN, *found(BROKEN, "tiny"), *found(WHOLE, "small")])
    now.note(Exploring("small", "split", ("3.20 s", "1.0 MiB")))
    rows = shown(now)
    text = " ".join(" ".join(rows).split())
    assert "mine.py tiny 1 of 2 1 violated small 1 of 2 1 holds" in text
    assert "Changed since the last save pair tiny holds -> violated: custody" in text
    assert f"septum explain {BROKEN.counterexample.token} mine.py" in text
    assert "more lines" in rows[-2]
    assert rows[-1].startswith("small split: 3.20 s, 1.0 MiB")
    assert told(now, Still()) == []
    assert shown(now) == rows


def test_where_nothing_changed_the_screen_says_so() -> None:
    now = board([PLAN, *found(WHOLE, "tiny"), Done()], [PLAN, *found(WHOLE, "tiny")])
    assert "Nothing changed so far" in shown(now)
    now.note(Done())
    assert "Nothing changed since the last save" in shown(now)
    assert "waits for the next save" in shown(now)[-1]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (20, 3), (200, 60)])
def test_a_screen_is_never_larger_than_the_terminal(width: int, height: int) -> None:
    many = [replace(BROKEN, scenario=f"scenario_{number}") for number in range(30)]
    now = board(
        [PLAN, *(Found("tiny", replace(one, verdict=HOLDS.verdict)) for one in many)],
        [PLAN, *(Found("tiny", one) for one in many)],
    )
    rows = shown(now, width, height)
    assert (height < 20) or any("and 24 more" in row for row in rows)


def test_a_model_of_one_scope_names_none() -> None:
    now = board([Planned(("",), ("pair",)), *found(BROKEN, ""), Done()])
    assert shown(now)[:5] == ["mine.py", "  1 of 1  1 violated", "", "Does not hold", f"  {'pair':<24}  violated: custody"]
    now.saved()
    assert told(now, *found(WHOLE, "")) == ["pair: violated: custody -> holds"]
