"""Splits that overlap: mmu_lock is held for read, the cache lock up to DEMOTE, and what the TDX module says is BUSY is repeated.

It holds on a module of 1.5.16. Since 1.5.20 a BLOCK that is BUSY because of a DEMOTE ends that DEMOTE with
TDX_INTERRUPTED_BUSY, which is not TDX_OPERAND_BUSY: the first is repeated here, the second is a bug of the host's.

    septum check examples/demote_told_busy.py --scenario dirty_logging --module 1.5.25
"""

from septum.designs.dpamt_v4 import SPLIT_PAGES, split_pool
from septum.designs.dpamt_v4_read import design as dpamt_v4_read
from septum.host.frames import Role, take
from septum.host.geometry import Level
from septum.host.locks import spin_lock, spin_unlock
from septum.host.pools import EBUSY, OK, pop
from septum.kvm.bug import tdx_bug_on
from septum.kvm.design import Design
from septum.kvm.seam.pamt import lock_pamt, pamt_get, unlock_pamt
from septum.kvm.vmx.demote import count_small_pages
from septum.kvm.vmx.tdx import tdx_track
from septum.lang import process
from septum.tdx.demote import tdh_mem_page_demote
from septum.tdx.mem_range import tdh_mem_range_block
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS

design = Design("demote_told_busy", base=dpamt_v4_read)


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    """BLOCK, TRACK and the pages of the pool under the cache lock; DEMOTE without it."""
    yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
    error = EBUSY
    if split_pool(m, vm).cnt >= SPLIT_PAGES:
        error = yield from block_and_track(m, vm, gfn)
        if error == OK:
            error = yield from pamt_get(m, external, split_pool(m, vm))
    if error != OK:
        spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
        return error
    page0 = pop(m, split_pool(m, vm))
    page1 = pop(m, split_pool(m, vm))
    take(m, page0, Role.HAND, Role.PAIR)
    take(m, page1, Role.HAND, Role.PAIR)
    spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    return (yield from demote(m, vm, gfn, page, external, page0, page1))


@process
def block_and_track(m, vm, gfn):
    """BLOCK until it is not BUSY, then TRACK."""
    status = yield from tdh_mem_range_block(m, vm, gfn, Level(2))
    while status == TDX_OPERAND_BUSY:
        status = yield from tdh_mem_range_block(m, vm, gfn, Level(2))
    if status != TDX_SUCCESS:
        return tdx_bug_on(m, vm, status)
    return (yield from tdx_track(m, vm))


@process
def demote(m, vm, gfn, page, external, page0, page1):
    """DEMOTE until it is not BUSY, and the count of the guest's range, under pamt_lock."""
    yield from lock_pamt(m)
    status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
    while status == TDX_OPERAND_BUSY:
        status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
    if status == TDX_SUCCESS:
        count_small_pages(m, page)
    unlock_pamt(m)
    return OK if status == TDX_SUCCESS else tdx_bug_on(m, vm, status)
