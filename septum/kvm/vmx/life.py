"""A VM from KVM_CREATE_VM to KVM_RUN: TDX's part of struct kvm and kvm_vcpu, and what changes its state; kvm-mmu.md 5.2.

Only in scenarios that build their VMs (BUILDS); elsewhere TDs run from the start.
"""

from septum.host.frames import Content, Gfp, Role, free_page, take
from septum.host.geometry import DYNAMIC_PAMT, Pfn, VcpuId, VmId
from septum.host.locks import KvmLock, PagesLock, VcpuMutex, holds_exclusively, mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.host.pools import EBUSY, EINTR, EINVAL, EIO, ENOMEM, OK, alloc_or_fail
from septum.kvm.bug import tdx_bug_on
from septum.kvm.machine import Machine, TdState, VmState
from septum.kvm.ops import ops
from septum.kvm.requests import is_dead
from septum.kvm.seam.pamt import tdx_alloc_control_page
from septum.kvm.versions import KERNEL, V6_19, V7_3
from septum.kvm.vmx.vcpu import kvm_mmu_create
from septum.lang import Size, Struct, Witness, bug_on, choose, each, process, reached, u8, when
from septum.tdx.building import create_td, tdh_vp_create, tdh_vp_init
from septum.tdx.mng import tdh_mr_finalize
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS

KILLABLE = Size("KILLABLE", 0)  # a fatal signal may be pending when the mutex of a vCPU is taken
finalized = Witness("finalized", "a TD was finalized")
killed = Witness("killed", "a fatal signal ended an ioctl that waited for the mutex of a vCPU")
vcpu_initialized = Witness("vcpu_initialized", "a vCPU was initialised")
state_locked = Witness("state_locked", "an ioctl that changes the state of a TD was refused with -EBUSY: a vCPU is being created")


class VmLife(Struct):
    """Beyond struct Vm: kvm->lock, and what the build phase needs."""

    lock: KvmLock
    pages_lock: PagesLock
    state: TdState
    direct_bits: bool  # kvm->arch.gfn_direct_bits is set
    pre_fault_allowed: bool
    created_vcpus: u8
    online_vcpus: u8
    page_add_src: bool  # [6.19] a source page waits for PAGE.ADD
    nr_premapped: u8  # [6.16 - 6.18] mirror leaves without a page in the S-EPT
    root_count: u8  # references to the mirror root


class VcpuLife(Struct):
    """Beyond struct Vcpu."""

    mutex: VcpuMutex
    state: TdState
    associated: bool  # vcpu->cpu is not -1
    has_root: bool  # mirror_root_hpa is valid, and holds a reference


@process
def kvm_create_vm(m: Machine, vm: VmId):
    """KVM_CREATE_VM of a TDX VM."""
    yield
    m.vm[vm].state = VmState.RUNNABLE
    m.vm[vm].users += 1


@process
def tdx_acquire_vm_state_locks(m: Machine, vm: VmId):
    """tdx_acquire_vm_state_locks() [6.19], kvm-mmu.md 5.2: kvm->lock, every vCPU's mutex, slots_lock. Errno.

    Before 6.19 the callers took less: kvm->lock and slots_lock. Until 7.2 a vCPU may be half created here. Of a dead VM every
    ioctl is -EIO.
    """
    if is_dead(m, vm):
        return EIO
    yield from mutex_lock(m, m.vm[vm].life.lock)
    if KERNEL >= V6_19:
        error = EBUSY
        if m.vm[vm].life.created_vcpus == m.vm[vm].life.online_vcpus:
            error = yield from lock_all_vcpus(m, vm)
        else:
            reached(state_locked)
            bug_on(KERNEL >= V7_3, "asserts: WARN_ON_ONCE: kvm_lock_all_vcpus() while a vCPU is created")
        if error != OK:
            mutex_unlock(m, m.vm[vm].life.lock)
            return error
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    return OK


@process
def lock_all_vcpus(m: Machine, vm: VmId):
    """kvm_lock_all_vcpus() [6.19]: a fatal signal ends it, and gives back what was taken. Errno."""
    for vcpu in each(VcpuId):
        if m.vcpu[vcpu].vm == vm:
            if KILLABLE:
                signal = yield choose(2)
                if signal == 1:
                    reached(killed)
                    unlock_vcpus(m, vm)
                    return EINTR
            yield from mutex_lock(m, m.vcpu[vcpu].life.mutex)
    return OK


def unlock_vcpus(m: Machine, vm: VmId):
    """kvm_unlock_all_vcpus() [6.19], of those whose mutex is held."""
    for vcpu in each(VcpuId):
        if m.vcpu[vcpu].vm == vm and holds_exclusively(m.vcpu[vcpu].life.mutex):
            mutex_unlock(m, m.vcpu[vcpu].life.mutex)


def tdx_release_vm_state_locks(m: Machine, vm: VmId):
    """tdx_release_vm_state_locks() [6.19]."""
    mutex_unlock(m, m.vm[vm].slots_lock)
    if KERNEL >= V6_19:
        unlock_vcpus(m, vm)
    mutex_unlock(m, m.vm[vm].life.lock)


@process
def alloc_control_page(m: Machine):
    """A page for TDR, TDCS or TDVPS, with its pair under Dynamic PAMT; 0 without memory."""
    if DYNAMIC_PAMT:
        page = yield from tdx_alloc_control_page(m, Gfp.KERNEL_ACCOUNT)
    else:
        page = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
    if page != 0:
        take(m, page, Role.HAND, Role.CONTROL)
    return page


@process
def free_control_page(m: Machine, page: Pfn):
    """tdx_free_control_page() of a page that the module was not given."""
    yield from ops.put_control_page(m, page)
    free_page(m, page, Role.CONTROL)


@process
def tdx_td_init(m: Machine, vm: VmId):
    """KVM_TDX_INIT_VM, tdx_td_init() [7.2]. Errno."""
    error = yield from tdx_acquire_vm_state_locks(m, vm)
    if error != OK:
        return error
    error = EINVAL
    if m.vm[vm].life.state == TdState.UNINITIALIZED:
        error = yield from setup_td(m, vm)
    tdx_release_vm_state_locks(m, vm)
    return error


@process
def setup_td(m: Machine, vm: VmId):
    """__tdx_td_init() [7.2]: what was allocated is freed again if a later page, or MNG.CREATE, cannot be had. Errno."""
    tdr = yield from alloc_control_page(m)
    if tdr == 0:
        return ENOMEM
    root = yield from alloc_control_page(m)
    if root == 0:
        yield from free_control_page(m, tdr)
        return ENOMEM
    status = yield from create_td(m, vm, tdr, root)
    if status != TDX_SUCCESS:
        error = tdx_bug_on(m, vm, status)
        yield from free_control_page(m, root)
        yield from free_control_page(m, tdr)
        return error
    m.vm[vm].life.direct_bits = True
    m.vm[vm].life.state = TdState.INITIALIZED
    return OK


@process
def kvm_vm_ioctl_create_vcpu(m: Machine, vm: VmId, vcpu: VcpuId):
    """KVM_CREATE_VCPU, kvm_vm_ioctl_create_vcpu() [7.1]: counted as created first, online last, in one go [7.3]. Errno."""
    yield from mutex_lock(m, m.vm[vm].life.lock)
    m.vm[vm].life.created_vcpus += 1
    if KERNEL < V7_3:
        mutex_unlock(m, m.vm[vm].life.lock)
        yield from mutex_lock(m, m.vm[vm].life.lock)
    m.vcpu[vcpu].vm = vm
    kvm_mmu_create(m, vcpu)
    m.vm[vm].users += 1
    m.vm[vm].life.online_vcpus += 1
    mutex_unlock(m, m.vm[vm].life.lock)
    return OK


@process
def tdx_vcpu_init(m: Machine, vcpu: VcpuId):
    """KVM_TDX_INIT_VCPU, tdx_vcpu_init() [7.2]: the TDVPR, and VP.INIT, which takes the TDR exclusive. Errno.

    Hence mmu_lock around it [6.19]: a zap could not take the TDR meanwhile, and may be busy only once.
    """
    vm = m.vcpu[vcpu].vm
    if KERNEL >= V6_19:
        error = yield from tdx_acquire_vm_state_locks(m, vm)
        if error != OK:
            return error
    else:
        yield from mutex_lock(m, m.vcpu[vcpu].life.mutex)
    error = EINVAL
    if m.vm[vm].life.state == TdState.INITIALIZED and m.vcpu[vcpu].life.state == TdState.UNINITIALIZED:
        error = yield from init_tdvps(m, vm, vcpu)
    if KERNEL >= V6_19:
        tdx_release_vm_state_locks(m, vm)
    else:
        mutex_unlock(m, m.vcpu[vcpu].life.mutex)
    return error


@process
def init_tdvps(m: Machine, vm: VmId, vcpu: VcpuId):
    """tdx_td_vcpu_init() [7.2]: VP.CREATE and VP.INIT. Errno.

    A TDVPR that VP.CREATE refused is freed; one that it took is the module's until the vCPU is freed, whatever VP.INIT says.
    """
    tdvpr = yield from alloc_control_page(m)
    if tdvpr == 0:
        return ENOMEM
    status = yield from tdh_vp_create(m, vm, vcpu, tdvpr)
    if status != TDX_SUCCESS:
        error = tdx_bug_on(m, vm, status)
        yield from free_control_page(m, tdvpr)
        return error
    if KERNEL >= V6_19:
        yield from write_lock(m, m.vm[vm].mmu_lock)
    status = yield from tdh_vp_init(m, vm, vcpu)
    if KERNEL >= V6_19:
        write_unlock(m, m.vm[vm].mmu_lock)
    if status != TDX_SUCCESS:
        return tdx_bug_on(m, vm, status)
    m.vcpu[vcpu].life.associated = True
    m.vcpu[vcpu].life.state = TdState.INITIALIZED
    reached(vcpu_initialized)
    return OK


@process
def tdx_td_finalize(m: Machine, vm: VmId):
    """KVM_TDX_FINALIZE_VM, tdx_td_finalize() [7.2], kvm-mmu.md 5.9: RUNNABLE first, then prefaults are allowed. Errno."""
    error = yield from tdx_acquire_vm_state_locks(m, vm)
    if error != OK:
        return error
    error = EINVAL
    if m.vm[vm].life.state == TdState.INITIALIZED and m.vm[vm].life.nr_premapped == 0:
        error = yield from finalize(m, vm)
    tdx_release_vm_state_locks(m, vm)
    return error


@process
def finalize(m: Machine, vm: VmId):
    """MR.FINALIZE, and the state after it. Errno."""
    status = yield from tdh_mr_finalize(m, vm)
    if status == TDX_OPERAND_BUSY:
        return EBUSY
    if status != TDX_SUCCESS:
        return tdx_bug_on(m, vm, status)
    m.vm[vm].life.state = TdState.RUNNABLE
    yield
    m.vm[vm].life.pre_fault_allowed = True
    reached(finalized)
    return OK


@process
def wait_for_vcpu(m: Machine, vcpu: VcpuId):
    """A thread of the VMM that begins when a vCPU is there."""
    yield when(lambda: m.vcpu[vcpu].vm != 0)


@process
def wait_for_td(m: Machine, vm: VmId):
    """A thread of the VMM that begins when the TD is initialised."""
    yield when(lambda: m.vm[vm].life.state != TdState.UNINITIALIZED)


@process
def wait_for_run(m: Machine, vm: VmId):
    """A thread of the VMM that begins when the TD may run."""
    yield when(lambda: m.vm[vm].life.pre_fault_allowed)
