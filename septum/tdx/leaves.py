"""Leaf functions by number, tdx-module.md 16, and where each is legal: levels (4.4), op states (10.2), versions (4.1)."""

from septum.lang import Enum


class Leaf(Enum):
    """SEAMCALL leaf numbers of the leaves that the emulator has."""

    VP_ENTER = 0
    MNG_ADDCX = 1
    MEM_PAGE_ADD = 2
    MEM_SEPT_ADD = 3
    VP_ADDCX = 4
    MEM_PAGE_RELOCATE = 5
    MEM_PAGE_AUG = 6
    MEM_RANGE_BLOCK = 7
    MNG_KEY_CONFIG = 8
    MNG_CREATE = 9
    VP_CREATE = 10
    MEM_PAGE_DEMOTE = 15
    MR_EXTEND = 16
    MR_FINALIZE = 17
    VP_FLUSH = 18
    MNG_VPFLUSHDONE = 19
    MNG_KEY_FREEID = 20
    MNG_INIT = 21
    VP_INIT = 22
    MEM_PAGE_PROMOTE = 23
    PHYMEM_PAGE_RDMD = 24
    MEM_SEPT_RD = 25
    PHYMEM_PAGE_RECLAIM = 28
    MEM_PAGE_REMOVE = 29
    MEM_SEPT_REMOVE = 30
    SYS_KEY_CONFIG = 31
    SYS_INFO = 32
    SYS_INIT = 33
    SYS_RD = 34
    SYS_LP_INIT = 35
    SYS_TDMR_INIT = 36
    MEM_TRACK = 38
    MEM_RANGE_UNBLOCK = 39
    PHYMEM_CACHE_WB = 40
    PHYMEM_PAGE_WBINVD = 41
    SYS_LP_SHUTDOWN = 44
    SYS_CONFIG = 45
    PHYMEM_PAMT_ADD = 58
    PHYMEM_PAMT_REMOVE = 59


class GuestLeaf(Enum):
    """TDCALL leaf numbers."""

    VP_VMCALL = 0
    VP_INFO = 1
    VP_VEINFO_GET = 3
    MEM_PAGE_ACCEPT = 6
    MEM_PAGE_ATTR_RD = 23
    MEM_PAGE_ATTR_WR = 24


class OpState(Enum):
    """TDCS.OP_STATE, tdx-module.md 10.2. Without migration a TD comes as far as RUNNABLE."""

    UNINITIALIZED = 0
    INITIALIZED = 1
    RUNNABLE = 2
    LIVE_EXPORT = 3
    PAUSED_EXPORT = 4
    POST_EXPORT = 5
    MEMORY_IMPORT = 6
    STATE_IMPORT = 7
    POST_IMPORT = 8
    LIVE_IMPORT = 9
    FAILED_IMPORT = 10
    START_IMPORT = 11
    START_EXPORT = 12


BUILDING = 0b10
CREATING = 0b10000010  # VP.CREATE, VP.ADDCX
ADDING_TABLES = 0b1001111001110  # MEM.SEPT.ADD
CHANGING = 0b1001100111110  # RELOCATE, PROMOTE, DEMOTE, BLOCK, UNBLOCK
READING = 0b1011111111110  # SEPT.RD, SEPT.REMOVE
REMOVING = 0b1011100111110
TRACKING_LEAF = 0b1001111111110
AUGMENTING = 0b1001000001110
ENTERING = 0b1001000001100
TRACKED = 0b1001000001100  # op states in which TLB tracking is required
EVERY_OP_STATE = 0b1111111111111


def op_states(leaf: Leaf):
    """The op states in which a leaf is legal, a bit each; tdx-module.md 10.2."""
    if leaf == Leaf.VP_ENTER:
        return ENTERING
    if leaf in (Leaf.MNG_ADDCX, Leaf.MNG_INIT):
        return 1
    if leaf in (Leaf.MEM_PAGE_ADD, Leaf.MR_EXTEND, Leaf.MR_FINALIZE, Leaf.VP_INIT):
        return BUILDING
    if leaf == Leaf.MEM_SEPT_ADD:
        return ADDING_TABLES
    if leaf in (Leaf.VP_ADDCX, Leaf.VP_CREATE):
        return CREATING
    if leaf in (Leaf.MEM_PAGE_RELOCATE, Leaf.MEM_PAGE_PROMOTE, Leaf.MEM_PAGE_DEMOTE, Leaf.MEM_RANGE_BLOCK,
                Leaf.MEM_RANGE_UNBLOCK):  # fmt: skip
        return CHANGING
    if leaf == Leaf.MEM_PAGE_AUG:
        return AUGMENTING
    if leaf in (Leaf.MEM_SEPT_RD, Leaf.MEM_SEPT_REMOVE):
        return READING
    if leaf == Leaf.MEM_PAGE_REMOVE:
        return REMOVING
    if leaf == Leaf.MEM_TRACK:
        return TRACKING_LEAF
    return EVERY_OP_STATE
