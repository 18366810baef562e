"""A guest that uses private memory which it may not have accepted: #VE in the guest, or the end of its VM; kvm-mmu.md 6.1.

Which of both, the TD was created with (PENDING_VE_DISABLE).
"""

from septum.host.frames import PageType
from septum.host.geometry import Gfn, Level, VcpuId, VmId
from septum.kvm.machine import Machine
from septum.kvm.requests import kvm_make_all_cpus_request
from septum.kvm.tdp.tdp_mmu import Fault
from septum.kvm.vmx.vcpu import accept, leave_guest, tdx_handle_ept_violation, tdx_vcpu_run
from septum.lang import Enum, Witness, atomic, each, process, reached
from septum.tdx.geometry import PENDING_VE_DISABLE
from septum.tdx.guest import Accepted
from septum.tdx.sept import SeptState, entry_of, sept_page, sept_state, stop_level

private_used = Witness("private_used", "the guest used a private page")
took_ve = Witness("took_ve", "the guest used a page that it had not accepted: #VE, in which it accepts it")
vm_killed = Witness("vm_killed", "the guest used a page that it had not accepted, and its VM died")


class Met(Enum):
    """What an access of the guest to private memory meets."""

    PAGE = 0
    PENDING = 1  # #VE, or an EPT violation that says so
    NOTHING = 2  # EPT violation
    KICKED = 3  # an IPI came first


@process
def use(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """The guest uses `gfn`, again and again, and KVM serves its faults, until it could.

    Not in a VM that is dead, and not if userspace would have to convert the page.
    """
    need = True
    while need:
        yield from tdx_vcpu_run(m, vcpu)
        if PENDING_VE_DISABLE:
            if not m.vcpu[vcpu].in_guest:
                return
        met = yield from use_private_page(m, vcpu, gfn)
        accepted = Accepted.VIOLATION if met == Met.NOTHING else Accepted.KICKED
        if met == Met.PENDING and not PENDING_VE_DISABLE:
            reached(took_ve)
            accepted = yield from accept(m, vcpu, gfn)
        leave_guest(m, vcpu, accepted)
        if accepted == Accepted.VIOLATION:
            result = yield from tdx_handle_ept_violation(m, vcpu, gfn)
            need = result != Fault.MEMORY_FAULT and result != Fault.DEAD
        elif met == Met.PENDING and PENDING_VE_DISABLE:
            yield from kvm_vm_dead(m, m.vcpu[vcpu].vm)
            need = False
        else:
            need = met != Met.PAGE


@process
def use_private_page(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """A load or store of the guest at `gfn`: one walk of the Secure EPT; tdx-module.md 9.2."""
    vm = m.vcpu[vcpu].vm
    yield
    atomic("one walk: no table of it goes before TRACK saw the vCPU leave the guest, and an IPI may be late")
    if m.vcpu[vcpu].kicked:
        return Met.KICKED
    word = entry_of(m, vm, gfn, stop_level(m, vm, gfn, Level(1)))
    state = sept_state(word)
    if state == SeptState.PENDING:
        return Met.PENDING
    if state != SeptState.MAPPED:
        return Met.NOTHING
    frame = m.frame[sept_page(word)]
    assert frame.type == PageType.REG and frame.owner == vm, f"tlb: the guest reaches a page at GFN {gfn} that is not the TD's"
    reached(private_used)
    return Met.PAGE


@process
def kvm_vm_dead(m: Machine, vm: VmId):
    """kvm_vm_dead() [7.1], kvm-mmu.md 6.1: KVM_REQ_VM_DEAD; those in the guest come out, and from then on nobody enters."""
    yield
    atomic("a vCPU that comes between the flag and the IPIs sees the flag, or was in the guest before and gets an IPI")
    m.vm[vm].bugged = True
    reached(vm_killed)
    yield from kvm_make_all_cpus_request(m, vm)
    for vcpu in each(VcpuId):
        inside = m.vcpu[vcpu].vm == vm and m.vcpu[vcpu].in_guest
        assert not inside, "asserts: a vCPU runs in a VM that is dead, after KVM_REQ_VM_DEAD"
