"""No error branch is dead: what the scenarios in which something fails leave unexecuted of the files that have such branches.

A line that stands here is executed by a scenario of another family, which the reason names, or is said to be out of reach.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import septum
from septum.check.check import check
from septum.check.loading import load
from septum.scenarios.failures import FAILURES, FAILURES_OF_A_LIFE

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("quickly_compiled")]

ROOT = Path(septum.__file__).parent
SCENARIOS = {one.name for one in (*FAILURES, *FAILURES_OF_A_LIFE)}
TWO_TDS = "two_tds: another TD comes between count and lock"
PROVISION = "only where provision is violated first: a list that a top-up filled is empty"
SIGNAL = "killed_ioctls, populate_signals: a signal comes"
HALF_CREATED = "populate_punch_hole until 7.2: a vCPU is half created"
WBINVD = "PAGE.WBINVD is never made to fail"
INSIDE = "punch_hole: a vCPU is in the guest"
NOBODY = "no scenario kills a thread that populates"

UNEXECUTED = {
    ("kvm/vmx/tdx.py", "kvm_dpamt_merged"): {
        "return tdx_bug_on(m, vm, status)": WBINVD,
        'assert m.tdvps[vcpu].epoch > blocked_in, '
        '"tlb: a page is the host\'s again, and a vCPU may have a translation of it"': INSIDE,
    },
    ("kvm/vmx/demote.py", "dpamt_merged_split"): {},
    ("kvm/x86/vm.py", "kvm_dpamt_merged"): {},
    ("kvm/seam/pamt_always_lock.py", "dpamt_merged"): {},
    ("kvm/seam/pamt_dec_and_lock.py", "dpamt_v4"): {"unlock_pamt(m)": TWO_TDS, "return": TWO_TDS},
    ("kvm/seam/pamt_dec_outside.py", "dpamt_v3_as_posted"): {
        "unlock_pamt(m)": TWO_TDS, "free_unused(m, page0, page1)": TWO_TDS, "return OK": TWO_TDS, "return": TWO_TDS,
        "reached(pair_rescued)": TWO_TDS,
    },
    ("kvm/seam/pamt.py", "kvm_dpamt_merged"): {"return ENOMEM": PROVISION, "free_page(m, page0, Role.HAND)": PROVISION},
    ("kvm/vmx/life.py", "kvm_dpamt_merged"): {
        "reached(state_locked)": HALF_CREATED, "mutex_unlock(m, m.vm[vm].life.lock)": SIGNAL, "return error": SIGNAL,
        'bug_on(KERNEL >= V7_3, "asserts: WARN_ON_ONCE: kvm_lock_all_vcpus() while a vCPU is created")': HALF_CREATED,
    },
    ("kvm/vmx/populate.py", "kvm_dpamt_merged"): {"return error": NOBODY, "return EINTR": SIGNAL},
}  # fmt: skip


@pytest.mark.parametrize(("file", "model"), UNEXECUTED)
def test_the_lines_that_nothing_executes_where_something_fails_have_a_reason(file, model):
    whole = load(model)
    chosen = tuple(one for one in whole.scenarios if one.name in SCENARIOS and one.needs <= whole.operations)
    followed = replace(whole, scenarios=chosen, file=ROOT / file)
    missed = set.intersection(*(set(check(followed, one.name, races=False).unexecuted) for one in chosen))
    lines = (ROOT / file).read_text().splitlines()
    assert {lines[number - 1].strip() for number in missed} == set(UNEXECUTED[file, model])


def test_fewer_than_ten_lines_are_executed_by_nothing():
    assert sum(reason in (PROVISION, NOBODY, WBINVD) for of in UNEXECUTED.values() for reason in of.values()) < 10
