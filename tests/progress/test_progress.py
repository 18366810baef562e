"""Progress: a cycle is a violation if each thread that could run on it does, and yet one never ends; and only then."""

from __future__ import annotations

import json
import random
from collections import deque
from itertools import combinations

import pytest

import tests.progress.retries
from septum.check.check import check
from septum.check.explain import explain
from septum.check.result import Verdict
from septum.check.trace import trace
from septum.cli import main
from septum.designs import BUILT_IN
from septum.explore.build import build
from septum.explore.explore import Budget, Outcome
from septum.lang.engine import Status
from septum.lang.types import scope
from septum.progress.livelock import find_livelock
from septum.report.diagram import diagram
from septum.scenarios import SCENARIOS
from tests.explore.random_models import Writer, model, module
from tests.progress.retries import model as retries

RETRIES = tests.progress.retries.__file__
LIVELOCKS = {
    "feed_each_other": (3, 4), "three_around": (4, 6), "polls_for_nobody": (1, 1), "may_keep_the_lock": (3, 1),
    "pages_go_round": (2, 2),
}  # fmt: skip
MERGED = [(d, s.name) for d in BUILT_IN if d.name in ("upstream", "dpamt_merged") for s in SCENARIOS if s.needs <= d.operations]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("scenario", [one.name for one in retries.scenarios])
def test_a_fair_cycle_is_a_violation_and_an_unfair_one_is_not(scenario):
    result = check(retries, scenario, livelocks=True, races=False)
    if scenario == "nobody_raises_it":
        assert (result.verdict, result.property) == (Verdict.VIOLATED, "deadlock")
        return
    if scenario not in LIVELOCKS:
        assert result.verdict == Verdict.HOLDS
        return
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "progress")
    found = result.counterexample
    assert (found.loop, len(found.steps) - found.loop) == LIVELOCKS[scenario]


def test_without_being_asked_for_it_is_not_judged():
    assert check(retries, "feed_each_other").holds


def test_it_can_be_judged_alone():
    assert check(retries, "feed_each_other", property="progress").property == "progress"
    assert check(retries, "in_one_order", property="progress").holds


def test_the_threads_that_never_end_are_named():
    assert (
        check(retries, "feed_each_other", livelocks=True).clause
        == "progress: T0 in cross(), T1 in cross() may never come to an end"
    )


def test_a_thread_that_waits_beside_one_that_goes_round_is_stuck():
    assert check(retries, "nobody_raises_it").clause.startswith("deadlock: T1 waits for ")


def test_a_loop_that_only_renames_pages_is_gone_round_until_they_have_their_names_again():
    """Page symmetry takes the state after one turn for the one before it."""
    for reduce in (frozenset(), {"symmetry"}):
        result = check(retries, "pages_go_round", livelocks=True, reduce=frozenset(reduce))
        assert len(result.counterexample.steps) - result.counterexample.loop == 2


def test_its_token_replays_it(capsys):
    assert main(["check", RETRIES, "--scenario", "feed_each_other", "--progress", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["results"][0]["counterexample"]
    again = explain(found["token"], RETRIES)
    assert (found["loop"], again.counterexample.loop) == (3, 3)
    assert [step.thread for step in again.counterexample.steps] == [step["thread"] for step in found["steps"]]
    assert main(["explain", found["token"], RETRIES]) == 1
    assert "--- again from step 4 ---" in capsys.readouterr().out


def test_the_python_engine_says_that_it_cannot(capsys):
    assert main(["check", RETRIES, "--progress", "--engine", "python"]) == 2
    assert "progress is judged by the C engine" in capsys.readouterr().err


def test_a_schedule_that_does_not_go_round_is_refused():
    from septum.lang.errors import EnginesDisagree

    with pytest.raises(EnginesDisagree, match="does not go round"):
        trace(build(retries, retries.scenarios[0]), [(0, 0), (0, 0), (1, 0)], loop=1)
    polls = next(one for one in retries.scenarios if one.name == "polls_until_told")
    with pytest.raises(EnginesDisagree, match="does not go round"):
        trace(build(retries, polls), [(0, 0), (0, 0)], loop=1)  # T1 could run, and never does


def test_the_diagram_shows_the_way_there_and_the_loop():
    shown = diagram(check(retries, "feed_each_other", livelocks=True))
    lines = shown.splitlines()
    begin, end = (next(n for n, line in enumerate(lines) if line.startswith(text)) for text in ("--- from here on", "--- again"))
    numbers = [int(line[:2]) for line in lines[:end] if line[:2].strip().isdigit()]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]
    assert lines[begin + 1].startswith(" 4") and lines[end].startswith("--- again from step 4 ---")
    assert "after 3 steps, the shortest way there, in a loop of 4 steps" in shown


@pytest.mark.parametrize("budget", [Budget(states=3), Budget(bytes=1 << 16)])
def test_what_does_not_fit_is_incomplete(budget):
    built = build(retries, retries.scenarios[0])
    with scope(built.bindings):
        found = find_livelock(built, budget=budget)
    assert found.outcome in (Outcome.OUT_OF_STATES, Outcome.OUT_OF_MEMORY)


@pytest.mark.parametrize(("design", "scenario"), MERGED, ids=lambda value: getattr(value, "name", value))
def test_every_fault_is_served_in_what_is_merged(design, scenario):
    assert check(design.name, scenario, livelocks=True).verdict == Verdict.HOLDS


# -- Random models, and a reference that knows no algorithm but reachability --

FILES, MODELS, STATES = 6, 60, 120


class Retrying(Writer):
    """Also writes loops that go on for as long as the world is so."""

    def _if(self, out, depth):
        """Instead of a condition: wait in a loop for what another thread may do, or try and try again."""
        self._retry(out, depth)

    def _loop(self, out, depth):
        self._retry(out, depth)

    def _count(self, out, depth):
        self._retry(out, depth)

    def _retry(self, out, depth):
        which, other = self.dice.randint(0, 1), self.dice.randint(0, 1)
        field, value = self.dice.choice("nk"), self.dice.randint(0, 1)
        out += self.dice.choice([
            [f"while m.{field} == {value}:", "    yield"],
            [f"while m.{field} == {value}:", "    yield", f"    m.{self.dice.choice('nk')} = {self.dice.randint(0, 1)}"],
            [f"m.{field} = {value}"],
            [f"while m.{field} == {value}:", f"    y{depth} = yield choose(2)", f"    m.lock[{which}] = u8(y{depth})"],
            ["a = 0", "while a == 0:", f"    yield when(lambda: m.lock[{which}] == 0)", f"    m.lock[{which}] = 1", "    yield",
             f"    if m.lock[{1 - which}] == 0:", "        a = 1", f"    m.lock[{which}] = 0"],
            ["yield choose(2)", f"m.{field} = {value}"],
            [f"while m.lock[{other}] != 0:", "    yield", f"m.lock[{other}] = 1", "yield", f"m.lock[{other}] = 0"],
        ])  # fmt: skip

    def _assert(self, out, depth):
        """What fails is no matter of progress."""
        out.append("yield")


def graph(built):
    """Every state: which threads could move there, which have not ended, and the moves (thread, next state). None if too many."""

    def replayed(path):
        engine = built.engine()
        for move in path:
            engine.step(*move)
        return engine

    engine = built.engine()
    states, queue = {engine.state(): None}, deque([(engine.state(), ())])
    while queue:
        state, path = queue.popleft()
        engine = replayed(path)
        threads = range(len(engine.threads))
        able = [thread for thread in threads if engine.can_step(thread)]
        moves = []
        for thread in able:
            for choice in range(engine.choices(thread)):
                after = replayed(path)
                if after.step(thread, choice) is Status.FAILED:
                    continue
                moves.append((thread, after.state()))
                if after.state() not in states:
                    states[after.state()] = None
                    queue.append((after.state(), (*path, (thread, choice))))
        unended = {thread for thread in threads if not engine.threads[thread].ended}
        states[state] = (set(able), unended, moves)
        if len(states) > STATES:
            return None
    return states


def reachable(start, moves):
    seen, todo = set(), [start]
    while todo:
        for after in moves.get(todo.pop(), ()):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return seen


def has_livelock(states):
    """For some set of threads there are states that can reach each other while these threads run, and no other one could run."""
    threads = {thread for able, _, _ in states.values() for thread in able}
    for size in range(1, len(threads) + 1):
        for running in map(set, combinations(sorted(threads), size)):
            inside = {state for state, (able, unended, _) in states.items() if able <= running and unended}
            moves = {s: [to for thread, to in states[s][2] if thread in running and to in inside] for s in inside}
            reach = {state: reachable(state, moves) for state in inside}
            for state in inside:
                around = {other for other in reach[state] if state in reach[other]}
                moved = {thread for s in around for thread, to in states[s][2] if thread in running and to in around}
                if moved == running:
                    return True
    return False


def random_model(seed, path):
    programs = [
        (n, n if n % 5 == 0 else (n * 7 + 1) % MODELS, (n * 11 + 3) % MODELS)[: 2 + n % 2] for n in range(MODELS)
    ]  # fmt: skip
    return model(module(random.Random(seed), MODELS, Retrying), path, programs)


@pytest.fixture(scope="module")
def tally():
    return {True: 0, False: 0}


@pytest.mark.parametrize("seed", range(FILES))
def test_random_models_agree_with_the_reference(seed, tmp_path, tally):
    written = random_model(seed, tmp_path)
    for scenario in written.scenarios:
        built = build(written, scenario)
        with scope(built.bindings):
            states = graph(built)
        if states is None:
            continue
        expected = has_livelock(states)
        tally[expected] += 1
        for symmetry in (False, True):
            with scope(built.bindings):
                found = find_livelock(built, symmetry=symmetry)
            assert found.outcome is (Outcome.VIOLATED if expected else Outcome.COMPLETE), scenario.name
            assert symmetry or found.states == len(states)
            if expected:
                assert found.traced
                trace(built, found.schedule, loop=found.loop)


def test_enough_of_them_were_compared(tally):
    assert tally[True] > 20 and tally[False] > 60
