"""KVM_RUN with direct roots: requests, the root, into the guest for one access, and out to handle what stopped it."""

from septum.host.geometry import Gfn, VcpuId, VmId
from septum.host.srcu import srcu_read_lock, srcu_read_unlock
from septum.kvm.machine import Machine
from septum.kvm.memslots import slot_at
from septum.kvm.mmu.direct_fault import direct_page_fault, handle_mmio_page_fault
from septum.kvm.mmu.reload import may_enter, reload_direct_root
from septum.kvm.tdp.tdp_mmu import Fault
from septum.kvm.tdp.tlb import PML, Acc, Access, guest_access
from septum.kvm.vmx.vcpu import leave_guest, serve_kick, tdx_vcpu_run
from septum.lang import Witness, atomic, bug_on, each, process, reached
from septum.tdx.guest import Accepted

mmio_emulated = Witness("mmio_emulated", "an access was emulated as MMIO")
accessed = Witness("accessed", "the guest made its access")
mmio_over_slot = Witness("mmio_over_slot", "a TD had an access emulated where a memslot is by now")
fetch_refused = Witness("fetch_refused", "a TD was to execute shared memory, and its CPU refused")


@process
def access(m: Machine, vcpu: VcpuId, gfn: Gfn, acc: Acc):
    """The guest reads, writes or executes `gfn` through a direct tree, again and again, until it has or userspace converts."""
    vm = m.vcpu[vcpu].vm
    need = True
    while need:
        yield from vcpu_enter_guest(m, vcpu)
        outcome = yield from guest_access(m, vcpu, gfn, acc)
        leave(m, vcpu)
        need = outcome != Access.DONE and outcome != Access.PAGE_FAULT
        if outcome == Access.DONE:
            reached(accessed)
        elif outcome == Access.PAGE_FAULT:
            reached(fetch_refused)
        elif outcome != Access.KICKED:
            srcu_read_lock(m.vm[vm].memslots.srcu)
            result = Fault.EMULATE
            if outcome != Access.MISCONFIG:
                check_fetch(m, vcpu, acc)
                result = yield from direct_page_fault(m, vcpu, gfn, acc == Acc.WRITE, outcome == Access.PROTECTED)
            elif m.vm[vm].direct.gfn_direct_bits == 0:
                result = yield from handle_mmio_page_fault(m, vcpu, gfn)
            else:
                tdx_emulate_mmio(m, vm, gfn)
            srcu_read_unlock(m.vm[vm].memslots.srcu)
            if result == Fault.EMULATE:
                reached(mmio_emulated)
            need = result != Fault.MEMORY_FAULT and result != Fault.EMULATE and result != Fault.DEAD


def tdx_emulate_mmio(m: Machine, vm: VmId, gfn: Gfn):
    """tdx_emulate_mmio() [7.1]: the guest asks for it when it got a #VE; nobody looks at memslots or their generation."""
    if slot_at(m, vm, gfn) != 0:
        reached(mmio_over_slot)


def check_fetch(m: Machine, vcpu: VcpuId, acc: Acc):
    """tdx_handle_ept_violation() [7.1] of a shared GPA, kvm-mmu.md 6.1: no fetch comes here, or the CPU is broken."""
    shared = m.vm[m.vcpu[vcpu].vm].direct.gfn_direct_bits != 0
    bug_on(shared and acc == Acc.INSTR, "asserts: KVM_BUG_ON: an instruction fetch from shared memory")


@process
def vcpu_enter_guest(m: Machine, vcpu: VcpuId):
    """vcpu_enter_guest() [7.1]: of a TD by TDH.VP.ENTER; of a plain VM when requests are served and the root is there."""
    if m.vm[m.vcpu[vcpu].vm].direct.gfn_direct_bits != 0:
        yield from tdx_vcpu_run(m, vcpu)
        return
    entered = False
    while not entered:
        yield from reload_direct_root(m, vcpu)
        yield
        atomic("the mode is set before requests are tested, with interrupts off: of request and IPI one is met in every order")
        m.vcpu[vcpu].in_guest = True
        entered = may_enter(m, vcpu)
        if not entered:
            serve_kick(m, vcpu)


def leave(m: Machine, vcpu: VcpuId):
    """A VM exit: the kick is served; vmx_flush_pml_buffer() [7.1] puts what the CPU logged into the dirty log."""
    if PML:
        flush_pml(m, vcpu)
    if m.vm[m.vcpu[vcpu].vm].direct.gfn_direct_bits != 0:
        leave_guest(m, vcpu, Accepted.DONE)
    else:
        serve_kick(m, vcpu)


def flush_pml(m: Machine, vcpu: VcpuId):
    """vmx_flush_pml_buffer() [7.1]."""
    atomic("each GPA is marked on its own; who reads the log has made the vCPU exit before, and waits for it")
    direct = m.vcpu[vcpu].direct
    for gfn in each(Gfn):
        if direct.pml[gfn]:
            direct.pml[gfn] = False
            m.vm[m.vcpu[vcpu].vm].direct.dirty_bitmap[gfn] = True
