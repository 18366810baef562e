"""tdx-module.md 9.3: after faults at one RIP an entry takes the S-EPT tree, and faults again without running the guest."""

from __future__ import annotations

import pytest

from septum.tdx import Leaf
from septum.tdx.processor import GuestEvent
from tests.tdx import reference as ref
from tests.tdx.test_contention import table_of
from tests.tdx.test_module import GPA, PAGE, made, name


def fault(module, td, times):
    for _ in range(times):
        assert module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]).exit_reason is None
        assert module.access(td.vcpus[0], GPA).exit_reason == 48


def test_the_seventh_fault_is_logged_and_filtered():
    module, _, td = made()
    fault(module, td, 7)
    answer = module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])
    assert (answer.exit_reason, answer.r8) == (48, GPA)
    assert not module.m.lp[0].vcpu
    td.augment(GPA)
    module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])


@pytest.mark.parametrize(("version", "status"), [("1.5.25", 0), ("1.5.16", "OPERAND_BUSY")])
def test_it_takes_the_tree_shared_or_exclusively(version, status):
    module, _, td = made(version=version)
    fault(module, td, 7)
    reading = module.begin(Leaf.MEM_SEPT_RD, lp=1, rcx=GPA, rdx=td.tdr)
    reading.step()
    answer = module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])
    assert answer.status == (name("OPERAND_BUSY", "SEPT_TREE") if status else 0)
    reading.finish()


def test_the_exit_of_the_filter_names_the_page_and_nothing_of_the_call():
    module, _, td = made()
    fault(module, td, 7)
    answer = module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0], rdx=5)
    assert (answer.exit_reason, answer.rcx, answer.rdx, answer.r8) == (48, 2, 0, GPA)


@pytest.mark.parametrize(("version", "ve_disable", "enters"), [("1.5.16", 0, False), ("1.5.25", 0, True), ("1.5.25", 1, False)])
def test_a_pending_page_is_no_fault_since_1_5_20_where_the_guest_gets_a_ve(version, ve_disable, enters):
    module, _, td = made(version=version)
    module.m.td[1].build.pending_ve_disable = bool(ve_disable)
    fault(module, td, 7)
    td.augment(GPA)
    answer = module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])
    assert (answer.exit_reason is None) == enters
    assert bool(module.m.lp[0].vcpu) == enters


def test_a_guest_that_asked_for_it_is_told():
    module, _, td = made()
    fault(module, td, 7)
    td.augment(GPA)
    module.m.td[1].build.pending_ve_disable = False
    module.m.table[table_of(module, td)].word[0] = ref.EXTENDED["MAPPED"] | td.pages[-1]
    module.m.tdvps[1].build.stepping.notify = True
    answer = module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])
    assert (answer.status, answer.event) == (0, GuestEvent.VE)
    assert module.m.lp[0].vcpu


def test_faults_of_a_guest_that_gets_on_between_them_are_no_steps():
    module, _, td = made()
    td.augment(GPA + PAGE)
    td.accept(GPA + PAGE)
    for _ in range(9):
        assert module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]).exit_reason is None
        assert module.access(td.vcpus[0], GPA + PAGE).exit_reason is None
        assert module.access(td.vcpus[0], GPA).exit_reason == 48


def test_a_guest_that_gets_on_is_not_filtered():
    module, _, td = made()
    fault(module, td, 7)
    module.m.tdvps[module.m.lp[0].last].build.stepping.faults = 7
    module.m.tdvps[module.m.lp[0].last].build.stepping.logged = 0
    assert module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]).exit_reason is None
