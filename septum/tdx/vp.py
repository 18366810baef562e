"""SEAMCALL leaves on a vCPU of the whole module: VP.CREATE, ADDCX, INIT, FLUSH, ENTER, and the TD exit; 7.15, 9.1, 9.3."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType, Role
from septum.host.geometry import Level, Pfn, VcpuId, VmId
from septum.lang import each, process, u8, u32, u64
from septum.tdx.geometry import MAX_TDVPX, MIN_TDVPX
from septum.tdx.locks import release_shared, try_shared
from septum.tdx.operands import RCX, RDX, TD_EPOCH, TDR
from septum.tdx.pamt import assign, explicit, lock_page, try_lock, unlock, unlock_page, unlock_walk
from septum.tdx.processor import GuestEvent, me, refuse
from septum.tdx.status import (
    TDX_MAX_VCPUS_EXCEEDED,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_INVALID,
    TDX_SUCCESS,
    TDX_TD_KEYS_NOT_CONFIGURED,
    TDX_TDCX_NUM_INCORRECT,
    TDX_VCPU_ASSOCIATED,
    TDX_VCPU_NOT_ASSOCIATED,
    TDX_VCPU_STATE_INCORRECT,
    TDX_X2APIC_ID_NOT_UNIQUE,
)
from septum.tdx.stepping import filter_lock, forget_faults, stepped
from septum.tdx.td import Lifecycle, VcpuState, add_children, enter_td, leave_td, td_state
from septum.tdx.tlb import invept
from septum.tdx.versions import ZERO_STEP_SHARED

EPT_VIOLATION = 48  # exit reasons
EXTERNAL_INTERRUPT = 1
VMCALL = 77
RECOVERABILITY_HINT, RESUME_L1 = 1 << 52, 1 << 53  # of VP.ENTER: legal after a trap-like TD exit, and out of an L2 VM
VP_ENTER_FLAGS = RECOVERABILITY_HINT | RESUME_L1


@process
def tdh_vp_create(m, vm: VmId, page: Pfn):
    """TDH.VP.CREATE: `page` becomes the TDVPR of a new vCPU."""
    status = enter_td(m, vm)
    if status != TDX_SUCCESS:
        return status
    status = lock_page(m, page, RCX)
    if status != TDX_SUCCESS:
        leave_td(m, vm)
        return status
    yield
    assign(m, page, Level(1), Role.CONTROL, PageType.TDVPR, vm)
    vcpu = free_vcpu(m)
    build = m.tdvps[vcpu].build
    build.tdvpr = page
    build.vm = vm
    build.state = VcpuState.UNINITIALIZED
    build.num_pages = 1
    build.lp = 0
    build.in_guest = False
    build.trap = False
    build.busy_since = 0
    m.tdvps[vcpu].epoch = 0
    forget_faults(m, vcpu)
    add_children(m.td[vm], 1)
    unlock_page(m, page)
    leave_td(m, vm)
    return TDX_SUCCESS


def free_vcpu(m):
    """A number for a vCPU."""
    for vcpu in each(VcpuId):
        if m.tdvps[vcpu].build.tdvpr == 0:
            return vcpu
    assert False, "scope: there are more vCPUs than Geometry.vcpus"
    return VcpuId(0)


def vcpu_of(m, page: Pfn):
    """The vCPU whose TDVPR a page is; 0 if it is none."""
    if m.frame[page].type != PageType.TDVPR:
        return VcpuId(0)
    for vcpu in each(VcpuId):
        if m.tdvps[vcpu].build.tdvpr == page:
            return vcpu
    return VcpuId(0)


def forget_vcpu(m, page: Pfn):
    """The TDVPR of a vCPU was reclaimed: its number is free."""
    build = m.tdvps[vcpu_of(m, page)].build
    build.tdvpr = 0
    build.vm = 0
    build.state = VcpuState.UNINITIALIZED


def lock_vcpu(m, page: Pfn, operand: u8, exclusive: bool):
    """The TDVPR operand."""
    return explicit(m, page, operand, PageType.TDVPR, Level(1), exclusive)


def lock_parent(m, vm: VmId, exclusive: bool):
    """The TDR of a vCPU."""
    return TDX_SUCCESS if try_lock(m.frame[m.td[vm].tdr].lock, exclusive) else refuse(m, TDX_OPERAND_BUSY, TDR)


def unlock_parent(m, vm: VmId, exclusive: bool):
    """Gives the TDR back."""
    unlock(m.frame[m.td[vm].tdr].lock, exclusive)


def enter_parent(m, vm: VmId, exclusive: bool):
    """The TDR of a vCPU, and the TD's state, locked shared."""
    status = lock_parent(m, vm, exclusive)
    if status == TDX_SUCCESS:
        status = td_state(m, vm, True)
        if status != TDX_SUCCESS:
            unlock_parent(m, vm, exclusive)
    return status


def leave_parent(m, vm: VmId, exclusive: bool):
    """Releases what `enter_parent` took."""
    release_shared(m.td[vm].build.op_lock)
    unlock_parent(m, vm, exclusive)


@process
def tdh_vp_addcx(m, vcpu: VcpuId, tdvpr: Pfn, page: Pfn):
    """TDH.VP.ADDCX: one more page of the TDVPS."""
    status = lock_vcpu(m, tdvpr, RDX, True)
    if status != TDX_SUCCESS:
        return status
    status = vcpu_extendable(m, vcpu, page)
    if status != TDX_SUCCESS:
        unlock_walk(m, tdvpr, Level(1), True)
        return status
    yield
    vm = m.tdvps[vcpu].build.vm
    assign(m, page, Level(1), Role.CONTROL, PageType.TDCX, vm)
    m.tdvps[vcpu].build.num_pages += 1
    add_children(m.td[vm], 1)
    unlock_page(m, page)
    leave_parent(m, vm, False)
    unlock_walk(m, tdvpr, Level(1), True)
    return TDX_SUCCESS


def vcpu_extendable(m, vcpu: VcpuId, page: Pfn):
    """The checks of VP.ADDCX; on success TDR and page are locked."""
    build = m.tdvps[vcpu].build
    status = enter_parent(m, build.vm, False)
    if status != TDX_SUCCESS:
        return status
    if build.state != VcpuState.UNINITIALIZED:
        status = refuse(m, TDX_VCPU_STATE_INCORRECT, u8(build.state))
    if status == TDX_SUCCESS and build.num_pages >= MAX_TDVPX:
        status = refuse(m, TDX_TDCX_NUM_INCORRECT, 0)
    if status == TDX_SUCCESS:
        status = lock_page(m, page, RCX)
    if status != TDX_SUCCESS:
        leave_parent(m, build.vm, False)
    return status


@process
def tdh_vp_init(m, vcpu: VcpuId, tdvpr: Pfn):
    """TDH.VP.INIT: the vCPU is READY, and associated with this LP. Version 1 takes its x2APIC id, and the TDR exclusive."""
    status = lock_vcpu(m, tdvpr, RCX, True)
    if status != TDX_SUCCESS:
        return status
    unique = m.lp[me()].version == 1
    status = initialisable(m, vcpu, unique)
    if status != TDX_SUCCESS:
        unlock_walk(m, tdvpr, Level(1), True)
        return status
    yield
    build = m.tdvps[vcpu].build
    td = m.td[build.vm]
    build.x2apic = u32(m.lp[me()].given.r8 & 0xFFFFFFFF) if m.lp[me()].version == 1 else u32(td.build.vcpus)
    build.state = VcpuState.READY
    build.index = td.build.vcpus
    td.build.vcpus += 1
    associate(m, vcpu)
    leave_parent(m, build.vm, m.lp[me()].version == 1)
    unlock_walk(m, tdvpr, Level(1), True)
    return TDX_SUCCESS


def initialisable(m, vcpu: VcpuId, exclusive: bool):
    """The checks of VP.INIT; on success the TDR is locked."""
    build = m.tdvps[vcpu].build
    status = enter_parent(m, build.vm, exclusive)
    if status != TDX_SUCCESS:
        return status
    if build.num_pages < MIN_TDVPX:
        status = refuse(m, TDX_TDCX_NUM_INCORRECT, 0)
    if status == TDX_SUCCESS and build.state != VcpuState.UNINITIALIZED:
        status = refuse(m, TDX_VCPU_STATE_INCORRECT, u8(build.state))
    if status == TDX_SUCCESS and m.td[build.vm].build.vcpus >= m.td[build.vm].build.max_vcpus:
        status = refuse(m, TDX_MAX_VCPUS_EXCEEDED, 0)
    if status == TDX_SUCCESS and exclusive and x2apic_taken(m, build.vm, u32(m.lp[me()].given.r8 & 0xFFFFFFFF)):
        status = refuse(m, TDX_X2APIC_ID_NOT_UNIQUE, 0)
    if status != TDX_SUCCESS:
        leave_parent(m, build.vm, exclusive)
    return status


def x2apic_taken(m, vm: VmId, number: u32):
    """Whether a vCPU of the TD has this x2APIC id."""
    for vcpu in each(VcpuId):
        build = m.tdvps[vcpu].build
        if build.vm == vm and build.state == VcpuState.READY and build.x2apic == number:
            return True
    return False


def associate(m, vcpu: VcpuId):
    """The vCPU belongs to this LP from now on; a new association counts."""
    build = m.tdvps[vcpu].build
    if build.lp == 0:
        m.td[build.vm].build.associated += 1
    build.lp = u8(me() + 1)


@process
def tdh_vp_flush(m, vcpu: VcpuId, tdvpr: Pfn):
    """TDH.VP.FLUSH: this LP forgets the vCPU and the TD's translations."""
    status = lock_vcpu(m, tdvpr, RCX, True)
    if status != TDX_SUCCESS:
        return status
    status = vcpu_flushable(m, vcpu)
    if status != TDX_SUCCESS:
        unlock_walk(m, tdvpr, Level(1), True)
        return status
    yield
    build = m.tdvps[vcpu].build
    invept(m, build.vm)
    build.lp = 0
    m.td[build.vm].build.associated -= 1
    unlock_parent(m, build.vm, False)
    unlock_walk(m, tdvpr, Level(1), True)
    return TDX_SUCCESS


def vcpu_flushable(m, vcpu: VcpuId):
    """The checks of VP.FLUSH; on success the TDR is locked."""
    build = m.tdvps[vcpu].build
    status = lock_parent(m, build.vm, False)
    if status != TDX_SUCCESS:
        return status
    if m.td[build.vm].lifecycle != Lifecycle.KEYS_CONFIGURED:
        status = refuse(m, TDX_TD_KEYS_NOT_CONFIGURED, 0)
    elif build.num_pages < MIN_TDVPX:
        status = refuse(m, TDX_TDCX_NUM_INCORRECT, 0)
    elif build.lp != me() + 1:
        status = refuse(m, TDX_VCPU_NOT_ASSOCIATED, 0)
    if status != TDX_SUCCESS:
        unlock_parent(m, build.vm, False)
    return status


@process
def enter_guest(m, vcpu: VcpuId, tdvpr: Pfn):
    """TDH.VP.ENTER of the whole module, tdx-module.md 9.1. TDVPR and TDR stay locked shared while the guest runs."""
    if m.lp[me()].given.rcx & ~(VP_ENTER_FLAGS | ADDRESS) & NUMBER != 0:
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    status = lock_vcpu(m, tdvpr, RCX, False)
    if status != TDX_SUCCESS:
        return status
    status = enterable(m, vcpu)
    if status != TDX_SUCCESS:
        unlock_walk(m, tdvpr, Level(1), False)
        return status
    yield
    vm = m.tdvps[vcpu].build.vm
    td = m.td[vm]
    newer = td.epoch != m.tdvps[vcpu].epoch
    m.tdvps[vcpu].epoch = td.epoch
    td.refcount[td.epoch % 2] += 1
    release_shared(td.epoch_lock)
    if newer or m.lp[me()].last != vcpu:
        invept(m, vm)
    stepping = m.tdvps[vcpu].build.stepping
    stepping.entry_rip = stepping.rip
    if stepping.logged != 0:
        status = filter_lock(m, vm)
        if status != TDX_SUCCESS:
            td.refcount[td.epoch % 2] -= 1
            leave_parent(m, vm, False)
            unlock_walk(m, tdvpr, Level(1), False)
            return status
        gfn = stepped(m, vcpu, vm)
        if gfn != 0:
            unlock(td.tree, ZERO_STEP_SHARED == 0)
            td.refcount[td.epoch % 2] -= 1
            leave_parent(m, vm, False)
            unlock_walk(m, tdvpr, Level(1), False)
            answer = m.lp[me()].answer
            clear_exit(answer)
            answer.rax = EPT_VIOLATION
            answer.rcx = 2  # a write, whatever the guest did
            answer.r8 = u64(gfn - 1) << PAGE_SHIFT
            m.lp[me()].event = GuestEvent.EXIT
            return TDX_SUCCESS
        yield
        unlock(td.tree, ZERO_STEP_SHARED == 0)
        if stepping.notify:
            m.lp[me()].event = GuestEvent.VE
    release_shared(td.build.op_lock)
    m.tdvps[vcpu].build.in_guest = True
    m.lp[me()].vcpu = vcpu
    m.lp[me()].last = vcpu
    return TDX_SUCCESS


ADDRESS = 0x000FFFFFFFFFF000
NUMBER = (1 << 64) - 1


def enterable(m, vcpu: VcpuId):
    """Steps 4 to 10 of VP.ENTER; on success TDR, OP_STATE and epoch are locked shared. An association made on the way stays."""
    build = m.tdvps[vcpu].build
    status = enter_parent(m, build.vm, False)
    if status != TDX_SUCCESS:
        return status
    if build.num_pages < MIN_TDVPX:
        status = refuse(m, TDX_TDCX_NUM_INCORRECT, 0)
    if status == TDX_SUCCESS and (build.state != VcpuState.READY or build.in_guest):
        status = refuse(m, TDX_VCPU_STATE_INCORRECT, u8(VcpuState.ACTIVE) if build.in_guest else u8(build.state))
    if status == TDX_SUCCESS and build.lp != 0 and build.lp != me() + 1:
        status = refuse(m, TDX_VCPU_ASSOCIATED, 0)
    if status == TDX_SUCCESS:
        associate(m, vcpu)
        flags = m.lp[me()].given.rcx
        if flags & RESUME_L1 != 0 or (flags & RECOVERABILITY_HINT != 0 and not build.trap):
            status = refuse(m, TDX_OPERAND_INVALID, RCX)
        elif not try_shared(m.td[build.vm].epoch_lock):
            status = refuse(m, TDX_OPERAND_BUSY, TD_EPOCH)
    if status != TDX_SUCCESS:
        leave_parent(m, build.vm, False)
    return status


def clear_exit(answer):
    """An asynchronous TD exit shows the host none of the guest's registers."""
    answer.rcx = 0
    answer.rdx = 0
    answer.r8 = 0
    answer.r9 = 0
    answer.r10 = 0
    answer.r11 = 0
    answer.r12 = 0
    answer.r13 = 0


def leave_guest(m, reason: u64):
    """A TD exit from the vCPU of this LP: what VP.ENTER kept locked is released; its answer is in the registers."""
    vcpu = m.lp[me()].vcpu
    build = m.tdvps[vcpu].build
    m.td[build.vm].refcount[m.tdvps[vcpu].epoch % 2] -= 1
    build.in_guest = False
    build.trap = False
    build.busy_since = 0
    unlock_parent(m, build.vm, False)
    unlock_walk(m, build.tdvpr, Level(1), False)
    m.lp[me()].vcpu = 0
    m.lp[me()].event = GuestEvent.EXIT
    m.lp[me()].answer.rax = reason
