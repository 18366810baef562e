"""Splitting 2M leaves of a mirror root, as the S-EPT huge-page series do it; designs.md 5.8, 5.9, 9 and kvm-mmu.md 4.12.

Upstream has no such path for a TD: a design that can split has the operation split_external_spte.
"""

from septum.host.entry import FROZEN_SPTE
from septum.host.frames import Content, Gfp, Role, free_page, take
from septum.host.geometry import ENTRIES, Gfn, Level, Pfn, VcpuId, VmId, index_at, leaf_base, table_base
from septum.host.locks import holds_exclusively, mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.host.pools import ENOMEM, OK, alloc_or_fail
from septum.kvm.bug import dies
from septum.kvm.invalidation import kvm_mmu_invalidate_end, kvm_mmu_invalidate_start
from septum.kvm.machine import Machine
from septum.kvm.ops import ops
from septum.kvm.tdp.mirror_zap import tdp_mmu_zap_leafs
from septum.kvm.tdp.spte import is_last_spte, is_shadow_present_pte, make_nonleaf_spte, make_small_spte, read_spte, spte_to_pfn
from septum.kvm.tdp.tdp_mmu import BACKED_AT_ALLOCATION, init_sp, table_at, tdp_mmu_free_sp
from septum.lang import Size, Witness, process, reached, warn_on
from septum.tdx.injection import last_call_failed

SPLIT_ZEROED = Size("SPLIT_ZEROED", 0)  # tables for a split are allocated with __GFP_ZERO, as before 7.1
SPLIT_FROM_POOLS = Size("SPLIT_FROM_POOLS", 0)  # a split takes its table and S-EPT page from pools of the VM too
split_done = Witness("split_done", "a 2M leaf was split")
split_again = Witness("split_again", "while mmu_lock was dropped to allocate, somebody else split the leaf")
converted = Witness("converted", "a private page was converted to shared")


@process
def kvm_vm_set_mem_attributes(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """kvm_vm_set_mem_attributes() [7.1], private to shared, kvm-mmu.md 6.3; with kvm_split_cross_boundary_leafs() [H v3].

    If a split fails for want of memory, nothing was converted.
    """
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    error = yield from split_and_zap(m, vm, first, last)
    if error == OK:
        yield
        for gfn in range(first, last + 1):
            m.vm[vm].shared[Gfn(gfn)] = True
        reached(converted)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_end(m, vm)
    write_unlock(m, m.vm[vm].mmu_lock)
    mutex_unlock(m, m.vm[vm].slots_lock)


@process
def split_and_zap(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """An invalidation begins, and the range goes from the mirror: kvm_split_cross_boundary_leafs() [H v3] before the zap. Errno.

    The invalidation reaches to the ends of the 2M ranges that the range straddles. Nothing is zapped if a split fails.
    """
    yield from ops.begin_split(m, vm, VcpuId(0))
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_start(m, vm, table_base(first, Level(1)), Gfn(table_base(last, Level(1)) + ENTRIES - 1))
    error = yield from tdp_mmu_split_huge_page(m, vm, VcpuId(0), first)
    if error == OK:
        error = yield from tdp_mmu_split_huge_page(m, vm, VcpuId(0), last)
    if error == OK:
        yield from tdp_mmu_zap_leafs(m, vm, first, last)
    write_unlock(m, m.vm[vm].mmu_lock)
    ops.end_split(m, vm, VcpuId(0))
    return error


@process
def tdx_check_accept_level(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """tdx_check_accept_level() [H v3], designs.md 9: the guest accepts 4K of a 2M leaf; from now on none is larger.

    Whether the guest may go on: not without memory, which is userspace's to find; here the guest tries again.
    """
    vm = m.vcpu[vcpu].vm
    yield from ops.begin_split(m, vm, vcpu)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    error = yield from tdp_mmu_split_huge_page(m, vm, vcpu, gfn)
    if error == OK:
        for i in range(ENTRIES):
            m.vm[vm].huge[Gfn(table_base(gfn, Level(1)) + i)] = False
    write_unlock(m, m.vm[vm].mmu_lock)
    ops.end_split(m, vm, vcpu)
    return not m.vm[vm].bugged


@process
def tdp_mmu_split_huge_page(m: Machine, vm: VmId, vcpu: VcpuId, gfn: Gfn):
    """tdp_mmu_split_huge_pages_root() [H v3] for the leaf at `gfn`; mmu_lock held for write, and dropped to allocate.

    After the lock was dropped everything is read again. Errno: ENOMEM if the pages for the split cannot be had.
    """
    assert holds_exclusively(m.vm[vm].mmu_lock), "context: a split without mmu_lock held for write"
    sp = Pfn(0)
    error = OK
    while error == OK and is_huge_leaf(m, vm, gfn):
        short = sp == 0 or ops.need_topup_split(m, vm, vcpu)
        if SPLIT_FROM_POOLS:
            short = ops.need_topup_split(m, vm, vcpu)
            if not short:
                sp = yield from ops.sp_from_pools(m, vm)
        if short:
            write_unlock(m, m.vm[vm].mmu_lock)
            if SPLIT_FROM_POOLS:
                error = yield from ops.topup_split(m, vm, vcpu)
            else:
                if sp == 0:
                    sp = yield from tdp_mmu_alloc_sp_for_split(m)
                error = ENOMEM
                if sp != 0:
                    error = yield from ops.topup_split(m, vm, vcpu)
            yield from write_lock(m, m.vm[vm].mmu_lock)
        else:
            error = yield from split_huge_page(m, vm, vcpu, gfn, sp)
            sp = Pfn(0)
    if sp != 0:
        yield from tdp_mmu_free_sp(m, sp)
        reached(split_again)
    return error


def is_huge_leaf(m: Machine, vm: VmId, gfn: Gfn):
    """Whether a 2M leaf maps `gfn`."""
    spt = table_at(m, vm, gfn, Level(2))
    if spt == 0:
        return False
    spte = read_spte(m, spt, index_at(gfn, Level(2)))
    assert spte != FROZEN_SPTE, "asserts: a linked entry is FROZEN while mmu_lock is held for write"
    return is_shadow_present_pte(spte) and is_last_spte(spte, Level(2))


@process
def tdp_mmu_alloc_sp_for_split(m: Machine):
    """tdp_mmu_alloc_sp_for_split(mirror) [H v3]: table and S-EPT page straight from the allocator; 0 without memory."""
    content = Content.ZEROED if SPLIT_ZEROED else Content.UNDEFINED
    spt = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, content)
    if spt == 0:
        return Pfn(0)
    take(m, spt, Role.HAND, Role.SPT)
    if BACKED_AT_ALLOCATION:
        external = yield from ops.alloc_external_sp(m, spt)
    else:
        external = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, content)
    if external == 0:
        free_page(m, spt, Role.SPT)
        return Pfn(0)
    take(m, external, Role.HAND, Role.EXTERNAL)
    m.sp[spt].external_spt = external
    return spt


@process
def split_huge_page(m: Machine, vm: VmId, vcpu: VcpuId, gfn: Gfn, sp: Pfn):
    """tdp_mmu_split_huge_page() [H v3], designs.md 9: all entries of the new table first, then the link, then the S-EPT.

    Nobody reaches the table while it is filled, and nobody reads the mirror while mmu_lock is held for write: no yield.
    """
    base = leaf_base(gfn, Level(2))
    spt = table_at(m, vm, gfn, Level(2))
    huge = m.table[spt].word[index_at(gfn, Level(2))]
    init_sp(m, sp, m.sp[sp].external_spt, gfn, Level(1))
    for i in range(ENTRIES):
        m.table[sp].word[i] = make_small_spte(huge, i)
    m.table[spt].word[index_at(gfn, Level(2))] = make_nonleaf_spte(sp)
    error = yield from ops.split_external_spte(m, vm, vcpu, base, spte_to_pfn(huge), m.sp[sp].external_spt)
    if error == OK:
        reached(split_done)
    else:
        news = dies(m, vm) and not last_call_failed(m)
        warn_on(news, "asserts: KVM_BUG_ON: a split could not be carried to the S-EPT, and the mirror is changed already")
    return error
