"""Dynamic PAMT v4 with the split of huge pages v3, as posted: the count falls outside of the lock, DEMOTE has no guard.

The pool for splits is not charged to the VM. A busy DEMOTE is repeated by the caller of a wrapper that pops a pair for each
try; designs.md 5.9, 4.4, 4.8.
"""

from septum.designs.dpamt_v4 import SPLIT_CHARGED, split_pool
from septum.designs.dpamt_v4 import design as dpamt_v4
from septum.host.frames import Role, free_page, take
from septum.host.geometry import PAMT_PAGES, Level
from septum.host.locks import spin_lock, spin_unlock
from septum.host.pools import OK, pop
from septum.kvm.bug import tdx_bug_on
from septum.kvm.design import Design
from septum.kvm.ops import ops
from septum.kvm.seam import pamt_dec_outside
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.vmx.demote import DEMOTE_GUARDED, block_and_track, count_small_pages
from septum.kvm.vmx.tdx import no_vcpus_enter_start, no_vcpus_enter_stop
from septum.lang import process
from septum.tdx.demote import tdh_mem_page_demote
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS

design = Design("dpamt_v4_as_posted", base=dpamt_v4, parts=[pamt_dec_outside], sizes={DEMOTE_GUARDED: 0, SPLIT_CHARGED: 0})


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
    yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
    status = yield from demote(m, vm, gfn, page, external)
    if status == TDX_OPERAND_BUSY:
        yield from no_vcpus_enter_start(m, vm)
        status = yield from demote(m, vm, gfn, page, external)
        no_vcpus_enter_stop(m, vm)
    spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    if status != TDX_SUCCESS:
        yield from ops.pamt_put(m, external)
        return tdx_bug_on(m, vm, status)
    return OK


@process
def demote(m, vm, gfn, page, external):
    """The wrapper of TDH.MEM.PAGE.DEMOTE: pops a pair for each try, frees it on failure, and counts the guest range's users."""
    assert split_pool(m, vm).cnt >= PAMT_PAGES, "provision: no pair is left for DEMOTE"
    page0 = pop(m, split_pool(m, vm))
    page1 = pop(m, split_pool(m, vm))
    take(m, page0, Role.HAND, Role.PAIR)
    take(m, page1, Role.HAND, Role.PAIR)
    status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
    if status != TDX_SUCCESS:
        free_page(m, page0, Role.PAIR)
        free_page(m, page1, Role.PAIR)
        return status
    count_small_pages(m, page)
    return status
