"""The guest on an LP: TDCALL, memory accesses, and the TD exits that they end in; tdx-module.md 9.2, 11."""

from septum.host.entry import PAGE_SHIFT
from septum.host.geometry import ENTRY_BITS, GFNS, Gfn, Level, leaf_base
from septum.lang import process, u8, u64
from septum.tdx.abi import ADDRESS_OPERAND, copy
from septum.tdx.geometry import WHOLE
from septum.tdx.guest import (
    EXT_ACCEPT,
    EXT_ATTRIBUTES,
    EXT_PENDING,
    Accepted,
    failed_info,
    failed_qualification,
    has_attributes,
    tdg_mem_page_accept,
    tdg_mem_page_attr_wr,
    translate,
)
from septum.tdx.leaves import GuestLeaf
from septum.tdx.operands import RAX, RCX
from septum.tdx.platform import Platform
from septum.tdx.processor import GuestEvent, me, refuse
from septum.tdx.sept import SeptState, entry_of, sept_state, stop_level
from septum.tdx.status import (
    TDX_HOST_PRIORITY_BUSY_TIMEOUT,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_BUSY_HOST_PRIORITY,
    TDX_OPERAND_INVALID,
    TDX_PAGE_ALREADY_ACCEPTED,
    TDX_PAGE_SIZE_MISMATCH,
    TDX_SUCCESS,
)
from septum.tdx.vp import EPT_VIOLATION, EXTERNAL_INTERRUPT, VMCALL, get_on, leave_guest, log_fault, note_rip


@process
def tdcall(m: Platform):
    """A TDCALL of the vCPU on this LP: ACCEPT and ATTR are answered, VMCALL ends in a TD exit for the host."""
    lp = m.lp[me()]
    begin_instruction(m)
    if lp.interrupt:
        interrupt_exit(m)
        return
    if lp.given.rax == u8(GuestLeaf.MEM_PAGE_ACCEPT):
        yield from accept(m)
    elif lp.given.rax == u8(GuestLeaf.MEM_PAGE_ATTR_WR):
        yield from write_attributes(m)
    elif lp.given.rax == u8(GuestLeaf.MEM_PAGE_ATTR_RD):
        read_attributes(m)
    elif lp.given.rax == u8(GuestLeaf.VP_VMCALL):
        note_rip(m, lp.vcpu)
        leave_guest(m, VMCALL)
    else:
        lp.status = refuse(m, TDX_OPERAND_INVALID, RAX)
    end_tdcall(m)


def end_tdcall(m):
    """A guest that is still there gets on, unless it executes the instruction again, or waits for a host for too long."""
    lp = m.lp[me()]
    if lp.event != GuestEvent.DONE:
        return
    get_on(m)
    waits = m.tdvps[lp.vcpu].build
    if lp.status != TDX_OPERAND_BUSY_HOST_PRIORITY:
        waits.busy_since = 0
    elif waits.busy_since == 0:
        waits.busy_since = m.sys.clock + 1
    elif m.sys.clock + 1 - waits.busy_since >= m.td[waits.vm].build.hp_timeout:
        note_rip(m, lp.vcpu)
        leave_guest(m, 0)
        lp.status = refuse(m, TDX_HOST_PRIORITY_BUSY_TIMEOUT, 0)


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
    level = guest_level(lp.given.rcx)
    if level == 0:
        lp.status = refuse(m, TDX_OPERAND_INVALID, RCX)
        return
    gfn = guest_gfn(lp.given.rcx)
    result = yield from tdg_mem_page_accept(m, m.tdvps[lp.vcpu].build.vm, gfn, level)
    if result == Accepted.ALREADY:
        lp.status = TDX_PAGE_ALREADY_ACCEPTED
    elif result == Accepted.SIZE_MISMATCH:
        lp.status = TDX_PAGE_SIZE_MISMATCH
    elif result == Accepted.KICKED:
        lp.event = GuestEvent.AGAIN
    else:
        answer_guest(m, result, gfn, level, EXT_ACCEPT)


@process
def write_attributes(m: Platform):
    """TDG.MEM.PAGE.ATTR.WR with GPA and level in RCX."""
    lp = m.lp[me()]
    level = guest_level(lp.given.rcx)
    if level == 0:
        lp.status = refuse(m, TDX_OPERAND_INVALID, RCX)
        return
    gfn = guest_gfn(lp.given.rcx)
    result = yield from tdg_mem_page_attr_wr(m, m.tdvps[lp.vcpu].build.vm, gfn, level)
    answer_guest(m, result, gfn, level, EXT_ATTRIBUTES)


def read_attributes(m):
    """TDG.MEM.PAGE.ATTR.RD, tdx-module.md 11.2: where the leaf of a GPA is, in RCX; in RDX no L2 VM has permissions."""
    lp = m.lp[me()]
    level = guest_level(lp.given.rcx)
    if level == 0:
        lp.status = refuse(m, TDX_OPERAND_INVALID, RCX)
        return
    vm = m.tdvps[lp.vcpu].build.vm
    gfn = guest_gfn(lp.given.rcx)
    at = stop_level(m, vm, gfn, Level(1))
    if has_attributes(entry_of(m, vm, gfn, at)):
        lp.answer.rcx = u64((u64(leaf_base(gfn, at)) << PAGE_SHIFT) | u8(at - 1))
        lp.answer.rdx = 0
    else:
        answer_guest(m, Accepted.VIOLATION, gfn, Level(1), EXT_ATTRIBUTES)


def guest_level(rcx: u64):
    """The level in RCX of a guest's leaf, one more than the module's; 0 if RCX is malformed, tdx-module.md 11.1."""
    level = rcx & 7
    gfn = (rcx & ADDRESS_OPERAND) >> PAGE_SHIFT
    if rcx & 0xFFF0000000000FF8 != 0 or level > 1 or gfn >= GFNS or gfn % (1 << (ENTRY_BITS * (level & 1))) != 0:
        return Level(0)
    return Level(level + 1)


def guest_gfn(rcx: u64):
    """The page of the GPA in RCX of a guest's leaf, which is one."""
    return Gfn((rcx & ADDRESS_OPERAND) >> PAGE_SHIFT)


def answer_guest(m, result: Accepted, gfn: Gfn, level: Level, of: u8):
    """How a guest's leaf ends that was busy or found no entry as it wants it: a TD exit of type `of`."""
    lp = m.lp[me()]
    if result == Accepted.BUSY:
        lp.status = refuse(m, TDX_OPERAND_BUSY, RCX)
    elif result == Accepted.HOST_PRIORITY:
        lp.status = refuse(m, TDX_OPERAND_BUSY_HOST_PRIORITY, RCX)
    elif result != Accepted.DONE:
        vm = m.tdvps[lp.vcpu].build.vm
        lp.answer.rcx = failed_qualification(m, vm, gfn, level)
        lp.answer.rdx = failed_info(m, vm, gfn, level, of)
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
        get_on(m)
        return
    vm = m.tdvps[lp.vcpu].build.vm
    page = translate(m, vm, Gfn(gfn))
    if page != 0:
        lp.answer.rcx = (u64(page) << PAGE_SHIFT) | (lp.given.rcx & 4095)
        get_on(m)
        return
    word = entry_of(m, vm, Gfn(gfn), stop_level(m, vm, Gfn(gfn), Level(1)))
    pending = sept_state(word) == SeptState.PENDING
    if pending and not m.td[vm].build.pending_ve_disable:
        lp.event = GuestEvent.VE
        get_on(m)
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
