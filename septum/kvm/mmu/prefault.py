"""KVM_PRE_FAULT_MEMORY: userspace has pages mapped before the guest asks for them; kvm-mmu.md 6.2."""

from septum.host.geometry import GFNS, Gfn, VcpuId, VmId
from septum.host.locks import mutex_lock, mutex_unlock
from septum.host.pools import EAGAIN, EFAULT, EINTR, EINVAL, EIO, ENOENT, ENOMEM, EOPNOTSUPP, OK
from septum.host.signals import signal_pending
from septum.host.srcu import srcu_read_lock, srcu_read_unlock
from septum.kvm.exits import write_back
from septum.kvm.machine import Machine
from septum.kvm.memslots import MEMSLOTS
from septum.kvm.mmu.direct_fault import direct_page_fault
from septum.kvm.mmu.mirror_root import kvm_mmu_reload
from septum.kvm.mmu.mmu import kvm_tdp_mmu_page_fault
from septum.kvm.mmu.reload import reload_direct_root
from septum.kvm.requests import is_dead
from septum.kvm.tdp.direct import DIRECT
from septum.kvm.tdp.tdp_mmu import Fault
from septum.kvm.versions import KERNEL, NEXT, V6_18
from septum.lang import Witness, bug_on, commutes, process, reached, u8
from septum.tdx.geometry import BUILDS

prefaulted = Witness("prefaulted", "a page was mapped by KVM_PRE_FAULT_MEMORY")
prefault_gave_up = Witness("prefault_gave_up", "KVM_PRE_FAULT_MEMORY ended with -EAGAIN, for the slot is being deleted")


@process
def kvm_vcpu_pre_fault_memory(m: Machine, vcpu: VcpuId, first: Gfn, npages: u8):
    """KVM_PRE_FAULT_MEMORY of pages of the private half, with vcpu->mutex held. Errno."""
    if BUILDS:
        yield from mutex_lock(m, m.vcpu[vcpu].life.mutex)
    error = yield from pre_fault_range(m, vcpu, first, npages)
    if BUILDS:
        mutex_unlock(m, m.vcpu[vcpu].life.mutex)
    return error


@process
def pre_fault_range(m: Machine, vcpu: VcpuId, first: Gfn, npages: u8):
    """kvm_vcpu_pre_fault_memory() [7.1], kvm-mmu.md 6.2: page by page in one SRCU section; what was done is success.

    The shared bit lies above the GFNs. Errno.
    """
    vm = m.vcpu[vcpu].vm
    if MEMSLOTS:
        srcu_read_lock(m.vm[vm].memslots.srcu)
    done = 0
    error = OK
    while error == OK and done < npages:
        error = EOPNOTSUPP
        if is_allowed(m, vm):
            error = EINVAL
            if first + done < GFNS:
                error = yield from kvm_arch_vcpu_pre_fault_memory(m, vcpu, Gfn(first + done))
        bug_on(error == EIO, "asserts: WARN_ON_ONCE: a prefault of a page says -EIO")
        if error == OK:
            done = done + 1
    write_back(m, vcpu, u8(npages - done))
    if MEMSLOTS:
        srcu_read_unlock(m.vm[vm].memslots.srcu)
    if error == EAGAIN:
        reached(prefault_gave_up)
    return OK if done != 0 else error


def is_allowed(m: Machine, vm: VmId):
    """kvm->arch.pre_fault_allowed: of a TD once it is finalized."""
    commutes("what is allowed once stays so")
    if BUILDS:
        return m.vm[vm].life.pre_fault_allowed
    return True


@process
def kvm_arch_vcpu_pre_fault_memory(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """kvm_arch_vcpu_pre_fault_memory() [7.1]: the MMU is reloaded, and private or shared decided, once for the page. Errno."""
    vm = m.vcpu[vcpu].vm
    error = yield from reload_mmu(m, vcpu)
    if error != OK:
        return error
    direct = False
    if DIRECT:
        direct = m.vm[vm].direct.gfn_direct_bits == 0 or m.vm[vm].shared[gfn]
    return (yield from kvm_tdp_page_prefault(m, vcpu, gfn, direct))


@process
def reload_mmu(m: Machine, vcpu: VcpuId):
    """kvm_mmu_reload() [7.1] of the roots that the scenario has. Errno."""
    error = OK
    if BUILDS:
        error = yield from kvm_mmu_reload(m, vcpu)
    if DIRECT:
        error = yield from reload_direct_root(m, vcpu)
    return error


@process
def kvm_tdp_page_prefault(m: Machine, vcpu: VcpuId, gfn: Gfn, direct: bool):
    """kvm_tdp_page_prefault() [7.1]: until it is served or a signal comes. Errno.

    Not for a slot that is being deleted, which waits for us [6.18]. Until 7.3 the MMU is not reloaded here: a fault with an
    obsolete root is stale, again and again, and whoever waits for this SRCU section waits for ever.
    """
    vm = m.vcpu[vcpu].vm
    result = Fault.RETRY
    while result == Fault.RETRY:
        signal = yield from signal_pending(m)
        if signal:
            return EINTR
        if KERNEL >= NEXT:
            error = yield from reload_mmu(m, vcpu)
            if error != OK:
                return error
        if is_dead(m, vm):
            return EIO
        result = yield from kvm_mmu_do_page_fault(m, vcpu, gfn, direct)
        if result == Fault.INVALID_SLOT:
            if KERNEL >= V6_18:
                return EAGAIN
            result = Fault.RETRY
    if result == Fault.NO_MEMORY:
        return ENOMEM
    if result == Fault.MEMORY_FAULT:
        return EFAULT
    if result == Fault.EMULATE:
        return ENOENT
    reached(prefaulted)
    return OK


@process
def kvm_mmu_do_page_fault(m: Machine, vcpu: VcpuId, gfn: Gfn, direct: bool):
    """kvm_mmu_do_page_fault() [7.1] of a prefetch, which reads, and has met no translation."""
    if DIRECT:
        if direct:
            m.vcpu[vcpu].direct.fault.prefetch = True
            return (yield from direct_page_fault(m, vcpu, gfn, False, False))
    return (yield from kvm_tdp_mmu_page_fault(m, vcpu, gfn))
