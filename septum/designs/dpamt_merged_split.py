"""Dynamic PAMT as merged, with the split of the "alt" follow-up to RFC v5; designs.md 5.11, 5.7.3, 5.6, 4.8.

A split without a vCPU takes its pairs from a pool of the VM, under a mutex that spans top-up and use; a vCPU takes them
from its own cache. DEMOTE and its refcount update run under the global PAMT lock.
"""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.frames import Gfp
from septum.host.geometry import PAMT_PAGES, Pfn
from septum.host.locks import Mutex, mutex_lock, mutex_unlock
from septum.host.pools import OK, free_list, pop, topup_list
from septum.kvm.design import VM_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.tdp import accept_level
from septum.kvm.vmx.demote import DEMOTE_GUARDED, block_and_track, tdx_demote
from septum.lang import Struct, process, u8

SPLIT_PAGES = PAMT_PAGES * (1 + 1)  # the S-EPT page and the guest range

design = Design("dpamt_merged_split", base=dpamt_merged, parts=[accept_level], sizes={VM_POOL: SPLIT_PAGES, DEMOTE_GUARDED: 1})


class SplitCache(Struct):
    """struct tdx_pamt_cache of a VM."""

    cnt: u8
    pages: Pfn[SPLIT_PAGES]


@design.vm
class KvmTdx(Struct):
    """kvm_tdx.pamt_cache, and the mutex that spans its top-up and its use."""

    pamt_cache: SplitCache
    pamt_cache_lock: Mutex


@design.routine
def split_pool(m, vm):
    return m.vm[vm].design.pamt_cache


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
        return (yield from topup_list(m, ops.split_pool(m, vm), SPLIT_PAGES, Gfp.KERNEL_ACCOUNT))
    return (yield from topup_list(m, ops.pair_pool(m, vcpu), SPLIT_PAGES, Gfp.KERNEL_ACCOUNT))


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    if vcpu == 0:
        return (yield from split_from(m, vm, gfn, page, external, ops.split_pool(m, vm)))
    return (yield from split_from(m, vm, gfn, page, external, ops.pair_pool(m, vcpu)))


@process
def split_from(m, vm, gfn, page, external, pool):
    """BLOCK, TRACK, get for the S-EPT page, DEMOTE with the guest range's pair."""
    error = yield from block_and_track(m, vm, gfn)
    if error != OK:
        return error
    error = yield from pamt_get(m, external, pool)
    if error != OK:
        return error
    assert pool.cnt >= PAMT_PAGES, "provision: no pair is left for DEMOTE"
    page0 = pop(m, pool)
    page1 = pop(m, pool)
    error = yield from tdx_demote(m, vm, gfn, page, external, page0, page1)
    if error != OK:
        yield from ops.pamt_put(m, external)
    return error


@design.routine
def free_split_cache(m, vm):
    free_list(m, ops.split_pool(m, vm))


@design.routine
def vm_pool_pages(m, vm):
    return ops.split_pool(m, vm).cnt
