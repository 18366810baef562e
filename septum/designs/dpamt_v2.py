"""Dynamic PAMT v2, corrected: get and put inside of the TDX callbacks, pairs from a kvm_mmu_memory_cache; designs.md 5.3."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.frames import Content
from septum.host.geometry import CACHE_CAPACITY, PAMT_PAGES, PT64_ROOT_MAX_LEVEL
from septum.host.pools import (
    OK,
    PAIR_CAPACITY,
    MemoryCache,
    PairCache,
    kvm_mmu_free_memory_cache,
    kvm_mmu_topup_memory_cache,
)
from septum.kvm.design import VCPU_POOL, Design
from septum.kvm.seam import pamt_dec_and_lock
from septum.kvm.seam.pamt import PAIRS_IN_ARRAY
from septum.kvm.vmx import reclaim_put
from septum.lang import Struct, u8

design = Design(
    "dpamt_v2", base=dpamt_merged, parts=[pamt_dec_and_lock, reclaim_put],
    sizes={VCPU_POOL: CACHE_CAPACITY + PAIR_CAPACITY, PAIRS_IN_ARRAY: 1},
)  # fmt: skip


@design.vcpu
class Caches(Struct):
    """vcpu->arch.mmu_external_spt_cache and pamt_page_cache, both arrays."""

    mmu_external_spt_cache: MemoryCache
    pamt_page_cache: PairCache


@design.routine
def init_vcpu(m, vcpu):
    m.vcpu[vcpu].design.mmu_external_spt_cache.content = Content.UNDEFINED
    m.vcpu[vcpu].design.pamt_page_cache.content = Content.UNDEFINED


@design.routine
def pair_pool(m, vcpu):
    return m.vcpu[vcpu].design.pamt_page_cache


@design.process
def topup_external_cache(m, vcpu, tables):
    error = yield from kvm_mmu_topup_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache, tables)
    if error != OK:
        return error
    return (yield from kvm_mmu_topup_memory_cache(m, pair_pool(m, vcpu), u8(PAMT_PAGES * PT64_ROOT_MAX_LEVEL)))


@design.routine
def free_external_cache(m, vcpu):
    kvm_mmu_free_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache)
    kvm_mmu_free_memory_cache(m, pair_pool(m, vcpu))


@design.routine
def vcpu_pool_pages(m, vcpu):
    return m.vcpu[vcpu].design.mmu_external_spt_cache.nobjs + pair_pool(m, vcpu).nobjs
