"""Programs of a guest and of the VMM's thread that runs the vCPU: what a scenario puts together; kvm-mmu.md 6.1, 6.3, 6.6."""

from septum.host.geometry import Gfn, VcpuId
from septum.kvm.attributes import kvm_vm_ioctl_set_mem_attributes
from septum.kvm.gmem import kvm_gmem_punch_hole
from septum.kvm.machine import Machine
from septum.kvm.vcpu import touch
from septum.lang import process


@process
def insist(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """The guest needs `gfn` as private memory; whenever KVM_RUN ends with a memory fault the VMM converts as it asks."""
    vm = m.vcpu[vcpu].vm
    has = yield from touch(m, vcpu, gfn)
    while not has and not m.vm[vm].bugged:
        yield from kvm_vm_ioctl_set_mem_attributes(m, vm, gfn, gfn, False)
        has = yield from touch(m, vcpu, gfn)


@process
def map_gpa(m: Machine, vcpu: VcpuId, first: Gfn, last: Gfn, shared: bool):
    """TDVMCALL MapGPA: KVM_EXIT_HYPERCALL(KVM_HC_MAP_GPA_RANGE), for which the VMM sets the attribute and enters again."""
    yield from kvm_vm_ioctl_set_mem_attributes(m, m.vcpu[vcpu].vm, first, last, shared)


@process
def release(m: Machine, vcpu: VcpuId, first: Gfn, last: Gfn):
    """The guest gives memory back: it converts it to shared, and the VMM then punches the hole in guest_memfd."""
    yield from map_gpa(m, vcpu, first, last, True)
    yield from kvm_gmem_punch_hole(m, m.vcpu[vcpu].vm, first, last)


@process
def balloon(m: Machine, vcpu: VcpuId, first: Gfn, last: Gfn):
    """The balloon inflates: the guest does without the pages, and the VMM punches the hole where they stay private."""
    yield from kvm_gmem_punch_hole(m, m.vcpu[vcpu].vm, first, last)
