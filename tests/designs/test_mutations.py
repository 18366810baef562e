"""Every mutation of KVM's side, and every lock left out, is caught by the property that should, judged alone: no other one helps.

Other mutations of designs are caught in tests/scenarios/test_both_ways.py, with reductions and without.
"""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.check.mutants import alone
from septum.check.result import Verdict
from septum.designs import BUILT_IN
from tests.designs.mutate import ROOT, mutated
from tests.designs.mutations import MUTATIONS
from tests.designs.mutations_failures import FAILURES
from tests.designs.mutations_locks import LOCKS

pytestmark = pytest.mark.usefixtures("quickly_compiled")

OF_KVM = [one for one in MUTATIONS if one.design.startswith("kvm")]


OFTEN = 15  # of so many mutations in error branches one is checked every time, the others by `pytest -m thorough`
BRANCHES = [pytest.param(one, marks=pytest.mark.thorough if n % OFTEN else ()) for n, one in enumerate(FAILURES)]


@pytest.mark.parametrize("mutation", [*OF_KVM, *LOCKS, *BRANCHES], ids=lambda mutation: mutation.what)
def test_a_mutation_is_caught_by_its_property(mutation):
    with mutated(mutation):
        model = alone(load(mutation.design), mutation.scenario)
        result = check(model, mutation.scenario, property=mutation.property, kernel=mutation.kernel)
    assert (result.verdict, result.property) == (Verdict.VIOLATED, mutation.property), f"{result.property}: {result.clause}"
    assert result.counterexample.steps


def test_there_are_enough_mutations_and_no_two_are_the_same():
    assert len({(m.file, m.function, m.old, m.new) for m in MUTATIONS}) == len(MUTATIONS) >= 25


def test_every_mutation_in_an_error_branch_fits_and_no_two_are_the_same():
    for one in FAILURES:
        one.apply((ROOT / one.file).read_text())
    assert len({(m.file, m.function, m.old, m.new) for m in (*MUTATIONS, *FAILURES)}) == len(MUTATIONS) + len(FAILURES)
    assert len(FAILURES) >= 60


def test_a_lock_that_is_left_out_is_not_released_either():
    left_out = [one for one in (*MUTATIONS, *LOCKS) if any("unlock" in old and "pass" in new for old, new in one.also)]
    assert len(left_out) >= 15


def test_after_a_mutation_every_design_is_as_it_was():
    before = [dict(design.bindings()) for design in BUILT_IN]
    for mutation in {one.file: one for one in MUTATIONS}.values():
        with mutated(mutation):
            pass
    assert [dict(design.bindings()) for design in BUILT_IN] == before
