"""The vCPU that runs on a CPU, as kvm_get_running_vcpu() finds it, where a scenario works without one too (LOADS).

Elsewhere whoever installs a page for a vCPU is the thread that has it loaded.
"""

from septum.host.cpu import just_me
from septum.host.geometry import Cpus, VcpuId
from septum.kvm.machine import Machine
from septum.lang import Size, Struct, each, process

LOADS = Size("LOADS", 0)


class Loaded(Struct):
    """kvm_running_vcpu, seen from the vCPU."""

    on: Cpus  # none: -1


@process
def vcpu_load(m: Machine, vcpu: VcpuId):
    """vcpu_load() [7.3]."""
    yield
    m.vcpu[vcpu].loaded.on = just_me()


@process
def vcpu_put(m: Machine, vcpu: VcpuId):
    """vcpu_put() [7.3]."""
    yield
    m.vcpu[vcpu].loaded.on = 0


def kvm_get_running_vcpu(m: Machine, vcpu: VcpuId):
    """kvm_get_running_vcpu() [7.3]: the vCPU that is loaded on this CPU, whoever the page is for; 0 if there is none."""
    if LOADS:
        for other in each(VcpuId):
            if m.vcpu[other].loaded.on == just_me():
                return other
        return VcpuId(0)
    return vcpu
