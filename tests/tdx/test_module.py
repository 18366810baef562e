"""The registers of the emulator: malformed operands, locks that are lost with their operand id, versions, what fails for good."""

from __future__ import annotations

import pytest

from septum.lang import UserError
from septum.tdx import Geometry, GuestLeaf, Host, Leaf, Module, ModuleStopped
from septum.tdx.bringup import expect
from septum.tdx.processor import GuestEvent
from septum.tdx.status import CODES, Status, named
from tests.tdx import reference as ref

GPA = 1 << 30
PAGE = 4096


def made(*, dynamic: bool = False, vcpus: int = 1, finalized: bool = True, **options):
    """A host, and a TD with a page table for GPA."""
    host = Host(Module(dynamic_pamt=dynamic, cmrs=((1 << 30, 1 << 30),), **options), dynamic=dynamic)
    td = host.td(vcpus=vcpus, finalized=finalized)
    td.link(GPA)
    return host.module, host, td


def name(status: str, operand: str = "") -> int:
    return CODES[Status[f"TDX_{status}"]] + (ref.OPERANDS[operand] if operand else 0)


def test_a_word_is_named_with_what_its_low_bits_say():
    assert named(0x8000020000000092) == "TDX_OPERAND_BUSY | 0x92"
    assert named(0) == "TDX_SUCCESS"
    assert named(0x1234567800000000) == "0x1234567800000000"


@pytest.mark.parametrize("rax", [37, 63, 1 << 24, 3 | 2 << 16, 6 | 1 << 16, 300])
def test_an_unknown_leaf_or_version_is_an_invalid_rax(rax):
    module, _, _ = made()
    assert module.seamcall(rax).status == name("OPERAND_INVALID")


def test_a_module_that_is_not_ready_says_so():
    module = Module(cmrs=((1 << 30, 1 << 30),))
    assert module.seamcall(Leaf.MEM_TRACK).status == name("SYS_NOT_READY")
    assert module.seamcall(Leaf.SYS_CONFIG, rdx=0).status == name("SYS_CONFIG_NOT_PENDING")
    host = Host(module)
    expect(module.seamcall(Leaf.SYS_LP_SHUTDOWN))
    assert module.seamcall(Leaf.MNG_CREATE, rcx=host.page(), rdx=33).status == name("SYS_SHUTDOWN")


@pytest.mark.parametrize(
    ("rcx", "status"),
    [(GPA | 8, "OPERAND_INVALID"), (GPA | 1 << 52, "OPERAND_INVALID"), (GPA | 1 << 47, "OPERAND_INVALID"),
     (GPA | 5, "OPERAND_INVALID"), (GPA + PAGE | 1, "OPERAND_INVALID"), (2 * GPA, "EPT_WALK_FAILED")],
)  # fmt: skip
def test_a_gpa_that_is_none_is_an_invalid_rcx(rcx, status):
    module, _, td = made()
    assert module.seamcall(Leaf.MEM_SEPT_RD, rcx=rcx, rdx=td.tdr).status == name(status, "RCX")


def test_the_tdr_is_looked_at_before_the_gpa_and_the_gpa_before_the_page():
    module, host, td = made()
    page = host.page()
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=page, r8=1).status == name("PAGE_METADATA_INCORRECT", "RDX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=td.tdr + 1, r8=1).status == name("OPERAND_INVALID", "RDX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=1 << 45, r8=1).status == name("OPERAND_INVALID", "RDX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=0, r8=1).status == name("OPERAND_ADDR_RANGE_ERROR", "RDX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=7, rdx=td.tdr, r8=1).status == name("OPERAND_INVALID", "RCX")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=1).status == name("OPERAND_INVALID", "R8")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=0).status == name("OPERAND_ADDR_RANGE_ERROR", "R8")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=td.tdr).status == name("OPERAND_BUSY", "R8")
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=td.pages[0]).status == name("PAGE_METADATA_INCORRECT", "R8")
    reserved = host.tdmrs[0].reserved[0][0]
    assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=reserved).status == name("PAGE_METADATA_INCORRECT", "R8")


def test_sept_add_version_1_and_the_flag_allow_existing():
    module, host, td = made()
    page, upper = host.page(), GPA | 1
    add, free = Leaf.MEM_SEPT_ADD, 2 * GPA | 2
    every = (1 << 64) - 1
    assert module.seamcall(add, rcx=upper, rdx=td.tdr, r8=page).status == name("EPT_ENTRY_STATE_INCORRECT", "RCX")
    assert module.seamcall(add, rcx=upper, rdx=td.tdr | 1, r8=page).ok
    assert module.seamcall(add | 1 << 16, rcx=upper, rdx=td.tdr | 1, r8=page).r8 == page | 1 << 63
    assert module.seamcall(add, rcx=upper, rdx=td.tdr | 2, r8=page).status == name("OPERAND_INVALID", "RDX")
    assert module.seamcall(add, rcx=free, rdx=td.tdr, r8=every).status == name("OPERAND_INVALID", "R8")
    assert module.seamcall(add | 1 << 16, rcx=free, rdx=td.tdr, r8=every).status == name("EPT_ENTRY_STATE_INCORRECT", "RCX")
    assert module.seamcall(add | 1 << 16, rcx=upper, rdx=td.tdr, r8=every).ok


class TestContention:
    """tdx-module.md 3: which lock is lost, and the operand id that says so."""

    @pytest.mark.parametrize(("first", "steps", "second", "operand"), [
        ("MEM_RANGE_BLOCK", 1, "MEM_SEPT_RD", "SEPT_TREE"), ("MEM_SEPT_RD", 1, "MEM_RANGE_BLOCK", "SEPT_TREE"),
        ("MEM_SEPT_RD", 2, "MEM_SEPT_RD", "RCX"), ("MEM_TRACK", 1, "MEM_TRACK", "TD_EPOCH"),
    ])  # fmt: skip
    def test_two_calls_on_one_entry(self, first, steps, second, operand):
        module, _, td = made()
        td.augment(GPA)
        holding = begin(module, td, first, 1)
        for _ in range(steps):
            holding.step()
        assert begin(module, td, second, 0).finish().status == name("OPERAND_BUSY", operand)
        assert holding.finish().ok
        assert begin(module, td, second, 0).finish().ok or second == "MEM_RANGE_BLOCK"

    def test_leaves_that_share_the_tree_run_side_by_side(self):
        module, host, td = made()
        one, two = host.page(), host.page()
        first = module.begin(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=one)
        first.step()
        assert module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA + PAGE, rdx=td.tdr, r8=two).ok
        assert first.finish().ok

    def test_a_busy_entry_says_what_it_was_when_it_was_walked_to(self):
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

    def test_an_entry_is_read_again_when_it_is_locked(self):
        module, host, td = made()
        one, two = host.page(), host.page()
        late = module.begin(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=one)
        late.step()
        expect(module.seamcall(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=two))
        answer = late.finish()
        assert answer.status == name("EPT_ENTRY_STATE_INCORRECT", "RCX")
        assert (answer.rcx, answer.rdx) == (ref.EXTENDED["PENDING"] | two, ref.REPORTED["PENDING"] << 8)

    def test_an_entry_whose_table_was_promoted_away_is_busy(self):
        module, host, td = made(finalized=False)
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

    def test_a_tdr_that_is_taken_is_busy_by_its_operand(self):
        module, host, td = made(finalized=False)
        page = host.page()
        holding = module.begin(Leaf.MEM_PAGE_ADD, lp=1, rcx=GPA, rdx=td.tdr, r8=page)
        holding.step()
        assert module.seamcall(Leaf.MEM_SEPT_RD, rcx=GPA, rdx=td.tdr).status == name("OPERAND_BUSY", "RDX")
        assert module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr).status == name("OPERAND_BUSY", "RCX")
        assert module.seamcall(Leaf.VP_INIT, rcx=td.vcpus[0]).status == name("OPERAND_BUSY", "TDR")
        assert holding.finish().ok

    def test_a_guest_that_accepts_holds_its_entry_and_the_host_gets_priority(self):
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
        assert accepts().status == name("OPERAND_BUSY_HOST_PRIORITY", "RCX")
        assert module.seamcall(Leaf.MEM_PAGE_REMOVE, lp=1, rcx=GPA, rdx=td.tdr).status == name("GPA_RANGE_NOT_BLOCKED", "RCX")
        assert accepts().code == Status.TDX_PAGE_ALREADY_ACCEPTED

    def test_an_entry_that_is_augmented_between_walk_and_lock_is_a_size_mismatch(self):
        module, host, td = made()
        vcpu, page = td.vcpus[0], host.page()
        expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
        accepting = module.begin_tdcall(vcpu, GuestLeaf.MEM_PAGE_ACCEPT, rcx=GPA)
        accepting.step()
        expect(module.seamcall(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=page))
        assert accepting.finish().status == name("PAGE_SIZE_MISMATCH")

    def test_a_running_vcpu_keeps_tdvpr_and_tdr(self):
        module, host, td = made(vcpus=2)
        vcpu = td.vcpus[0]
        expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
        assert module.seamcall(Leaf.VP_FLUSH, lp=1, rcx=vcpu).status == name("OPERAND_BUSY", "RCX")
        assert module.seamcall(Leaf.VP_ADDCX, lp=1, rcx=host.page(), rdx=vcpu).status == name("OPERAND_BUSY", "RDX")
        assert module.seamcall(Leaf.MNG_VPFLUSHDONE, lp=1, rcx=td.tdr).status == name("OPERAND_BUSY", "RCX")
        module.interrupt(0)
        assert module.seamcall(Leaf.VP_ENTER, lp=1, rcx=vcpu).status == name("VCPU_ASSOCIATED")

    def test_a_pair_is_busy_while_a_page_of_its_range_is_in_a_call(self):
        module, host, td = made(dynamic=True)
        page = host.page()
        holding = module.begin(Leaf.MEM_PAGE_AUG, lp=1, rcx=GPA, rdx=td.tdr, r8=page)
        holding.step()
        region = page >> 21 << 21
        assert module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1).status == name("OPERAND_BUSY", "RCX")
        holding.finish()
        answer = module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1)
        assert answer.status in (name("PAMT_PAGE_NOT_EMPTY"), name("PAMT_PAGE_NOT_EMPTY") + 1)


def begin(module, td, leaf, lp):
    if leaf == "MEM_TRACK":
        return module.begin(Leaf.MEM_TRACK, lp=lp, rcx=td.tdr)
    return module.begin(Leaf[leaf], lp=lp, rcx=GPA, rdx=td.tdr)


class TestPairs:
    """tdx-module.md 2.4: PAMT.ADD and PAMT.REMOVE, check by check."""

    def test_without_dynamic_pamt_they_are_invalid(self):
        module, host, _ = made()
        for leaf in (Leaf.PHYMEM_PAMT_ADD, Leaf.PHYMEM_PAMT_REMOVE):
            assert module.seamcall(leaf, rcx=host.page(size=2 << 20) | 1).status == name("OPERAND_INVALID")

    def test_the_checks_of_add_in_their_order(self):
        module, host, td = made(dynamic=True)
        region = host.page(size=2 << 20)
        one, two = host.page(paired=False), host.page(paired=False)
        add = lambda rcx=region | 1, rdx=one, r8=two: module.seamcall(Leaf.PHYMEM_PAMT_ADD, rcx=rcx, rdx=rdx, r8=r8).status  # noqa: E731
        assert add(rcx=region, rdx=1) == name("OPERAND_INVALID", "RCX")
        assert add(rcx=region + PAGE | 1) == name("OPERAND_INVALID", "RCX")
        assert add(rdx=one + 1, r8=1) == name("OPERAND_INVALID", "RDX")
        assert add(rdx=0, r8=1) == name("OPERAND_ADDR_RANGE_ERROR", "RDX")
        assert add(r8=1) == name("OPERAND_INVALID", "R8")
        assert add(r8=0) == name("OPERAND_ADDR_RANGE_ERROR", "R8")
        assert add(rcx=1 | 8 << 30) == name("OPERAND_ADDR_RANGE_ERROR", "RCX")
        assert add(rcx=td.tdr >> 21 << 21 | 1) == name("HPA_RANGE_NOT_FREE", "RCX")
        assert add(rdx=td.tdr) == name("PAGE_NOT_FREE", "RDX")
        assert add(r8=td.tdr) == name("PAGE_NOT_FREE", "R8")
        assert add(r8=one) == name("PAGE_NOT_FREE", "R8")
        assert add() == 0
        assert add() == name("HPA_RANGE_NOT_FREE", "RCX")

    def test_a_pair_may_lie_in_the_region_that_it_describes(self):
        module, host, _ = made(dynamic=True)
        region = host.page(size=2 << 20)
        expect(module.seamcall(Leaf.PHYMEM_PAMT_ADD, rcx=region | 1, rdx=region, r8=region + PAGE))
        answer = module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1)
        assert (answer.status, answer.rdx, answer.r8) == (0, region, region + PAGE)
        assert module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1).status == name("NO_PAMT_PAGE_PAIR", "RCX")

    def test_a_page_without_a_pair_is_missing_one(self):
        module, host, td = made(dynamic=True)
        region = host.page(size=2 << 20)
        aug = module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=region)
        assert aug.status == name("MISSING_PAMT_PAGE_PAIR", "R8")
        host.back(region)
        expect(module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=region))
        large = module.seamcall(Leaf.MEM_PAGE_AUG, rcx=2 * GPA | 1, rdx=td.tdr, r8=region)
        assert large.status == name("EPT_WALK_FAILED", "RCX")
        refused = module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1)
        assert refused.status == name("PAMT_PAGE_NOT_EMPTY")

    def test_the_last_page_of_a_region_comes_back_with_the_hint(self):
        module, host, td = made(dynamic=True, finalized=False)
        region = host.page(size=2 << 20)
        host.back(region)
        for offset in (0, PAGE):
            expect(module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA + offset, rdx=td.tdr, r8=region + offset))
        assert td.call(Leaf.MEM_PAGE_REMOVE, GPA).rcx == region
        assert td.call(Leaf.MEM_PAGE_REMOVE, GPA + PAGE).rcx == region + PAGE | 1 << 62

    def test_a_large_page_needs_the_pair_gone(self):
        module, host, td = made(dynamic=True)
        region = host.page(size=2 << 20)
        host.back(region)
        td.link(2 * GPA, 2)
        aug = lambda: module.seamcall(Leaf.MEM_PAGE_AUG, rcx=2 * GPA | 1, rdx=td.tdr, r8=region)  # noqa: E731
        assert aug().status == name("PAGE_METADATA_INCORRECT", "R8")
        expect(module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1))
        assert aug().ok

    def test_removing_a_pair_in_the_window_of_a_free_stops_the_module(self):
        module, host, td = made(dynamic=True, finalized=False)
        region = host.page(size=2 << 20)
        host.back(region)
        expect(module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=region))
        freeing = module.begin(Leaf.MEM_PAGE_REMOVE, lp=1, rcx=GPA, rdx=td.tdr)
        for _ in range(3):
            freeing.step()
        with pytest.raises(ModuleStopped, match="fatal"):
            module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1)
        with pytest.raises(ModuleStopped, match="fatal"):
            module.seamcall(Leaf.MEM_TRACK, lp=2, rcx=td.tdr)


class TestLargePages:
    """PROMOTE and DEMOTE, at 2M and at 1G."""

    def test_2m_and_back_at_4k_with_the_pair_handed_over(self):
        module, host, td = made(dynamic=True)
        td.link(2 * GPA, 2)
        large = td.augment(2 * GPA, 1)
        td.accept(2 * GPA, 1)
        new, one, two = host.page(), host.page(paired=False), host.page(paired=False)
        expect(td.call(Leaf.MEM_RANGE_BLOCK, 2 * GPA, 1))
        expect(module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr))
        demote = lambda **pair: td.call(Leaf.MEM_PAGE_DEMOTE, 2 * GPA, 1, r8=new, **pair)  # noqa: E731
        assert demote(r12=1, r13=two).status == name("OPERAND_INVALID", "R12")
        assert demote(r12=one, r13=large).status == name("OPERAND_BUSY", "R13")
        assert demote(r12=one, r13=one).status == name("PAGE_NOT_FREE", "R13")
        assert demote(r12=one, r13=td.tdr).status == name("PAGE_NOT_FREE", "R13")
        assert demote(r12=one, r13=two).ok
        assert td.call(Leaf.MEM_SEPT_RD, 2 * GPA + 5 * PAGE).rcx == ref.EXTENDED["MAPPED"] | large + 5 * PAGE
        expect(td.call(Leaf.MEM_RANGE_BLOCK, 2 * GPA, 1))
        expect(module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr))
        answer = expect(td.call(Leaf.MEM_PAGE_PROMOTE, 2 * GPA, 1))
        assert (answer.rcx & ~(1 << 62), answer.r12, answer.r13) == (new, one, two)
        expect(module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]))
        assert module.access(td.vcpus[0], 2 * GPA + 5 * PAGE + 8).rcx == large + 5 * PAGE + 8

    def test_a_gib_is_promoted_from_2m_leaves_and_demoted_again(self):
        module = Module(cmrs=((1 << 30, 3 << 30),))
        host = Host(module)
        td = host.td(finalized=False)
        base = 4 * GPA
        td.link(base, 2)
        first = host.page(size=1 << 30)
        for i in range(512):
            expect(module.seamcall(Leaf.MEM_PAGE_AUG, rcx=base + (i << 21) | 1, rdx=td.tdr, r8=first + (i << 21)))
        answer = expect(td.call(Leaf.MEM_PAGE_PROMOTE, base, 2))
        assert td.call(Leaf.MEM_SEPT_RD, base, 2).rdx == 2 | ref.REPORTED["PENDING"] << 8
        assert td.call(Leaf.MEM_PAGE_AUG, base, 1, r8=first).status == name("EPT_WALK_FAILED", "RCX")
        assert module.seamcall(Leaf.PHYMEM_PAGE_RDMD, rcx=first + PAGE).r8 == 2
        expect(td.call(Leaf.MEM_PAGE_DEMOTE, base, 2, r8=answer.rcx))
        assert td.call(Leaf.MEM_SEPT_RD, base + (7 << 21), 1).rcx == ref.EXTENDED["PENDING"] | first + (7 << 21)
        expect(td.call(Leaf.MEM_PAGE_REMOVE, base, 1))

    def test_promote_polls_for_an_interrupt_and_demote_of_older_modules_too(self):
        module, host, td = made(enhanced_demote=False, finalized=False)
        large = td.augment(2 * GPA, 1)
        new = host.page()
        module.interrupt(0)
        answer = td.call(Leaf.MEM_PAGE_DEMOTE, 2 * GPA, 1, r8=new)
        assert (answer.status, answer.rcx, answer.rdx) == (name("INTERRUPTED_RESTARTABLE"), 2 * GPA | 1, td.tdr)
        module.m.lp[0].interrupt = False
        expect(td.call(Leaf.MEM_PAGE_DEMOTE, 2 * GPA, 1, r8=new))
        module.interrupt(0)
        assert td.call(Leaf.MEM_PAGE_PROMOTE, 2 * GPA, 1).status == name("INTERRUPTED_RESTARTABLE")
        module.m.lp[0].interrupt = False
        assert td.call(Leaf.MEM_PAGE_PROMOTE, 2 * GPA, 1).rcx == new
        assert td.call(Leaf.MEM_SEPT_RD, 2 * GPA, 1).rcx & ~0xFFF & (1 << 52) - 1 == large

    def test_children_that_do_not_follow_each_other_are_not_promoted(self):
        _, _, td = made(finalized=False)
        td.augment(GPA)
        answer = td.call(Leaf.MEM_PAGE_PROMOTE, GPA, 1)
        assert answer.status == name("EPT_INVALID_PROMOTE_CONDITIONS", "RCX")
        assert (answer.rcx, answer.rdx) == (ref.EXTENDED["NL_MAPPED"], 1 | ref.REPORTED["NL_MAPPED"] << 8)

    def test_an_interrupted_accept_of_2m_goes_on_where_it_was_and_a_block_resets_it(self):
        module, _, td = made()
        td.augment(2 * GPA, 1)
        vcpu = td.vcpus[0]
        expect(module.seamcall(Leaf.VP_ENTER, rcx=vcpu))
        accepting = module.begin_tdcall(vcpu, GuestLeaf.MEM_PAGE_ACCEPT, rcx=2 * GPA | 1)
        accepting.step()
        accepting.step()
        module.m.lp[0].interrupt = True
        assert accepting.finish().event is GuestEvent.AGAIN
        assert td.module.seamcall(Leaf.MEM_SEPT_RD, lp=1, rcx=2 * GPA | 1, rdx=td.tdr).rcx >> 12 & 511 == 1
        assert module.tdcall(vcpu, GuestLeaf.MEM_PAGE_ACCEPT, rcx=2 * GPA | 1).event is GuestEvent.EXIT
        expect(module.seamcall(Leaf.MEM_RANGE_BLOCK, lp=1, rcx=2 * GPA | 1, rdx=td.tdr))
        assert td.module.seamcall(Leaf.MEM_SEPT_RD, lp=1, rcx=2 * GPA | 1, rdx=td.tdr).rcx >> 12 & 511 == 0


class TestZeroStep:
    """tdx-module.md 9.3: after faults at one RIP an entry takes the S-EPT tree, and faults again without running the guest."""

    def fault(self, module, td, times):
        for _ in range(times):
            assert module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]).exit_reason is None
            assert module.access(td.vcpus[0], GPA).exit_reason == 48

    def test_the_seventh_fault_is_logged_and_filtered(self):
        module, _, td = made()
        self.fault(module, td, 7)
        answer = module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])
        assert (answer.exit_reason, answer.r8) == (48, GPA)
        assert not module.m.lp[0].vcpu
        td.augment(GPA)
        module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])

    @pytest.mark.parametrize(("shared", "status"), [(True, 0), (False, "OPERAND_BUSY")])
    def test_it_takes_the_tree_shared_or_exclusively(self, shared, status):
        module, _, td = made(zero_step_shared=shared)
        self.fault(module, td, 7)
        reading = module.begin(Leaf.MEM_SEPT_RD, lp=1, rcx=GPA, rdx=td.tdr)
        reading.step()
        answer = module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])
        assert answer.status == (name("OPERAND_BUSY", "SEPT_TREE") if status else 0)
        reading.finish()

    def test_a_guest_that_gets_on_is_not_filtered(self):
        module, _, td = made()
        self.fault(module, td, 7)
        module.m.tdvps[module.m.lp[0].last].build.stepping.faults = 7
        module.m.tdvps[module.m.lp[0].last].build.stepping.logged = 0
        assert module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0]).exit_reason is None


def test_five_levels():
    module = Module(Geometry(levels=5, gfns=1 << 39), cmrs=((1 << 30, 1 << 30),))
    td = Host(module).td()
    gpa = 1 << 50
    td.augment(gpa)
    td.accept(gpa)
    assert td.call(Leaf.MEM_SEPT_RD, gpa).rdx == ref.REPORTED["MAPPED"] << 8
    assert td.call(Leaf.MEM_SEPT_RD, 0, 4).ok
    assert td.call(Leaf.MEM_SEPT_RD, 1 << 51).status == name("OPERAND_INVALID", "RCX")


def test_a_td_is_taken_down_to_the_last_page_and_its_hkid_is_free_again():
    module, host, td = made(vcpus=2)
    td.augment(GPA)
    td.augment(2 * GPA, 1)
    for vcpu in td.vcpus:
        assert module.seamcall(Leaf.MNG_VPFLUSHDONE, rcx=td.tdr).status == name("FLUSHVP_NOT_DONE")
        lp = td.vcpus.index(vcpu)
        assert module.seamcall(Leaf.VP_FLUSH, lp=1 - lp, rcx=vcpu).status == name("VCPU_NOT_ASSOCIATED")
        expect(module.seamcall(Leaf.VP_FLUSH, lp=lp, rcx=vcpu))
    td.vcpus = []
    td.destroy()
    again = host.td()
    assert module.m.td[1].tdr == again.tdr >> 12
    assert not any(module.m.frame[page >> 12].type for page in td.pages)


def test_mistakes_of_a_user_are_said():
    module, _, td = made()
    with pytest.raises(UserError, match="rbx: a call has the registers"):
        module.seamcall(Leaf.MEM_TRACK, rbx=1)
    with pytest.raises(UserError, match="rcx=0x10000000000000000: a register has 64 bits"):
        module.seamcall(Leaf.MEM_TRACK, rcx=1 << 64)
    with pytest.raises(UserError, match="lp=4: there are 4 logical processors"):
        module.seamcall(Leaf.MEM_TRACK, lp=4)
    with pytest.raises(UserError, match="no vCPU with TDVPR"):
        module.access(td.vcpus[0], GPA)
    module.seamcall(Leaf.VP_ENTER, rcx=td.vcpus[0])
    with pytest.raises(UserError, match="LP 0 runs a guest"):
        module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr)
    with pytest.raises(UserError, match="'c' or 'python'"):
        Module(engine="rust")
