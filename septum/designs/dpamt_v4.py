"""Dynamic PAMT v4 with the split of huge pages v3, corrected: the count falls under the lock, DEMOTE has a guard.

What was posted is dpamt_v4_as_posted; designs.md 5.4, 5.9.
"""

from septum.designs.dpamt_v3 import design as dpamt_v3
from septum.designs.dpamt_v3 import pair_pool
from septum.host.frames import Content, Gfp
from septum.host.geometry import PAMT_PAGES, Pfn
from septum.host.locks import SpinLock, spin_lock, spin_unlock
from septum.host.pools import ENOMEM, OK, alloc_atomic, alloc_or_fail, free_list, pop, push
from septum.kvm.design import VM_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.tdp import accept_level, split_unlocked
from septum.kvm.tdp.split import SPLIT_ZEROED
from septum.kvm.vmx.demote import DEMOTE_GUARDED, block_and_track, tdx_demote
from septum.lang import Size, Struct, commutes, process, u8, warn_on

SPLIT_CHARGED = Size("SPLIT_CHARGED", 1)  # pages of the pool for splits are charged to the VM
SPLIT_PAGES = PAMT_PAGES * 2  # a pair for the S-EPT page, a pair for the guest range

design = Design(
    "dpamt_v4",
    base=dpamt_v3,
    parts=[accept_level, split_unlocked],
    sizes={SPLIT_ZEROED: 1, VM_POOL: 2 * SPLIT_PAGES, DEMOTE_GUARDED: 1},
)


class SplitPrealloc(Struct):
    """struct tdx_prealloc of a VM. Two threads that top it up at a time may bring more than was asked for."""

    cnt: u8
    pages: Pfn[2 * SPLIT_PAGES]


@design.vm
class KvmTdx(Struct):
    """kvm_tdx: the per-VM pool for splits, and its spinlock."""

    prealloc_split_cache: SplitPrealloc
    prealloc_split_cache_lock: SpinLock


@design.process
def alloc_external_spt(m, vcpu):
    """tdx_alloc_external_fault_cache(): pops the list that pairs come from too; WARN and GFP_ATOMIC if it is empty."""
    if warn_on(pair_pool(m, vcpu).cnt == 0, "provision: the list of the vCPU is empty under mmu_lock: WARN_ON_ONCE"):
        page = yield from alloc_atomic(m, Content.UNDEFINED)
        return page
    return pop(m, pair_pool(m, vcpu))


@design.routine
def split_pool(m, vm):
    return m.vm[vm].design.prealloc_split_cache


def is_short(m, vm):
    """Whether the pool wants pages for one split, read without the cache lock."""
    commutes("who looks too early brings more pages than were asked for, and who looks too late looks again under mmu_lock")
    return split_pool(m, vm).cnt < SPLIT_PAGES


@design.routine
def need_topup_split(m, vm, vcpu):
    """Read without the cache lock: exact, since who pops holds mmu_lock for write."""
    return is_short(m, vm)


@design.process
def topup_split(m, vm, vcpu):
    """tdx_topup_external_per_vm_split_cache(): page by page, each added under the cache lock."""
    yield
    gfp = Gfp.KERNEL_ACCOUNT if SPLIT_CHARGED else Gfp.KERNEL
    while is_short(m, vm):
        page = yield from alloc_or_fail(m, gfp, Content.UNDEFINED)
        if page == 0:
            return ENOMEM
        yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
        push(m, split_pool(m, vm), page)
        spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    return OK


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    """tdx_sept_split_private_spte(): BLOCK, TRACK, the S-EPT page's pair, DEMOTE with the guest range's."""
    error = yield from block_and_track(m, vm, gfn)
    if error != OK:
        return error
    yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
    error = yield from pamt_get(m, external, split_pool(m, vm))
    spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    if error != OK:
        return error
    error = yield from demote(m, vm, gfn, page, external)
    if error != OK:
        yield from ops.pamt_put(m, external)
    return error


@process
def demote(m, vm, gfn, page, external):
    """Pops the pair and issues the SEAMCALL under the cache lock."""
    yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
    assert split_pool(m, vm).cnt >= PAMT_PAGES, "provision: no pair is left for DEMOTE"
    page0 = pop(m, split_pool(m, vm))
    page1 = pop(m, split_pool(m, vm))
    error = yield from tdx_demote(m, vm, gfn, page, external, page0, page1)
    spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    return error


@design.routine
def free_split_cache(m, vm):
    free_list(m, split_pool(m, vm))


@design.routine
def vm_pool_pages(m, vm):
    return split_pool(m, vm).cnt
