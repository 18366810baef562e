"""Two models beside each other: what one does and the other does not, by the shortest schedule."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from septum.check import tokens
from septum.check.check import check
from septum.check.differ import Comparer, Difference, Side
from septum.check.explain import explain
from septum.check.loading import load
from septum.check.result import Verdict
from septum.check.ways import can_fail, messages, way_to
from septum.cli import main
from septum.explore.build import Build, build
from septum.explore.explore import Budget
from septum.lang import UserError
from tests.report.samples import HOLDS, INCOMPLETE, NOT_APPLICABLE, VIOLATED

pytestmark = pytest.mark.usefixtures("quickly_compiled")

MODEL = """
from __future__ import annotations
from septum.lang import *

second, waited, passed = Witness("second", "one comes second"), Witness("waited", "it waits"), Witness("passed", "it passes")
late, ended = Witness("late", "it is late"), Witness("ended", "both have it")

class World(Struct):
    n: u8
    locked: bool
    mode: u8
    wrong: bool

@process
def go(m: World):
    yield when(lambda: not m.locked)
    m.locked = True
    if m.n == 1:
        reached(second)
    n = u8(m.n + 1)
    m.n = n
    yield
    m.locked = False
    if n == 2:
        reached({event})
        reached(ended)
    yield
    if n == 2:
        {more_events}
    assert m.mode != 1 or {first}, f"custody: thread {{n}} is first"
    assert m.mode != 1 or {other}, "custody: it is another"
    assert m.mode != 2 or {other}, "order: alone"
    yield when(lambda: m.mode != 3 or {first})

def mode(number):
    def start(setup):
        setup.m.mode = number
        for thread in range(2):
            setup.thread(f"T{{thread}}", call(go))
    return start

custody, order = Property("custody", "first"), Property("order", "alone")
scenarios = (Scenario("events", "", mode(0), (second,)), Scenario("clauses", "", mode(1)), Scenario("one", "", mode(2)),
             Scenario("stuck", "", mode(3)))
model = Model("mine", World, (*scenarios, {more}), ({properties},))
"""
NEVER, ALWAYS = "m.wrong", "not m.wrong"
ONE = {"event": "waited", "more_events": "reached(late)", "first": NEVER, "other": ALWAYS, "properties": "custody, order",
       "more": 'Scenario("more", "", mode(2))'}  # fmt: skip
OTHER = {"event": "passed", "more_events": "pass", "first": ALWAYS, "other": NEVER, "properties": "custody, order", "more": ""}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two files of one name, as two versions of a design have."""
    files = []
    for name, text in (("one", ONE), ("other", OTHER)):
        path = tmp_path_factory.mktemp(name) / "mine.py"
        path.write_text(textwrap.dedent(MODEL).format(**text))
        files.append(str(path))
    return files


@pytest.fixture(scope="module")
def compared(sides: list[str], quickly_compiled: None) -> dict[str, Difference]:
    """What differs in each scenario."""
    models = [load(file) for file in sides]

    def compare(scenario: str) -> Difference:
        results = [replace(check(model, scenario), design=file) for model, file in zip(models, sides, strict=True)]
        one, other = map(Side, models, results)
        return Comparer().compare(one, other)

    return {scenario: compare(scenario) for scenario in ("events", "clauses", "one", "stuck")}


def building(file: str, scenario: str) -> Build:
    model = load(file)
    return build(model, next(one for one in model.scenarios if one.name == scenario))


def done(sides: list[str], found: Difference) -> list[tuple[int, str, str]]:
    """Which of the two does what."""
    return [(sides.index(one.result.design), str(one.result.verdict), one.result.clause) for one in found.behaviours]


def test_where_both_hold_each_has_a_shortest_way_to_what_it_alone_reaches(sides, compared):
    found = compared["events"]
    assert not found.verdicts_differ
    assert done(sides, found) == [(0, "reached", "waited: it waits"), (1, "reached", "passed: it passes")]
    assert [one.also for one in found.behaviours] == [("late",), ()]
    ways = [one.result.counterexample for one in found.behaviours]
    assert [(len(way.steps), way.shortest) for way in ways] == [(6, True)] * 2
    assert [way.steps[-1].events for way in ways] == [("ended", "waited"), ("ended", "passed")]


def test_where_one_is_violated_its_counterexample_is_what_it_alone_does(sides, compared):
    assert compared["one"].verdicts_differ
    assert done(sides, compared["one"]) == [(1, "violated", "order: alone")]
    [(side, verdict, clause)] = done(sides, compared["stuck"])
    assert (side, verdict, clause.split()[:4]) == (0, "violated", ["deadlock:", "T0", "waits", "for"])


def test_where_both_are_violated_by_other_clauses_each_is_what_the_other_cannot_do(sides, compared):
    found = compared["clauses"]
    assert not found.verdicts_differ
    assert done(sides, found) == [(0, "violated", "custody: thread 1 is first"), (1, "violated", "custody: it is another")]
    assert found.unknown == ()


def test_what_applies_to_one_alone_is_not_compared(sides):
    one, other = map(load, sides)
    found = Comparer().compare(Side(one, HOLDS), Side(other, replace(NOT_APPLICABLE, design="other")))
    assert (found.behaviours, found.unknown) == ((), (f"applies to {HOLDS.design} alone",))
    assert not Comparer().compare(Side(one, NOT_APPLICABLE), Side(other, NOT_APPLICABLE)).applies


def test_what_was_not_explored_to_the_end_is_not_compared(sides):
    one, other = map(load, sides)
    found = Comparer().compare(Side(one, VIOLATED), Side(other, INCOMPLETE))
    assert (found.behaviours, found.unknown) == ((), (f"not explored to the end in {INCOMPLETE.design}",))


def test_a_clause_of_other_numbers_is_the_same(sides):
    one, other = map(load, sides)
    again = replace(VIOLATED, design="other", clause=VIOLATED.clause.replace("9", "12"))
    assert Comparer().compare(Side(one, VIOLATED), Side(other, again)).behaviours == ()


def test_a_property_that_the_other_does_not_have_is_said(sides):
    [found] = (Comparer().compare(Side(load(sides[0]), replace(VIOLATED, property="size")), Side(load(sides[1]), HOLDS)),)
    assert found.unknown == (f"{HOLDS.design} has no property size",)


def test_a_way_is_replayed_from_its_token(sides, compared):
    [one, _] = compared["events"].behaviours
    found = explain(one.result.counterexample.token, sides[0])
    assert (found.verdict, found.property) == (Verdict.REACHED, "ended, waited")
    assert [step.thread for step in found.counterexample.steps] == [step.thread for step in one.result.counterexample.steps]


def test_a_token_that_reaches_no_event_is_refused(sides, compared):
    """One that says so: made of the first step of a schedule."""
    built = building(sides[0], "events")
    read = tokens.read(compared["events"].behaviours[0].result.counterexample.token)
    short = tokens.write(built, read.schedule[:1], {}, False, Path("."), event=True)
    with pytest.raises(UserError, match="does not end as it claims: events: the last step reaches no event"):
        explain(short, sides[0])


def test_an_event_that_cannot_be_reached_has_no_way(sides):
    built = building(sides[0], "events")
    assert way_to(built, ["passed"], {}) is None
    assert way_to(built, ["waited"], {}, Budget(states=1)) is None


def test_a_clause_is_found_by_its_message_whatever_its_values(sides):
    one, other = (building(file, "clauses") for file in sides)
    said = messages(one, "custody: thread 7 is first")
    assert said == {"custody: thread {n} is first"}
    assert (can_fail(one, said), can_fail(other, said)) == (True, False)
    assert can_fail(other, frozenset({"custody: nobody says it"})) is False
    assert messages(one, "asserts: a value is out of range") == frozenset()
    assert can_fail(other, said, Budget(states=1)) is None


@pytest.mark.parametrize("option", ["--html=page.html", "--svg=race.svg", "--pytest"])
def test_a_way_is_not_shown_as_what_fails(sides, compared, capsys, option):
    token = compared["events"].behaviours[0].result.counterexample.token
    assert main(["explain", token, sides[0], option]) == 2
    assert "this one leads to an event" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "height"), [((), 0), (("--slice",), 0), ((), 5)])
def test_a_way_is_drawn_with_what_it_leads_to(sides, compared, capsys, monkeypatch, options, height):
    monkeypatch.setattr("septum.cli.explain.height", lambda: height)
    token = compared["events"].behaviours[0].result.counterexample.token
    assert main(["explain", token, sides[0], *options]) == 0
    said = capsys.readouterr().out
    assert "What it leads to\n  ended: both have it; waited: it waits\n  after 6 steps\n" in said
    assert "failed clause" not in said
    assert ("At the end" in said) is (height == 0), "the race has no such part"
