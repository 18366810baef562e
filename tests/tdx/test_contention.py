"""tdx-module.md 3: which lock is lost, and the operand id that says so."""

from __future__ import annotations

import pytest

from septum.tdx import GuestLeaf, Leaf
from septum.tdx.bringup import expect
from septum.tdx.processor import GuestEvent
from septum.tdx.status import Status
from tests.tdx import reference as ref
from tests.tdx.test_module import GPA, PAGE, made, name


@pytest.mark.parametrize(("first", "steps", "second", "operand"), [
    ("MEM_RANGE_BLOCK", 1, "MEM_SEPT_RD", "SEPT_TREE"), ("MEM_SEPT_RD", 1, "MEM_RANGE_BLOCK", "SEPT_TREE"),
    ("MEM_SEPT_RD", 2, "MEM_SEPT_RD", "RCX"), ("MEM_TRACK", 1, "MEM_TRACK", "TD_EPOCH"),
])  # fmt: skip
def test_two_calls_on_one_entry(first, steps, second, operand):
    module, _, td = made()
    td.augment(GPA)
    holding = begin(module, td, first, 1)
    for _ in range(steps):
        holding.step()
    assert begin(module, td, second, 0).finish().status == name("OPERAND_BUSY", operand)
    assert holding.finish().ok
    assert begin(module, td, second, 0).finish().ok or second == "MEM_RANGE_BLOCK"


def test_leaves_that_share_the_tree_run_side_by_side():
    module, host, td = made()
    one, two = host.page(), host.page()
    first = module.begin(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=one)
    first.step()
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA + PAGE, rdx=td.tdr, r8=two).ok
    assert first.finish().ok


def test_a_busy_entry_says_what_it_was_when_it_was_walked_to():
    module, host, td = made()
    page = host.page()
    walking = module.begin(Leaf.MEM_SEPT_RD, rcx=GPA, rdx=td.tdr)
    walking.step()
    expect(module.seamcall(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=page))
    holding = module.begin(Leaf.MEM_SEPT_RD, lp=1, rcx=GPA, rdx=td.tdr)
    holding.step()
    holding.step()
    answer = walking.finish()
    assert answer.status == name("OPERAND_BUSY", "RCX")
    assert (answer.rcx, answer.rdx) == (ref.EXTENDED["FREE"], ref.REPORTED["FREE"] << 8)
    answer = module.seamcall(Leaf.MEM_SEPT_RD, rcx=GPA, rdx=td.tdr)
    assert (answer.rcx, answer.rdx) == (ref.EXTENDED["PENDING"] | page, 0 | ref.REPORTED["PENDING"] << 8)


def test_an_entry_is_read_again_when_it_is_locked():
    module, host, td = made()
    one, two = host.page(), host.page()
    late = module.begin(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=one)
    late.step()
    expect(module.seamcall(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=two))
    answer = late.finish()
    assert answer.status == name("EPT_ENTRY_STATE_INCORRECT", "RCX")
    assert (answer.rcx, answer.rdx) == (ref.EXTENDED["PENDING"] | two, ref.REPORTED["PENDING"] << 8)


def test_an_entry_whose_table_was_promoted_away_is_busy():
    module, host, td = made(finalized=False, version="1.5.16")
    first = host.page(size=2 << 20)
    for offset in range(0, 2 << 20, PAGE):
        expect(module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA + offset, rdx=td.tdr, r8=first + offset))
    late = module.begin(Leaf.MEM_PAGE_REMOVE, lp=1, rcx=GPA, rdx=td.tdr)
    late.step()
    expect(td.call(Leaf.MEM_PAGE_PROMOTE, GPA, 1))
    answer = late.finish()
    assert answer.status == name("OPERAND_BUSY", "RCX")
    assert (answer.rcx, answer.rdx) == (ref.EXTENDED["PENDING"] | first, ref.REPORTED["PENDING"] << 8)
    assert module.seamcall(Leaf.MEM_PAGE_REMOVE, lp=1, rcx=GPA, rdx=td.tdr).status == name("EPT_WALK_FAILED", "RCX")


def test_a_tdr_that_is_taken_is_busy_by_its_operand():
    module, host, td = made(finalized=False)
    page = host.page()
    holding = module.begin(Leaf.MEM_PAGE_ADD, lp=1, rcx=GPA, rdx=td.tdr, r8=page)
    holding.step()
    assert module.seamcall(Leaf.MEM_SEPT_RD, rcx=GPA, rdx=td.tdr).status == name("OPERAND_BUSY", "RDX")
    assert module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr).status == name("OPERAND_BUSY", "RCX")
    assert module.seamcall(Leaf.VP_INIT, rcx=td.vcpus[0]).status == name("OPERAND_BUSY", "TDR")
    assert holding.finish().ok


def test_a_guest_that_accepts_holds_its_entry_and_the_host_gets_priority():
    module, _, td = made()
    td.augment(GPA)
    vcpu = td.vcpus[0]
    expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
    accepting = module.begin_tdcall(vcpu, GuestLeaf.MEM_PAGE_ACCEPT, rcx=GPA)
    accepting.step()
    accepting.step()
    assert module.seamcall(Leaf.MEM_RANGE_BLOCK, lp=1, rcx=GPA, rdx=td.tdr).status == name("OPERAND_BUSY", "RCX")
    assert accepting.finish().ok
    accepts = lambda: module.tdcall(vcpu, GuestLeaf.MEM_PAGE_ACCEPT, rcx=GPA)  # noqa: E731
    assert accepts().status == name("OPERAND_BUSY", "RCX")
    assert module.seamcall(Leaf.MEM_PAGE_REMOVE, lp=1, rcx=GPA, rdx=td.tdr).status == name("GPA_RANGE_NOT_BLOCKED", "RCX")
    assert accepts().code == Status.TDX_PAGE_ALREADY_ACCEPTED


def test_an_entry_that_is_augmented_between_walk_and_lock_is_a_size_mismatch():
    module, host, td = made()
    vcpu, page = td.vcpus[0], host.page()
    expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
    accepting = module.begin_tdcall(vcpu, GuestLeaf.MEM_PAGE_ACCEPT, rcx=GPA)
    accepting.step()
    expect(module.seamcall(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=page))
    assert accepting.finish().status == name("PAGE_SIZE_MISMATCH")


def test_a_running_vcpu_keeps_tdvpr_and_tdr():
    module, host, td = made(vcpus=2)
    vcpu = td.vcpus[0]
    expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
    assert module.seamcall(Leaf.VP_FLUSH, lp=1, rcx=vcpu).status == name("OPERAND_BUSY", "RCX")
    assert module.seamcall(Leaf.VP_ADDCX, lp=1, rcx=host.page(), rdx=vcpu).status == name("OPERAND_BUSY", "RDX")
    assert module.seamcall(Leaf.MNG_VPFLUSHDONE, lp=1, rcx=td.tdr).status == name("OPERAND_BUSY", "RCX")
    module.interrupt(0)
    assert module.seamcall(Leaf.VP_ENTER, lp=1, rcx=vcpu).status == name("VCPU_ASSOCIATED")


def test_a_pair_is_busy_while_a_vcpu_runs_whose_tdvpr_lies_in_its_range():
    module, _, td = made(dynamic=True)
    region = td.vcpus[0] >> 21 << 21
    td.link(2 * GPA, 2)
    expect(module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]))
    assert module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, lp=1, rcx=region | 1).status == name("OPERAND_BUSY", "RCX")
    assert td.module.seamcall(Leaf.MEM_PAGE_AUG, lp=1, rcx=2 * GPA | 1, rdx=td.tdr, r8=region).status == name(
        "OPERAND_BUSY", "R8"
    )
    module.interrupt(0)
    assert module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, lp=1, rcx=region | 1).code == Status.TDX_PAMT_PAGE_NOT_EMPTY


def test_a_pair_is_busy_while_a_call_has_the_tdr_in_its_range():
    module, _, td = made(dynamic=True)
    tracking = module.begin(Leaf.MEM_TRACK, lp=1, rcx=td.tdr)
    tracking.step()
    remove = lambda: module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=td.tdr >> 21 << 21 | 1)  # noqa: E731
    assert remove().status == name("OPERAND_BUSY", "RCX")
    tracking.finish()
    assert remove().code == Status.TDX_PAMT_PAGE_NOT_EMPTY


def test_the_locks_of_the_module_itself():
    module, host, td = made(vcpus=0, finalized=False)
    other, third = host.page(), host.page()
    expect(module.seamcall(Leaf.MNG_CREATE, rcx=other, rdx=50))
    expect(module.seamcall(Leaf.MNG_CREATE, rcx=third, rdx=51))
    configuring = module.begin(Leaf.MNG_KEY_CONFIG, lp=1, rcx=other)
    configuring.step()
    assert module.seamcall(Leaf.MNG_KEY_CONFIG, rcx=third).status == name("OPERAND_BUSY", "KET")
    configuring.finish()
    expect(module.seamcall(Leaf.MNG_VPFLUSHDONE, rcx=td.tdr))
    writing = module.begin(Leaf.PHYMEM_CACHE_WB, lp=1)
    writing.step()
    assert module.seamcall(Leaf.PHYMEM_CACHE_WB).status == name("OPERAND_BUSY", "WBCACHE")
    for leaf, rdx in ((Leaf.MNG_CREATE, 52), (Leaf.MNG_VPFLUSHDONE, 0), (Leaf.MNG_KEY_FREEID, 0)):
        tdr = {Leaf.MNG_CREATE: host.page(), Leaf.MNG_VPFLUSHDONE: other, Leaf.MNG_KEY_FREEID: td.tdr}[leaf]
        assert module.seamcall(leaf, rcx=tdr, rdx=rdx).status == name("OPERAND_BUSY", "KOT"), leaf.name
    writing.finish()
    expect(module.seamcall(Leaf.MNG_KEY_FREEID, rcx=td.tdr))
    preparing = module.begin(Leaf.SYS_TDMR_INIT, lp=1, rcx=GPA)
    module.m.sys.tdmr[0].next = GPA
    preparing.step()
    assert module.seamcall(Leaf.SYS_TDMR_INIT, rcx=GPA).status == name("OPERAND_BUSY", "TDMR")


def test_a_guest_leaves_that_a_host_keeps_waiting():
    module, _, td = made()
    td.augment(GPA)
    vcpu = td.vcpus[0]
    expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
    module.m.table[table_of(module, td)].word[0] |= 1 << 52  # a host call was busy on this entry
    accept = lambda: module.tdcall(vcpu, GuestLeaf.MEM_PAGE_ACCEPT, rcx=GPA)  # noqa: E731
    assert accept().code == Status.TDX_OPERAND_BUSY
    module.elapse(999_999)
    assert accept().code == Status.TDX_OPERAND_BUSY
    module.tdcall(vcpu, GuestLeaf.VP_INFO)
    module.elapse(999_999)
    assert accept().code == Status.TDX_OPERAND_BUSY, "another TDCALL resets the time"
    module.elapse(1_000_000)
    answer = accept()
    assert (answer.event, answer.status, answer.exit_reason) == (GuestEvent.EXIT, name("HOST_PRIORITY_BUSY_TIMEOUT"), None)
    assert not module.m.lp[0].vcpu
    assert module.seamcall(Leaf.VP_ENTER, rcx=vcpu | 1 << 52).ok, "an exit behind an instruction: the hint is legal"


def test_attributes_are_read_under_the_lock_of_the_entry():
    module, _, td = made()
    td.augment(GPA)
    vcpu = td.vcpus[0]
    expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
    reading = module.begin_tdcall(vcpu, GuestLeaf.MEM_PAGE_ATTR_RD, rcx=GPA)
    reading.step()
    reading.step()
    assert module.seamcall(Leaf.MEM_RANGE_BLOCK, lp=1, rcx=GPA, rdx=td.tdr).status == name("OPERAND_BUSY", "RCX")
    assert reading.finish().rcx == GPA | 1 << 62, "pending"


def pair_of_leaves(version):
    """A module with a 2M page, blocked and tracked, at 2 * GPA, and a table at GPA."""
    module, host, td = made(version=version)
    td.link(2 * GPA, 2)
    expect(td.call(Leaf.MEM_PAGE_AUG, 2 * GPA, 1, r8=host.page(size=2 << 20)))
    expect(td.call(Leaf.MEM_RANGE_BLOCK, 2 * GPA, 1))
    expect(module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr))
    return module, host, td


@pytest.mark.parametrize(("version", "told"), [("1.5.16", False), ("1.5.25", True), ("1.5.28", False), ("2.0", False)])
def test_a_demote_gives_way_to_a_call_that_lost_the_tree(version, told):
    module, host, td = pair_of_leaves(version)
    demote = {"rcx": 2 * GPA | 1, "rdx": td.tdr, "r8": host.page()}
    call = module.begin(Leaf.MEM_PAGE_DEMOTE, lp=1, **demote)
    call.step()
    assert module.seamcall(Leaf.MEM_RANGE_BLOCK, rcx=GPA, rdx=td.tdr).status == name("OPERAND_BUSY", "SEPT_TREE")
    answer = call.finish()
    assert answer.status == (name("INTERRUPTED_BUSY") if told else 0)
    if told:
        assert (answer.rcx, answer.rdx) == (demote["rcx"], demote["rdx"])
        expect(module.seamcall(Leaf.MEM_PAGE_DEMOTE, **demote))


def test_a_call_that_gets_the_tree_takes_the_mark_away():
    module, host, td = pair_of_leaves("1.5.25")
    call = module.begin(Leaf.MEM_PAGE_DEMOTE, lp=1, rcx=2 * GPA | 1, rdx=td.tdr, r8=host.page())
    call.step()
    assert module.seamcall(Leaf.MEM_RANGE_BLOCK, rcx=GPA, rdx=td.tdr).status == name("OPERAND_BUSY", "SEPT_TREE")
    expect(module.seamcall(Leaf.MEM_SEPT_RD, rcx=GPA, rdx=td.tdr))
    assert call.finish().ok


@pytest.mark.parametrize(("version", "exclusive"), [("1.5.16", False), ("1.5.25", True), ("1.5.28", True), ("2.0", True)])
def test_a_promote_is_alone_with_the_tree_since_1_5_20(version, exclusive):
    module, _, td = made(version=version)
    reading = module.begin(Leaf.MEM_SEPT_RD, lp=1, rcx=GPA, rdx=td.tdr)
    reading.step()
    promoted = module.seamcall(Leaf.MEM_PAGE_PROMOTE, rcx=GPA | 1, rdx=td.tdr)
    assert promoted.status == (name("OPERAND_BUSY", "SEPT_TREE") if exclusive else name("GPA_RANGE_NOT_BLOCKED", "RCX"))
    reading.finish()


@pytest.mark.parametrize(("version", "kept"), [("1.5.16", False), ("1.5.25", True)])
def test_the_priority_of_a_host_outlives_what_a_leaf_writes(version, kept):
    module, host, td = made(version=version)
    vcpu, page = td.vcpus[0], host.page()
    expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
    call = module.begin(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=page)
    call.step()
    call.step()
    assert module.seamcall(Leaf.MEM_SEPT_RD, lp=2, rcx=GPA, rdx=td.tdr).status == name("OPERAND_BUSY", "RCX")
    expect(call.finish())
    assert module.tdcall(vcpu, GuestLeaf.MEM_PAGE_ACCEPT, rcx=GPA).status == (name("OPERAND_BUSY", "RCX") if kept else 0)


def test_a_pair_is_busy_while_a_page_of_its_range_is_in_a_call():
    module, host, td = made(dynamic=True)
    page = host.page()
    holding = module.begin(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=page)
    holding.step()
    region = page >> 21 << 21
    assert module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1).status == name("OPERAND_BUSY", "RCX")
    holding.finish()
    answer = module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1)
    assert answer.status in (name("PAMT_PAGE_NOT_EMPTY"), name("PAMT_PAGE_NOT_EMPTY") + 1)


def table_of(module, td):
    """The page table that has the entry of GPA."""
    table = module.m.td[module.m.frame[td.tdr >> 12].owner].root
    for at in (3, 2, 1):
        table = (module.m.table[table].word[GPA >> 12 >> 9 * at & 511] & 0xFFFFFFFFFF000) >> 12
    return table


def begin(module, td, leaf, lp):
    if leaf == "MEM_TRACK":
        return module.begin(Leaf.MEM_TRACK, lp=lp, rcx=td.tdr)
    return module.begin(Leaf[leaf], lp=lp, rcx=GPA, rdx=td.tdr)
