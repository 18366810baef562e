"""Every mutation of KVM's side is caught by the property that should catch it, judged alone: no other one may help.

Those of designs are caught in tests/scenarios/test_both_ways.py, with reductions and without.
"""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.check.mutants import alone
from septum.check.result import Verdict
from tests.designs.mutate import mutated
from tests.designs.mutations import MUTATIONS

OF_KVM = [one for one in MUTATIONS if one.design.startswith("kvm")]


@pytest.mark.parametrize("mutation", OF_KVM, ids=lambda mutation: mutation.what)
def test_a_mutation_is_caught_by_its_property(mutation):
    with mutated(mutation):
        model = alone(load(mutation.design), mutation.scenario)
        result = check(model, mutation.scenario, property=mutation.property, kernel=mutation.kernel)
    assert (result.verdict, result.property) == (Verdict.VIOLATED, mutation.property), f"{result.property}: {result.clause}"
    assert result.counterexample.steps


def test_there_are_enough_mutations_and_no_two_are_the_same():
    assert len({(m.file, m.function, m.old, m.new) for m in MUTATIONS}) == len(MUTATIONS) >= 25
