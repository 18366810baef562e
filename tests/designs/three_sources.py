"""dpamt_v4 with a list that is topped up too short: S-EPT pages come from the list, from GFP_ATOMIC, and from the split."""

from septum.designs.dpamt_v3 import pair_pool
from septum.designs.dpamt_v4 import design as dpamt_v4
from septum.host.frames import Content, Gfp
from septum.host.pools import alloc_atomic, pop, topup_list
from septum.kvm.design import Design

design = Design("three_sources", base=dpamt_v4)


@design.process
def topup_external_cache(m, vcpu, tables):
    """Too few for two tables and their pairs."""
    return (yield from topup_list(m, pair_pool(m, vcpu), tables, Gfp.KERNEL_ACCOUNT))


@design.process
def alloc_external_spt(m, vcpu):
    if pair_pool(m, vcpu).cnt != 0:
        return pop(m, pair_pool(m, vcpu))
    page = yield from alloc_atomic(m, Content.UNDEFINED)
    return page
