"""A check that keeps going finds every violation, each at a place of its own, whatever explores and by which reductions."""

from __future__ import annotations

import json
import random
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from septum.check import onward
from septum.check.check import REDUCTIONS, check
from septum.check.explain import explain
from septum.check.result import Result, Verdict
from septum.cli import main
from septum.explore.explore import Budget
from septum.lang import Model, Property
from tests.check.test_excepted import MODEL
from tests.explore.random_models import Writer, model, module

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SEED, PROCESSES = 2, 5
PAIRS = [(n, (n + 1) % PROCESSES) for n in range(PROCESSES)]
JUDGED = """
def judged(m: World):
    assert m.n != 2, "state: n is two"
    assert m.k != 2, "state: k is two"
    lost(m)

def lost(m: World):
    for page in each(Pfn):
        assert m.page[page].used or m.page[page].next == 0, f"state: {page} is lost"
"""
EXPLORERS = [("c", REDUCTIONS), ("c", frozenset({"fusion"})), ("c", frozenset()), ("python", REDUCTIONS)]
NAMES = ["order: n is 0", "state: 0 is bad", "state: the first is bad"]


class Warns(Writer):
    """Writes processes that assert much, and warn as often."""

    def _statement(self, out: list[str], depth: int) -> None:
        if self.dice.random() < 0.4:
            self._assert(out, depth)
        else:
            super()._statement(out, depth)

    def _assert(self, out: list[str], depth: int) -> None:
        if self.dice.randint(0, 1):
            super()._assert(out, depth)
        else:
            out += [f'if warn_on(m.n + m.k == {self.dice.randint(1, 3)}, "order: a sum"):', "    a = u8(1)"]


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(MODEL))
    return str(path)


def clauses(result: Result) -> list[str]:
    return [one.clause for one in result.each()]


def places(result: Result) -> set[tuple[str, str]]:
    return {(one.property, one.place) for one in result.each() if one.verdict is Verdict.VIOLATED}


def test_each_violation_has_its_own_shortest_schedule(mine: str) -> None:
    found = check(mine, "warned", keep_going=True)
    assert clauses(found) == NAMES
    assert [one.depth for one in found.each()] == [1, 2, 2]
    assert found.further == 0
    for one in found.each():
        assert one.counterexample and one.counterexample.shortest
        assert (explain(one.counterexample.token, mine).clause, len(one.counterexample.steps)) == (one.clause, one.depth)


def test_a_deadlock_and_what_fails_beside_it_are_found(mine: str) -> None:
    found = check(mine, "stuck", keep_going=True)
    assert [one.property for one in found.each()] == ["order", "deadlock", "state", "state"]
    assert found.others[0].place == ""


def test_a_pass_is_a_pass(mine: str) -> None:
    assert check(mine, "warned", keep_going=True, excepted=["order", "state"]).holds


def test_of_many_the_nearest_are_shown_and_the_rest_is_counted(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onward, "MOST_FOUND", 2)
    found = check(mine, "stuck", keep_going=True)
    assert ([one.property for one in found.each()], found.further) == (["order", "deadlock"], 2)
    found = check(mine, "stuck", keep_going=True, excepted=["deadlock", "order"])
    assert ([one.clause for one in found.each()], found.further) == (["state: 0 is bad", "state: the first is bad"], 0)


def test_of_one_property_alone_no_other_one_is_counted(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onward, "MOST_FOUND", 1)
    found = check(mine, "warned", keep_going=True, property="state")
    assert (clauses(found), found.further) == (["state: 0 is bad"], 1)


def test_a_race_is_looked_for_behind_all_else(tmp_path: Path) -> None:
    path = tmp_path / "racy.py"
    path.write_text(textwrap.dedent(MODEL).replace("m.bad[0] = warned", "m.waits = u8(m.waits + 1)"))
    found = check(str(path), "warned", keep_going=True)
    assert [one.property for one in found.each()] == ["order", "race"]
    assert found.further == 0


def test_nothing_goes_on_behind_a_value_out_of_range(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(MODEL).replace("m.bad[0] = warned", "m.n = u8(m.n - 1)"))
    found = check(str(path), "warned", keep_going=True)
    assert [one.property for one in found.each()] == ["order", "asserts"]
    assert (found.further, found.reason.partition(" behind ")[0]) == (None, "nothing goes on")


def test_what_was_found_stands_where_a_budget_ends_the_rest(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(mine, "warned", keep_going=True, budget=Budget(states=2))
    assert (found.verdict, found.clause, found.further) == (Verdict.VIOLATED, "order: n is 0", None)
    assert found.reason == "the budget of states ended"


def test_kept_verdicts_are_those_of_each_exploration(mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path))
    alone = check(mine, "warned", excepted=["order"], fresh=False)
    first, second = (check(mine, "warned", keep_going=True, fresh=False) for _ in range(2))
    assert (alone.kept, first.kept, second.kept) == (False, False, True)
    assert clauses(second) == clauses(first) == NAMES
    assert check(mine, "warned", fresh=False).others == ()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(list(arguments))
    return capsys.readouterr().out


def test_the_report_has_them_all(mine: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(capsys, "check", mine, "--scenario", "warned", "--keep-going")
    assert "violated: order +2" in text
    assert [text.count(f"\n  {name}\n") for name in NAMES] == [1, 1, 1]
    assert "1 check: 1 violated" in text and "More is violated" not in text
    monkeypatch.setattr(onward, "MOST_FOUND", 2)
    text = said(capsys, "check", mine, "--scenario", "warned", "--keep-going")
    assert f"More is violated than is shown: {mine}, warned: violated at one more place" in " ".join(text.split())


def test_json_has_a_list(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    [found] = json.loads(said(capsys, "check", mine, "--scenario", "warned", "--keep-going", "--json"))["results"]
    assert [found["clause"], *(one["clause"] for one in found["others"])] == NAMES
    assert [len(one["counterexample"]["steps"]) for one in found["others"]] == [2, 2]
    assert found["further"] == 0


def test_no_reduction_and_no_engine_changes_what_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is violated once all of it is set aside is the same, in whatever order it is found."""
    monkeypatch.chdir(tmp_path)
    written = model(module(random.Random(SEED), PROCESSES, Warns) + JUDGED, tmp_path, PAIRS)
    judged = Property("state", "", vars(sys.modules[written.world.__module__])["judged"])
    several: Model = replace(written, properties=(Property("order", ""), Property("custody", ""), judged))
    many = 0
    for scenario in several.scenarios:
        found = [
            check(several, scenario.name, keep_going=True, races=False, engine=engine, reduce=reduce, threads=1)
            for engine, reduce in EXPLORERS
        ]
        assert len({(frozenset(places(one)), one.further) for one in found}) == 1
        many += bool(found[0].others)
    assert many >= 4
