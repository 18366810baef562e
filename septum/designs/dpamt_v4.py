"""Dynamic PAMT v4 with the split of huge pages v3: one list of the vCPU for S-EPT and PAMT pages; designs.md 5.4, 5.9."""

from septum.designs.upstream import design as upstream
from septum.host.frames import Content, Gfp, Role, free_page, take
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, PAMT_PAGES, PT64_ROOT_MAX_LEVEL, Level, Pfn
from septum.host.locks import SpinLock, spin_lock, spin_unlock
from septum.host.pools import ENOMEM, OK, alloc_atomic, alloc_or_fail, free_list, pop, push, topup_list
from septum.host.ranges import range_of
from septum.kvm.bug import tdx_bug_on
from septum.kvm.design import VCPU_POOL, VM_POOL, Design
from septum.kvm.pamt import pamt_get_v4, pamt_put_v4
from septum.kvm.split import SPLIT_ZEROED, tdx_check_accept_level
from septum.kvm.tdx import (
    block,
    no_vcpus_enter_start,
    no_vcpus_enter_stop,
    tdx_mem_page_aug,
    tdx_sept_free_private_spt,
    tdx_sept_map_nonleaf_spte,
    tdx_sept_remove_leaf_spte,
    tdx_track,
)
from septum.lang import Struct, process, u8, warn_on
from septum.tdx.demote import tdh_mem_page_demote
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS

VCPU_PAGES = PT64_ROOT_MAX_LEVEL + PAMT_PAGES * PT64_ROOT_MAX_LEVEL
SPLIT_PAGES = PAMT_PAGES * 2  # a pair for the S-EPT page, a pair for the guest range

design = Design(
    "dpamt_v4", base=upstream, sizes={DYNAMIC_PAMT: 1, SPLIT_ZEROED: 1, VCPU_POOL: VCPU_PAGES, VM_POOL: 2 * SPLIT_PAGES}
)


class Prealloc(Struct):
    """struct tdx_prealloc of a vCPU: pages for S-EPT tables and for PAMT pairs alike."""

    cnt: u8
    pages: Pfn[VCPU_PAGES]


class SplitPrealloc(Struct):
    """struct tdx_prealloc of a VM. Two threads that top it up at a time may bring more than was asked for."""

    cnt: u8
    pages: Pfn[2 * SPLIT_PAGES]


@design.vcpu
class VcpuTdx(Struct):
    """vcpu_tdx.prealloc; the array cache of KVM is gone."""

    prealloc: Prealloc


@design.vm
class KvmTdx(Struct):
    """kvm_tdx: the per-VM pool for splits, and its spinlock."""

    prealloc_split_cache: SplitPrealloc
    prealloc_split_cache_lock: SpinLock


def prealloc(m, vcpu):
    return m.vcpu[vcpu].design.prealloc


@design.routine
def init_vcpu(m, vcpu):
    pass


@design.process
def topup_external_cache(m, vcpu, tables):
    """tdx_topup_external_fault_cache(): filled to exactly this number."""
    return (yield from topup_list(m, prealloc(m, vcpu), tables + PAMT_PAGES * PT64_ROOT_MAX_LEVEL, Gfp.KERNEL_ACCOUNT))


@design.process
def alloc_external_spt(m, vcpu):
    """tdx_alloc_external_fault_cache(): pops the list that pairs come from too; WARN and GFP_ATOMIC if it is empty."""
    if warn_on(prealloc(m, vcpu).cnt == 0, "provision: the list of the vCPU is empty under mmu_lock: WARN_ON_ONCE"):
        page = yield from alloc_atomic(m, Content.UNDEFINED)
        return page
    return pop(m, prealloc(m, vcpu))


@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    error = yield from pamt_get_v4(m, external, prealloc(m, vcpu))
    if error != OK:
        return error
    error = yield from tdx_sept_map_nonleaf_spte(m, m.vcpu[vcpu].vm, gfn, level, external)
    if error != OK:
        yield from pamt_put_v4(m, external)
    return error


@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    error = yield from pamt_get_v4(m, page, prealloc(m, vcpu))
    if error != OK:
        return error
    error = yield from tdx_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page)
    if error != OK:
        yield from pamt_put_v4(m, page)
    return error


@design.process
def remove_external_spte(m, vm, gfn, level, page):
    error = yield from tdx_sept_remove_leaf_spte(m, vm, gfn, level, page)
    if error == OK:
        yield from pamt_put_v4(m, page)
    return error


@design.process
def free_external_spt(m, vm, spt):
    """RECLAIM and put; KVM frees the page in the RCU callback, whichever of the three sources it came from."""
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    if error == OK:
        yield from pamt_put_v4(m, m.sp[spt].external_spt)
    else:
        m.sp[spt].external_spt = 0


@design.routine
def free_external_cache(m, vcpu):
    free_list(m, prealloc(m, vcpu))


@design.process
def check_accept_level(m, vcpu, gfn):
    return (yield from tdx_check_accept_level(m, vcpu, gfn))


@design.process
def begin_split(m, vm, vcpu):
    yield


@design.routine
def need_topup_split(m, vm, vcpu):
    """Read without the cache lock: exact, since who pops holds mmu_lock for write."""
    return m.vm[vm].design.prealloc_split_cache.cnt < SPLIT_PAGES


@design.process
def topup_split(m, vm, vcpu):
    """tdx_topup_external_per_vm_split_cache(): page by page, GFP_KERNEL, each added under the cache lock."""
    yield
    while m.vm[vm].design.prealloc_split_cache.cnt < SPLIT_PAGES:
        page = yield from alloc_or_fail(m, Gfp.KERNEL, Content.UNDEFINED)
        if page == 0:
            return ENOMEM
        yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
        push(m, m.vm[vm].design.prealloc_split_cache, page)
        spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    return OK


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    """tdx_sept_split_private_spte(): BLOCK, TRACK, the S-EPT page's pair, DEMOTE with the guest range's."""
    error = yield from block(m, vm, gfn, Level(2))
    if error != OK:
        return error
    error = yield from tdx_track(m, vm)
    if error != OK:
        return error
    yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
    error = yield from pamt_get_v4(m, external, m.vm[vm].design.prealloc_split_cache)
    spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    if error != OK:
        return error
    yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
    status = yield from demote(m, vm, gfn, page, external)
    if status == TDX_OPERAND_BUSY:
        yield from no_vcpus_enter_start(m, vm)
        status = yield from demote(m, vm, gfn, page, external)
        no_vcpus_enter_stop(m, vm)
    spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    if status != TDX_SUCCESS:
        yield from pamt_put_v4(m, external)
        return tdx_bug_on(m, vm, status)
    return OK


@process
def demote(m, vm, gfn, page, external):
    """The wrapper of TDH.MEM.PAGE.DEMOTE: pops a pair for each try, frees it on failure, and counts the guest range's users."""
    pool = m.vm[vm].design.prealloc_split_cache
    assert pool.cnt >= PAMT_PAGES, "provision: no pair is left for DEMOTE"
    page0 = pop(m, pool)
    page1 = pop(m, pool)
    take(m, page0, Role.HAND, Role.PAIR)
    take(m, page1, Role.HAND, Role.PAIR)
    status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
    if status != TDX_SUCCESS:
        free_page(m, page0, Role.PAIR)
        free_page(m, page1, Role.PAIR)
        return status
    r = range_of(m, page)
    assert m.range[r].refcount == 0, f"backing: the range {r} of a 2M leaf had users at 4K: WARN_ON_ONCE"
    m.range[r].refcount = ENTRIES
    return status


@design.routine
def end_split(m, vm, vcpu):
    pass


@design.routine
def free_split_cache(m, vm):
    free_list(m, m.vm[vm].design.prealloc_split_cache)


@design.process
def put_control_page(m, page):
    yield from pamt_put_v4(m, page)


@design.routine
def vcpu_pool_pages(m, vcpu):
    return prealloc(m, vcpu).cnt


@design.routine
def vm_pool_pages(m, vm):
    return m.vm[vm].design.prealloc_split_cache.cnt
