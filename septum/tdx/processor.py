"""A logical processor as the module sees it: the registers of a call and of its answer, and what it runs.

Only the whole module has it. A leaf says with `refuse` which operand its status is about; inside of a machine of which KVM is
modelled too nobody reads that, and the status alone is left.
"""

from septum.host.cpu import me
from septum.host.entry import PAGE_SHIFT, Entry
from septum.host.geometry import PAGES, Gfn, Level, Pfn, VcpuId, VmId
from septum.lang import Enum, Struct, u8, u16, u32, u64
from septum.tdx.geometry import FIRST_HKID, STEPPED_GPAS, TLB_ENTRIES, WHOLE, Package
from septum.tdx.leaves import Leaf
from septum.tdx.status import TDX_SUCCESS, Status


class Registers(Struct):
    """The general-purpose registers that leaves read and write."""

    rax: u64
    rcx: u64
    rdx: u64
    r8: u64
    r9: u64
    r10: u64
    r11: u64
    r12: u64
    r13: u64


class Translation(Struct):
    """A cached translation of a TD's memory: what a guest may use although the Secure EPT says something else by now."""

    vm: VmId  # 0: none
    level: Level
    gfn: Gfn
    page: Pfn


class GuestEvent(Enum):
    """What became of an instruction of the guest."""

    NONE = 0
    DONE = 1
    AGAIN = 2  # TDCALL: an interrupt came first, the instruction is executed again
    VE = 3  # a virtualization exception in the guest
    EXIT = 4  # TD exit: VP.ENTER ends


class TdParams(Struct):
    """TD_PARAMS as the host hands it in: the fields that say something of memory and vCPUs, or that are checked."""

    attributes: u64
    xfam: u64
    max_vcpus: u16
    l2_vms: u8
    eptp: u64
    config: u64
    tsc: u16


class LogicalProcessor(Struct):
    """One LP: registers, the vCPU that it runs, its cached translations."""

    given: Registers
    answer: Registers
    leaf: Leaf
    version: u8
    status: Status
    low: u32  # operand id, level, state: bits 31:0 of the status
    tdr: Pfn  # the TDR operand of the leaf that runs, and its id
    tdr_operand: u8
    malformed: u16  # HPA operands that are no page number, a bit each by id
    walked: Pfn  # where the walk of the leaf that runs ended: a table, the entry as it was before it was locked, its level
    word: Entry
    at: Level
    params: TdParams  # what RDX of MNG.INIT points to
    package: Package
    initialised: bool
    interrupt: bool  # one is pending
    vcpu: VcpuId  # the vCPU that runs here; 0: the host does
    last: VcpuId  # the vCPU that ran here last
    event: GuestEvent
    tlb: Translation[TLB_ENTRIES]
    tlb_next: u16


class ZeroStep(Struct):
    """The zero-step log of a vCPU, tdx-module.md 9.3."""

    entry_rip: u64  # at the last entry
    rip: u64  # where the guest is
    faults: u8
    logged: u8
    gpa: u64[STEPPED_GPAS]
    notify: bool  # NOTIFY_ENABLES bit 0


def refuse(m, status: Status, low):
    """A status, with what its low bits say: an operand id, a level, a state."""
    if WHOLE:
        m.lp[me()].low = low
    return status


def succeed(m, rcx, rdx):
    """TDX_SUCCESS with results in RCX and RDX."""
    if WHOLE:
        m.lp[me()].answer.rcx = rcx
        m.lp[me()].answer.rdx = rdx
    return TDX_SUCCESS


def is_shared(address: u64):
    """Whether an address is one of memory, with an HKID that is not private."""
    return address >> PAGE_SHIFT < PAGES * FIRST_HKID


def malformed(m, operand: u8):
    """Whether an HPA operand is no page number: bits below its size, HKID bits, or beyond MAXPA."""
    return m.lp[me()].malformed & (1 << (operand & 15)) != 0
