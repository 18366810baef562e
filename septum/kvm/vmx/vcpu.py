"""KVM_RUN of a TD vCPU: into the guest, which accepts a page, and out again to handle what stopped it; kvm-mmu.md 6.1, 5.6."""

from septum.host.frames import Content
from septum.host.geometry import Gfn, Level, VcpuId
from septum.host.locks import mutex_lock, mutex_unlock
from septum.host.pools import EFAULT, EINVAL, OK
from septum.host.signals import SIGNALS
from septum.host.srcu import srcu_read_lock, srcu_read_unlock
from septum.kvm.machine import Machine, TdState
from septum.kvm.memslots import LOCAL_RETRY_LOOKS_AT_SLOT, MEMSLOTS, slot_is_dying
from septum.kvm.mmu.mirror_root import kvm_mmu_reload
from septum.kvm.mmu.mmu import kvm_tdp_mmu_page_fault
from septum.kvm.mmu.reload import may_enter, reload_direct_root
from septum.kvm.ops import ops
from septum.kvm.requests import is_dead
from septum.kvm.tdp.direct import DIRECT
from septum.kvm.tdp.tdp_mmu import Fault
from septum.kvm.vmx.association import tdx_vcpu_load
from septum.lang import atomic, bug_on, choose, commutes, process, when
from septum.tdx.geometry import MOVES
from septum.tdx.guest import Accepted, tdg_mem_page_accept
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS, TDX_VCPU_ASSOCIATED
from septum.tdx.tracking import td_exit, tdh_vp_enter


def kvm_mmu_create(m: Machine, vcpu: VcpuId):
    """kvm_mmu_create() [7.1]: the caches of a new vCPU; kvm-mmu.md 3.2."""
    m.vcpu[vcpu].mmu_shadow_page_cache.content = Content.NONPRESENT
    ops.init_vcpu(m, vcpu)


@process
def touch(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """The guest needs `gfn`: it accepts the page, again and again, and KVM serves its faults, until it has it.

    It gives up if userspace would have to convert the page, and after a KVM_BUG_ON. An -ENOMEM goes to userspace, which calls
    KVM_RUN again. Whether the guest has the page.
    """
    need = True
    has = False
    while need:
        yield from tdx_vcpu_run(m, vcpu)
        if not m.vcpu[vcpu].in_guest:
            return False
        accepted = yield from accept(m, vcpu, gfn)
        leave_guest(m, vcpu, accepted)
        if accepted == Accepted.DONE:
            need = False
            has = True
        elif accepted == Accepted.VIOLATION:
            result = yield from tdx_handle_ept_violation(m, vcpu, gfn)
            need = result != Fault.MEMORY_FAULT and result != Fault.DEAD
        elif accepted == Accepted.TOO_LARGE:
            need = yield from ops.check_accept_level(m, vcpu, gfn)
    return has


@process
def fault(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """KVM_PRE_FAULT_MEMORY: the fault alone, without the guest; kvm-mmu.md 6.2."""
    result = Fault.NO_MEMORY
    while result == Fault.NO_MEMORY or result == Fault.RETRY:
        result = yield from tdx_handle_ept_violation(m, vcpu, gfn)


@process
def tdx_vcpu_run(m: Machine, vcpu: VcpuId):
    """tdx_vcpu_run() [7.1], kvm-mmu.md 5.6: not while a zap wants every vCPU out; a busy VP.ENTER goes round the run loop.

    With KVM_REQ_VM_DEAD it does not enter.
    """
    vm = m.vcpu[vcpu].vm
    entered = False
    while not entered:
        if DIRECT:
            yield from reload_direct_root(m, vcpu)
        yield when(lambda: not m.vm[vm].wait_for_sept_zap)
        atomic("the mode is set before the flag is tested, with interrupts off: of flag and IPI one is met in every order")
        m.vcpu[vcpu].in_guest = True
        if is_dead(m, vm):
            serve_kick(m, vcpu)
            return
        status = TDX_OPERAND_BUSY
        if not DIRECT or may_enter(m, vcpu):
            status = yield from tdh_vp_enter(m, vm, vcpu)
        if MOVES:
            bug_on(status == TDX_VCPU_ASSOCIATED, "asserts: VP.ENTER of a vCPU that is associated with another CPU")
        entered = status == TDX_SUCCESS
        if not entered:
            serve_kick(m, vcpu)


@process
def accept(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """The guest's accept loop: again while the entry is busy, as long as no IPI stops the vCPU."""
    vm = m.vcpu[vcpu].vm
    result = Accepted.BUSY
    while result == Accepted.BUSY:
        yield
        if m.vcpu[vcpu].kicked:
            return Accepted.KICKED
        result = yield from tdg_mem_page_accept(m, vm, gfn, Level(1))
    return result


def leave_guest(m: Machine, vcpu: VcpuId, accepted: Accepted):
    """A TD exit; the IPI of a kick is served."""
    td_exit(m, m.vcpu[vcpu].vm, vcpu, accepted == Accepted.VIOLATION)
    serve_kick(m, vcpu)


def serve_kick(m: Machine, vcpu: VcpuId):
    """The vCPU is out of guest mode; an IPI that came is served."""
    commutes("a kick that comes before this waits for it, and one that comes after finds nobody to wait for")
    m.vcpu[vcpu].in_guest = False
    m.vcpu[vcpu].kicked = False


@process
def tdx_handle_ept_violation(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """tdx_handle_ept_violation() [7.1], kvm-mmu.md 6.1: retries locally, so that the zero-step mitigation is not provoked.

    Not while the memslot is being deleted or moved [6.18]: that waits for this SRCU section. With an obsolete direct root it gets
    RETRY until an event for the guest or a signal ends the loop: the request to give up the root is not looked at here.
    """
    vm = m.vcpu[vcpu].vm
    result = Fault.RETRY
    again = True
    if MEMSLOTS:
        srcu_read_lock(m.vm[vm].memslots.srcu)
    while again:
        result = yield from kvm_tdp_mmu_page_fault(m, vcpu, gfn)
        if result == Fault.INVALID_SLOT:
            result = Fault.RETRY
        again = result == Fault.RETRY
        if DIRECT or SIGNALS:
            if again:
                event = yield choose(2)
                again = event == 0
        if again and is_dead(m, vm):
            result = Fault.DEAD
            again = False
        if MEMSLOTS and LOCAL_RETRY_LOOKS_AT_SLOT:
            again = again and not slot_is_dying(m, vm, gfn)
    if MEMSLOTS:
        srcu_read_unlock(m.vm[vm].memslots.srcu)
    return result


@process
def kvm_vcpu_ioctl_run(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """KVM_RUN of a vCPU whose guest needs `gfn`, with vcpu->mutex held; -EINVAL before the TD and the vCPU are ready. Errno."""
    vm = m.vcpu[vcpu].vm
    yield from mutex_lock(m, m.vcpu[vcpu].life.mutex)
    if MOVES:
        yield from tdx_vcpu_load(m, vcpu)
    error = EINVAL
    if m.vm[vm].life.state == TdState.RUNNABLE and m.vcpu[vcpu].life.state == TdState.INITIALIZED:
        error = yield from kvm_mmu_reload(m, vcpu)
        if error == OK:
            has = yield from touch(m, vcpu, gfn)
            error = OK if has else EFAULT
    mutex_unlock(m, m.vcpu[vcpu].life.mutex)
    return error
