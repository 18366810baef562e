"""The guest on an LP: TDCALL, memory accesses, and the TD exits that they end in; tdx-module.md 9.2, 11."""

from septum.host.entry import PAGE_SHIFT
from septum.host.geometry import ENTRY_BITS, GFNS, Gfn, Level
from septum.lang import process, u8, u64
from septum.tdx.abi import copy
from septum.tdx.geometry import WHOLE
from septum.tdx.guest import (
    EXT_PENDING,
    Accepted,
    accept_info,
    accept_qualification,
    tdg_mem_page_accept,
    translate,
)
from septum.tdx.leaves import GuestLeaf
from septum.tdx.operands import RAX, RCX
from septum.tdx.platform import Platform
from septum.tdx.processor import GuestEvent, me, refuse
from septum.tdx.sept import SeptState, entry_of, sept_state, stop_level
from septum.tdx.status import (
    TDX_OPERAND_BUSY,
    TDX_OPERAND_BUSY_HOST_PRIORITY,
    TDX_OPERAND_INVALID,
    TDX_PAGE_ALREADY_ACCEPTED,
    TDX_PAGE_SIZE_MISMATCH,
    TDX_SUCCESS,
)
from septum.tdx.vp import EPT_VIOLATION, EXTERNAL_INTERRUPT, VMCALL, leave_guest, log_fault, note_rip


@process
def tdcall(m: Platform):
    """A TDCALL of the vCPU on this LP: ACCEPT is answered, anything else that is known ends in a TD exit for the host."""
    lp = m.lp[me()]
    begin_instruction(m)
    if lp.interrupt:
        interrupt_exit(m)
        return
    if lp.given.rax == u8(GuestLeaf.MEM_PAGE_ACCEPT):
        yield from accept(m)
    elif lp.given.rax == u8(GuestLeaf.VP_VMCALL):
        note_rip(m, lp.vcpu)
        leave_guest(m, VMCALL)
    else:
        lp.status = refuse(m, TDX_OPERAND_INVALID, RAX)


def begin_instruction(m):
    """The guest goes on: its registers are the answer until something else is said."""
    lp = m.lp[me()]
    assert lp.vcpu != 0, "host: the LP runs no guest"
    copy(lp.answer, lp.given)
    lp.event = GuestEvent.DONE
    lp.status = TDX_SUCCESS
    lp.low = 0


def interrupt_exit(m):
    """A pending interrupt takes the vCPU out before its instruction."""
    note_rip(m, m.lp[me()].vcpu)
    m.lp[me()].interrupt = False
    leave_guest(m, EXTERNAL_INTERRUPT)


@process
def accept(m: Platform):
    """TDG.MEM.PAGE.ACCEPT with GPA and level in RCX."""
    lp = m.lp[me()]
    rcx = lp.given.rcx
    level = rcx & 7
    gfn = (rcx & 0x000FFFFFFFFFF000) >> PAGE_SHIFT
    if rcx & 0xFFF0000000000FF8 != 0 or level > 1 or gfn >= GFNS or gfn % (1 << (ENTRY_BITS * (level & 1))) != 0:
        lp.status = refuse(m, TDX_OPERAND_INVALID, RCX)
        return
    vm = m.tdvps[lp.vcpu].build.vm
    result = yield from tdg_mem_page_accept(m, vm, Gfn(gfn), Level(level + 1))
    if result == Accepted.ALREADY:
        lp.status = TDX_PAGE_ALREADY_ACCEPTED
    elif result == Accepted.SIZE_MISMATCH:
        lp.status = TDX_PAGE_SIZE_MISMATCH
    elif result == Accepted.BUSY:
        lp.status = refuse(m, TDX_OPERAND_BUSY, RCX)
    elif result == Accepted.HOST_PRIORITY:
        lp.status = refuse(m, TDX_OPERAND_BUSY_HOST_PRIORITY, RCX)
    elif result == Accepted.KICKED:
        lp.event = GuestEvent.AGAIN
    elif result != Accepted.DONE:
        lp.answer.rcx = accept_qualification(m, vm, Gfn(gfn), Level(level + 1))
        lp.answer.rdx = accept_info(m, vm, Gfn(gfn), Level(level + 1))
        lp.answer.r8 = u64(gfn) << PAGE_SHIFT
        note_rip(m, lp.vcpu)
        leave_guest(m, EPT_VIOLATION)


@process
def guest_access(m: Platform):
    """A load or store of the guest: RCX is the GPA, RDX 1 for a write. On a hit RCX is the HPA that it reached."""
    if not WHOLE:
        yield
    lp = m.lp[me()]
    begin_instruction(m)
    if lp.interrupt:
        interrupt_exit(m)
        return
    gfn = lp.given.rcx >> PAGE_SHIFT
    if gfn >= GFNS:
        lp.event = GuestEvent.VE
        return
    vm = m.tdvps[lp.vcpu].build.vm
    page = translate(m, vm, Gfn(gfn))
    if page != 0:
        lp.answer.rcx = (u64(page) << PAGE_SHIFT) | (lp.given.rcx & 4095)
        return
    word = entry_of(m, vm, Gfn(gfn), stop_level(m, vm, Gfn(gfn), Level(1)))
    pending = sept_state(word) == SeptState.PENDING
    if pending and not m.td[vm].build.pending_ve_disable:
        lp.event = GuestEvent.VE
        return
    lp.answer.rcx = u64((2 if lp.given.rdx & 1 != 0 else 1) | ((word & 7) << 3))
    lp.answer.rdx = EXT_PENDING if pending else 0
    lp.answer.r8 = u64(gfn << PAGE_SHIFT)
    log_fault(m, lp.vcpu, Gfn(gfn))
    leave_guest(m, EPT_VIOLATION)


@process
def interrupt_guest(m: Platform):
    """An external interrupt arrives at this LP: a guest leaves, a leaf that polls sees it."""
    if not WHOLE:
        yield
    if m.lp[me()].vcpu != 0:
        begin_instruction(m)
        interrupt_exit(m)
    else:
        m.lp[me()].interrupt = True
