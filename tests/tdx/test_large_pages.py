"""PROMOTE and DEMOTE, at 2M and at 1G."""

from __future__ import annotations

from septum.tdx import GuestLeaf, Host, Leaf, Module
from septum.tdx.bringup import expect
from septum.tdx.processor import GuestEvent
from tests.tdx import reference as ref
from tests.tdx.test_module import GPA, PAGE, made, name


def test_2m_and_back_at_4k_with_the_pair_handed_over():
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


def test_a_gib_is_promoted_from_2m_leaves_and_demoted_again():
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


def test_promote_polls_for_an_interrupt_and_demote_of_older_modules_too():
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


def test_children_that_do_not_follow_each_other_are_not_promoted():
    _, _, td = made(finalized=False)
    td.augment(GPA)
    answer = td.call(Leaf.MEM_PAGE_PROMOTE, GPA, 1)
    assert answer.status == name("EPT_INVALID_PROMOTE_CONDITIONS", "RCX")
    assert (answer.rcx, answer.rdx) == (ref.EXTENDED["NL_MAPPED"], 1 | ref.REPORTED["NL_MAPPED"] << 8)


def test_an_interrupted_accept_of_2m_goes_on_where_it_was_and_a_block_resets_it():
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


def test_demote_leaves_the_bepoch_of_its_table_as_it_was():
    module, _, td = made()
    large = td.augment(2 * GPA, 1)
    td.link(3 * GPA, 1)
    table = td.pages[-1]
    expect(td.call(Leaf.MEM_RANGE_BLOCK, 3 * GPA, 1))
    for _ in range(2):
        expect(module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr))
    expect(td.call(Leaf.MEM_SEPT_REMOVE, 3 * GPA, 1))
    expect(td.call(Leaf.MEM_RANGE_BLOCK, 2 * GPA, 1))
    expect(module.seamcall(Leaf.MEM_TRACK, rcx=td.tdr))
    expect(td.call(Leaf.MEM_PAGE_DEMOTE, 2 * GPA, 1, r8=table))
    assert module.seamcall(Leaf.PHYMEM_PAGE_RDMD, rcx=table).r9 == 1
    assert module.seamcall(Leaf.PHYMEM_PAGE_RDMD, rcx=large).r9 == 0
