"""Dynamic PAMT RFC v5, as posted: the RCU callback takes a plain pamt_lock, the count falls outside of it, DEMOTE has no guard.

designs.md 5.6, 4.5, 4.8; tables for splits are zeroed, and the vCPU's list gets a pair for every level although one is enough.
"""

from septum.designs.dpamt_v5 import design as dpamt_v5
from septum.designs.dpamt_v5 import topup_backed
from septum.host.frames import Gfp
from septum.host.geometry import PAMT_PAGES
from septum.host.pools import OK, topup_list
from septum.kvm.design import Design
from septum.kvm.ops import ops
from septum.kvm.seam import pamt_dec_outside
from septum.kvm.seam.pamt import IRQSAVE
from septum.kvm.tdp.split import SPLIT_ZEROED
from septum.kvm.vmx.demote import DEMOTE_GUARDED

design = Design(
    "dpamt_v5_as_posted", base=dpamt_v5, parts=[pamt_dec_outside], sizes={IRQSAVE: 0, DEMOTE_GUARDED: 0, SPLIT_ZEROED: 1}
)


@design.process
def topup_external_cache(m, vcpu, tables):
    error = yield from topup_backed(m, m.vcpu[vcpu].design.mmu_external_spt_cache, tables)
    if error != OK:
        return error
    return (yield from topup_list(m, ops.pair_pool(m, vcpu), PAMT_PAGES * tables, Gfp.KERNEL_ACCOUNT))
