"""Programs of a guest and of the VMM's thread that runs the vCPU: what a scenario puts together; kvm-mmu.md 6.1, 6.3, 6.6."""

from septum.host.geometry import Gfn, VcpuId
from septum.host.pools import EINTR, OK
from septum.kvm.machine import Machine, TdState
from septum.kvm.virt.attributes import kvm_vm_ioctl_set_mem_attributes
from septum.kvm.virt.gmem import kvm_gmem_punch_hole
from septum.kvm.vmx.life import tdx_td_finalize
from septum.kvm.vmx.populate import tdx_vcpu_init_mem_region
from septum.kvm.vmx.vcpu import touch
from septum.kvm.x86.ioctls import PAGE_SIZE, kvm_tdx_init_mem_region, kvm_vcpu_ioctl_pre_fault_memory
from septum.lang import process, u8, u64


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


@process
def pre_fault_memory(m: Machine, vcpu: VcpuId, first: Gfn, npages: u8):
    """The VMM has a range mapped, as pre_fault_memory_test does it: what a signal left over it asks for again. Errno."""
    left = npages
    error = EINTR
    while left != 0 and error in (OK, EINTR):
        gpa = u64((first + npages - left) * PAGE_SIZE)
        error = yield from kvm_vcpu_ioctl_pre_fault_memory(m, vcpu, gpa, u64(left * PAGE_SIZE), u64(0))
        assert m.vcpu[vcpu].range.left < left or error != OK, "asserts: KVM_PRE_FAULT_MEMORY did nothing, and says that it did"
        left = m.vcpu[vcpu].range.left if error == OK else left
    return error


@process
def init_mem_region(m: Machine, vcpu: VcpuId, first: Gfn, npages: u8):
    """The VMM populates a range and measures it; after -EINTR it goes on with what the kernel wrote back. Errno."""
    left = npages
    error = EINTR
    while left != 0 and error == EINTR:
        gpa = u64((first + npages - left) * PAGE_SIZE)
        error = yield from kvm_tdx_init_mem_region(m, vcpu, u64(PAGE_SIZE), gpa, u64(left), u64(1))
        left = m.vcpu[vcpu].range.left
    assert error == OK, f"asserts: KVM_TDX_INIT_MEM_REGION ends with {error}, after what was left was asked for again"
    return error


@process
def build(m: Machine, vcpu: VcpuId):
    """The VMM adds and measures a page and finalizes the TD. It gives up where the vCPU could not be initialised."""
    yield
    if m.vcpu[vcpu].life.state == TdState.INITIALIZED:
        yield from tdx_vcpu_init_mem_region(m, vcpu, Gfn(0), u8(1), True)
        yield from tdx_td_finalize(m, m.vcpu[vcpu].vm)
