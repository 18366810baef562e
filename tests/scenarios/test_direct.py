"""Direct trees, of plain VMs and of TDs: each scenario is explored to its end, and both engines agree on its schedules."""

from __future__ import annotations

import pytest

from benchmarks.families import is_documented
from septum.check.check import check
from septum.check.loading import load, sides
from septum.check.result import Verdict
from septum.explore.build import build
from septum.scenarios import PLAIN_VMS
from septum.scenarios.views import VIEWS
from tests.lang.parity import assert_same

pytestmark = pytest.mark.usefixtures("quickly_compiled")

MODELS = {name: load(name) for name in sides()}
TDS = ("kvm_upstream", pytest.param("kvm_dpamt_merged", marks=pytest.mark.thorough), "kvm_dpamt_merged_split")


def holds(model, name):
    result = check(MODELS[model], name)
    assert result.verdict is Verdict.HOLDS, f"{result.property}: {result.clause} {result.reason}"
    assert all(result.witnesses.values())
    assert is_documented(model, result)


def leaves_the_same_bytes(model, name):
    built = build(MODELS[model], next(one for one in MODELS[model].scenarios if one.name == name))
    assert sum(assert_same(built, seed, 300) for seed in range(6)) > 60


@pytest.mark.parametrize("scenario", PLAIN_VMS, ids=lambda value: value.name)
def test_a_plain_vm(scenario):
    leaves_the_same_bytes("kvm", scenario.name)
    holds("kvm", scenario.name)


def test_a_fault_that_found_no_memslot_meets_the_page_of_a_new_one():
    """It takes a second vCPU: docs/found.md."""
    result = check(MODELS["kvm"], "mmio", scope_name="wide")
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "asserts")
    assert "a spurious fault finds another page mapped" in result.clause


@pytest.mark.parametrize("design", TDS)
@pytest.mark.parametrize("scenario", VIEWS, ids=lambda value: value.name)
def test_both_views_of_a_td(design, scenario):
    leaves_the_same_bytes(design, scenario.name)
    holds(design, scenario.name)


@pytest.mark.parametrize("design", sorted(MODELS.keys() - {"kvm"}))
def test_a_memslot_of_guest_memfd_is_deleted(design):
    holds(design, "memslot_delete")


@pytest.mark.parametrize("name", ["age_notifier", "slot_delete", "log_writes"])
def test_no_step_is_a_race(name):
    assert check(MODELS["kvm"], name).verdict is Verdict.HOLDS


@pytest.mark.parametrize("name", ["slot_delete", "mmio", "log_writes"])
def test_reductions_change_no_verdict(name):
    reduced, whole = check(MODELS["kvm"], name), check(MODELS["kvm"], name, reduce=frozenset())
    assert (reduced.verdict, reduced.witnesses) == (whole.verdict, whole.witnesses)
    assert reduced.states < whole.states


def test_a_private_fault_with_an_obsolete_direct_root_may_go_round_for_ever():
    """Nothing but an event for the guest ends the local retry: docs/found.md."""
    result = check(MODELS["kvm_upstream"], "views_fast_zap", livelocks=True)
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "progress")
    assert "touch()" in result.clause
