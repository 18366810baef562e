"""A guest uses private memory that it has not accepted."""

from septum.host.geometry import VCPUS
from septum.kvm.bug import page_mapped
from septum.kvm.virt.gmem import hole_punched, kvm_gmem_punch_hole
from septum.kvm.vmx.unaccepted import private_used, took_ve, use, vm_killed
from septum.kvm.vmx.vcpu import touch
from septum.kvm.x86.vm import close_vcpu, kvm_destroy_vm, rcu_softirq, vm_destroyed
from septum.lang import call
from septum.scenarios.world import LIVING, ONE_VM, World, scenario
from septum.tdx.geometry import PENDING_VE_DISABLE
from septum.tdx.guest import page_accepted


@scenario(
    "a vCPU uses a page that another one accepts, too early or in time, and the VM is destroyed to the last page",
    witnesses=(page_mapped, page_accepted, private_used, vm_killed, vm_destroyed),
    **{**ONE_VM, "sizes": {PENDING_VE_DISABLE: 1}},
)  # fmt: skip
def unaccepted(world: World) -> None:
    """A vCPU goes on in a VM that is dead, or goes round in its fault for ever; what the dead VM had is not given back."""
    td = world.td()
    first, *others = td.vcpus(VCPUS.value)
    first.runs((use, 0), (close_vcpu,))
    for vcpu in others:
        vcpu.runs((touch, 0), (close_vcpu,))
    td.runs("destroy", call(kvm_destroy_vm, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "vCPUs use a page, accept it when a #VE says that it is pending, and find it pending again after a hole was punched",
    witnesses=(page_mapped, page_accepted, private_used, took_ve, hole_punched), **LIVING,
)  # fmt: skip
def pending_ve(world: World) -> None:
    """The guest accepts a page that another vCPU has accepted, or that went meanwhile, and uses what the host has again."""
    td = world.td()
    for vcpu in td.vcpus(VCPUS.value):
        vcpu.runs((use, 0))
    td.runs("punch hole", call(kvm_gmem_punch_hole, td.vm, 0, 0))


UNACCEPTED = (unaccepted, pending_ve)
