"""guest_memfd takes pages away while the guest uses them."""

from septum.host.geometry import VCPUS
from septum.kvm.bug import page_came_back, page_mapped
from septum.kvm.mmu.mmu import stale_fault
from septum.kvm.virt.gmem import hole_punched, kvm_gmem_punch_hole
from septum.kvm.vmx.tdx import busy_retried
from septum.kvm.vmx.vcpu import touch
from septum.lang import call
from septum.scenarios.world import ONE_VM, World, scenario
from septum.tdx.guest import page_accepted
from septum.tdx.locks import busy


@scenario(
    "a hole is punched where a vCPU faults and accepts",
    witnesses=(page_mapped, page_accepted, page_came_back, hole_punched, stale_fault, busy, busy_retried),
    **ONE_VM,
)  # fmt: skip
def punch_hole(world: World) -> None:
    """A fault maps the page after it left the file; a vCPU accepts what is blocked; the page goes back while the TLB has it."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0), (touch, 0))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 0))


@scenario(
    "a hole is punched where a vCPU faults and accepts, and the zero-step mitigation is active",
    witnesses=(page_mapped, page_accepted, page_came_back, hole_punched, stale_fault, busy, busy_retried),
    **ONE_VM,
)  # fmt: skip
def punch_hole_zero_step(world: World) -> None:
    """REMOVE is BUSY even after the kick, since a vCPU that faults again and again holds the tree."""
    world.m.zero_step = True
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value - 1):
        vcpu.runs((touch, 0), (touch, 0))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 0))
