"""A scenario that one steps oneself."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.check.explain import explain, schedule_of
from septum.check.loading import load
from septum.check.result import Result
from septum.explore.build import build
from septum.lang import Model
from septum.lang.errors import UserError
from septum.page.walk import Walk
from tests.page.conftest import MARKUP

RACE = [(0, 0), (1, 0), (1, 0), (0, 0)]


@pytest.fixture
def walk(pool: Path, pool_model: Model) -> Walk:
    return Walk(build(pool_model, pool_model.scenarios[0]), str(pool), {})


def test_at_the_start_everybody_may_go_and_it_is_said_what_each_would_do(walk: Walk) -> None:
    seen = walk.look([])
    assert [(one["name"], one["line"], one["changes"]) for one in seen["options"]] == [
        (f"CPU {n} {MARKUP}", "take()", ()) for n in range(2)
    ]
    assert (seen["steps"], len(seen["scenes"])) == ([], 1)


def test_a_step_that_would_fail_says_so(walk: Walk) -> None:
    [one] = walk.look(RACE[:-1])["options"]
    assert one["fails"].startswith("custody: page 1")
    assert walk.look(RACE)["fails"] == one["fails"]
    assert walk.look(RACE)["options"] == []


def test_what_each_step_would_do_is_what_it_does(walk: Walk) -> None:
    [one] = [one for one in walk.look(RACE[:2])["options"] if one["thread"] == 1]
    shown = tuple((change["place"], change["old"], change["new"]) for change in one["changes"])
    assert walk.look(RACE[:3])["steps"][-1]["changes"] == shown == (("nobjs", "2", "1"), ("taken[1]", "0", "1"))


def test_one_may_go_back_and_another_way(walk: Walk) -> None:
    forth = walk.look(RACE[:3])
    walk.look([(1, 0)])
    assert walk.look(RACE[:3]) == forth
    assert walk.at(RACE[:1]) == walk.look(RACE[:1])["options"]


@pytest.mark.parametrize("schedule", [[(7, 0)], [(0, 5)], [*RACE, (1, 0)], [(0, 0)] * 3])
def test_a_schedule_that_cannot_be_taken_is_refused(walk: Walk, schedule: list[tuple[int, int]]) -> None:
    with pytest.raises(UserError, match="step"):
        walk.look(schedule)
    assert walk.look([])["steps"] == []


def test_its_token_is_the_one_that_a_check_writes(walk: Walk, found: Result, pool: Path, pool_model: Model) -> None:
    assert schedule_of(pool_model, walk.token(RACE[:2]))[1] == tuple(RACE[:2])
    assert explain(walk.token(RACE), str(pool)).clause == found.clause


def test_a_way_to_a_witness_ends_where_it_is_reached(walk: Walk) -> None:
    way = walk.way_to("emptied")
    assert walk.look(way)["reached"] == {"emptied": len(way)}
    assert "emptied" not in walk.look(way[:-1])["reached"]


def test_a_witness_that_no_run_comes_to_is_said(walk: Walk) -> None:
    with pytest.raises(UserError, match="says nothing of whether it can be reached"):
        walk.way_to("nothing")


def test_only_a_schedule_that_fails_is_a_result(walk: Walk) -> None:
    assert walk.result(RACE).property == "custody"
    with pytest.raises(UserError, match="nothing fails"):
        walk.result(RACE[:2])


def test_that_the_memory_takes_a_store_is_a_step_of_its_own(buffered: Result) -> None:
    built, _ = schedule_of(load(buffered.design), buffered.counterexample.token)
    walk = Walk(built, buffered.design, {})
    own, memory, other = walk.look([(0, 0)])["options"]
    assert (own["thread"], memory["thread"], other["thread"]) == (0, 0, 1)
    assert (own["ways"], memory["ways"], memory["line"]) == (1, 1, "the memory takes its oldest store")
    assert [change["place"] for change in memory["changes"]] == ["wants[0]"]
    taken = walk.look([(0, 0), (0, memory["choice"])])
    assert taken["steps"][-1]["takes"]
    assert taken["steps"][-1]["changes"] == (("wants[0]", "0", "1"),)
