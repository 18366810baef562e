"""Every mistake in the direct side is caught by the property that should catch it, judged alone."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.check.mutants import alone
from septum.check.result import Verdict
from tests.designs.mutate import mutated
from tests.kvm.mutations_direct import MUTATIONS

SOME = [pytest.param(one, marks=pytest.mark.thorough if number % 2 else ()) for number, one in enumerate(MUTATIONS)]


@pytest.mark.parametrize("mutation", SOME, ids=lambda mutation: mutation.what)
def test_a_mistake_in_the_direct_side_is_caught(mutation):
    with mutated(mutation):
        model = alone(load(mutation.design), mutation.scenario)
        result = check(model, mutation.scenario, property=mutation.property, kernel=mutation.kernel)
    assert (result.verdict, result.property) == (Verdict.VIOLATED, mutation.property), f"{result.property}: {result.clause}"
    assert result.counterexample.steps


def test_there_are_enough_of_them_and_no_two_are_the_same():
    assert len({(m.file, m.function, m.old, m.new) for m in MUTATIONS}) == len(MUTATIONS) >= 90
