"""Dynamic PAMT v5, follow-up "free-unused": the S-EPT page is put and freed right after RECLAIM; designs.md 5.7.2."""

from septum.designs.dpamt_v5 import design as dpamt_v5
from septum.designs.dpamt_v5 import free_backed
from septum.host.cpu import me
from septum.host.frames import Role
from septum.host.pools import OK
from septum.kvm.design import Design
from septum.kvm.seam.pamt import IRQSAVE
from septum.kvm.vmx.tdx import tdx_sept_free_private_spt

design = Design("dpamt_v5_free_unused", base=dpamt_v5, sizes={IRQSAVE: 0})


@design.process
def free_external_spt(m, vm, spt):
    """RECLAIM, put and free in process context; after a failure the page is leaked. The RCU callback finds NULL."""
    external = m.sp[spt].external_spt
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    m.sp[spt].external_spt = 0
    if error == OK:
        yield from free_backed(m, external, Role.EXTERNAL)


@design.process
def free_external_sp(m, spt):
    """A table that was never linked."""
    assert not m.cpu[me()].softirq, "asserts: the RCU callback finds an S-EPT page: WARN_ON_ONCE"
    yield from free_backed(m, m.sp[spt].external_spt, Role.EXTERNAL)
