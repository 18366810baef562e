"""On random small models every engine, every set of reductions and every number of threads comes to the same."""

from __future__ import annotations

import pytest

from septum.check.build import build
from septum.check.check import REDUCTIONS, check
from septum.check.explore import Budget, Outcome
from septum.check.loading import _imported
from septum.check.search import Search
from septum.lang import Model, Scenario, call
from septum.lang.types import scope
from tests.check.random_models import module

FILES, MODELS = 20, 100
SMALL = Budget(states=250)


@pytest.fixture(scope="module")
def tally():
    return {"compared": 0, "violated": 0}


def models(seed, path):
    """One Model whose scenarios pair the processes of a random file: one compilation serves them all."""
    file = path / f"random_{seed}.py"
    file.write_text(module(seed, MODELS))
    found = _imported(file)
    processes = [getattr(found, f"p{number}") for number in range(MODELS)]

    def start(setup, number):
        for thread, other in enumerate((number, (number * 7 + 1) % MODELS)):
            setup.thread(f"T{thread}", call(processes[other]))

    scenarios = [Scenario(f"s{number}", "", lambda s, n=number: start(s, n)) for number in range(MODELS)]
    return Model(f"random_{seed}", found.World, tuple(scenarios))


@pytest.mark.parametrize("seed", range(FILES))
def test_engines_and_reductions_agree(seed, tmp_path, monkeypatch, tally):
    monkeypatch.chdir(tmp_path)
    model = models(seed, tmp_path)
    for scenario in model.scenarios:
        built = build(model, scenario)
        with scope(built.bindings):
            naive = Search(built, SMALL, None).run()
        if naive.outcome is Outcome.OUT_OF_STATES:
            continue
        tally["compared"] += 1
        plain = check(model, scenario.name, reduce=frozenset(), threads=1)
        assert plain.verdict == ("violated" if naive.outcome in (Outcome.VIOLATED, Outcome.DEADLOCK) else "holds")
        if plain.holds:
            assert (plain.states, plain.transitions, plain.depth) == (naive.states, naive.transitions, naive.depth)
        else:
            tally["violated"] += 1
            assert len(plain.counterexample.steps) == len(naive.schedule)
        for reduce in (frozenset(), {"symmetry"}, {"fusion"}, {"partial"}, REDUCTIONS):
            assert_same(plain, check(model, scenario.name, reduce=frozenset(reduce), threads=2))


def assert_same(plain, reduced):
    """The same verdict and, for a violation, a schedule of the same length; never more states."""
    assert reduced.verdict == plain.verdict
    if plain.holds:
        assert reduced.states <= plain.states
    else:
        assert reduced.counterexample.shortest
        assert len(reduced.counterexample.steps) == len(plain.counterexample.steps)


def test_enough_of_them_were_compared(tally):
    assert tally["compared"] > 0.5 * FILES * MODELS
    assert tally["violated"] > 0.05 * FILES * MODELS
