"""The guest on an LP: TDCALL, memory accesses, and the TD exits that they end in; tdx-module.md 9.2, 11."""

from septum.host.entry import PAGE_SHIFT
from septum.host.geometry import ENTRY_BITS, Gfn, Level, leaf_base
from septum.lang import process, u8, u64
from septum.tdx.abi import copy
from septum.tdx.geometry import WHOLE
from septum.tdx.guest import (
    EXT_ACCEPT,
    EXT_ATTRIBUTES,
    EXT_PENDING,
    Accepted,
    failed_info,
    failed_qualification,
    tdg_mem_page_accept,
    tdg_mem_page_attr_rd,
    tdg_mem_page_attr_wr,
    translate,
)
from septum.tdx.leaves import GuestLeaf
from septum.tdx.operands import R8, R9, R10, R11, R12, R13, RAX, RCX, RDX
from septum.tdx.platform import Platform
from septum.tdx.processor import GuestEvent, me, refuse
from septum.tdx.sept import SeptState, entry_of, sept_state, stop_level
from septum.tdx.status import (
    TDX_HOST_PRIORITY_BUSY_TIMEOUT,
    TDX_NO_VALID_VE_INFO,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_BUSY_HOST_PRIORITY,
    TDX_OPERAND_INVALID,
    TDX_PAGE_ALREADY_ACCEPTED,
    TDX_PAGE_SIZE_MISMATCH,
    TDX_SUCCESS,
)
from septum.tdx.stepping import get_on, log_fault, note_rip
from septum.tdx.td import is_private
from septum.tdx.unpack import ADDRESS_OPERAND
from septum.tdx.vp import EPT_VIOLATION, EXTERNAL_INTERRUPT, VMCALL, clear_exit, leave_guest


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
        yield from read_attributes(m)
    elif lp.given.rax == u8(GuestLeaf.VP_VMCALL):
        vmcall(m)
    elif lp.given.rax == u8(GuestLeaf.VP_INFO):
        vp_info(m)
    elif lp.given.rax == u8(GuestLeaf.VP_VEINFO_GET):
        lp.status = refuse(m, TDX_NO_VALID_VE_INFO, 0)
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
        return
    lp.status = TDX_OPERAND_BUSY  # the guest is not told
    if waits.busy_since == 0:
        waits.busy_since = m.sys.clock + 1
    elif m.sys.clock + 1 - waits.busy_since >= m.td[waits.vm].build.hp_timeout:
        note_rip(m, lp.vcpu)
        clear_exit(lp.answer)
        leave_guest(m, 0)
        waits.trap = True
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
    clear_exit(m.lp[me()].answer)
    leave_guest(m, EXTERNAL_INTERRUPT)


def vmcall(m):
    """TDG.VP.VMCALL: a TD exit with the registers that RCX selects, a bit each from RAX to R15; the others are 0."""
    lp = m.lp[me()]
    mask = lp.given.rcx
    if mask & VMCALL_RESERVED != 0:
        lp.status = refuse(m, TDX_OPERAND_INVALID, RCX)
        return
    answer = lp.answer
    answer.rdx = answer.rdx if mask & 1 << RDX != 0 else 0
    answer.r8 = answer.r8 if mask & 1 << R8 != 0 else 0
    answer.r9 = answer.r9 if mask & 1 << R9 != 0 else 0
    answer.r10 = answer.r10 if mask & 1 << R10 != 0 else 0
    answer.r11 = answer.r11 if mask & 1 << R11 != 0 else 0
    answer.r12 = answer.r12 if mask & 1 << R12 != 0 else 0
    answer.r13 = answer.r13 if mask & 1 << R13 != 0 else 0
    note_rip(m, lp.vcpu)
    leave_guest(m, VMCALL)


VMCALL_RESERVED = 0xFFFFFFFF00000013  # RAX, RCX and RSP do not pass


def vp_info(m):
    """TDG.VP.INFO: the width of a GPA, attributes, how many vCPUs there are and may be, this one's number, that SYS.RD exists."""
    lp = m.lp[me()]
    td = m.td[m.tdvps[lp.vcpu].build.vm].build
    lp.answer.rcx = 52 if td.wide else 48
    lp.answer.rdx = td.attributes
    lp.answer.r8 = u64((u64(td.max_vcpus) << 32) | td.vcpus)
    lp.answer.r9 = m.tdvps[lp.vcpu].build.index
    lp.answer.r10 = 1
    lp.answer.r11 = 0


@process
def accept(m: Platform):
    """TDG.MEM.PAGE.ACCEPT with GPA and level in RCX."""
    lp = m.lp[me()]
    level = guest_level(m, 1)
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
    """TDG.MEM.PAGE.ATTR.WR: GPA and level in RCX; attributes and flags of L2 VMs, which the TD has not, in RDX and R8."""
    lp = m.lp[me()]
    for vm in range(4):
        if lp.given.rdx >> (16 * vm) & 0xFFFF != 0:
            lp.status = refuse_attributes(m, RDX)
            return
        if lp.given.r8 >> (16 * vm) & 0xFFFF != 0:
            lp.status = refuse_attributes(m, R8)
            return
    level = guest_level(m, 2)
    if level == 0:
        lp.status = refuse_attributes(m, RCX)
        return
    gfn = guest_gfn(lp.given.rcx)
    result = yield from tdg_mem_page_attr_wr(m, m.tdvps[lp.vcpu].build.vm, gfn, level)
    if result == Accepted.SIZE_MISMATCH:
        lp.answer.rcx = 0
        lp.answer.rdx = 0
        lp.status = TDX_PAGE_SIZE_MISMATCH
    elif result == Accepted.PENDING:
        lp.answer.rcx = u64(lp.given.rcx | ATTRIBUTES_PENDING)
        lp.answer.rdx = 0
    elif result == Accepted.DONE:
        lp.answer.rdx = 0
    else:
        answer_attributes(m, result, gfn, level)


def refuse_attributes(m, operand: u8):
    """An operand of ATTR.RD or ATTR.WR that is none: RCX and RDX say nothing."""
    m.lp[me()].answer.rcx = 0
    m.lp[me()].answer.rdx = 0
    return refuse(m, TDX_OPERAND_INVALID, operand)


def answer_attributes(m, result: Accepted, gfn: Gfn, level: Level):
    """An ATTR leaf that was busy or has to leave the guest."""
    if result in (Accepted.BUSY, Accepted.HOST_PRIORITY):
        m.lp[me()].answer.rcx = 0
        m.lp[me()].answer.rdx = 0
    answer_guest(m, result, gfn, level, EXT_ATTRIBUTES)


@process
def read_attributes(m: Platform):
    """TDG.MEM.PAGE.ATTR.RD, tdx-module.md 11.2: where the leaf of a GPA is, in RCX; in RDX no L2 VM has permissions."""
    lp = m.lp[me()]
    vm = m.tdvps[lp.vcpu].build.vm
    if not is_private(m, vm, lp.given.rcx):
        lp.status = refuse_attributes(m, RCX)
        return
    gfn = guest_gfn(lp.given.rcx)
    result = yield from tdg_mem_page_attr_rd(m, vm, gfn)
    if result in (Accepted.DONE, Accepted.PENDING):
        at = lp.at
        lp.answer.rcx = u64((u64(leaf_base(gfn, at)) << PAGE_SHIFT) | u8(at - 1))
        if result == Accepted.PENDING:
            lp.answer.rcx = u64(lp.answer.rcx | ATTRIBUTES_PENDING)
        lp.answer.rdx = 0
    elif result == Accepted.VIOLATION:
        clear_exit(lp.answer)
        lp.answer.r8 = u64(gfn) << PAGE_SHIFT
        note_rip(m, lp.vcpu)
        leave_guest(m, EPT_VIOLATION)
    else:
        answer_attributes(m, result, gfn, Level(1))


ATTRIBUTES_PENDING = 1 << 62


def guest_level(m, most: u8):
    """The level in RCX of a guest's leaf, one more than the module's; 0 if RCX is malformed, tdx-module.md 11.1."""
    lp = m.lp[me()]
    rcx = lp.given.rcx
    level = rcx & 7
    gpa = rcx & ADDRESS_OPERAND
    if rcx & 0xFFF0000000000FF8 != 0 or level > most or not is_private(m, m.tdvps[lp.vcpu].build.vm, gpa):
        return Level(0)
    return Level(level + 1) if (gpa >> PAGE_SHIFT) % (1 << (ENTRY_BITS * (level & 3))) == 0 else Level(0)


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
        word = lp.word
        at = lp.at
        clear_exit(lp.answer)
        lp.answer.rcx = failed_qualification(word)
        lp.answer.rdx = failed_info(word, at, level, of)
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
    vm = m.tdvps[lp.vcpu].build.vm
    if not is_private(m, vm, lp.given.rcx):
        lp.event = GuestEvent.VE
        get_on(m)
        return
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
    write = lp.given.rdx & 1 != 0
    clear_exit(lp.answer)
    lp.answer.rcx = u64((2 if write else 1) | ((word & 7) << 3))
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
