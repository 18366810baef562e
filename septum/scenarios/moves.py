"""vCPUs of a TD that are run by one thread and by another, on its own CPU."""

from septum.kvm.bug import page_mapped
from septum.kvm.machine import VCPU_CPU
from septum.kvm.vmx.association import VcpuCpu, interrupted, moved
from septum.kvm.vmx.vcpu import kvm_vcpu_ioctl_run
from septum.kvm.x86.vm import close_vcpu, kvm_destroy_vm, rcu_softirq, vm_destroyed
from septum.lang import call
from septum.scenarios.world import BUILT, FOUR_LEVELS, ONE_VM, World, scenario
from septum.tdx.geometry import MOVES
from septum.tdx.guest import page_accepted
from septum.tdx.td import TDVPS_LP, AssociatedLp


@scenario(
    "two vCPUs change CPUs, each is run on both, and the VM is destroyed to the last page",
    witnesses=(page_mapped, page_accepted, moved, interrupted, vm_destroyed),
    **{**ONE_VM, "sizes": {**BUILT, MOVES: 1, VCPU_CPU: VcpuCpu, TDVPS_LP: AssociatedLp}, "larger": FOUR_LEVELS},
)  # fmt: skip
def change_cpus(world: World) -> None:
    """A vCPU enters where it is not associated; the flush does not wait for who runs there; it is associated at the end."""
    td = world.td()
    first, second = world.vcpu(td.vm), world.vcpu(td.vm)
    td.runs("CPU 0", call(kvm_vcpu_ioctl_run, first, 0), call(kvm_vcpu_ioctl_run, second, 1), call(close_vcpu, second))
    td.runs("CPU 1", call(kvm_vcpu_ioctl_run, second, 0), call(kvm_vcpu_ioctl_run, first, 1), call(close_vcpu, first))
    td.runs("destroy", call(kvm_destroy_vm, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)
