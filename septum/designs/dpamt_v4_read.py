"""dpamt_v4 whose splits hold mmu_lock for read: a popper looks at the pool again under the cache lock; designs.md 5.9.

That much the series planned. Here the cache lock spans the whole split, so that no two run TRACK at a time.
"""

from septum.designs.dpamt_v4 import SPLIT_PAGES, split_pool
from septum.designs.dpamt_v4 import design as dpamt_v4
from septum.host.geometry import PAMT_PAGES
from septum.host.locks import spin_lock, spin_unlock
from septum.host.pools import EBUSY, OK, pop
from septum.kvm.design import Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.tdp import split_shared
from septum.kvm.vmx.demote import block_and_track, tdx_demote
from septum.lang import process

design = Design("dpamt_v4_read", base=dpamt_v4, parts=[split_shared])


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    """The second look, and the split."""
    yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
    error = EBUSY
    if split_pool(m, vm).cnt >= SPLIT_PAGES:
        error = yield from split_with_pool(m, vm, gfn, page, external)
    spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    return error


@process
def split_with_pool(m, vm, gfn, page, external):
    """BLOCK, TRACK, the S-EPT page's pair, DEMOTE with the guest range's; under the cache lock."""
    error = yield from block_and_track(m, vm, gfn)
    if error == OK:
        error = yield from pamt_get(m, external, split_pool(m, vm))
    if error != OK:
        return error
    assert split_pool(m, vm).cnt >= PAMT_PAGES, "provision: no pair is left for DEMOTE"
    page0 = pop(m, split_pool(m, vm))
    page1 = pop(m, split_pool(m, vm))
    error = yield from tdx_demote(m, vm, gfn, page, external, page0, page1)
    if error != OK:
        yield from ops.pamt_put(m, external)
    return error
