"""What is measured of every state; nothing here can be violated."""

from septum.host.frames import PageType
from septum.host.geometry import DYNAMIC_PAMT, RangeId, VcpuId, VmId
from septum.kvm.machine import Machine
from septum.kvm.ops import ops
from septum.lang import Meter, each, observe, u16

idle_of_vcpu = Meter("idle_of_vcpu", "pages that wait in a design's pools of a vCPU")
idle_of_vm = Meter("idle_of_vm", "pages that wait in a design's pool of a VM")
idle_pairs = Meter("idle_pairs", "pairs that are installed for ranges of which the module uses no page")


def measured(m: Machine):
    """Pages that wait, and pairs without a page in use."""
    for vcpu in each(VcpuId):
        observe(idle_of_vcpu, ops.vcpu_pool_pages(m, vcpu))
    for vm in each(VmId):
        observe(idle_of_vm, ops.vm_pool_pages(m, vm))
    if DYNAMIC_PAMT:
        idle = u16(0)
        for r in each(RangeId):
            if m.pamt[r].type == PageType.PAMT and m.pamt[r].count == 0:
                idle = u16(idle + 1)
        observe(idle_pairs, idle)
