"""What a trace tells: the kinds of events, the steps of the kernel behind them, and what may stand in the way of a step."""

from septum.lang import Enum


class Kind(Enum):
    """The events that concern the page tables."""

    NONE = 0
    CHANGED = 1  # kvm_tdp_mmu_spte_changed
    REQUESTED = 2  # kvm_mmu_spte_requested
    SET = 3  # kvm_mmu_set_spte
    GET_PAGE = 4  # kvm_mmu_get_page
    ZAP_PAGE = 5  # kvm_mmu_prepare_zap_page
    SPLIT = 6  # kvm_mmu_split_huge_page
    FAST = 7  # fast_page_fault
    PAGE_FAULT = 8  # kvm_page_fault
    ENTRY = 9  # kvm_entry
    EXIT = 10  # kvm_exit
    UNMAP = 11  # kvm_unmap_hva_range
    AGE = 12  # kvm_age_hva, kvm_test_age_hva
    MARKER = 13  # tracing_mark_write
    ZAP_ALL = 14  # kvm_mmu_zap_all_fast
    MARK_MMIO = 15  # mark_mmio_spte
    MMIO_FAULT = 16  # handle_mmio_page_fault, check_mmio_spte, kvm_mmio
    SEAMCALL = 17  # tdh_*, by kprobes
    OTHER = 18


class Call(Enum):
    """The SEAMCALLs that concern the S-EPT."""

    NONE = 0
    PAGE_AUG = 1
    PAGE_ADD = 2
    SEPT_ADD = 3
    RANGE_BLOCK = 4
    TRACK = 5
    PAGE_REMOVE = 6
    PAGE_DEMOTE = 7
    OTHER = 8


class Step(Enum):
    """What a kernel does that an event tells of."""

    NONE = 0
    LINK = 1
    MAP = 2
    REMAP = 3
    WRITE_PROTECT = 4
    CLEAR_DIRTY = 5
    AGE = 6
    SPLIT = 7
    ZAP_LEAF = 8
    REMOVE_TABLE = 9
    RECOVER = 10
    COLLAPSE = 11
    FREEZE_ENTRY = 12
    FREEZE_TABLE = 13
    FREEZE_LEAF = 14
    MAP_MMIO = 15
    ZAP_MMIO = 16
    FIX_FAST = 17
    FAULT = 18
    REQUEST = 19
    SPURIOUS = 20
    REPORT = 21
    NEW_TABLE = 22
    NEW_ROOT = 23
    ANNOUNCE = 24
    SPLIT_DONE = 25
    SPLIT_LOST = 26
    FAST_OTHER = 27
    UNSEEN = 28
    SEAMCALL_REFUSED = 29
    OTHER = 30
    SEPT_ADD = 31
    PAGE_AUG = 32
    PAGE_ADD = 33
    RANGE_BLOCK = 34
    TRACK = 35
    PAGE_REMOVE = 36
    PAGE_DEMOTE = 37
    SEAMCALL = 38
    ZAP_ALL = 39
    FAST_SPURIOUS = 40


class Guard(Enum):
    """What stands in the way of a step."""

    NONE = 0
    NO_TABLE = 1
    OLD_VALUE = 2
    OLD_KIND = 3
    NEW_KIND = 4
    NOT_A_CHANGE = 5
    UNALIGNED = 6
    LEVEL = 7
    ENCODING = 8
    PFN = 9
    NO_FAULT = 10
    OTHER_GFN = 11
    OTHER_LEVEL = 12
    OTHER_PFN = 13
    NO_PAGE = 14
    OTHER_BITS = 15
    NO_REMOVAL = 16
    ORDER = 17
    SKIPPED = 18
    LEFT = 19
    UNANNOUNCED = 20
    STILL_LINKED = 21
    SET_MISSING = 22
    SPLIT_MISSING = 23
    OTHER_SPLIT = 24
    OTHER_ADDRESS = 25
    VERSION = 26
    NO_FAST_WRITE = 27
    WRONG_CONTEXT = 28
    NOT_REQUESTED = 29
    NO_SEAMCALL = 30
    OTHER_SEAMCALL = 31
    SEAMCALL_MISSING = 32
    CHANGE_MISSING = 33
    SEPT_STATE = 34
    NO_TRACK = 35
    NOT_ZAPPED = 36
    MIRROR = 37
    NOT_ALLOWED = 38
