"""The seed (an email of January 2026) on v6: objects of a kind are allocated one way, so the VM has a pool of every kind.

designs.md 5.10. Here the pools have the spinlock protocol of huge pages v3; seed_mutex has the mutex of RFC v5.
"""

from septum.designs.dpamt_v6 import design as dpamt_v6
from septum.host.frames import Content, Gfp, Role, free_page, take
from septum.host.geometry import PAMT_PAGES, Pfn
from septum.host.locks import Mutex, SpinLock, spin_lock, spin_unlock
from septum.host.pools import ENOMEM, OK, alloc_or_fail, free_list, pop, push
from septum.kvm.design import VM_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import free_unused, pamt_get
from septum.kvm.tdp import accept_level, split_unlocked
from septum.kvm.tdp.split import SPLIT_FROM_POOLS
from septum.kvm.vmx.demote import DEMOTE_GUARDED, block_and_track, tdx_demote
from septum.lang import Size, Struct, commutes, process, u8

SPLIT_PAGES = PAMT_PAGES * 2
CACHE_SPINLOCK = Size("CACHE_SPINLOCK", 1)  # the pools of the VM have a spinlock, and not a mutex over top-up and use

design = Design(
    "seed_spin", base=dpamt_v6, parts=[accept_level, split_unlocked],
    sizes={SPLIT_FROM_POOLS: 1, DEMOTE_GUARDED: 1, CACHE_SPINLOCK: 1, VM_POOL: 4 + 2 * SPLIT_PAGES},
)  # fmt: skip


class PagePool(Struct):
    """A list of pages of one kind. Two threads that fill it at a time may bring more than was asked for."""

    cnt: u8
    pages: Pfn[2]


class PairPool(Struct):
    """The same for pairs."""

    cnt: u8
    pages: Pfn[2 * SPLIT_PAGES]


@design.vm
class SplitCaches(Struct):
    """The VM's pools for tables, S-EPT pages and pairs, and what protects them."""

    spt: PagePool
    external: PagePool
    pairs: PairPool
    spinlock: SpinLock
    mutex: Mutex


@process
def lock_pools(m, vm):
    if CACHE_SPINLOCK:
        yield from spin_lock(m, m.vm[vm].design.spinlock)


def unlock_pools(m, vm):
    if CACHE_SPINLOCK:
        spin_unlock(m, m.vm[vm].design.spinlock)


@design.routine
def split_pool(m, vm):
    return m.vm[vm].design.pairs


def is_short(pool, minimum):
    """Whether a pool wants pages, read without the lock."""
    commutes("who looks too early gives back under the lock what is too much, and who looks too late looks again under mmu_lock")
    return pool.cnt < minimum


@design.routine
def need_topup_split(m, vm, vcpu):
    """Under a spinlock read without it: exact, since who pops holds mmu_lock for write."""
    caches = m.vm[vm].design
    return is_short(caches.spt, u8(1)) or is_short(caches.external, u8(1)) or is_short(caches.pairs, u8(SPLIT_PAGES))


@design.process
def topup_split(m, vm, vcpu):
    """One routine for all kinds, with the flags and the initial values that the caches of a vCPU have."""
    yield
    caches = m.vm[vm].design
    error = yield from fill_pool(m, vm, caches.spt, u8(1), Content.NONPRESENT)
    if error == OK:
        error = yield from fill_pool(m, vm, caches.external, u8(1), Content.UNDEFINED)
    if error == OK:
        error = yield from fill_pool(m, vm, caches.pairs, u8(SPLIT_PAGES), Content.UNDEFINED)
    return error


@process
def fill_pool(m, vm, pool, minimum, content):
    while is_short(pool, minimum):
        page = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, content)
        if page == 0:
            return ENOMEM
        yield from lock_pools(m, vm)
        if pool.cnt < minimum:
            push(m, pool, page)
        else:
            free_page(m, page, Role.HAND)
        unlock_pools(m, vm)
    return OK


@design.process
def sp_from_pools(m, vm):
    yield from lock_pools(m, vm)
    spt = pop(m, m.vm[vm].design.spt)
    external = pop(m, m.vm[vm].design.external)
    unlock_pools(m, vm)
    take(m, spt, Role.HAND, Role.SPT)
    take(m, external, Role.HAND, Role.EXTERNAL)
    m.sp[spt].external_spt = external
    return spt


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    """BLOCK, TRACK, get for the S-EPT page, DEMOTE with the guest range's pair."""
    error = yield from block_and_track(m, vm, gfn)
    if error != OK:
        return error
    yield from lock_pools(m, vm)
    page0 = pop(m, split_pool(m, vm))
    page1 = pop(m, split_pool(m, vm))
    error = yield from pamt_get(m, external, split_pool(m, vm))
    unlock_pools(m, vm)
    if error != OK:
        free_unused(m, page0, page1)
        return error
    error = yield from tdx_demote(m, vm, gfn, page, external, page0, page1)
    if error != OK:
        yield from ops.pamt_put(m, external)
    return error


@design.routine
def free_split_cache(m, vm):
    free_list(m, m.vm[vm].design.spt)
    free_list(m, m.vm[vm].design.external)
    free_list(m, m.vm[vm].design.pairs)


@design.routine
def vm_pool_pages(m, vm):
    caches = m.vm[vm].design
    return caches.spt.cnt + caches.external.cnt + caches.pairs.cnt
