"""A TD as the module knows it: TDR and TDCS with their locks, the epoch of TLB tracking, its life cycle."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType
from septum.host.geometry import GFNS, LEVELS, Cpus, Level, Pfn, VmId
from septum.lang import Enum, Slot, Struct, commutes, u8, u16, u32, u64
from septum.tdx.geometry import BUILDS, NARROW_GFNS, WHOLE, Epoch, Hkid, PageCount
from septum.tdx.leaves import TRACKED, OpState, op_states
from septum.tdx.locks import TreeLock, TryLock, release_exclusive, release_shared, try_exclusive, try_shared
from septum.tdx.operands import OP_STATE
from septum.tdx.pamt import explicit, unlock_walk
from septum.tdx.processor import ZeroStep, me, refuse
from septum.tdx.status import (
    TDX_OP_STATE_INCORRECT,
    TDX_OPERAND_BUSY,
    TDX_SUCCESS,
    TDX_TD_FATAL,
    TDX_TD_KEYS_NOT_CONFIGURED,
    TDX_TDCS_NOT_ALLOCATED,
)
from septum.tdx.versions import MIN_TDCX

TD_BUILD = Slot("td.build")
TDVPS_BUILD = Slot("tdvps.build")
TDVPS_LP = Slot("tdvps.lp")  # in a machine, where vCPUs move


class Lifecycle(Enum):
    """TDR.LIFECYCLE_STATE, tdx-module.md 10.1."""

    HKID_ASSIGNED = 0
    KEYS_CONFIGURED = 1
    BLOCKED = 2
    TEARDOWN = 3


class VcpuState(Enum):
    """TDVPS.STATE, as the low bits of VCPU_STATE_INCORRECT name it. A vCPU that runs is ACTIVE."""

    UNINITIALIZED = 0
    READY = 2
    ACTIVE = 4


class TdBuild(Struct):
    """What the build phase and the end of a TD add; a TD inside of a machine is RUNNABLE from the start."""

    op_state: OpState
    hkid: Hkid
    fatal: bool
    packages: u8  # with its key configured, a bit each
    num_tdcx: u8
    vcpus: u16  # initialised
    max_vcpus: u16
    associated: u16  # vCPUs that are associated with an LP
    pending_ve_disable: bool  # TD_CTLS.PENDING_VE_DISABLE: a PENDING page is the host's business
    attributes: u64
    levels: u8  # of the Secure EPT
    wide: bool  # GPAW: the shared bit of a GPA is 51, not 47
    op_lock: TryLock  # of OP_STATE, which only migration takes exclusively
    hp_timeout: u32  # TDCS.HP_LOCK_TIMEOUT, in microseconds


class Td(Struct):
    """TDR and TDCS."""

    tdr: Pfn
    root: Pfn  # the S-EPT root, a TDCS page
    lifecycle: Lifecycle
    chldcnt: PageCount  # 4K pages that belong to the TD, TDR not counted
    epoch: Epoch  # TD_EPOCH
    refcount: u8[2]  # vCPUs in the guest, by the parity of the epoch they entered in
    tdr_lock: TryLock  # inside of a machine; the whole module has it in the PAMT
    tree: TreeLock
    epoch_lock: TryLock
    build: TD_BUILD


class TdvpsBuild(Struct):
    """TDVPR and TDVPS beyond the epoch."""

    tdvpr: Pfn
    vm: VmId
    state: VcpuState
    num_pages: u8
    x2apic: u32
    index: u16  # which of the TD's vCPUs it is, in the order of VP.INIT
    lp: u8  # the LP that it is associated with, plus one
    in_guest: bool
    trap: bool  # its last TD exit was trap-like
    busy_since: u64  # when TDCALLs began to end in OPERAND_BUSY_HOST_PRIORITY, plus one; 0: they do not
    stepping: ZeroStep


class AssociatedLp(Struct):
    """TDVPS.ASSOC_LPID inside of a machine."""

    lp: Cpus  # none: associated with no LP


class Tdvps(Struct):
    """A vCPU as the module knows it: the epoch of its last entry, inside of a machine only while it is in the guest."""

    epoch: Epoch
    faulted: bool  # its last exits were private EPT violations at one RIP: the zero-step list is not empty
    build: TDVPS_BUILD
    at: TDVPS_LP


def add_children(td, pages: PageCount):
    """TDR.CHLDCNT: the TD has `pages` more."""
    commutes("the module counts with atomic additions, and who tests for zero holds the TDR exclusively")
    td.chldcnt += pages


def drop_children(td, pages: PageCount):
    """TDR.CHLDCNT: the TD has `pages` fewer."""
    commutes("the module counts with atomic additions, and who tests for zero holds the TDR exclusively")
    td.chldcnt -= pages


def enter_td(m, vm: VmId):
    """tdx-module.md 4.2, 4.3: TDR locked shared, and the TD in a state in which the leaf is legal."""
    if WHOLE:
        return enter_tdr(m, vm, False)
    td = m.td[vm]
    if not try_shared(td.tdr_lock):
        return TDX_OPERAND_BUSY
    if td.lifecycle != Lifecycle.KEYS_CONFIGURED:
        release_shared(td.tdr_lock)
        return TDX_TD_KEYS_NOT_CONFIGURED
    return TDX_SUCCESS


def leave_td(m, vm: VmId):
    """Gives the TDR lock back."""
    if WHOLE:
        release_shared(m.td[vm].build.op_lock)
        leave_tdr(m, vm, False)
    else:
        release_shared(m.td[vm].tdr_lock)


def enter_tdr(m, vm: VmId, exclusive: bool):
    """The TDR operand of the leaf that runs, then the TD's state, whose lock a leaf that is alone with the TD does not need.

    In a machine who takes it exclusive builds the TD.
    """
    if not WHOLE:
        return enter_building(m, vm)
    lp = m.lp[me()]
    status = explicit(m, lp.tdr, lp.tdr_operand, PageType.TDR, Level(1), exclusive)
    if status == TDX_SUCCESS:
        status = td_state(m, vm, not exclusive)
        if status != TDX_SUCCESS:
            leave_tdr(m, vm, exclusive)
    return status


def leave_tdr(m, vm: VmId, exclusive: bool):
    """Gives back the TDR operand of the leaf that runs."""
    if WHOLE:
        unlock_walk(m, m.lp[me()].tdr, Level(1), exclusive)
    else:
        release_exclusive(m.td[vm].tdr_lock)


def enter_building(m, vm: VmId):
    """The TDR exclusive, of a TD whose keys are configured and that is not finalized."""
    td = m.td[vm]
    if not try_exclusive(td.tdr_lock):
        return TDX_OPERAND_BUSY
    if td.lifecycle == Lifecycle.KEYS_CONFIGURED and td.build.op_state == OpState.INITIALIZED:
        return TDX_SUCCESS
    release_exclusive(td.tdr_lock)
    return TDX_OP_STATE_INCORRECT


def td_state(m, vm: VmId, locked: bool):
    """tdx-module.md 4.3: the TD has its keys and its pages, and is in an op state in which the leaf is legal.

    On success OP_STATE is locked shared, if it is to be.
    """
    td = m.td[vm]
    if td.build.fatal:
        return refuse(m, TDX_TD_FATAL, 0)
    if td.lifecycle != Lifecycle.KEYS_CONFIGURED:
        return refuse(m, TDX_TD_KEYS_NOT_CONFIGURED, 0)
    if td.build.num_tdcx < MIN_TDCX:
        return refuse(m, TDX_TDCS_NOT_ALLOCATED, 0)
    if locked and not try_shared(td.build.op_lock):
        return refuse(m, TDX_OPERAND_BUSY, OP_STATE)
    if op_states(m.lp[me()].leaf) >> u8(td.build.op_state) & 1 == 0:
        if locked:
            release_shared(td.build.op_lock)
        return refuse(m, TDX_OP_STATE_INCORRECT, u8(td.build.op_state))
    return TDX_SUCCESS


def top_level(m, vm: VmId):
    """The level of the entries in the root of a TD's Secure EPT."""
    return Level(m.td[vm].build.levels) if WHOLE else Level(LEVELS)


def is_private(m, vm: VmId, gpa: u64):
    """Whether a GPA of a whole module's TD is private: below its shared bit, and below what its Secure EPT can map."""
    return gpa >> PAGE_SHIFT < GFNS and (m.td[vm].build.wide or gpa >> PAGE_SHIFT < NARROW_GFNS)


def must_track(m, vm: VmId):
    """Whether the TD is in an op state in which vCPUs may hold translations; tdx-module.md 10.2."""
    if WHOLE:
        return TRACKED >> u8(m.td[vm].build.op_state) & 1 != 0
    if BUILDS:
        return m.td[vm].build.op_state == OpState.RUNNABLE
    return True
