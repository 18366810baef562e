"""Reductions change how many states there are, and nothing else: every scenario and every mutation, with them and without.

In the smallest scope: most of it does not end without reductions in a larger one. How far states shrink shows with three vCPUs.
"""

from __future__ import annotations

import pytest

from septum.check.check import Budget, check
from septum.check.loading import load
from septum.check.result import Verdict
from septum.scenarios import SCENARIOS
from tests.designs.mutate import mutated
from tests.designs.mutations import MUTATIONS

pytestmark = pytest.mark.slow

NONE = frozenset()
DESIGNS = [load(name) for name in ("upstream", "dpamt_v4", "dpamt_merged", "dpamt_merged_split")]
ROWS = [(d.name, s.name) for d in DESIGNS for s in SCENARIOS if s.needs <= d.operations]
THREE_VCPUS = ["same_gfn", "neighbours", "zero_step", "punch_hole", "punch_hole_zero_step", "two_tds", "rcu_callbacks"]
SCENARIO_STATES, MUTATION_STATES = 3_000_000, 1_000_000


def both_ways(design, scenario, scope, most_states, **options):
    """With all reductions, and without any up to so many states."""
    reduced = check(design, scenario, scope_name=scope, **options)
    return reduced, check(design, scenario, scope_name=scope, reduce=NONE, budget=Budget(states=most_states), **options)


def outcome(result):
    """What must be the same both ways: of a violation also its length, of a pass the witnesses."""
    if result.counterexample is None:
        return result.verdict, result.witnesses
    return result.verdict, result.property, len(result.counterexample.steps)


@pytest.fixture(scope="module")
def states():
    """By design and scenario, the states with reductions and those without, which are at least so many."""
    return {}


@pytest.mark.parametrize(("design", "scenario"), ROWS)
def test_a_scenario_both_ways(design, scenario, states):
    reduced, whole = both_ways(design, scenario, "tiny", SCENARIO_STATES)
    states[design, scenario] = (reduced.states, whole.states)
    assert reduced.verdict is not Verdict.INCOMPLETE
    if whole.verdict is Verdict.INCOMPLETE:
        pytest.skip(f"without reductions it has more than {SCENARIO_STATES:,} states")
    assert outcome(reduced) == outcome(whole)
    assert reduced.states <= whole.states


def test_most_scenarios_were_compared(states):
    assert set(states) == set(ROWS)
    assert sum(whole < SCENARIO_STATES for _, whole in states.values()) >= 0.75 * len(ROWS)


def test_with_three_vcpus_all_states_together_shrink_fifty_fold():
    """Those that end without reductions within minutes; the others (an allocation fails, teardown) shrink further."""
    both = [both_ways("upstream", name, "review", 2 * SCENARIO_STATES) for name in THREE_VCPUS]
    assert all(outcome(reduced) == outcome(whole) and whole.holds for reduced, whole in both)
    assert sum(whole.states for _, whole in both) >= 50 * sum(reduced.states for reduced, _ in both)


OF_DESIGNS = [one for one in MUTATIONS if not one.design.startswith("kvm")]


@pytest.mark.parametrize("mutation", OF_DESIGNS, ids=lambda mutation: mutation.what)
def test_a_mutation_both_ways(mutation):
    """In the smallest scope that shows it."""
    with mutated(mutation):
        model, what = load(mutation.design), {"property": mutation.property}
        shows = not check(model, mutation.scenario, scope_name="tiny", **what).holds
        reduced, whole = both_ways(model, mutation.scenario, "tiny" if shows else "small", MUTATION_STATES, **what)
    assert (reduced.verdict, reduced.property) == (Verdict.VIOLATED, mutation.property)
    if whole.verdict is Verdict.INCOMPLETE:
        pytest.skip(f"without reductions it has more than {MUTATION_STATES:,} states")
    assert outcome(reduced) == outcome(whole)
