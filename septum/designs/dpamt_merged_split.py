"""Dynamic PAMT as merged, with the split of the "alt" follow-up to RFC v5; designs.md 5.11, 5.7.3, 5.6, 4.8.

A split without a vCPU takes its pairs from a pool of the VM, under a mutex that spans top-up and use; a vCPU takes them
from its own cache. DEMOTE and its refcount update run under the global PAMT lock.
"""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.designs.dpamt_merged import pamt_cache
from septum.host.frames import Gfp, Role, free_page, take
from septum.host.geometry import ENTRIES, PAMT_PAGES, Level, Pfn
from septum.host.locks import Mutex, mutex_lock, mutex_unlock, spin_lock, spin_unlock
from septum.host.pools import OK, free_list, pop, topup_list
from septum.host.ranges import range_of
from septum.kvm.bug import tdx_bug_on
from septum.kvm.design import VM_POOL, Design
from septum.kvm.pamt import pamt_get, pamt_put
from septum.kvm.split import tdx_check_accept_level
from septum.kvm.tdx import block, no_vcpus_enter_start, no_vcpus_enter_stop, tdx_track
from septum.lang import Struct, process, u8
from septum.tdx.demote import tdh_mem_page_demote
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS

SPLIT_PAGES = PAMT_PAGES * (1 + 1)  # the S-EPT page and the guest range

design = Design("dpamt_merged_split", base=dpamt_merged, sizes={VM_POOL: SPLIT_PAGES})


class SplitCache(Struct):
    """struct tdx_pamt_cache of a VM."""

    cnt: u8
    pages: Pfn[SPLIT_PAGES]


@design.vm
class KvmTdx(Struct):
    """kvm_tdx.pamt_cache, and the mutex that spans its top-up and its use."""

    pamt_cache: SplitCache
    pamt_cache_lock: Mutex


@design.process
def check_accept_level(m, vcpu, gfn):
    return (yield from tdx_check_accept_level(m, vcpu, gfn))


@design.process
def begin_split(m, vm, vcpu):
    if vcpu == 0:
        yield from mutex_lock(m, m.vm[vm].design.pamt_cache_lock)


@design.routine
def end_split(m, vm, vcpu):
    if vcpu == 0:
        mutex_unlock(m, m.vm[vm].design.pamt_cache_lock)


@design.routine
def need_topup_split(m, vm, vcpu):
    """Never: the mutex, or the vCPU's own cache, lets nobody pop between the top-up and the split."""
    return False


@design.process
def topup_split(m, vm, vcpu):
    if vcpu == 0:
        return (yield from topup_list(m, m.vm[vm].design.pamt_cache, SPLIT_PAGES, Gfp.KERNEL_ACCOUNT))
    return (yield from topup_list(m, pamt_cache(m, vcpu), SPLIT_PAGES, Gfp.KERNEL_ACCOUNT))


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    if vcpu == 0:
        return (yield from split_from(m, vm, gfn, page, external, m.vm[vm].design.pamt_cache))
    return (yield from split_from(m, vm, gfn, page, external, pamt_cache(m, vcpu)))


@process
def split_from(m, vm, gfn, page, external, pool):
    """BLOCK, TRACK, get for the S-EPT page, DEMOTE with the guest range's pair."""
    error = yield from block(m, vm, gfn, Level(2))
    if error != OK:
        return error
    error = yield from tdx_track(m, vm)
    if error != OK:
        return error
    error = yield from pamt_get(m, external, pool)
    if error != OK:
        return error
    status = yield from demote(m, vm, gfn, page, external, pool)
    if status != TDX_SUCCESS:
        yield from pamt_put(m, external)
        return tdx_bug_on(m, vm, status)
    return OK


@process
def demote(m, vm, gfn, page, external, pool):
    """DEMOTE and the guest range's refcount under the global PAMT lock; a busy one is repeated with the same pair."""
    assert pool.cnt >= PAMT_PAGES, "provision: no pair is left for DEMOTE"
    page0 = pop(m, pool)
    page1 = pop(m, pool)
    take(m, page0, Role.HAND, Role.PAIR)
    take(m, page1, Role.HAND, Role.PAIR)
    yield from spin_lock(m, m.pamt_lock)
    status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
    if status == TDX_OPERAND_BUSY:
        yield from no_vcpus_enter_start(m, vm)
        status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
        no_vcpus_enter_stop(m, vm)
    r = range_of(m, page)
    if status == TDX_SUCCESS:
        assert m.range[r].refcount == 0, f"backing: the range {r} of a 2M leaf had users at 4K: WARN_ON_ONCE"
        m.range[r].refcount = ENTRIES
    spin_unlock(m, m.pamt_lock)
    if status != TDX_SUCCESS:
        free_page(m, page0, Role.PAIR)
        free_page(m, page1, Role.PAIR)
    return status


@design.routine
def free_split_cache(m, vm):
    free_list(m, m.vm[vm].design.pamt_cache)


@design.routine
def vm_pool_pages(m, vm):
    return m.vm[vm].design.pamt_cache.cnt
