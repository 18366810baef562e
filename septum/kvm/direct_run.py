"""KVM_RUN with direct roots: requests, the root, into the guest for one access, and out to handle what stopped it."""

from septum.host.geometry import Gfn, VcpuId
from septum.host.pools import OK
from septum.host.srcu import srcu_read_lock, srcu_read_unlock
from septum.kvm.direct_fault import direct_page_fault, handle_mmio_page_fault, topup
from septum.kvm.machine import Machine
from septum.kvm.roots import kvm_mmu_free_roots, kvm_tdp_mmu_alloc_root
from septum.kvm.tdp_mmu import Fault
from septum.kvm.tlb import PML, Access, flush_tlb, guest_access
from septum.kvm.vcpu import serve_kick
from septum.lang import Witness, atomic, commutes, each, process, reached

mmio_emulated = Witness("mmio_emulated", "an access was emulated as MMIO")
accessed = Witness("accessed", "the guest made its access")


@process
def access(m: Machine, vcpu: VcpuId, gfn: Gfn, write: bool):
    """The guest reads or writes `gfn` through a direct tree, again and again, until it has or userspace has to convert."""
    vm = m.vcpu[vcpu].vm
    need = True
    while need:
        yield from vcpu_enter_guest(m, vcpu)
        outcome = yield from guest_access(m, vcpu, gfn, write)
        leave(m, vcpu)
        need = outcome != Access.DONE
        if outcome == Access.DONE:
            reached(accessed)
        elif outcome != Access.KICKED:
            srcu_read_lock(m.vm[vm].memslots.srcu)
            if outcome == Access.VIOLATION:
                result = yield from direct_page_fault(m, vcpu, gfn, write)
            else:
                result = yield from handle_mmio_page_fault(m, vcpu, gfn)
            srcu_read_unlock(m.vm[vm].memslots.srcu)
            if result == Fault.EMULATE:
                reached(mmio_emulated)
            need = result != Fault.MEMORY_FAULT and result != Fault.EMULATE and result != Fault.DEAD


@process
def vcpu_enter_guest(m: Machine, vcpu: VcpuId):
    """vcpu_enter_guest() [7.1]: requests and kvm_mmu_reload() first; a request that comes later is seen with the mode set."""
    entered = False
    while not entered:
        if roots_are_obsolete(m, vcpu):
            yield from kvm_mmu_free_roots(m, vcpu)
        if m.vcpu[vcpu].direct.root == 0:
            yield from kvm_mmu_load(m, vcpu)
        yield
        atomic("the mode is set before requests are tested, with interrupts off: of request and IPI one is met in every order")
        entered = not m.vcpu[vcpu].direct.free_obsolete_roots
        if entered:
            m.vcpu[vcpu].in_guest = True
            if m.vcpu[vcpu].direct.tlb_flush:
                m.vcpu[vcpu].direct.tlb_flush = False
                flush_tlb(m, vcpu)


def roots_are_obsolete(m: Machine, vcpu: VcpuId):
    """kvm_check_request(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS)."""
    commutes("a request that comes after this is seen when the mode is set")
    asked = m.vcpu[vcpu].direct.free_obsolete_roots
    m.vcpu[vcpu].direct.free_obsolete_roots = False
    return asked


@process
def kvm_mmu_load(m: Machine, vcpu: VcpuId):
    """kvm_mmu_load() [7.1], kvm-mmu.md 1.6: caches, the direct root, and nothing kept from the one before."""
    error = yield from topup(m, vcpu)
    if error == OK:
        yield from kvm_tdp_mmu_alloc_root(m, vcpu)
        flush_tlb(m, vcpu)


def leave(m: Machine, vcpu: VcpuId):
    """A VM exit: the kick is served; vmx_flush_pml_buffer() [7.1] puts what the CPU logged into the dirty log."""
    if PML:
        flush_pml(m, vcpu)
    serve_kick(m, vcpu)


def flush_pml(m: Machine, vcpu: VcpuId):
    """vmx_flush_pml_buffer() [7.1]."""
    atomic("each GPA is marked on its own; who reads the log has made the vCPU exit before, and waits for it")
    direct = m.vcpu[vcpu].direct
    for gfn in each(Gfn):
        if direct.pml[gfn]:
            direct.pml[gfn] = False
            m.vm[m.vcpu[vcpu].vm].direct.dirty_bitmap[gfn] = True
