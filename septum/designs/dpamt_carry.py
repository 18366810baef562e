"""A reviewer's idea on v5: a table for a split carries the pair of its guest range along, so the VM has no pool; designs.md 5.5.

The fault path keeps a pair of its vCPU: with 4K folios a carried pair covers only one of the ranges below its table.
"""

from septum.designs.dpamt_v5 import design as dpamt_v5
from septum.designs.dpamt_v5 import free_backed
from septum.host.frames import Content, Gfp, Role, free_page, take
from septum.host.geometry import Level, Pfn
from septum.host.pools import OK, alloc_or_fail
from septum.kvm.design import VM_POOL, Design
from septum.kvm.seam.pamt import tdx_alloc_control_page
from septum.kvm.tdp import split_unlocked
from septum.kvm.tdp.tdp_mmu import table_at
from septum.kvm.vmx.demote import block_and_track, tdx_demote
from septum.lang import Struct

design = Design("dpamt_carry", base=dpamt_v5, parts=[split_unlocked], sizes={VM_POOL: 0})


@design.sp
class LeafLevelPrivate(Struct):
    """sp->leaf_level_private: the carried pair."""

    page0: Pfn
    page1: Pfn


@design.vm
class NoPool(Struct):
    """A split needs nothing of the VM."""

    unused: bool


@design.process
def topup_split(m, vm, vcpu):
    """Nothing: the table that was just allocated carries all."""
    yield
    return OK


@design.process
def alloc_external_sp(m, spt):
    """The S-EPT page, backed, and the pair."""
    page0 = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
    if page0 == 0:
        return Pfn(0)
    page1 = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
    if page1 == 0:
        free_page(m, page0, Role.HAND)
        return Pfn(0)
    external = yield from tdx_alloc_control_page(m, Gfp.KERNEL_ACCOUNT)
    if external == 0:
        free_page(m, page0, Role.HAND)
        free_page(m, page1, Role.HAND)
        return Pfn(0)
    take(m, page0, Role.HAND, Role.POOL)
    take(m, page1, Role.HAND, Role.POOL)
    m.sp[spt].design.page0 = page0
    m.sp[spt].design.page1 = page1
    return external


@design.process
def free_external_sp(m, spt):
    carried = m.sp[spt].design
    if carried.page0 != 0:
        free_page(m, carried.page0, Role.POOL)
        free_page(m, carried.page1, Role.POOL)
        carried.page0 = 0
        carried.page1 = 0
    yield from free_backed(m, m.sp[spt].external_spt, Role.EXTERNAL)


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    """BLOCK, TRACK, DEMOTE with the pair that the new table carries."""
    error = yield from block_and_track(m, vm, gfn)
    if error != OK:
        return error
    carried = m.sp[table_at(m, vm, gfn, Level(1))].design
    page0 = carried.page0
    page1 = carried.page1
    carried.page0 = 0
    carried.page1 = 0
    take(m, page0, Role.POOL, Role.HAND)
    take(m, page1, Role.POOL, Role.HAND)
    return (yield from tdx_demote(m, vm, gfn, page, external, page0, page1))


@design.routine
def free_split_cache(m, vm):
    pass


@design.routine
def vm_pool_pages(m, vm):
    return 0
