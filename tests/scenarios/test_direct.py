"""Direct trees, of plain VMs and of TDs: each scenario is explored to its end, and both engines agree on its schedules."""

from __future__ import annotations

import pytest

from septum.check.build import build
from septum.check.check import check
from septum.check.loading import load, sides
from septum.check.result import Verdict
from septum.scenarios import PLAIN_VMS
from septum.scenarios.views import VIEWS
from tests.lang.parity import assert_same

FINDINGS = {"nx_recovery_age": "accounting"}
TDS = [name for name in sides() if name != "kvm"]


def one(model, name):
    return next(scenario for scenario in model.scenarios if scenario.name == name)


@pytest.mark.parametrize("scenario", PLAIN_VMS, ids=lambda value: value.name)
def test_a_plain_vm(scenario):
    result = check("kvm", scenario.name)
    if scenario.name in FINDINGS:
        assert (result.verdict, result.property) == (Verdict.VIOLATED, FINDINGS[scenario.name])
    else:
        assert result.verdict is Verdict.HOLDS, f"{result.property}: {result.clause} {result.reason}"
        assert all(result.witnesses.values())


@pytest.mark.parametrize("design", TDS)
@pytest.mark.parametrize("scenario", VIEWS, ids=lambda value: value.name)
def test_both_views_of_a_td(design, scenario):
    result = check(design, scenario.name)
    assert result.verdict is Verdict.HOLDS, f"{result.property}: {result.clause} {result.reason}"


@pytest.mark.parametrize("design", TDS)
def test_a_memslot_of_guest_memfd_is_deleted(design):
    assert check(design, "memslot_delete").holds


@pytest.mark.parametrize("scenario", PLAIN_VMS, ids=lambda value: value.name)
def test_random_schedules_of_a_plain_vm_leave_the_same_bytes(scenario):
    built = build(load("kvm"), one(load("kvm"), scenario.name))
    assert sum(assert_same(built, seed, 300) for seed in range(6)) > 60


@pytest.mark.parametrize("scenario", VIEWS, ids=lambda value: value.name)
def test_random_schedules_of_both_views_leave_the_same_bytes(scenario):
    model = load("kvm_dpamt_merged")
    built = build(model, one(model, scenario.name))
    assert sum(assert_same(built, seed, 300) for seed in range(6)) > 60


@pytest.mark.parametrize("name", ["notifier", "slot_move", "log_lazy", "mmio"])
def test_four_levels_of_tables_and_loops_that_yield(name):
    result = check("kvm", name, scope_name="wide")
    assert result.verdict is Verdict.HOLDS, f"{result.property}: {result.clause} {result.reason}"


@pytest.mark.parametrize("name", ["notifier", "age_notifier", "slot_delete", "log_writes", "recover"])
def test_no_step_touches_two_places_that_race(name):
    assert check("kvm", name, granularity=True).verdict is Verdict.HOLDS


@pytest.mark.parametrize("name", ["slot_delete", "mmio", "log_writes"])
def test_reductions_change_no_verdict(name):
    reduced, whole = check("kvm", name), check("kvm", name, reduce=frozenset())
    assert (reduced.verdict, reduced.witnesses) == (whole.verdict, whole.witnesses)
    assert reduced.states < whole.states


def test_a_private_fault_with_an_obsolete_direct_root_may_go_round_for_ever():
    """Nothing but an event for the guest ends the local retry: docs/found.md."""
    result = check("kvm_upstream", "views_fast_zap", livelocks=True)
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "progress")
    assert "touch()" in result.clause
