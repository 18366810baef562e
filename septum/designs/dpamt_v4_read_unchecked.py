"""dpamt_v4_read without its second look at the pool: what need_topup said before is not true any more; designs.md 5.9, 6.6."""

from septum.designs.dpamt_v4_read import design as dpamt_v4_read
from septum.designs.dpamt_v4_read import split_with_pool
from septum.host.locks import spin_lock, spin_unlock
from septum.kvm.design import Design

design = Design("dpamt_v4_read_unchecked", base=dpamt_v4_read)


@design.process
def split_external_spte(m, vm, vcpu, gfn, page, external):
    yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)
    error = yield from split_with_pool(m, vm, gfn, page, external)
    spin_unlock(m, m.vm[vm].design.prealloc_split_cache_lock)
    return error
