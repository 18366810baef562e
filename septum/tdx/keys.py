"""HKIDs and caches: the key ownership table and each package's write-back; tdx-module.md 7.16, 10.1."""

from septum.lang import Enum, Struct, u8
from septum.tdx.locks import TryLock, try_exclusive, try_shared
from septum.tdx.operands import KOT
from septum.tdx.processor import refuse
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS


class KotState(Enum):
    """The state of an HKID."""

    FREE = 0
    ASSIGNED = 1
    FLUSHED = 2
    RESERVED = 3


class KotEntry(Struct):
    """An HKID. A bit a package: whether its caches have yet to be written back, and whether a write-back for it is on."""

    state: KotState
    dirty: u8
    remembered: u8


class PackageState(Struct):
    """The WBT entry of a package, whether its key of the module is configured, and whether PCONFIG is at work there."""

    lock: TryLock
    key_lock: TryLock
    written: u8  # pieces of the caches that an interrupted CACHE.WB has done
    configured: bool


def key_lock_shared(m):
    """The KOT lock shared."""
    return TDX_SUCCESS if try_shared(m.kot_lock) else refuse(m, TDX_OPERAND_BUSY, KOT)


def key_lock_exclusive(m):
    """The KOT lock exclusive."""
    return TDX_SUCCESS if try_exclusive(m.kot_lock) else refuse(m, TDX_OPERAND_BUSY, KOT)
