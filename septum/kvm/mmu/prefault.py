"""KVM_PRE_FAULT_MEMORY: userspace has pages mapped before the guest asks for them; kvm-mmu.md 6.2."""

from septum.host.geometry import GFNS, Gfn, VcpuId
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
from septum.kvm.tdp.direct import DIRECT
from septum.kvm.tdp.tdp_mmu import Fault
from septum.kvm.versions import KERNEL, V6_18
from septum.lang import Witness, process, reached, u8
from septum.tdx.geometry import BUILDS

prefaulted = Witness("prefaulted", "a page was mapped by KVM_PRE_FAULT_MEMORY")
prefault_gave_up = Witness("prefault_gave_up", "KVM_PRE_FAULT_MEMORY ended with -EAGAIN, for the slot is being deleted")


@process
def kvm_vcpu_pre_fault_memory(m: Machine, vcpu: VcpuId, first: Gfn, npages: u8):
    """kvm_vcpu_pre_fault_memory() [7.1], kvm-mmu.md 6.2: page by page in one SRCU section; what was done is success."""
    vm = m.vcpu[vcpu].vm
    if BUILDS:
        yield from mutex_lock(m, m.vcpu[vcpu].life.mutex)
        allowed = m.vm[vm].life.pre_fault_allowed
        error = EOPNOTSUPP
        if allowed:
            error = yield from kvm_mmu_reload(m, vcpu)
        if error == OK:
            error = yield from pre_fault_range(m, vcpu, first, npages)
        mutex_unlock(m, m.vcpu[vcpu].life.mutex)
        return error
    return (yield from pre_fault_range(m, vcpu, first, npages))


@process
def pre_fault_range(m: Machine, vcpu: VcpuId, first: Gfn, npages: u8):
    """The loop over the pages: an error is one only if nothing was done. The shared bit lies above the GFNs. Errno."""
    vm = m.vcpu[vcpu].vm
    if MEMSLOTS:
        srcu_read_lock(m.vm[vm].memslots.srcu)
    done = 0
    error = OK
    while error == OK and done < npages:
        error = EINVAL
        if first + done < GFNS:
            error = yield from kvm_tdp_page_prefault(m, vcpu, Gfn(first + done))
        if error == OK:
            done = done + 1
    write_back(m, vcpu, u8(npages - done))
    if MEMSLOTS:
        srcu_read_unlock(m.vm[vm].memslots.srcu)
    if error == EAGAIN:
        reached(prefault_gave_up)
    return OK if done != 0 else error


@process
def kvm_tdp_page_prefault(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """kvm_tdp_page_prefault() [7.1]: until it is served or a signal comes.

    Not for a slot that is being deleted, which waits for us [6.18].
    """
    vm = m.vcpu[vcpu].vm
    result = Fault.RETRY
    while result == Fault.RETRY:
        signal = yield from signal_pending(m)
        if signal:
            return EINTR
        if DIRECT and m.vm[vm].shared[gfn]:
            result = yield from direct_page_fault(m, vcpu, gfn, False)
        else:
            result = yield from kvm_tdp_mmu_page_fault(m, vcpu, gfn)
        if result == Fault.INVALID_SLOT:
            if KERNEL >= V6_18:
                return EAGAIN
            result = Fault.RETRY
        if m.vm[vm].bugged:
            return EIO
    if result == Fault.NO_MEMORY:
        return ENOMEM
    if result == Fault.MEMORY_FAULT:
        return EFAULT
    if result == Fault.EMULATE:
        return ENOENT
    reached(prefaulted)
    return OK
