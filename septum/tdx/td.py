"""A TD as the module knows it: TDR and TDCS with their locks, the epoch of TLB tracking, its life cycle."""

from septum.host.geometry import Pfn, VmId
from septum.lang import Enum, Struct, u8, u16
from septum.tdx.locks import TryLock, release_shared, try_shared
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS, TDX_TD_KEYS_NOT_CONFIGURED


class Lifecycle(Enum):
    """TDR.LIFECYCLE_STATE, tdx-module.md 10.1."""

    HKID_ASSIGNED = 0
    KEYS_CONFIGURED = 1
    BLOCKED = 2
    TEARDOWN = 3


class Td(Struct):
    """TDR and TDCS. The TD is RUNNABLE: the build phase is not in this slice."""

    tdr: Pfn
    root: Pfn  # the S-EPT root, a TDCS page
    lifecycle: Lifecycle
    chldcnt: u16  # 4K pages that belong to the TD, TDR not counted
    epoch: u8  # TD_EPOCH
    refcount: u8[2]  # vCPUs in the guest, by the parity of the epoch they entered in
    tdr_lock: TryLock
    tree: TryLock
    epoch_lock: TryLock


class Tdvps(Struct):
    """A vCPU as the module knows it: the epoch of its last entry, while it is in the guest."""

    epoch: u8
    faulted: bool  # its last exits were private EPT violations at one RIP: the zero-step list is not empty


def enter_td(m, vm: VmId):
    """tdx-module.md 4.2, 4.3: TDR locked shared, and the keys of the TD configured."""
    td = m.td[vm]
    if not try_shared(td.tdr_lock):
        return TDX_OPERAND_BUSY
    if td.lifecycle != Lifecycle.KEYS_CONFIGURED:
        release_shared(td.tdr_lock)
        return TDX_TD_KEYS_NOT_CONFIGURED
    return TDX_SUCCESS


def leave_td(m, vm: VmId):
    """Gives the TDR lock back."""
    release_shared(m.td[vm].tdr_lock)
