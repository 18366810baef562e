"""The initial image of a TD: KVM_TDX_INIT_MEM_REGION, until KVM_TDX_FINALIZE_VM; kvm-mmu.md 5.9."""

from septum.host.frames import put_page
from septum.host.geometry import Gfn, Level, Pfn, VcpuId, VmId
from septum.host.locks import holds_exclusively, mutex_lock, mutex_unlock, read_lock, read_unlock
from septum.host.pools import EBUSY, EEXIST, EINTR, EINVAL, EIO, ENOMEM, EOPNOTSUPP, OK
from septum.host.signals import signal_pending
from septum.kvm.bug import tdx_bug_on
from septum.kvm.exits import write_back
from septum.kvm.machine import Machine, TdState
from septum.kvm.memslots import MemslotId, slot_at
from septum.kvm.mmu.mirror_root import kvm_mmu_reload
from septum.kvm.mmu.mmu import mmu_invalidate_retry_gfn, mmu_topup_memory_caches
from septum.kvm.tdp.tdp_mmu import Fault, kvm_tdp_mmu_map
from septum.kvm.versions import KERNEL, NEXT, V6_19
from septum.kvm.virt.gmem import kvm_gmem_get_pfn
from septum.kvm.virt.gmem_files import FILES, FileId, kvm_gmem_get_pfn_of
from septum.kvm.vmx.life import tdx_acquire_vm_state_locks, tdx_release_vm_state_locks
from septum.lang import Size, Witness, process, reached, u8
from septum.tdx.mem_page import tdh_mem_page_add
from septum.tdx.mng import tdh_mr_extend
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS

TOPS_UP_AT_EACH_TRY = Size("TOPS_UP_AT_EACH_TRY", lambda: int(KERNEL.value < V6_19 or KERNEL.value >= NEXT))
populated = Witness("populated", "a page was added to the initial image")


@process
def tdx_vcpu_init_mem_region(m: Machine, vcpu: VcpuId, first: Gfn, npages: u8, measure: bool):
    """KVM_TDX_INIT_MEM_REGION, tdx_vcpu_init_mem_region() [7.2]. Errno; userspace goes on after what was done."""
    error = yield from begin_region(m, vcpu)
    if error != OK:
        return error
    error = EINVAL
    if may_populate(m, vcpu):
        error = yield from populate_region(m, vcpu, first, npages, measure)
    end_region(m, vcpu)
    return error


def may_populate(m: Machine, vcpu: VcpuId):
    """Whether vCPU and TD are initialised, and the TD is not finalized; asked before the arguments are looked at."""
    return m.vcpu[vcpu].life.state == TdState.INITIALIZED and m.vm[m.vcpu[vcpu].vm].life.state == TdState.INITIALIZED


@process
def populate_region(m: Machine, vcpu: VcpuId, first: Gfn, npages: u8, measure: bool):
    """The loop of tdx_vcpu_init_mem_region() [7.2] over the pages, a look for a signal before each. Errno."""
    error = yield from kvm_mmu_reload(m, vcpu)
    done = 0
    while error == OK and done < npages:
        signal = yield from signal_pending(m)
        error = EINTR
        if not signal:
            error = yield from kvm_gmem_populate(m, vcpu, Gfn(first + done), measure)
        if error == OK:
            done = done + 1
    write_back(m, vcpu, u8(npages - done))
    return error


@process
def begin_region(m: Machine, vcpu: VcpuId):
    """All the locks [6.19]; before, the vCPU's mutex and slots_lock. Errno."""
    if KERNEL >= V6_19:
        return (yield from tdx_acquire_vm_state_locks(m, m.vcpu[vcpu].vm))
    yield from mutex_lock(m, m.vcpu[vcpu].life.mutex)
    yield from mutex_lock(m, m.vm[m.vcpu[vcpu].vm].slots_lock)
    return OK


def end_region(m: Machine, vcpu: VcpuId):
    """Releases what `begin_region` took."""
    if KERNEL >= V6_19:
        tdx_release_vm_state_locks(m, m.vcpu[vcpu].vm)
    else:
        mutex_unlock(m, m.vm[m.vcpu[vcpu].vm].slots_lock)
        mutex_unlock(m, m.vcpu[vcpu].life.mutex)


@process
def kvm_gmem_populate(m: Machine, vcpu: VcpuId, gfn: Gfn, measure: bool):
    """kvm_gmem_populate() [7.1] of one page: the file's invalidate_lock is held from the folio to the last MR.EXTEND. Errno.

    It keeps holes in this file out; those in another file of the VM it does not.
    """
    vm = m.vcpu[vcpu].vm
    if FILES:
        return (yield from populate_from_file(m, vcpu, slot_at(m, vm, gfn), gfn, measure))
    yield from mutex_lock(m, m.vm[vm].invalidate_lock)
    error = EINVAL
    if KERNEL < V6_19 and m.vm[vm].gmem[gfn] != 0:
        error = EEXIST
    elif not m.vm[vm].shared[gfn]:
        error = ENOMEM
        page = yield from kvm_gmem_get_pfn(m, vm, gfn)
        if page != 0:
            error = yield from tdx_gmem_post_populate(m, vcpu, gfn, page, measure)
            put_page(m, page)
    mutex_unlock(m, m.vm[vm].invalidate_lock)
    return error


@process
def populate_from_file(m: Machine, vcpu: VcpuId, slot: MemslotId, gfn: Gfn, measure: bool):
    """The same where a VM has several files; slots_lock keeps the slot. Errno."""
    vm = m.vcpu[vcpu].vm
    if slot == 0:
        return EINVAL
    number = FileId(m.vm[vm].memslots.memslot[slot].at.file)
    yield from mutex_lock(m, m.vm[vm].files.file[number].invalidate_lock)
    error = ENOMEM
    page = yield from kvm_gmem_get_pfn_of(m, vm, slot, gfn)
    if page != 0:
        error = yield from tdx_gmem_post_populate(m, vcpu, gfn, page, measure)
        put_page(m, page)
    mutex_unlock(m, m.vm[vm].files.file[number].invalidate_lock)
    return error


@process
def tdx_gmem_post_populate(m: Machine, vcpu: VcpuId, gfn: Gfn, page: Pfn, measure: bool):
    """tdx_gmem_post_populate() [7.2]: mapping the leaf adds the page; until 6.18 it premaps, and ADD comes here. Errno."""
    vm = m.vcpu[vcpu].vm
    assert holds_exclusively(m.vm[vm].slots_lock), "context: a page is populated without slots_lock"
    if KERNEL >= V6_19:
        assert not m.vm[vm].life.page_add_src, "asserts: KVM_BUG_ON(kvm_tdx->page_add_src)"
        m.vm[vm].life.page_add_src = True
        error = yield from kvm_tdp_mmu_map_private_pfn(m, vcpu, gfn, page)
        m.vm[vm].life.page_add_src = False
    else:
        error = yield from kvm_tdp_mmu_map_private_pfn(m, vcpu, gfn, page)
        if error == OK:
            error = yield from add_premapped(m, vm, gfn, page)
    if error != OK:
        return error
    reached(populated)
    if measure:
        status = yield from tdh_mr_extend(m, vm, gfn, Level(1))
        if status != TDX_SUCCESS:
            return tdx_bug_on(m, vm, status)
    return OK


@process
def populate_without_source(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """A source address of 0 until 7.2: tdx_gmem_post_populate() refuses it, when the folio is there. Errno."""
    vm = m.vcpu[vcpu].vm
    yield from mutex_lock(m, m.vm[vm].invalidate_lock)
    page = yield from kvm_gmem_get_pfn(m, vm, gfn)
    if page != 0:
        put_page(m, page)
    mutex_unlock(m, m.vm[vm].invalidate_lock)
    return EOPNOTSUPP if page != 0 else ENOMEM


@process
def add_premapped(m: Machine, vm: VmId, gfn: Gfn, page: Pfn):
    """The PAGE.ADD of tdx_gmem_post_populate() [6.16], without mmu_lock: a failure leaves the page premapped. Errno."""
    status = yield from tdh_mem_page_add(m, vm, gfn, Level(1), page)
    if status == TDX_SUCCESS:
        m.vm[vm].life.nr_premapped -= 1
        return OK
    return EBUSY if status == TDX_OPERAND_BUSY else EIO


@process
def kvm_tdp_mmu_map_private_pfn(m: Machine, vcpu: VcpuId, gfn: Gfn, page: Pfn):
    """kvm_tdp_mmu_map_private_pfn() [6.19], kvm-mmu.md 5.9: until it is done or a signal comes; EIO if it is mapped. Errno.

    The caches are filled once, before the loop; until 6.18, and again after 7.3, at each try, which then also looks whether it is
    stale.
    """
    vm = m.vcpu[vcpu].vm
    if not TOPS_UP_AT_EACH_TRY:
        error = yield from mmu_topup_memory_caches(m, vcpu)
        if error != OK:
            return error
    result = Fault.RETRY
    while result == Fault.RETRY:
        if KERNEL >= V6_19:
            signal = yield from signal_pending(m)
            if signal:
                return EINTR
        if m.vm[vm].bugged:
            return EIO
        if TOPS_UP_AT_EACH_TRY:
            error = yield from mmu_topup_memory_caches(m, vcpu)
            if error != OK:
                return error
        mmu_seq = m.vm[vm].mmu_invalidate_seq
        yield from read_lock(m, m.vm[vm].mmu_lock)
        if KERNEL < NEXT or not mmu_invalidate_retry_gfn(m, vm, mmu_seq, gfn):
            result = yield from kvm_tdp_mmu_map(m, vcpu, gfn, Level(1), page)
        read_unlock(m, m.vm[vm].mmu_lock)
    return OK if result == Fault.FIXED else EIO
