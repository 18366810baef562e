"""Reductions change how many states there are, and nothing else: every scenario and every mutation, with them and without.

In the smallest scope: most of it does not end without reductions in a larger one. How far states shrink shows with three vCPUs.
"""

from __future__ import annotations

import pytest

from septum.check.check import Budget, check
from septum.check.loading import load
from septum.check.result import Verdict
from tests.designs.mutate import mutated
from tests.designs.mutations import MUTATIONS

pytestmark = pytest.mark.slow

NONE = frozenset()
DESIGNS = ["upstream", pytest.param("dpamt_merged", marks=pytest.mark.thorough), "dpamt_merged_split"]
THREE_VCPUS = ["same_gfn", "neighbours", "zero_step", "punch_hole", "punch_hole_zero_step", "two_tds", "rcu_callbacks"]
MOST_STATES = 20_000_000
MOST_OF_A_MUTATION = 2_000_000
LARGER = {"put left out when SEPT.ADD is busy", "put left out when PAGE.AUG is busy", "split pool not freed with the VM"}


def both_ways(design, scenario, scope, most_states, **options):
    """With all reductions, and without any up to so many states."""
    reduced = check(design, scenario, scope_name=scope, **options)
    return reduced, unreduced(design, scenario, scope, most_states, **options)


def unreduced(design, scenario, scope, most_states, **options):
    """Without any reduction."""
    return check(design, scenario, scope_name=scope, reduce=NONE, budget=Budget(states=most_states), **options)


def outcome(result):
    """What must be the same both ways: of a violation also its length, of a pass the witnesses."""
    if result.counterexample is None:
        return result.verdict, result.witnesses
    return result.verdict, result.property, len(result.counterexample.steps)


@pytest.mark.parametrize("design", DESIGNS)
def test_every_scenario_both_ways(design):
    """With races in the one that has the fewest states."""
    model = load(design)
    for scenario in model.scenarios:
        if scenario.needs <= model.operations:
            reduced, whole = both_ways(model, scenario.name, "tiny", MOST_STATES, races=design == "upstream")
            assert Verdict.INCOMPLETE not in (reduced.verdict, whole.verdict)
            assert outcome(reduced) == outcome(whole)
            assert reduced.states <= whole.states


def test_with_three_vcpus_all_states_together_shrink_fifty_fold():
    """Those that end without reductions within minutes; the others (an allocation fails, teardown) shrink further."""
    both = [both_ways("upstream", name, "review", MOST_STATES, races=False) for name in THREE_VCPUS]
    assert all(outcome(reduced) == outcome(whole) and whole.holds for reduced, whole in both)
    assert sum(whole.states for _, whole in both) >= 50 * sum(reduced.states for reduced, _ in both)


OF_DESIGNS = [one for one in MUTATIONS if not one.design.startswith("kvm")]
SOME = [pytest.param(one, marks=pytest.mark.thorough if number % 2 else ()) for number, one in enumerate(OF_DESIGNS)]


@pytest.mark.parametrize("mutation", SOME, ids=lambda mutation: mutation.what)
def test_a_mutation_both_ways(mutation):
    """In the smallest scope that shows it. Nothing shorter than for the larger is in the first states without reductions."""
    with mutated(mutation):
        model, property = load(mutation.design), mutation.property
        scope = "tiny"
        reduced = check(model, mutation.scenario, scope_name=scope, property=property)
        if reduced.holds:
            scope = "small"
            reduced = check(model, mutation.scenario, scope_name=scope, property=property)
        whole = unreduced(model, mutation.scenario, scope, MOST_OF_A_MUTATION, property=property)
    assert (reduced.verdict, reduced.property) == (Verdict.VIOLATED, mutation.property)
    if mutation.what in LARGER:
        assert whole.verdict is Verdict.INCOMPLETE
        assert whole.depth <= len(reduced.counterexample.steps)
    else:
        assert outcome(reduced) == outcome(whole)
