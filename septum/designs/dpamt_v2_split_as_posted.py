"""Dynamic PAMT v2 with the split of huge pages RFC v2, as posted: a cache of the VM without a lock of its own; designs.md 5.8.

The cache is filled while mmu_lock is dropped; DEMOTE has no guard, and its count is set without a look at it.
The corrected one is dpamt_v2_split.
"""

from septum.designs.dpamt_v2_as_posted import design as dpamt_v2_as_posted
from septum.host.frames import Content, Gfp
from septum.host.geometry import PAMT_PAGES
from septum.host.pools import (
    ENOMEM,
    OK,
    PAIR_CAPACITY,
    PairCache,
    alloc_or_fail,
    keep,
    kvm_mmu_free_memory_cache,
    kvm_mmu_memory_cache_alloc,
)
from septum.kvm.design import VM_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.tdp import accept_level, split_unlocked
from septum.kvm.tdp.split import SPLIT_ZEROED
from septum.kvm.vmx.demote import COUNT_COMPARED, block_and_track, tdx_demote
from septum.lang import Struct, u8

SPLIT_PAGES = PAMT_PAGES * 2

design = Design(
    "dpamt_v2_split_as_posted", base=dpamt_v2_as_posted, parts=[accept_level, split_unlocked],
    sizes={SPLIT_ZEROED: 1, VM_POOL: PAIR_CAPACITY, COUNT_COMPARED: 0},
)  # fmt: skip


@design.vm
class KvmArch(Struct):
    """kvm->arch.pamt_page_cache."""

    pamt_page_cache: PairCache


@design.routine
def split_pool(m, vm):
    return m.vm[vm].design.pamt_page_cache


@design.routine
def need_topup_split(m, vm, vcpu):
    return split_pool(m, vm).nobjs < SPLIT_PAGES


@design.process
def topup_split(m, vm, vcpu):
    """kvm_mmu_topup_memory_cache(), page by page, since others may do the same: its nobjs is read before a page is allocated."""
    yield
    cache = split_pool(m, vm)
    if cache.nobjs < SPLIT_PAGES:
        while cache.nobjs < len(cache.objects):
            place: u8 = cache.nobjs
            page = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
            if page == 0:
                return OK if cache.nobjs >= SPLIT_PAGES else ENOMEM
            yield
            cache.nobjs = place
            keep(m, cache, page)
    return OK


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    """BLOCK, TRACK, the S-EPT page's pair, DEMOTE with the guest range's; a busy one again with the same pair."""
    error = yield from block_and_track(m, vm, gfn)
    if error != OK:
        return error
    error = yield from pamt_get(m, external, split_pool(m, vm))
    if error != OK:
        return error
    page0 = yield from kvm_mmu_memory_cache_alloc(m, split_pool(m, vm))
    page1 = yield from kvm_mmu_memory_cache_alloc(m, split_pool(m, vm))
    error = yield from tdx_demote(m, vm, gfn, page, external, page0, page1)
    if error != OK:
        yield from ops.pamt_put(m, external)
    return error


@design.routine
def free_split_cache(m, vm):
    kvm_mmu_free_memory_cache(m, split_pool(m, vm))


@design.routine
def vm_pool_pages(m, vm):
    return split_pool(m, vm).nobjs
