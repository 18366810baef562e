"""What is known is set aside by its name, and what lies behind it is judged as the kernel goes on."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from septum.check import tokens
from septum.check.check import REDUCTIONS, check
from septum.check.explain import explain
from septum.check.result import Excepted, Result, Verdict
from septum.cli import main
from septum.lang import UserError

pytestmark = pytest.mark.usefixtures("quickly_compiled")

MODEL = """
    from septum.lang import Model, Property, Scenario, Size, Struct, boolean, bug_on, call, choose, process, u8, warn_on, when

    OTHER = Size("OTHER", 0)

    class World(Struct):
        n: u8
        bad: boolean[2]
        gone: boolean[2]
        waits: u8

    @process
    def warns(m: World):
        warned = warn_on(m.n < 200, f"order: n is {m.n}")
        yield
        m.bad[0] = warned

    @process
    def asserts(m: World):
        yield
        assert m.n == 7, "custody: n is no 7"
        m.gone[0] = True

    @process
    def panics(m: World):
        yield
        bug_on(m.n < 7, "custody: n is too small")
        m.gone[1] = True

    @process
    def leaves(m: World, i: u8):
        yield
        assert m.bad[i], "custody: it is not bad"
        m.gone[0] = True

    @process
    def waits(m: World):
        yield when(lambda: m.n == 3)

    @process
    def other(m: World):
        yield
        assert m.n == OTHER, f"other: it is {m.n}"

    def state(m: World):
        for i in range(2):
            assert is_good(m, i), f"state: {i} is bad"
            assert not m.gone[i], f"state: {i} is gone"
        worse(m)

    def is_good(m: World, i):
        return not m.bad[i]

    def worse(m: World):
        assert not m.bad[0], "state: the first is bad"
        assert not m.bad[0] or not m.bad[1], "state: both are bad"

    def each_alone(*processes):
        def start(setup):
            for number, one in enumerate(processes):
                setup.thread(f"T{number}", call(one))
        return start

    NAMES = "order custody state other".split()
    PROPERTIES = tuple(Property(name, name, state if name == "state" else None) for name in NAMES)
    SCENARIOS = (
        Scenario("warned", "", each_alone(warns, warns)), Scenario("failed", "", each_alone(asserts)),
        Scenario("panicked", "", each_alone(panics)), Scenario("stuck", "", each_alone(waits, warns)),
        Scenario("outside", "", lambda setup: setup.thread("T0", call(leaves, 2))),
        Scenario("elsewhere", "", each_alone(other), bindings={OTHER: 1}),
    )
    model = Model("mine", World, SCENARIOS, PROPERTIES)
"""
LEAVES = 'assert m.bad[i], "custody: it is not bad"'
LINES = {line.strip(): number for number, line in enumerate(textwrap.dedent(MODEL).splitlines(), 1)}


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(MODEL))
    return str(path)


def broken(result: Result) -> str:
    return result.clause if result.verdict is Verdict.VIOLATED else str(result.verdict)


def at(path: str, text: str) -> str:
    """The place of a statement."""
    return f"{path}:{next(number for line, number in LINES.items() if text in line)}"


BEHIND = [
    ("warned", [], "order: n is 0"),
    ("warned", ["order"], "state: 0 is bad"),
    ("warned", ["order", "state: 0 is bad"], "state: the first is bad"),
    ("warned", ["order", "state: {i} is bad", "state: the first is bad"], "holds"),
    ("failed", [], "custody: n is no 7"),
    ("failed", ["custody"], "holds"),
    ("panicked", ["custody: n is too small"], "holds"),
    ("outside", ["custody"], "asserts: index 2 is outside of an array of 2, in leaves(): " + LEAVES),
    ("stuck", ["deadlock"], "order: n is 0"),
    ("stuck", ["deadlock", "order"], "state: 0 is bad"),
]


@pytest.mark.parametrize(
    ("engine", "reduce"),
    [("c", REDUCTIONS), ("c", frozenset()), ("python", REDUCTIONS)],
    ids=["c", "c, whole", "python"],
)
def test_the_run_goes_on_behind_what_is_set_aside(mine: str, engine: str, reduce: frozenset[str]) -> None:
    for scenario, excepted, clause in BEHIND:
        found = check(mine, scenario, excepted=excepted, engine=engine, reduce=reduce)
        assert (scenario, excepted, broken(found)) == (scenario, excepted, clause)


@pytest.mark.parametrize("engine", ["c", "python"])
def test_a_result_says_where_it_failed_and_where_schedules_ended(mine: str, engine: str) -> None:
    def met(scenario: str, *names: str) -> tuple[Excepted, ...]:
        return check(mine, scenario, excepted=names, engine=engine).excepted

    warns, ends = at(mine, "order:"), at(mine, "custody: n is no 7")
    assert met("failed", "custody", "order") == (Excepted("custody", (ends,), (ends,)), Excepted("order"))
    assert met("warned", "order")[0] == Excepted("order", (warns,))
    assert met("stuck", "deadlock", "order", "state")[0] == Excepted("deadlock", ("deadlock",))
    assert met("warned", "order", "state", "deadlock")[1:] == (
        Excepted("state", (at(mine, "is bad"), at(mine, "the first is bad"))), Excepted("deadlock"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["order", "order: n is 0", "order: n is 17", "order: n is {m.n}", "order: n\n    is 0", "PLACE", "mine.py:LINE"]
)
def test_a_clause_has_several_names(mine: str, name: str) -> None:
    place = at(mine, "order:")
    name = name.replace("PLACE", place).replace("LINE", place.rpartition(":")[2])
    assert broken(check(mine, "warned", excepted=[name])) == "state: 0 is bad"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("custdy: n is no 7", "did you mean 'custody: n is no 7'?"),
        ("too small", "did you mean 'custody: n is too small'?"),
        ("other: is", "did you mean 'other: it is {m.n}'?"),
        ("xyzzy", "asserts, deadlock, order, custody, state, other"),
        ("race", "--no-races leaves races out"),
        ("progress: T0 may never come to an end", "progress is judged with --progress alone"),
    ],
)
def test_an_unknown_name_is_refused(mine: str, name: str, hint: str) -> None:
    with pytest.raises(UserError, match="clause") as error:
        check(mine, "failed", excepted=[name])
    assert hint in str(error.value)


def test_a_clause_of_another_scenario_is_known_and_never_fails(mine: str) -> None:
    found = check(mine, "panicked", excepted=["other: it is 0", "custody"])
    assert found.holds
    assert found.excepted[0] == Excepted("other: it is 0")


def test_a_value_out_of_range_is_never_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(MODEL).replace('assert m.n == 7, "custody: n is no 7"', "m.n = u8(m.n - 1)"))
    for engine in ("c", "python"):
        assert check(str(path), "failed", excepted=["custody", "asserts"], engine=engine).verdict is Verdict.VIOLATED


def test_a_token_goes_on_behind_it_too(mine: str) -> None:
    found = check(mine, "warned", excepted=["order", "custody", "state: 0 is bad"])
    counterexample = found.counterexample
    assert counterexample
    assert counterexample.behind == (
        f"order: n is {{m.n}} ({at(mine, 'order:')})", f"state: {{i}} is bad ({at(mine, 'is bad')})",
    )  # fmt: skip
    again = explain(counterexample.token, mine)
    assert (again.clause, again.place, again.counterexample) == (
        found.clause, at(mine, "the first is bad"), replace(counterexample, shortest=None),
    )  # fmt: skip


def test_a_token_has_nothing_of_what_did_not_fail_on_the_way(mine: str) -> None:
    with_more = check(mine, "failed", excepted=["order", "state"]).counterexample
    without = check(mine, "failed").counterexample
    assert with_more and without
    assert with_more.token == without.token


def test_a_token_of_sites_that_cannot_be_is_refused(mine: str) -> None:
    found = check(mine, "warned", excepted=["order"]).counterexample
    assert found
    read = tokens.read(found.token)
    for sites in ((9999,), (3, 3), (5, 4)):
        names = b"".join([read.design, read.scenario, read.digest, bytes([tokens.EXCEPTS])])
        packed = names + b"".join(map(tokens._number, [len(sites), *sites])) + tokens._packed(read.schedule)
        with pytest.raises(UserError, match=r"another version|damaged"):
            explain(tokens._spelled(packed), mine)


def test_a_kept_verdict_is_of_what_was_set_aside(mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path))

    def again(*excepted: str) -> Result:
        return check(mine, "warned", excepted=excepted, fresh=False)

    first, behind = again(), again("order")
    assert (first.clause, behind.clause, behind.kept) == ("order: n is 0", "state: 0 is bad", False)
    assert again("order") == replace(behind, kept=True)
    assert not again("order: n is 0").kept
    assert again() == replace(first, kept=True)


def test_one_property_is_judged_alone_in_all_of_its_clauses(mine: str) -> None:
    """The clauses of other properties do not count, wherever they stand; those behind them in one routine do."""
    found = check(mine, "warned", property="state", excepted=["state: 0 is bad"])
    assert found.clause == "state: the first is bad"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(list(arguments))
    return " ".join(capsys.readouterr().out.split())


def test_the_report_says_what_was_set_aside(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "check", mine, "--except", "custody", "--except", "order", "--except", "other: it is {m.n}",
                "--scenario", "failed", "--scenario", "panicked", "--scenario", "elsewhere", "--no-races")  # fmt: skip
    ends = ", ".join([at(mine, "custody: n is no 7"), at(mine, "too small")])
    assert f"{mine}: custody: failed in failed, panicked at {ends}; schedules end at {ends}, and what lies behind is" in text
    assert f"{mine}: order: never failed" in text
    assert f"{mine}: other: it is {{m.n}}: failed in elsewhere at {at(mine, 'other:')}; schedules end at" in text
    text = said(capsys, "check", mine, "--except", "order", "--except", "custody", "--scenario", "warned")
    assert f"Set aside on the way: order: n is {{m.n}} ({at(mine, 'order:')})" in text
    assert "custody: never failed in what was explored" in text
    text = said(capsys, "check", mine, "--except", "custody", "--scenario", "failed", "--mail")
    assert "set aside: custody: failed" in text and "--except custody" in text


def test_json_says_what_was_set_aside(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", mine, "--scenario", "warned", "--except", "order", "--json"])
    [found] = json.loads(capsys.readouterr().out)["results"]
    assert found["excepted"] == [{"clause": "order", "failed": [at(mine, "order:")], "ended": []}]
    assert (found["place"], found["others"]) == (at(mine, "is bad"), [])
    assert found["counterexample"]["behind"] == [f"order: n is {{m.n}} ({at(mine, 'order:')})"]


def test_a_test_made_of_it_sets_the_same_aside(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = check(mine, "warned", excepted=["order"]).counterexample
    assert found
    main(["explain", found.token, mine, "--pytest"])
    names: dict[str, Any] = {}
    exec(capsys.readouterr().out, names)
    with pytest.raises(AssertionError, match="state: 0 is bad"):
        names["test_schedule_warned_state"]()
    with pytest.raises(AssertionError):
        names["test_warned_state"]()
