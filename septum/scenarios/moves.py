"""vCPUs of a TD that are run by one thread and by another, on its own CPU; and work for a vCPU that no CPU has loaded."""

from septum.kvm.bug import page_mapped
from septum.kvm.machine import VCPU_CPU, VCPU_LOADED
from septum.kvm.vmx.association import VcpuCpu, interrupted, moved
from septum.kvm.vmx.loaded import LOADS, Loaded, vcpu_load, vcpu_put
from septum.kvm.vmx.vcpu import fault, kvm_vcpu_ioctl_run
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


@scenario(
    "a page is installed by the thread of a vCPU, and the next one by the same thread when it has the vCPU no longer loaded",
    witnesses=(page_mapped,), tables=3, pages=2, vcpus=1, sizes={LOADS: 1, VCPU_LOADED: Loaded},
)  # fmt: skip
def install_without_vcpu(world: World) -> None:
    """Nobody's pool is the running vCPU's; pages are taken from that of a vCPU that another CPU may run."""
    for vcpu in world.td().vcpus(1):
        vcpu.runs((vcpu_load,), (fault, 0), (vcpu_put,), (fault, 1))
