"""Requests to vCPUs: virt/kvm/kvm_main.c sends an IPI to those in guest mode, and may wait; kvm-mmu.md 5.6."""

from septum.host.geometry import VcpuId, VmId
from septum.kvm.machine import Machine
from septum.lang import atomic, commutes, each, process, when


@process
def kvm_make_all_cpus_request(m: Machine, vm: VmId):
    """kvm_make_all_cpus_request(KVM_REQ_OUTSIDE_GUEST_MODE) [7.1]: an IPI to every vCPU in guest mode; waits for them."""
    kick_vcpus(m, vm)
    yield when(lambda: not any_kicked(m, vm))


def kick_vcpus(m: Machine, vm: VmId):
    """An IPI to every vCPU that is in the guest."""
    atomic("until a vCPU gets its own IPI, it goes on as if the first one were late")
    for vcpu in each(VcpuId):
        if m.vcpu[vcpu].vm == vm and m.vcpu[vcpu].in_guest:
            m.vcpu[vcpu].kicked = True


def any_kicked(m: Machine, vm: VmId):
    """Whether a vCPU of the VM has still to leave the guest."""
    for vcpu in each(VcpuId):
        if m.vcpu[vcpu].vm == vm and m.vcpu[vcpu].kicked:
            return True
    return False


def is_dead(m: Machine, vm: VmId):
    """kvm_check_request(KVM_REQ_VM_DEAD); only tested since 7.3, for every vCPU of a dead VM gets -EIO anyway."""
    commutes("who finds the VM alive asks again before it enters the guest")
    return m.vm[vm].bugged
