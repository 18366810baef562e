"""Dynamic PAMT RFC, corrected: the MMU prepares a page before it freezes the entry, and cleans up if it lost; designs.md 5.2."""

from septum.designs.dpamt_v2 import design as dpamt_v2
from septum.designs.dpamt_v2 import pair_pool
from septum.host.pools import OK
from septum.kvm.design import Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.tdp.tdp_mmu import PHYS_HOOKS
from septum.kvm.vmx.tdx import tdx_mem_page_aug, tdx_sept_map_nonleaf_spte, tdx_sept_remove_leaf_spte

design = Design("dpamt_rfc", base=dpamt_v2, sizes={PHYS_HOOKS: 1})


@design.process
def phys_prepare(m, vcpu, page):
    return (yield from pamt_get(m, page, pair_pool(m, vcpu)))


@design.process
def phys_cleanup(m, page):
    yield from ops.pamt_put(m, page)


@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    return (yield from tdx_sept_map_nonleaf_spte(m, m.vcpu[vcpu].vm, gfn, level, external))


@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    return (yield from tdx_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page))


@design.process
def remove_external_spte(m, vm, gfn, level, page):
    error = yield from tdx_sept_remove_leaf_spte(m, vm, gfn, level, page)
    if error == OK:
        yield from phys_cleanup(m, page)
    return error
