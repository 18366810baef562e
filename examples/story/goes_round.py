"""Patch 7 of 12, as it could hold: who finds no pair goes round, and fills the list again."""

from locked import design as locked

from septum.host.geometry import PAMT_PAGES
from septum.host.locks import spin_lock, spin_unlock
from septum.host.pools import EBUSY, OK
from septum.kvm.design import Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.vmx.tdx import tdx_mem_page_aug, tdx_sept_map_nonleaf_spte
from septum.lang import process

design = Design("goes_round", base=locked)


@process
def get(m, vm, page):
    """tdx_pamt_get() with a pair of the VM. EBUSY: another vCPU took what was filled in, and the fault is tried again."""
    yield from spin_lock(m, m.vm[vm].design.pamt_cache_lock)
    error = EBUSY
    if m.vm[vm].design.pamt_cache.cnt >= PAMT_PAGES:
        error = yield from pamt_get(m, page, m.vm[vm].design.pamt_cache)
    spin_unlock(m, m.vm[vm].design.pamt_cache_lock)
    return error


@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    vm = m.vcpu[vcpu].vm
    error = yield from get(m, vm, external)
    if error != OK:
        return error
    error = yield from tdx_sept_map_nonleaf_spte(m, vm, gfn, level, external)
    if error != OK:
        yield from ops.pamt_put(m, external)
    return error


@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    vm = m.vcpu[vcpu].vm
    error = yield from get(m, vm, page)
    if error != OK:
        return error
    error = yield from tdx_mem_page_aug(m, vm, gfn, level, page)
    if error != OK:
        yield from ops.pamt_put(m, page)
    return error
