"""The world of the module alone: the platform's memory and keys, TDs and vCPUs, logical processors."""

from septum.host.frames import PageTable
from septum.host.geometry import Pfn, RangeId, ThreadId, VcpuId, VmId
from septum.lang import Enum, Struct, u8, u16, u64
from septum.tdx.geometry import CMRS, RESERVED_AREAS, TDMRS, Gig, Hkid, Package
from septum.tdx.keys import KotEntry, PackageState
from septum.tdx.locks import TryLock
from septum.tdx.pamt import Pamt1G, Pamt2M, Pamt4K
from septum.tdx.processor import LogicalProcessor
from septum.tdx.td import Td, Tdvps


class SysState(Enum):
    """How far the module has come."""

    LOADED = 0
    INITIALISED = 1
    CONFIGURED = 2
    READY = 3


class Area(Struct):
    """A piece of physical memory: an address, or an offset, and a size, in bytes."""

    base: u64
    size: u64


class TdmrInfo(Struct):
    """TDMR_INFO as the host hands it in, tdx-module.md 2.1: the range, the PAMT areas at 4K, 2M and 1G, the reserved areas."""

    misplaced: bool  # its address is no multiple of 512, or has a private HKID
    base: u64
    size: u64
    pamt: Area[3]
    reserved: Area[RESERVED_AREAS]


class Tdmr(Struct):
    """A TDMR of the module and how far TDMR.INIT has come."""

    lock: TryLock
    info: TdmrInfo
    next: u64


class Sys(Struct):
    """The state of the module as a whole."""

    state: SysState
    dynamic: bool
    no_entropy: bool  # the platform's random numbers are used up
    clock: u64  # the time, in microseconds
    global_hkid: u16
    tdmrs: u8
    cmrs: u8
    cache_blocks: u8  # into how many pieces CACHE.WB divides its work; it polls for interrupts between
    lock: TryLock
    offered: TdmrInfo[TDMRS]  # what the pointers of SYS.CONFIG point to
    tdmr: Tdmr[TDMRS]
    cmr: Area[CMRS]


class Platform(Struct):
    """Everything that the module sees."""

    sys: Sys
    frame: Pamt4K[Pfn]
    table: PageTable[Pfn]
    pamt: Pamt2M[RangeId]
    gig: Pamt1G[Gig]
    td: Td[VmId]
    tdvps: Tdvps[VcpuId]
    lp: LogicalProcessor[ThreadId]
    kot: KotEntry[Hkid]
    kot_lock: TryLock
    package: PackageState[Package]
