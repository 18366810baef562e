"""Upstream [7.2] before Dynamic PAMT: S-EPT pages come from a kvm_mmu_memory_cache of the vCPU; designs.md 5.1."""

from septum.host.frames import Content
from septum.host.geometry import CACHE_CAPACITY
from septum.host.pools import OK, MemoryCache, kvm_mmu_free_memory_cache, kvm_mmu_memory_cache_alloc, kvm_mmu_topup_memory_cache
from septum.kvm.design import VCPU_POOL, Design
from septum.kvm.versions import KERNEL, V7_2
from septum.kvm.vmx.tdx import (
    free_external_page,
    tdx_mem_page_aug,
    tdx_sept_free_private_spt,
    tdx_sept_map_nonleaf_spte,
    tdx_sept_remove_leaf_spte,
)
from septum.lang import Struct

design = Design("upstream", sizes={VCPU_POOL: CACHE_CAPACITY})


@design.vcpu
class ExternalCache(Struct):
    """vcpu->arch.mmu_external_spt_cache: not initialised, the module writes the page."""

    mmu_external_spt_cache: MemoryCache


@design.routine
def init_vcpu(m, vcpu):
    m.vcpu[vcpu].design.mmu_external_spt_cache.content = Content.UNDEFINED


@design.process
def topup_external_cache(m, vcpu, tables):
    return (yield from kvm_mmu_topup_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache, tables))


@design.process
def alloc_external_spt(m, vcpu):
    return (yield from kvm_mmu_memory_cache_alloc(m, m.vcpu[vcpu].design.mmu_external_spt_cache))


@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    return (yield from tdx_sept_map_nonleaf_spte(m, m.vcpu[vcpu].vm, gfn, level, external))


@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    return (yield from tdx_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page))


@design.process
def remove_external_spte(m, vm, gfn, level, page):
    return (yield from tdx_sept_remove_leaf_spte(m, vm, gfn, level, page))


@design.process
def free_external_spt(m, vm, spt):
    """Freed at once; until 7.1 the RCU callback of the table frees it."""
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    if KERNEL < V7_2 and error == OK:
        return
    if error == OK:
        free_external_page(m, spt)
    m.sp[spt].external_spt = 0


@design.process
def check_accept_level(m, vcpu, gfn):
    """Every mapping is 4K: a larger leaf would be a bug."""
    yield
    assert m.vm[m.vcpu[vcpu].vm].bugged, "asserts: the guest accepts 4K of a larger leaf, and nothing can split it"
    return False


@design.routine
def free_external_cache(m, vcpu):
    kvm_mmu_free_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache)


@design.routine
def free_split_cache(m, vm):
    pass


@design.process
def put_control_page(m, page):
    yield


@design.routine
def vcpu_pool_pages(m, vcpu):
    return m.vcpu[vcpu].design.mmu_external_spt_cache.nobjs


@design.routine
def vm_pool_pages(m, vm):
    return 0


@design.routine
def machine_pool_pages(m):
    return 0
