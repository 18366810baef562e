"""Random schedules find what a check finds, are made shorter, replay, and say honestly what they are worth."""

from __future__ import annotations

import subprocess
import textwrap
from dataclasses import replace
from itertools import pairwise

import pytest

from septum.check.check import check
from septum.check.explain import explain
from septum.check.loading import load
from septum.check.result import Verdict
from septum.explore.build import build
from septum.hunt.hunt import NOTHING_FOUND, hunt, least_chance
from septum.lang import ModelError, UserError
from septum.translate.compile import compiler
from tests.designs.mutate import mutated
from tests.designs.mutations import MUTATIONS

MODEL = """
    from septum.lang import *

    from septum.host.cpu import just_me
    from septum.host.locks import Lock

    class World(Struct):
        n: u8
        taken: boolean[2]
        ticks: u64
        a: Lock
        b: Lock

    met = Witness("met", "both were inside")

    @process
    def lock(m, l):
        yield when(lambda: l.writer == 0)
        l.writer = just_me()

    {body}

    model = Model(
        "mine", World, (Scenario("s", "a scenario", start, (met,)),),
        (Property("custody", "one holder"), Property("count", "n is small")),
    )
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
        s.thread("T0", call(p), call(p))
        s.thread("T1", call(p), call(p))
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
        s.thread("T0", call(p), call(p))
        s.thread("T1", call(q), call(q))
"""
RARE_CHOICES = """
    @process
    def p(m: World):
        for i in range(20):
            x = yield choose(2)
            y = yield choose(3)
            m.n = u8(4 * x + y)
            yield
            assert m.n != 5, f"custody: i is {i}"

    def start(s):
        s.thread("T0", call(p))
"""
SPINNING = """
    @process
    def wait(m: World):
        while not m.taken[0]:
            yield
        assert m.n == 0, "custody: n was written"

    @process
    def write(m: World):
        yield
        m.n = 1
        yield
        m.taken[0] = True

    def start(s):
        s.thread("T0", call(wait))
        s.thread("T1", call(write))
"""
ENDLESS = """
    @process
    def p(m: World):
        while not m.taken[0]:
            m.ticks += 1
            yield

    def start(s):
        s.thread("T0", call(p))
"""
TWO_PROPERTIES = """
    @process
    def p(m: World):
        yield
        n = m.n
        yield
        assert m.n == n, "custody: changed"
        warn_on(m.n == 1, "count: one")
        yield
        m.n += 1

    def start(s):
        s.thread("T0", call(p))
        s.thread("T1", call(p))
"""
MISTAKE = """
    @process
    def p(m: World):
        for i in range(3):
            x = yield choose(200)
            m.n = m.n + x

    def start(s):
        s.thread("T0", call(p))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """`mine(body)`: the path of a file with a model of this body."""
    monkeypatch.chdir(tmp_path)

    def write(body: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(MODEL).format(body=textwrap.dedent(body)))
        return str(path)

    return write


def switches(found):
    threads = [step.thread for step in found.counterexample.steps]
    return sum(one != other for one, other in pairwise(threads))


# -- What is found --


def test_a_violation_is_shrunk_to_the_shortest_and_replays(mine):
    found = hunt(mine(BROKEN), "s", runs=1000)
    assert (found.verdict, found.property, found.clause) == (Verdict.VIOLATED, "custody", "custody: 2 hold it")
    assert len(found.counterexample.steps) == len(check(mine(BROKEN), "s").counterexample.steps) == 4
    assert switches(found) == 1
    assert not found.counterexample.shortest
    assert found.counterexample.steps[-1] == explain(found.counterexample.token, mine(BROKEN)).counterexample.steps[-1]
    assert found.first_steps >= 4


def test_a_deadlock(mine):
    found = hunt(mine(DEADLOCK), "s", runs=1000)
    assert found.clause == "deadlock: T0 waits for b, held by T1; T1 waits for a, held by T0"
    assert [(one.property, one.clause) for one in found.failures] == [("deadlock", "threads wait for ever")]
    assert len(found.counterexample.steps) == len(check(mine(DEADLOCK), "s").counterexample.steps)
    assert explain(found.counterexample.token, mine(DEADLOCK)).clause == found.clause


def test_a_choice_that_is_not_the_first(mine):
    found = hunt(mine(RARE_CHOICES), "s", runs=1000)
    assert found.clause == "custody: i is 0"
    assert [step.choice for step in found.counterexample.steps if step.choice] == [1, 1]


def test_a_thread_that_spins_lets_others_run(mine):
    found = hunt(mine(SPINNING), "s", runs=100)
    assert found.found
    assert found.cut == 0


def test_a_run_without_an_end_is_cut_off_and_said(mine):
    found = hunt(mine(ENDLESS), "s", runs=10, most_steps=1000)
    assert (found.verdict, found.cut, found.steps, found.longest) == (NOTHING_FOUND, 10, 10_000, 0)


@pytest.mark.parametrize(("property", "clause"), [("custody", "custody: changed"), ("count", "count: one")])
def test_one_property_alone(mine, property, clause):
    found = hunt(mine(TWO_PROPERTIES), "s", runs=1000, property=property, keep_going=True)
    assert found.clause == clause
    assert [one.property for one in found.failures] == [property]


def test_distinct_failures_are_counted(mine):
    found = hunt(mine(TWO_PROPERTIES), "s", runs=1000, keep_going=True)
    assert {one.clause for one in found.failures} == {"custody: changed", "count: one"}
    assert sum(one.runs for one in found.failures) <= found.runs == 1000


def test_a_mistake_of_the_model_is_no_violation(mine):
    with pytest.raises(ModelError, match=r"(?s)mine.py:\d+: .* in scenario s, after \d+ steps"):
        hunt(mine(MISTAKE), "s", runs=1000)


@pytest.mark.parametrize(("scenario", "longest"), [("two_tds", 100), ("split_two_tds", 60)])
@pytest.mark.parametrize("sizes", [{}, {"vcpus": 4, "pages": 200}], ids=["small", "large"])
def test_bugs_of_the_lists(scenario, longest, sizes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = hunt("dpamt_v4_as_posted", scenario, seconds=20, seed=1, **sizes)
    assert found.found
    assert len(found.counterexample.steps) <= longest
    assert explain(found.counterexample.token, "dpamt_v4_as_posted").clause == found.clause


@pytest.mark.parametrize("mutation", MUTATIONS[:3], ids=lambda mutation: mutation.what)
def test_mutations(mutation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with mutated(mutation):
        found = hunt(load(mutation.design), mutation.scenario, seconds=10, property=mutation.property)
    assert (found.verdict, found.property) == (Verdict.VIOLATED, mutation.property)


# -- What is not --


def test_nothing_found_is_not_a_pass(mine):
    found = hunt(mine(HOLDS), "s", runs=1000)
    assert (found.verdict, found.counterexample, found.failures, found.runs) == (NOTHING_FOUND, None, (), 1000)
    assert found.witnesses == {"met": True}
    assert 0 < found.longest <= found.length
    assert 0 < found.chance < 1


def test_a_design_without_the_operation():
    found = hunt("dpamt_merged", "split", runs=1)
    assert found.verdict == Verdict.NOT_APPLICABLE
    assert found.reason.startswith("the design has no ")


def test_time_ends_a_hunt(mine):
    found = hunt(mine(HOLDS), "s", seconds=0.2)
    assert found.runs > 100
    assert 0.1 < found.seconds < 2


def test_bad_input(mine):
    with pytest.raises(UserError, match="has no scenario t; it has s"):
        hunt(mine(HOLDS), "t", runs=1)
    with pytest.raises(UserError, match="depth 1 to 16"):
        hunt(mine(HOLDS), "s", runs=1, depth=17)


# -- How --


@pytest.mark.parametrize("body", [BROKEN, DEADLOCK, RARE_CHOICES, HOLDS], ids=["broken", "deadlock", "choices", "holds"])
def test_all_follows_from_the_seed_whatever_the_threads(mine, body):
    found = [hunt(mine(body), "s", runs=3000, seed=7, keep_going=True, threads=threads) for threads in (1, 2, 5)]
    assert len({replace(one, seconds=0, witnesses=(), counterexample=None) for one in found}) == 1
    assert len({repr(one.counterexample) for one in found}) == 1


def test_another_seed_makes_other_runs(mine):
    assert len({hunt(mine(BROKEN), "s", runs=100, seed=seed).first_run for seed in range(5)}) > 1


def test_the_bound_of_pct(mine):
    """T1 must run whole between two given steps of T0: depth 2, and found at least as often as is promised."""
    found = hunt(mine(BROKEN), "s", runs=4000, depth=2, keep_going=True)
    promised = 1 / (found.threads * found.length)
    assert sum(one.runs for one in found.failures) >= promised * found.runs


def test_chances_are_combined():
    assert least_chance(2, 1, [(100, 1)]) == pytest.approx(0.5)
    assert least_chance(2, 2, [(10, 1), (20, 2)]) == pytest.approx(1 - (19 / 20) * (39 / 40) ** 2)
    assert least_chance(1, 1, [(5, 1)]) > 0.99
    assert least_chance(4, 3, []) == 0


def test_c_compiles_without_a_warning(tmp_path):
    model = load("dpamt_merged")
    (tmp_path / "model.c").write_text(build(model, model.scenarios[0]).translation.code)
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-c", "model.c", "-o", "model.o"]
    subprocess.run([*compiler(), *flags], cwd=tmp_path, check=True)
