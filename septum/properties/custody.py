"""Custody: every page has exactly one holder, and none is left behind. Double frees and the like are found where they happen."""

from septum.host.frames import PageType, Role
from septum.host.geometry import GFNS, LEVELS, VMS, Gfn, Level, Pfn, RangeId, VcpuId, VmId, index_at, leaf_base
from septum.kvm.machine import Machine, VmState
from septum.kvm.ops import ops
from septum.kvm.tdp.direct import DIRECT
from septum.kvm.tdp.spte import is_last_spte, is_shadow_present_pte
from septum.kvm.tdp.tdp_mmu import table_at
from septum.lang import each, u32
from septum.properties.direct import linked_direct_tables


def custody(m: Machine):
    """Always: what the module holds is what the host thinks it gave; designs.md 2, I1."""
    for page in each(Pfn):
        frame = m.frame[page]
        if frame.role == Role.LEAKED:
            continue
        if frame.type == PageType.EPT:
            assert frame.role == Role.EXTERNAL, f"custody: page {page} is an S-EPT page, for the host {Role(frame.role)}"
        if frame.type == PageType.REG:
            assert frame.role == Role.GUEST, f"custody: page {page} is private memory, for the host {Role(frame.role)}"
        if frame.type == PageType.PAMT:
            assert frame.role == Role.PAIR, f"custody: page {page} is a PAMT page, for the host {Role(frame.role)}"


def custody_at_rest(m: Machine):
    """At rest: no page is in the hand of a thread that ended, and each holder knows of as many pages as are said to be its."""
    pooled = count(m, Role.POOL)
    expected = u32(0)
    for vcpu in each(VcpuId):
        expected = u32(expected + ops.vcpu_pool_pages(m, vcpu) + m.vcpu[vcpu].mmu_shadow_page_cache.nobjs)
    for vm in each(VmId):
        expected = u32(expected + ops.vm_pool_pages(m, vm))
    expected = u32(expected + ops.machine_pool_pages(m))
    assert pooled >= expected, "custody: a pool holds pages that are not its own"
    assert pooled == expected, (
        f"custody: pages in pools: {pooled}, counted: {expected}; lost, or does vm_pool_pages() not count every pool?"
    )
    assert count(m, Role.HAND) == 0, "custody: a page that was allocated or popped is lost"
    assert count(m, Role.PAIR) == pair_pages(m), "custody: a page of a PAMT pair is lost"
    assert count(m, Role.EXTERNAL) == external_pages(m), "custody: an S-EPT page is lost"
    assert count(m, Role.SPT) == linked_tables(m), "custody: a mirror table is lost"
    for vm in each(VmId):
        if m.vm[vm].state == VmState.DESTROYED:
            destroyed(m, vm)


def count(m: Machine, role: Role):
    """How many pages have a role."""
    found = u32(0)
    for page in each(Pfn):
        if m.frame[page].role == role:
            found = u32(found + 1)
    return found


def pair_pages(m: Machine):
    """How many pages the pairs of all ranges have."""
    found = u32(0)
    for r in each(RangeId):
        if m.pamt[r].type == PageType.PAMT:
            found = u32(found + 2)
    return found


def external_pages(m: Machine):
    """How many mirror tables have an S-EPT page."""
    found = u32(0)
    for page in each(Pfn):
        if m.frame[page].role == Role.SPT and m.sp[page].external_spt != 0:
            found = u32(found + 1)
    return found


def linked_tables(m: Machine):
    """How many mirror tables are linked: found from the roots, level by level; and those that wait for RCU."""
    found = u32(m.rcu.queued)
    if DIRECT:
        found = u32(found + linked_direct_tables(m))
    for vm in each(VmId):
        if m.vm[vm].mirror_root != 0:
            found = u32(found + 1 + tables_below_root(m, vm))
    return found


def tables_below_root(m: Machine, vm: VmId):
    """How many tables the mirror root of a VM and those below it link."""
    found = u32(0)
    level = Level(LEVELS)
    while level != 1:
        found = u32(found + tables_below(m, vm, level))
        level = Level(level - 1)
    return found


def tables_below(m: Machine, vm: VmId, level: Level):
    """How many tables the entries at `level` link."""
    found = u32(0)
    for gfn in range(GFNS):
        if leaf_base(Gfn(gfn), level) == gfn:
            spt = table_at(m, vm, Gfn(gfn), level)
            if spt != 0:
                spte = m.table[spt].word[index_at(Gfn(gfn), level)]
                if is_shadow_present_pte(spte) and not is_last_spte(spte, level):
                    found = u32(found + 1)
    return found


def destroyed(m: Machine, vm: VmId):
    """After kvm_destroy_vm() nothing of the VM is left: no table, no guest page, no control page, no page of the module.

    What the kernel gave up since the module did not give it back is left, and the pairs of such pages.
    """
    for page in each(Pfn):
        ours = m.frame[page].owner == vm and m.frame[page].role != Role.LEAKED
        assert not ours, f"custody: page {page} still belongs to the destroyed TD"
    assert m.vm[vm].mirror_root == 0, "custody: somebody still has a reference to the mirror root of the destroyed VM"
    for gfn in range(GFNS):
        assert m.vm[vm].gmem[Gfn(gfn)] == 0, "custody: guest_memfd still has a page of the destroyed VM"
    if VMS == 1:
        pooled = ops.machine_pool_pages(m)
        for page in each(Pfn):
            role = m.frame[page].role
            given_up = role == Role.LEAKED or (role == Role.PAIR and (m.leaked_pair != 0 or m.vm[vm].bugged))
            free = role == Role.FREE or given_up or (role == Role.POOL and pooled != 0)
            assert free, f"custody: page {page} is leaked: {Role(role)} holds it after the VM is gone"
        assert count(m, Role.POOL) == pooled, "custody: a pool of the destroyed VM still holds pages"
