"""What a check says: verdicts, counterexamples, tokens, and one clear error for everything that cannot be checked."""

from __future__ import annotations

import errno
import gc
import os
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from septum.check import check as checking
from septum.check import tokens
from septum.check.check import check
from septum.check.dependence import Recorder
from septum.check.explain import explain
from septum.check.loading import load
from septum.check.result import Verdict
from septum.explore.explore import Budget, explore
from septum.lang import LanguageError, ModelError, UserError
from septum.translate import compile as compiling

MIRROR_FAULT = str(Path(__file__).parents[2] / "examples" / "mirror_fault.py")

MODEL = """
    from septum.lang import *

    from septum.host.cpu import just_me
    from septum.host.locks import Lock

    class SpinLock(Lock):
        pass

    class World(Struct):
        n: u8
        taken: bool
        a: SpinLock
        b: SpinLock

    met = Witness("met", "both were inside")
    never = Witness("never", "this does not happen")

    @process
    def lock(m, l):
        yield when(lambda: l.writer == 0)
        l.writer = just_me()

    {body}

    properties = (Property("custody", "one holder"), Property("context", ""))
    model = Model("mine", World, (Scenario("s", "a scenario", start, ({witness},)),), properties)
"""

HOLDS = """
    @process
    def p(m: World):
        yield from lock(m, m.a)
        m.n += 1
        assert m.n == 1, f"custody: {m.n} hold it"
        yield
        m.n -= 1
        m.a.writer = 0
        reached(met)

    def start(s):
        s.thread("T0", call(p))
        s.thread("T1", call(p))
"""
BROKEN = HOLDS.replace("yield from lock(m, m.a)", "yield")
DEADLOCK = """
    @process
    def p(m: World):
        yield from lock(m, m.a)
        yield from lock(m, m.b)
        m.a.writer = 0
        m.b.writer = 0

    @process
    def q(m: World):
        yield from lock(m, m.b)
        yield from lock(m, m.a)
        m.a.writer = 0
        m.b.writer = 0

    def start(s):
        s.thread("T0", call(p))
        s.thread("T1", call(q))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """`mine(body)`: the path of a file with a model of this body."""
    monkeypatch.chdir(tmp_path)

    def write(body: str, witness: str = "met") -> str:
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(MODEL).format(body=textwrap.dedent(body), witness=witness))
        return str(path)

    return write


def test_a_model_that_holds(mine):
    result = check(mine(HOLDS), "s")
    assert result.holds
    assert result
    assert result.witnesses == {"met": True}
    assert 1 < result.states < check(mine(HOLDS), "s", reduce=frozenset()).states
    assert result.collision < 1e-20


def test_a_violation_says_what_broke_and_by_which_schedule(mine):
    result = check(mine(BROKEN), "s")
    assert (result.verdict, result.property, result.clause) == (Verdict.VIOLATED, "custody", "custody: 2 hold it")
    steps = result.counterexample.steps
    assert [step.thread for step in steps] in (["T0", "T1", "T0", "T1"], ["T0", "T0", "T1", "T1"])
    assert [(change.place, change.old, change.new) for step in steps[:-1] for change in step.changes] == [("n", "0", "1")]
    assert result.counterexample.threads[1].state == "failed"


@pytest.mark.parametrize("body", [BROKEN, DEADLOCK])
def test_a_check_leaves_nothing_of_its_counterexample_in_memory(mine, body):
    def recorders():
        gc.collect()
        return sum(isinstance(one, Recorder) for one in gc.get_objects())

    before = recorders()
    assert check(mine(body), "s").counterexample
    assert recorders() <= before


def test_a_deadlock_says_who_waits_for_whom(mine):
    result = check(mine(DEADLOCK), "s")
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "deadlock")
    assert [one.state for one in result.counterexample.threads] == ["blocked", "blocked"]
    assert [one.waits_for for one in result.counterexample.threads] == ["b, held by T1", "a, held by T0"]
    assert result.clause == "deadlock: T0 waits for b, held by T1; T1 waits for a, held by T0"


@pytest.mark.parametrize(
    ("body", "verdict", "property"), [(DEADLOCK, Verdict.INCOMPLETE, ""), (BROKEN, Verdict.VIOLATED, "custody")]
)
def test_a_deadlock_that_the_python_engine_has_not_seen_is_not_told(mine, monkeypatch, body, verdict, property):
    """As where the search that would rebuild its schedule ran out of its budget."""
    monkeypatch.setattr(checking, "explore", lambda *a, **kw: replace(explore(*a, **kw), traced=False, schedule=()))
    result = check(mine(body), "s")
    assert (result.verdict, result.property) == (verdict, property)
    assert result.clause == ("custody: {m.n} hold it" if property else "")
    assert "the schedule could not be rebuilt" in result.reason


def test_a_witness_that_is_never_reached_makes_a_pass_vacuous(mine):
    result = check(mine(HOLDS, "never"), "s")
    assert result.verdict is Verdict.VACUOUS
    assert not result
    assert "never" in result.reason


@pytest.mark.parametrize("budget", [Budget(states=1), Budget(bytes=1), Budget(seconds=0)])
def test_a_budget_that_ends_is_never_a_pass(budget):
    result = check(MIRROR_FAULT, "C", budget=budget)
    assert result.verdict is Verdict.INCOMPLETE
    assert result.reason


@pytest.mark.parametrize(("scenario", "states", "transitions", "depth"), [("A", 39_882, 70_444, 33), ("B", 276_670, 629_865, 40)])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_benchmark_protocol_has_the_states_of_its_reference(scenario, states, transitions, depth, threads):
    result = check(MIRROR_FAULT, scenario, reduce=frozenset(), threads=threads)
    assert result.holds
    assert (result.states, result.transitions, result.depth) == (states, transitions, depth)


@pytest.mark.parametrize("scenario", ["A", "B", "C", "D"])
def test_reductions_shrink_it_and_keep_the_verdict(scenario):
    assert check(MIRROR_FAULT, scenario).holds


def test_both_engines_come_to_the_same(mine):
    for body in (HOLDS, BROKEN, DEADLOCK):
        path = mine(body)
        fast, slow = check(path, "s", reduce=frozenset()), check(path, "s", engine="python")
        assert (fast.verdict, fast.property, fast.clause) == (slow.verdict, slow.property, slow.clause)
        if fast.holds:
            assert (fast.states, fast.transitions, fast.depth) == (slow.states, slow.transitions, slow.depth)


def test_without_a_compiler_the_python_engine_does_it_and_says_so(mine, monkeypatch):
    compiling.compiler.cache_clear()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda _: None)
    result = check(mine(HOLDS), "s")
    compiling.compiler.cache_clear()
    assert result.holds
    assert result.engine == "python"


def test_a_token_replays(mine):
    path = mine(BROKEN)
    result = check(path, "s")
    token = result.counterexample.token
    assert len(token) <= tokens.LONGEST
    again = explain(token, path)
    assert again.counterexample.steps == result.counterexample.steps
    assert again.clause == result.clause


def test_a_token_of_a_property_judged_alone_replays(mine):
    body = HOLDS.replace("m.n += 1\n", "m.n += 1\n        warn_on(m.n == 1, 'context: it was free')\n").replace(
        "yield from lock(m, m.a)", "yield"
    )
    path = mine(body)
    assert check(path, "s").property == "context"
    result = check(path, "s", property="custody")
    assert result.property == "custody"
    assert explain(result.counterexample.token, path).clause == result.clause


def test_a_token_of_another_version_is_an_error_and_not_a_wrong_replay(mine):
    token = check(mine(BROKEN), "s").counterexample.token
    with pytest.raises(UserError, match="another version"):
        explain(token, mine(BROKEN.replace("m.n -= 1", "m.n -= 1; m.taken = True")))
    with pytest.raises(UserError, match="damaged"):
        explain(token[:-3] + "AAA", mine(BROKEN))
    with pytest.raises(UserError, match="no built-in design"):
        explain(token)


def test_a_long_schedule_goes_to_a_file(mine, tmp_path):
    body = BROKEN.replace("assert m.n == 1", "assert m.n < 2 or m.b.age < 120").replace("m.n += 1\n", "m.n += 1\n" + LONG)
    path = mine(body)
    result = check(path, "s")
    assert result.counterexample.token.endswith(".schedule")
    assert explain(result.counterexample.token, path).clause == result.clause


LONG = """
        for i in range(60):
            yield when(lambda: m.b.age % 2 == current())
            m.b.age += 1
"""


def test_a_full_disk_for_the_schedule_is_one_clear_message(mine, monkeypatch):
    body = BROKEN.replace("assert m.n == 1", "assert m.n < 2 or m.b.age < 120").replace("m.n += 1\n", "m.n += 1\n" + LONG)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = mine(body)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"schedule: no space left on device"):
        check(path, "s", engine="python")


def test_a_full_disk_for_the_compiled_model_is_one_clear_message(mine, monkeypatch, tmp_path):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = mine(HOLDS)
    monkeypatch.setenv("SEPTUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="No space left on device; set SEPTUM_CACHE"):
        check(path, "s")


ENDLESS = """
    def spin(m):
        while m.n == 0:
            m.taken = not m.taken

    @process
    def p(m: World):
        yield
        spin(m)

    def start(s):
        s.thread("T0", call(p))
"""


@pytest.mark.parametrize("engine", ["c", "python"])
def test_a_choice_among_none_is_a_finding_in_both_engines(mine, engine):
    body = HOLDS.replace("yield from lock(m, m.a)", "x = yield choose(lambda: m.b.age)")
    found = check(mine(body), "s", engine=engine)
    assert (found.verdict, found.property) == (Verdict.VIOLATED, "asserts")
    assert "a choice among none" in found.clause
    assert found.counterexample.token


OWN_CODE = {
    "a count that falls below zero": ("m.n -= 1", "World.n = -1 does not fit u8 (0 .. 255), in p(): m.n -= 1"),
    "an index beyond the end": (
        "m.small[(m.n + 3) % 5] = 1",
        "index 3 is outside of an array of 3, in p(): m.small[(m.n + 3) % 5] = 1",
    ),
    "a division by zero": ("m.n = 1 // m.n", "integer division or modulo by zero, in p(): m.n = 1 // m.n"),
    "a conversion that does not fit": ("m.n = u8(300 - m.n)", "300 does not fit u8 (0 .. 255), in p(): m.n = u8(300 - m.n)"),
}


@pytest.mark.parametrize(("line", "clause"), OWN_CODE.values(), ids=OWN_CODE)
def test_what_a_schedule_makes_of_the_models_own_code_is_a_violation(mine, line, clause):
    """In C the first alone, for the time that it takes to compile one; the engines agree on all (tests/lang)."""
    body = HOLDS.replace("yield from lock(m, m.a)", f"yield\n        {line}")
    path = mine(body)
    Path(path).write_text(Path(path).read_text().replace("n: u8\n", "n: u8\n    small: u8[3]\n", 1))
    found = check(path, "s", engine="c" if line == "m.n -= 1" else "python")
    assert (found.verdict, found.property, found.clause) == (Verdict.VIOLATED, "asserts", f"asserts: {clause}")
    assert found.counterexample.token and found.counterexample.threads[0].stack[-1].file.endswith("mine.py")


@pytest.mark.parametrize("engine", ["c", "python"])
def test_an_argument_of_a_thread_is_checked(mine, engine):
    body = HOLDS.replace("def p(m: World)", "def p(m: World, n: u8)").replace("call(p)", "call(p, 300)")
    with pytest.raises(UserError, match="300 does not fit n, a u8"):
        check(mine(body), "s", engine=engine)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('s.thread("T0", call(p))', 's.thread("T0", p)', "wants call"),
        ('s.thread("T0", call(p))', "s.foo()", "has no attribute 'foo'"),
        ('s.thread("T0", call(p))', "s.m.n = 300", "does not fit"),
    ],
)
def test_a_mistake_in_the_start_of_a_scenario_is_one_clear_message(mine, old, new, message):
    with pytest.raises(UserError, match=message):
        check(mine(HOLDS.replace(old, new)), "s")


def test_a_model_is_checked_when_it_is_made(mine, tmp_path):
    for text, message in (
        ("model = Model('x', World, Scenario('s', '', start))", "scenarios of a Model"),
        ("model = Model('x', 3)", "the world of a Model"),
        ("model = Model('x', World)", "no scenario"),
        ("class Bad(Struct):\n    a: u8[-3]\nmodel = Model('x', Bad, (Scenario('s', '', start),))", "an array of -3"),
        ("raise SystemExit(0)", "SystemExit"),
    ):
        path = tmp_path / "made.py"
        path.write_text("from septum.lang import *\nclass World(Struct):\n    n: u8\ndef start(s): pass\n" + text + "\n")
        with pytest.raises(UserError, match=message):
            check(str(path), "s")


def test_a_property_alone_asks_for_no_witness(mine):
    assert check(mine(HOLDS, "never"), "s", property="deadlock").holds


def test_an_endless_routine_is_a_mistake_with_its_place(mine):
    with pytest.raises(ModelError, match=r"mine\.py:\d+: the loop does not end within one step\n    while m\.n == 0:"):
        check(mine(ENDLESS), "s")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (HOLDS.replace("m.n += 1", "m.n += 300"), "does not fit"),
        (HOLDS.replace("yield\n", "spin(m)\n") + "\n    def spin(m):\n        yield\n", "a yield in the routine spin"),
        (BROKEN.replace("custody: {m.n}", "custdy: {m.n}"), r"mine\.py:\d+: mine has no property custdy; did you mean custody\?"),
        (BROKEN.replace('f"custody: {m.n} hold it"', '"contxt: two hold it"'), "no property contxt; did you mean context"),
        ("def start(s):\n    pass\n", "no thread runs anything"),
        ("def start(s):\n    s.thread('T', call(lock, 1))\n", "says the types of its parameters"),
    ],
)
def test_a_mistake_in_a_model_is_one_clear_message(mine, body, message):
    with pytest.raises(UserError, match=message):
        check(mine(body), "s")


def test_a_file_that_is_no_model(tmp_path):
    path = tmp_path / "wrong.py"
    wrong = {
        "def f(:": r"wrong\.py:1: invalid syntax",
        "x = 1 / 0": r"wrong\.py:1: ZeroDivisionError",
        "x = 1": "0 designs or models",
    }
    for text, message in wrong.items():
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            load(str(path))
    with pytest.raises(UserError, match="no such file and no built-in design"):
        load("nothing")
    assert issubclass(LanguageError, UserError)
