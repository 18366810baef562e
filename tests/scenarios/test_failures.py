"""What is made to fail: every design of the lists goes on as its error branches say, and nothing else is excused.

The designs that a kernel has are explored in tests/scenarios/test_families.py and tests/kvm/test_sides.py.
"""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.explain import explain
from septum.check.result import Verdict
from septum.host.pools import EBUSY, EIO
from septum.kvm.bug import dies, tdx_bug_on, vm_bugged
from septum.lang.errors import UserError, Violation
from septum.scenarios.failures import FAILURES
from septum.scenarios.inject import BUSY, may_fail
from septum.tdx.injection import fails, was_injected, ways
from septum.tdx.leaves import Leaf
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_OPERAND_INVALID, TDX_SUCCESS
from tests.machine import world

pytestmark = pytest.mark.usefixtures("quickly_compiled")

VM = 1
OFTEN = ("teardown_fails", "split_fails")
RUNS = [
    *(pytest.param("dpamt_v4", one.name, marks=() if one.name in OFTEN else pytest.mark.thorough) for one in FAILURES),
    pytest.param("dpamt_rfc", "teardown_fails", marks=pytest.mark.thorough),
    pytest.param("dpamt_v5", "split_fails", marks=pytest.mark.thorough),
]


@pytest.mark.parametrize(("design", "scenario"), RUNS)
def test_a_design_holds_whatever_fails(design, scenario):
    result = check(design, scenario)
    assert result.holds, f"{result.property}: {result.clause}"


@pytest.mark.parametrize("scenario", ["life_fails", "life_enomem"])
def test_the_life_of_a_vm_holds_in_the_oldest_release_too(scenario):
    result = check("kvm_upstream", scenario, kernel="6.16")
    assert result.holds, f"{result.property}: {result.clause}"


def test_a_busy_demote_that_is_repeated_with_another_pair_finds_the_pool_empty():
    """docs/found.md."""
    result = check("dpamt_v4_as_posted", "split_fails")
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "provision")


def test_what_may_fail_is_chosen_for_any_scenario_and_the_token_knows():
    assert check("dpamt_v4_as_posted", "split_fails", inject="PHYMEM_PAMT_REMOVE").verdict is not Verdict.VIOLATED
    found = check("dpamt_v4_as_posted", "split", inject="MEM_PAGE_DEMOTE")
    assert (found.verdict, found.property) == (Verdict.VIOLATED, "provision")
    assert explain(found.counterexample.token).clause == found.clause


def test_what_cannot_fail_is_refused():
    with pytest.raises(UserError, match="nothing that fails is called PAGE_AUG; there are allocation, SEAMCALL, MEM_SEPT_ADD"):
        check("upstream", "same_gfn", inject="PAGE_AUG")


@pytest.fixture
def m():
    """A machine whose next PAGE.AUG may fail."""
    with world(like="neighbours") as w:
        may_fail(w.m, [Leaf.MEM_PAGE_AUG])
        yield w.m


def test_only_the_leaves_of_the_scenario_fail_and_only_as_often_as_it_says(m):
    assert Leaf.MEM_PAGE_AUG in BUSY
    assert (ways(m, Leaf.MEM_PAGE_AUG), ways(m, Leaf.MEM_SEPT_ADD)) == (3, 1)
    assert fails(m, 1)
    assert ways(m, Leaf.MEM_PAGE_AUG) == 1


def test_kvm_bug_on_says_nothing_of_a_status_that_was_injected_and_the_vm_is_dead(m):
    assert fails(m, 1)
    assert tdx_bug_on(m, VM, TDX_OPERAND_INVALID) == EIO
    assert m.vm[VM].bugged


def test_kvm_bug_on_tells_of_a_busy_that_its_caller_has_to_live_with(m):
    assert fails(m, 2)
    assert m.injection.status == TDX_OPERAND_BUSY
    with pytest.raises(Violation, match="TDX_OPERAND_BUSY"):
        tdx_bug_on(m, VM, TDX_OPERAND_BUSY)


def test_nothing_is_excused_after_the_next_call_of_the_thread(m):
    assert fails(m, 1)
    assert not fails(m, 0)
    assert m.injection.status == TDX_SUCCESS
    assert not was_injected(m, TDX_OPERAND_INVALID)
    with pytest.raises(Violation, match="EBUSY"):
        vm_bugged(m, VM, EBUSY)


def test_a_vm_that_is_dead_warns_no_more(m):
    assert dies(m, VM)
    assert not dies(m, VM)
    assert tdx_bug_on(m, VM, TDX_OPERAND_BUSY) == EIO
