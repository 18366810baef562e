"""tdx-module.md 2.4: PAMT.ADD and PAMT.REMOVE, check by check."""

from __future__ import annotations

import pytest

from septum.host.frames import PageType
from septum.tdx import Leaf, ModuleStopped
from septum.tdx.bringup import expect
from tests.tdx.test_module import GPA, PAGE, made, name


def test_without_dynamic_pamt_they_are_invalid():
    module, host, _ = made()
    for leaf in (Leaf.PHYMEM_PAMT_ADD, Leaf.PHYMEM_PAMT_REMOVE):
        assert module.seamcall(leaf, rcx=host.page(size=2 << 20) | 1).status == name("OPERAND_INVALID")


def test_the_checks_of_add_in_their_order():
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


def test_a_region_in_a_1g_page_has_no_pair_and_is_not_free():
    module, host, _ = made(dynamic=True)
    one, two = host.page(paired=False), host.page(paired=False)
    module.m.gig[1].type = PageType.REG
    add = module.seamcall(Leaf.PHYMEM_PAMT_ADD, rcx=3 * GPA // 2 | 1, rdx=one, r8=two)
    assert add.status == name("HPA_RANGE_NOT_FREE", "RCX")
    assert module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=3 * GPA // 2 | 1).status == name("NO_PAMT_PAGE_PAIR", "RCX")


def test_which_page_of_a_pair_is_not_empty():
    module, host, td = made(dynamic=True)
    region = host.page(size=2 << 20)
    host.back(region)
    upper = region + 256 * PAGE
    expect(module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA, rdx=td.tdr, r8=upper))
    before = {"rdx": 5, "r8": 6}
    answer = module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1, **before)
    assert (answer.status, answer.rdx, answer.r8) == (name("PAMT_PAGE_NOT_EMPTY") + 1, 5, 6)


def test_a_pair_may_lie_in_the_region_that_it_describes():
    module, host, _ = made(dynamic=True)
    region = host.page(size=2 << 20)
    expect(module.seamcall(Leaf.PHYMEM_PAMT_ADD, rcx=region | 1, rdx=region, r8=region + PAGE))
    answer = module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1)
    assert (answer.status, answer.rdx, answer.r8) == (0, region, region + PAGE)
    assert module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1).status == name("NO_PAMT_PAGE_PAIR", "RCX")


def test_a_page_without_a_pair_is_missing_one():
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


def test_the_last_page_of_a_region_comes_back_with_the_hint():
    module, host, td = made(dynamic=True, finalized=False)
    region = host.page(size=2 << 20)
    host.back(region)
    for offset in (0, PAGE):
        expect(module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA + offset, rdx=td.tdr, r8=region + offset))
    assert td.call(Leaf.MEM_PAGE_REMOVE, GPA).rcx == region
    assert td.call(Leaf.MEM_PAGE_REMOVE, GPA + PAGE).rcx == region + PAGE | 1 << 62


def test_a_large_page_needs_the_pair_gone():
    module, host, td = made(dynamic=True)
    region = host.page(size=2 << 20)
    host.back(region)
    td.link(2 * GPA, 2)
    aug = lambda: module.seamcall(Leaf.MEM_PAGE_AUG, rcx=2 * GPA | 1, rdx=td.tdr, r8=region)  # noqa: E731
    assert aug().status == name("PAGE_METADATA_INCORRECT", "R8")
    expect(module.seamcall(Leaf.PHYMEM_PAMT_REMOVE, rcx=region | 1))
    assert aug().ok


def test_removing_a_pair_in_the_window_of_a_free_stops_the_module():
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
