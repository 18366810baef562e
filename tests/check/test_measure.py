"""A build that measures judges as a check does, and sees what each step did under which locks."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.evidence import evidence, frees, holds, measured_runs, seamcalls
from septum.check.loading import load
from septum.check.measure import Held
from septum.check.result import Verdict


def measured(design: str, *, judge: bool = False):
    """The scenario in which a VM is destroyed while another one faults; small."""
    [run] = measured_runs(load(design), ["rcu_callbacks"], judge=judge)
    return run


@pytest.fixture(scope="module")
def upstream():
    return measured("upstream", judge=True)


def test_what_holds_in_a_check_holds_where_it_is_measured(upstream):
    found = check("upstream", "rcu_callbacks")
    assert (upstream.verdict, found.verdict) == (Verdict.HOLDS, Verdict.HOLDS)
    assert {name for name, was in found.witnesses.items() if was} <= upstream.reached


def test_what_a_check_finds_is_found_where_it_is_measured_and_not_where_nothing_is_judged():
    found, judged = check("dpamt_v5_as_posted", "rcu_callbacks"), measured("dpamt_v5_as_posted", judge=True)
    assert (judged.verdict, judged.violated) == (Verdict.VIOLATED, found.property)
    assert judged.ended == found.clause
    assert measured("dpamt_v5_as_posted").complete


def test_a_seamcall_is_seen_under_the_locks_of_its_caller(upstream):
    under = {one.held for one in seamcalls([upstream]) if one.leaf == "tdh_mem_sept_add"}
    assert under == {frozenset({Held("vm.mmu_lock", shared=True)})}


def test_a_free_is_put_down_to_the_line_of_kvm(upstream):
    places = {(one.field, one.place.function) for one in frees([upstream])}
    assert ("sp->spt", "tdp_mmu_free_sp") in places
    assert ("control page", "reclaim_control_page") in places


def test_steps_are_counted_under_locks_for_which_others_spin(upstream):
    longest = holds([upstream])
    assert longest["vm.mmu_lock"] > 0
    assert longest["vm.slots_lock"] == longest["vm.invalidate_lock"] == 0


def test_the_worst_cases_of_one_actor_need_no_verdict():
    found = evidence(load("dpamt_merged"), judge=False)
    assert (found.verdicts, found.idle_of_vcpu, found.popped, found.popped_if_backed) == ({}, 50, 14, 14)
