"""The private fault from the topped-up caches to the map, with its retry checks; kvm-mmu.md 4.2."""

from septum.host.frames import put_page
from septum.host.geometry import ENTRIES, PT64_ROOT_MAX_LEVEL, Gfn, Level, VcpuId, VmId, leaf_base, table_base
from septum.host.locks import holds_exclusively, read_lock, read_unlock
from septum.host.pools import EFAULT, EHWPOISON, ENOMEM, OK, kvm_mmu_topup_memory_cache
from septum.kvm.exits import kvm_prepare_memory_fault_exit
from septum.kvm.machine import Machine
from septum.kvm.memslots import MEMSLOTS, gfn_to_memslot, is_dying, met_dying_slot
from septum.kvm.ops import ops
from septum.kvm.tdp.direct import DIRECT
from septum.kvm.tdp.tdp_mmu import Fault, kvm_tdp_mmu_map
from septum.kvm.virt.gmem import kvm_gmem_get_pfn
from septum.kvm.virt.gmem_file import CLOSES_FILE
from septum.kvm.virt.gmem_files import FILES, kvm_gmem_get_pfn_of
from septum.kvm.virt.hwpoison import HWPOISON, is_poisoned
from septum.lang import MEASURING, Meter, Size, Witness, atomic, observe, process, reached
from septum.tdx.geometry import BUILDS

TOPS_UP = Size("TOPS_UP", 1)  # 0: faults find empty caches, to see what is done about it
popped = Meter("popped", "a fault is done: so many pages it took from the design's pools of its vCPU and its VM")
root_obsolete = Witness("root_obsolete", "a fault found its root invalid")
stale_fault = Witness("stale_fault", "a fault found under mmu_lock that an invalidation came between")


@process
def mmu_topup_memory_caches(m: Machine, vcpu: VcpuId):
    """mmu_topup_memory_caches() [7.1], kvm-mmu.md 3.2: external pages, then tables; an error leaves the former filled."""
    if BUILDS:
        assert holds_exclusively(m.vcpu[vcpu].life.mutex), "context: the caches of a vCPU are used without its mutex"
    if not TOPS_UP:
        return OK
    error = yield from ops.topup_external_cache(m, vcpu, PT64_ROOT_MAX_LEVEL)
    if error != OK:
        return error
    return (yield from kvm_mmu_topup_memory_cache(m, m.vcpu[vcpu].mmu_shadow_page_cache, PT64_ROOT_MAX_LEVEL))


def pool_pages(m: Machine, vcpu: VcpuId):
    """How many pages wait in the design's pools where a fault of the vCPU may take them."""
    return ops.vcpu_pool_pages(m, vcpu) + ops.vm_pool_pages(m, m.vcpu[vcpu].vm)


@process
def kvm_tdp_mmu_page_fault(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """kvm_tdp_mmu_page_fault() and kvm_mmu_faultin_pfn() [7.1] of a private GPA, kvm-mmu.md 4.2."""
    error = yield from mmu_topup_memory_caches(m, vcpu)
    if error != OK:
        return Fault.NO_MEMORY
    if MEASURING:
        pooled = pool_pages(m, vcpu)
    yield
    atomic("whoever changes the VM between these reads is found again under mmu_lock")
    vm = m.vcpu[vcpu].vm
    mmu_seq = m.vm[vm].mmu_invalidate_seq
    if m.vm[vm].shared[gfn]:
        kvm_prepare_memory_fault_exit(m, vcpu, gfn, True, EFAULT)
        return Fault.MEMORY_FAULT
    if MEMSLOTS:
        slot = gfn_to_memslot(m, vm, gfn)
        if slot != 0 and is_dying(m, vm, slot):
            reached(met_dying_slot)
            return Fault.INVALID_SLOT
        if slot == 0 or not m.vm[vm].memslots.memslot[slot].gmem:
            kvm_prepare_memory_fault_exit(m, vcpu, gfn, True, EFAULT)
            return Fault.MEMORY_FAULT
    if mmu_invalidate_retry_gfn(m, vm, mmu_seq, gfn):
        return Fault.RETRY
    if FILES:
        page = yield from kvm_gmem_get_pfn_of(m, vm, slot, gfn)
    else:
        page = yield from kvm_gmem_get_pfn(m, vm, gfn)
    if page == 0:
        return without_page(m, vcpu, gfn)
    yield from read_lock(m, m.vm[vm].mmu_lock)
    result = Fault.RETRY
    if DIRECT and has_obsolete_root(m, vcpu):
        reached(root_obsolete)
    elif mmu_invalidate_retry_gfn(m, vm, mmu_seq, gfn):
        reached(stale_fault)
    else:
        goal = max_mapping_level(m, vm, gfn)
        target = page if goal == 1 else m.vm[vm].gmem[leaf_base(gfn, goal)]
        result = yield from kvm_tdp_mmu_map(m, vcpu, gfn, goal, target)
    put_page(m, page)
    if MEASURING:
        observe(popped, pooled - min(pooled, pool_pages(m, vcpu)))
    read_unlock(m, m.vm[vm].mmu_lock)
    return result


def without_page(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """kvm_mmu_faultin_pfn_gmem() [7.1] without a page: every failure is a memory fault; after -ENOMEM userspace tries again."""
    if FILES:
        kvm_prepare_memory_fault_exit(m, vcpu, gfn, True, EFAULT)
        return Fault.MEMORY_FAULT
    if HWPOISON:
        if is_poisoned(m, m.vcpu[vcpu].vm, gfn):
            kvm_prepare_memory_fault_exit(m, vcpu, gfn, True, EHWPOISON)
            return Fault.MEMORY_FAULT
    if CLOSES_FILE:
        if m.vm[m.vcpu[vcpu].vm].file.dying:
            kvm_prepare_memory_fault_exit(m, vcpu, gfn, True, EFAULT)
            return Fault.MEMORY_FAULT
    kvm_prepare_memory_fault_exit(m, vcpu, gfn, True, ENOMEM)
    return Fault.NO_MEMORY


def has_obsolete_root(m: Machine, vcpu: VcpuId):
    """is_page_fault_stale() [7.1] looks at the direct root, for a private fault too; kvm-mmu.md 4.2."""
    root = m.vcpu[vcpu].direct.root
    return root == 0 or m.sp[root].direct.invalid


def mmu_invalidate_retry_gfn(m: Machine, vm: VmId, mmu_seq, gfn: Gfn):
    """mmu_invalidate_retry_gfn() [7.1]: an invalidation of `gfn` goes on, or one has ended since `mmu_seq` was read."""
    atomic("who reads this without mmu_lock looks at it again under the lock")
    kvm = m.vm[vm]
    if kvm.mmu_invalidate_in_progress != 0 and kvm.invalidate_first <= gfn and gfn <= kvm.invalidate_last:
        return True
    return kvm.mmu_invalidate_seq != mmu_seq


def max_mapping_level(m: Machine, vm: VmId, gfn: Gfn):
    """kvm_mmu_hugepage_adjust(): 2M where the folio is, and no page of the range was converted; else 4K. designs.md 9."""
    if not m.vm[vm].huge[gfn]:
        return Level(1)
    for i in range(ENTRIES):
        if m.vm[vm].shared[Gfn(table_base(gfn, Level(1)) + i)]:
            return Level(1)
    return Level(2)
