"""Dynamic PAMT RFC v5, corrected: an S-EPT page is backed when it is allocated, and pamt_lock is irq-safe; designs.md 5.6, 5.7.1.

The RCU callback puts and frees it. What was posted is dpamt_v5_as_posted.
"""

from septum.designs.dpamt_merged_split import design as dpamt_merged_split
from septum.host.frames import Gfp, Role, free_page
from septum.host.geometry import CACHE_CAPACITY, LEVELS, PAMT_PAGES, PT64_ROOT_MAX_LEVEL, SPREAD
from septum.host.pools import ENOMEM, OK, keep, kvm_mmu_memory_cache_alloc, pop, topup_list
from septum.kvm.design import VCPU_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.seam import pamt_dec_and_lock
from septum.kvm.seam.pamt import IRQSAVE, tdx_alloc_control_page
from septum.kvm.tdp.tdp_mmu import BACKED_AT_ALLOCATION
from septum.kvm.vmx.demote import block_and_track, tdx_demote
from septum.kvm.vmx.tdx import tdx_sept_free_private_spt, tdx_sept_map_nonleaf_spte
from septum.lang import process, warn_on

SPLIT_PAGES = PAMT_PAGES  # the guest range; the S-EPT page is backed already

design = Design(
    "dpamt_v5", base=dpamt_merged_split, parts=[pamt_dec_and_lock],
    # Two tables are all that a fault of three levels needs; few ranges, since every cached page lies in one.
    sizes={
        BACKED_AT_ALLOCATION: 1, IRQSAVE: 1, PT64_ROOT_MAX_LEVEL: lambda: LEVELS.value - 1, SPREAD: 2,
        VCPU_POOL: (1 + PAMT_PAGES) * CACHE_CAPACITY + PAMT_PAGES * PT64_ROOT_MAX_LEVEL,
    },
)  # fmt: skip


@design.process
def topup_external_cache(m, vcpu, tables):
    """kvm_mmu_topup_memory_cache() with the page_get hook; one pair for the guest page."""
    error = yield from topup_backed(m, m.vcpu[vcpu].design.mmu_external_spt_cache, tables)
    if error != OK:
        return error
    return (yield from topup_list(m, ops.pair_pool(m, vcpu), PAMT_PAGES, Gfp.KERNEL_ACCOUNT))


@process
def topup_backed(m, cache, minimum):
    """Fills a cache with pages that have their pairs."""
    if cache.nobjs < minimum:
        while cache.nobjs < CACHE_CAPACITY:
            page = yield from tdx_alloc_control_page(m, Gfp.KERNEL_ACCOUNT)
            if page == 0:
                return OK if cache.nobjs >= minimum else ENOMEM
            keep(m, cache, page)
    return OK


@design.process
def alloc_external_spt(m, vcpu):
    """Pops a backed page; of an empty cache WARN, and the hook with GFP_ATOMIC: PAMT.ADD under mmu_lock."""
    cache = m.vcpu[vcpu].design.mmu_external_spt_cache
    if warn_on(cache.nobjs == 0, "provision: a kvm_mmu_memory_cache is empty under mmu_lock"):
        return (yield from tdx_alloc_control_page(m, Gfp.ATOMIC_ACCOUNT))
    return (yield from kvm_mmu_memory_cache_alloc(m, cache))


@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    return (yield from tdx_sept_map_nonleaf_spte(m, m.vcpu[vcpu].vm, gfn, level, external))


@design.process
def free_external_spt(m, vm, spt):
    """RECLAIM; the page stays in the sp for the callback, or is leaked."""
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    if error != OK:
        m.sp[spt].external_spt = 0


@design.process
def free_external_sp(m, spt):
    """free_external_sp(): tdx_free_control_page(), in the RCU callback of a reclaimed table, or at once for an unused one."""
    yield from free_backed(m, m.sp[spt].external_spt, Role.EXTERNAL)


@process
def free_backed(m, page, holder):
    """tdx_free_control_page(): put and free."""
    yield from ops.pamt_put(m, page)
    free_page(m, page, holder)


@design.process
def drain_external_cache(m, vcpu):
    """kvm_mmu_free_memory_cache() with the page_free hook."""
    cache = m.vcpu[vcpu].design.mmu_external_spt_cache
    while cache.nobjs != 0:
        page = yield from kvm_mmu_memory_cache_alloc(m, cache)
        yield from free_backed(m, page, Role.HAND)


@design.process
def alloc_external_sp(m, spt):
    return (yield from tdx_alloc_control_page(m, Gfp.KERNEL_ACCOUNT))


@design.process
def topup_split(m, vm, vcpu):
    if vcpu == 0:
        return (yield from topup_list(m, ops.split_pool(m, vm), SPLIT_PAGES, Gfp.KERNEL_ACCOUNT))
    return (yield from topup_list(m, ops.pair_pool(m, vcpu), SPLIT_PAGES, Gfp.KERNEL_ACCOUNT))


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    if vcpu == 0:
        return (yield from split_from(m, vm, gfn, page, external, ops.split_pool(m, vm)))
    return (yield from split_from(m, vm, gfn, page, external, ops.pair_pool(m, vcpu)))


@process
def split_from(m, vm, gfn, page, external, pool):
    """BLOCK, TRACK, DEMOTE with the guest range's pair."""
    error = yield from block_and_track(m, vm, gfn)
    if error != OK:
        return error
    assert pool.cnt >= PAMT_PAGES, "provision: no pair is left for DEMOTE"
    page0 = pop(m, pool)
    page1 = pop(m, pool)
    return (yield from tdx_demote(m, vm, gfn, page, external, page0, page1))
