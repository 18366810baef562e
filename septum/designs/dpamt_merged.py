"""Dynamic PAMT as merged (v6, tip of Sept 2026): pairs wait in a list of the vCPU and are installed right before the SEAMCALL."""

from septum.designs.upstream import design as upstream
from septum.host.frames import Gfp, Role, free_page
from septum.host.geometry import CACHE_CAPACITY, DYNAMIC_PAMT, PAMT_PAGES, PT64_ROOT_MAX_LEVEL, Pfn
from septum.host.pools import EIO, OK, MemoryCache, free_list, kvm_mmu_free_memory_cache, kvm_mmu_topup_memory_cache, topup_list
from septum.kvm.bug import vm_bugged
from septum.kvm.design import VCPU_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.seam import pamt_always_lock
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.vmx.loaded import kvm_get_running_vcpu
from septum.kvm.vmx.tdx import tdx_mem_page_aug, tdx_sept_free_private_spt, tdx_sept_map_nonleaf_spte, tdx_sept_remove_leaf_spte
from septum.lang import Struct, u8

VCPU_PAGES = CACHE_CAPACITY + PAMT_PAGES * PT64_ROOT_MAX_LEVEL

design = Design("dpamt_merged", base=upstream, parts=[pamt_always_lock], sizes={DYNAMIC_PAMT: 1, VCPU_POOL: VCPU_PAGES})


class PamtCache(Struct):
    """struct tdx_pamt_cache: plain pages, taken in pairs."""

    cnt: u8
    pages: Pfn[PAMT_PAGES * PT64_ROOT_MAX_LEVEL]


@design.vcpu
class Caches(Struct):
    """vcpu->arch.mmu_external_spt_cache as before, and vcpu_tdx.pamt_cache."""

    mmu_external_spt_cache: MemoryCache
    pamt_cache: PamtCache


@design.routine
def pair_pool(m, vcpu):
    return m.vcpu[vcpu].design.pamt_cache


@design.process
def topup_external_cache(m, vcpu, tables):
    """A pair for every table but the root, which is a control page, and one for the guest page."""
    error = yield from kvm_mmu_topup_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache, tables)
    if error != OK:
        return error
    pairs = tables - 1 + 1
    return (yield from topup_list(m, ops.pair_pool(m, vcpu), PAMT_PAGES * pairs, Gfp.KERNEL_ACCOUNT))


@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    """The pair is one of the running vCPU: without one it is a KVM_BUG_ON."""
    running = kvm_get_running_vcpu(m, vcpu)
    if running == 0:
        return vm_bugged(m, m.vcpu[vcpu].vm, EIO)
    error = yield from pamt_get(m, external, ops.pair_pool(m, running))
    if error != OK:
        return vm_bugged(m, m.vcpu[vcpu].vm, error)
    error = yield from tdx_sept_map_nonleaf_spte(m, m.vcpu[vcpu].vm, gfn, level, external)
    if error != OK:
        yield from ops.pamt_put(m, external)
    return error


@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    running = kvm_get_running_vcpu(m, vcpu)
    if running == 0:
        return vm_bugged(m, m.vcpu[vcpu].vm, EIO)
    error = yield from pamt_get(m, page, ops.pair_pool(m, running))
    if error != OK:
        return vm_bugged(m, m.vcpu[vcpu].vm, error)
    error = yield from tdx_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page)
    if error != OK:
        yield from ops.pamt_put(m, page)
    return error


@design.process
def remove_external_spte(m, vm, gfn, level, page):
    error = yield from tdx_sept_remove_leaf_spte(m, vm, gfn, level, page)
    if error == OK:
        yield from ops.pamt_put(m, page)
    return error


@design.process
def free_external_spt(m, vm, spt):
    """tdx_free_control_page() right after RECLAIM: put and free, in process context; the RCU callback finds NULL."""
    external = m.sp[spt].external_spt
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    m.sp[spt].external_spt = 0
    if error == OK:
        yield from ops.pamt_put(m, external)
        free_page(m, external, Role.EXTERNAL)


@design.routine
def free_external_cache(m, vcpu):
    kvm_mmu_free_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache)
    free_list(m, ops.pair_pool(m, vcpu))


@design.process
def put_control_page(m, page):
    yield from ops.pamt_put(m, page)


@design.routine
def vcpu_pool_pages(m, vcpu):
    return m.vcpu[vcpu].design.mmu_external_spt_cache.nobjs + ops.pair_pool(m, vcpu).cnt
