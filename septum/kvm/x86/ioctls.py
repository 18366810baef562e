"""What userspace calls: arguments are bytes, which the kernel checks before it works in pages; kvm-mmu.md 5.9, 6.2 to 6.5.

Of a VM that is dead every ioctl is -EIO (kvm-mmu.md 0.2). Scenarios that have nothing wrong to say call the work itself.
"""

from septum.host.entry import PAGE_SHIFT
from septum.host.geometry import GFNS, Gfn, VcpuId, VmId
from septum.host.pools import EINVAL, EIO, EOPNOTSUPP, OK
from septum.kvm.machine import Machine
from septum.kvm.memslots import HVAS, SLOT_IDS, Hva, SlotNumber
from septum.kvm.mmu.prefault import is_allowed, kvm_vcpu_pre_fault_memory
from septum.kvm.versions import KERNEL, V7_3
from septum.kvm.virt.attributes import kvm_vm_ioctl_set_mem_attributes
from septum.kvm.virt.gmem import kvm_gmem_allocate, kvm_gmem_punch_hole
from septum.kvm.virt.memory_region import kvm_set_memory_region
from septum.kvm.vmx.populate import begin_region, end_region, may_populate, populate_region, populate_without_source
from septum.lang import Size, process, u8, u64

PAGE_SIZE = 1 << PAGE_SHIFT
LAST_BYTE = (1 << 64) - 1
KVM_TDX_MEASURE_MEMORY_REGION = 1
KVM_MEMORY_ATTRIBUTE_PRIVATE = 1 << 3
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_GUEST_MEMFD = 1, 4
FILE_SIZE = Size("FILE_SIZE", lambda: GFNS.value * PAGE_SIZE)  # bytes of a guest_memfd file: that of all GFNs
LOG, GMEM = 1, 2  # the same, as `kvm_set_memory_region` takes them


def is_range(start: u64, size: u64):
    """Whole pages, at least one, that do not wrap around the end of the address space."""
    return start % PAGE_SIZE == 0 and size % PAGE_SIZE == 0 and size != 0 and size <= LAST_BYTE - start


def is_private_gpa(gpa: u64):
    """vt_is_tdx_private_gpa(): without the shared bit, which lies above the GFNs of a VM."""
    return gpa >> PAGE_SHIFT < GFNS


def pages_of(size: u64):
    """size >> PAGE_SHIFT; more than a VM can have is one more than that."""
    return u8(min(size >> PAGE_SHIFT, GFNS + 1))


@process
def kvm_vcpu_ioctl_pre_fault_memory(m: Machine, vcpu: VcpuId, gpa: u64, size: u64, flags: u64):
    """KVM_PRE_FAULT_MEMORY, kvm_vcpu_pre_fault_memory() [7.1], kvm-mmu.md 6.2. Errno."""
    if m.vm[m.vcpu[vcpu].vm].bugged:
        return EIO
    if flags != 0 or not is_range(gpa, size):
        return EINVAL
    if not is_private_gpa(gpa):
        return EINVAL if is_allowed(m, m.vcpu[vcpu].vm) else EOPNOTSUPP
    return (yield from kvm_vcpu_pre_fault_memory(m, vcpu, Gfn(gpa >> PAGE_SHIFT), pages_of(size)))


@process
def kvm_tdx_init_mem_region(m: Machine, vcpu: VcpuId, source: u64, gpa: u64, nr_pages: u64, flags: u64):
    """KVM_TDX_INIT_MEM_REGION, tdx_vcpu_init_mem_region() [7.2], kvm-mmu.md 5.9: locks, state, and then the arguments. Errno."""
    if m.vm[m.vcpu[vcpu].vm].bugged:
        return EIO
    error = yield from begin_region(m, vcpu)
    if error != OK:
        return error
    error = EINVAL
    if may_populate(m, vcpu) and is_region(source, gpa, nr_pages, flags):
        first = Gfn(gpa >> PAGE_SHIFT)
        if source == 0:
            error = yield from populate_without_source(m, vcpu, first)
        else:
            measure = flags & KVM_TDX_MEASURE_MEMORY_REGION != 0
            error = yield from populate_region(m, vcpu, first, pages_of(u64(nr_pages * PAGE_SIZE)), measure)
    end_region(m, vcpu)
    return error


def is_region(source: u64, gpa: u64, nr_pages: u64, flags: u64):
    """What KVM_TDX_INIT_MEM_REGION takes: private GPAs, and since 7.3 a source address."""
    if flags & ~KVM_TDX_MEASURE_MEMORY_REGION != 0 or source % PAGE_SIZE != 0 or nr_pages > LAST_BYTE >> PAGE_SHIFT:
        return False
    if KERNEL >= V7_3 and source == 0:
        return False
    size = u64(nr_pages * PAGE_SIZE)
    return is_range(gpa, size) and is_private_gpa(u64(gpa + size - 1))


@process
def kvm_vm_ioctl_set_memory_attributes(m: Machine, vm: VmId, address: u64, size: u64, attributes: u64, flags: u64):
    """KVM_SET_MEMORY_ATTRIBUTES, kvm_vm_ioctl_set_mem_attributes() [7.1], kvm-mmu.md 6.3. Errno."""
    if m.vm[vm].bugged:
        return EIO
    if flags != 0 or attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE != 0 or not is_range(address, size):
        return EINVAL
    first = address >> PAGE_SHIFT
    last = u64(address + size - 1) >> PAGE_SHIFT
    assert last < GFNS, "scope: attributes of GFNs that the VM does not have"
    return (yield from kvm_vm_ioctl_set_mem_attributes(m, vm, Gfn(first), Gfn(last), attributes == 0))


@process
def kvm_gmem_fallocate(m: Machine, vm: VmId, mode: u64, offset: u64, length: u64):
    """fallocate of a guest_memfd file, kvm_gmem_fallocate() [7.1]; its size is that of all GFNs. Errno."""
    if length == 0:
        return EINVAL
    if mode & FALLOC_FL_KEEP_SIZE == 0 or mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE) != 0:
        return EOPNOTSUPP
    if not is_range(offset, length):
        return EINVAL
    first = offset >> PAGE_SHIFT
    last = u64(offset + length - 1) >> PAGE_SHIFT
    if mode & FALLOC_FL_PUNCH_HOLE != 0:
        if first < GFNS:
            yield from kvm_gmem_punch_hole(m, vm, Gfn(first), Gfn(min(last, GFNS - 1)))
        return OK
    if last >= GFNS:
        return EINVAL
    return (yield from kvm_gmem_allocate(m, vm, Gfn(first), Gfn(last)))


@process
def kvm_vm_ioctl_set_memory_region(m: Machine, vm: VmId, slot: u64, flags: u64, gpa: u64, size: u64, hva: u64, offset: u64):
    """KVM_SET_USER_MEMORY_REGION2, kvm_set_memory_region() [7.1]: what it asks before it looks at the slots. Errno."""
    if m.vm[vm].bugged:
        return EIO
    if flags not in (0, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_GUEST_MEMFD) or slot >= SLOT_IDS:
        return EINVAL
    if gpa % PAGE_SIZE != 0 or size % PAGE_SIZE != 0 or hva % PAGE_SIZE != 0 or size > LAST_BYTE - gpa:
        return EINVAL
    if flags & KVM_MEM_GUEST_MEMFD != 0 and (offset % PAGE_SIZE != 0 or offset > FILE_SIZE or size > FILE_SIZE - offset):
        return EINVAL
    if gpa >> PAGE_SHIFT >= GFNS or hva >> PAGE_SHIFT >= HVAS:
        return EINVAL
    kept = u8(LOG if flags == KVM_MEM_LOG_DIRTY_PAGES else GMEM if flags == KVM_MEM_GUEST_MEMFD else 0)
    base = Gfn(gpa >> PAGE_SHIFT)
    address = Hva(hva >> PAGE_SHIFT)
    return (yield from kvm_set_memory_region(m, vm, SlotNumber(slot), pages_of(size), base, address, kept))
