"""Steps and guards in the words of a report."""

from __future__ import annotations

from septum.host.entry import ADDRESS_MASK, FROZEN_SPTE, SHADOW_NONPRESENT_VALUE
from septum.replay.traced.events import Guard, Step
from septum.replay.traced.layout import PT_PAGE_SIZE_MASK, SPTE_MMU_PRESENT_MASK

STEPS = {
    Step.NONE: "no step",
    Step.LINK: "link a table",
    Step.MAP: "map a page",
    Step.REMAP: "remap a page with other rights",
    Step.WRITE_PROTECT: "write-protect",
    Step.CLEAR_DIRTY: "clear dirty",
    Step.AGE: "clear accessed",
    Step.SPLIT: "split a huge page",
    Step.ZAP_LEAF: "zap a page",
    Step.REMOVE_TABLE: "remove a table",
    Step.RECOVER: "recover a huge page",
    Step.COLLAPSE: "map a huge page over a table",
    Step.FREEZE_ENTRY: "freeze an entry of a removed table",
    Step.FREEZE_TABLE: "freeze a table",
    Step.FREEZE_LEAF: "freeze a huge page",
    Step.MAP_MMIO: "map MMIO",
    Step.ZAP_MMIO: "zap MMIO",
    Step.FIX_FAST: "fix a fault without the lock",
    Step.FAULT: "take a fault",
    Step.REQUEST: "ask for a page",
    Step.SPURIOUS: "find the page mapped already",
    Step.REPORT: "report what was mapped",
    Step.NEW_TABLE: "allocate a table",
    Step.NEW_ROOT: "allocate a root",
    Step.ANNOUNCE: "announce the removal of a table",
    Step.SPLIT_DONE: "report a split",
    Step.SPLIT_LOST: "lose the race for a split",
    Step.FAST_OTHER: "fail to fix a fault without the lock",
    Step.FAST_SPURIOUS: "take a fault that needs no fixing (spurious)",
    Step.UNSEEN: "go on with what began before the trace",
    Step.SEPT_ADD: "add a table to the S-EPT (SEPT.ADD)",
    Step.PAGE_AUG: "add a page to the TD (PAGE.AUG)",
    Step.PAGE_ADD: "add a page to the initial image (PAGE.ADD)",
    Step.RANGE_BLOCK: "block an S-EPT entry (RANGE.BLOCK)",
    Step.TRACK: "begin a TLB epoch (TRACK)",
    Step.PAGE_REMOVE: "remove a page from the TD (PAGE.REMOVE)",
    Step.PAGE_DEMOTE: "split an S-EPT entry (PAGE.DEMOTE)",
    Step.SEAMCALL: "make another SEAMCALL",
    Step.SEAMCALL_REFUSED: "have a SEAMCALL refused",
    Step.ZAP_ALL: "invalidate all roots",
    Step.OTHER: "other events",
}

GUARDS = {
    Guard.NONE: "possible",
    Guard.NO_TABLE: "there is no table for this entry",
    Guard.OLD_VALUE: "the entry holds another value",
    Guard.OLD_KIND: "no step leads away from such an old value",
    Guard.NEW_KIND: "no step leads to such a new value",
    Guard.NOT_A_CHANGE: "old and new value are the same",
    Guard.UNALIGNED: "the GFN is not aligned to the level",
    Guard.LEVEL: "not possible at this level",
    Guard.ENCODING: "the new value is no SPTE of this format",
    Guard.PFN: "a present page changes its PFN",
    Guard.NO_FAULT: "the thread handles no fault (no kvm_mmu_spte_requested before it)",
    Guard.OTHER_GFN: "the thread handles a fault of another GFN",
    Guard.OTHER_LEVEL: "the fault asked for another level",
    Guard.OTHER_PFN: "the fault asked for another PFN",
    Guard.NO_PAGE: "the thread made no such table before it (kvm_mmu_get_page)",
    Guard.OTHER_BITS: "other bits change than this step changes",
    Guard.NO_REMOVAL: "the thread removes no table that the entry belongs to",
    Guard.ORDER: "entries of a removed table are frozen in order, each once",
    Guard.SKIPPED: "an entry of the removed table was passed over",
    Guard.LEFT: "entries of the removed table were never frozen",
    Guard.UNANNOUNCED: "kvm_mmu_prepare_zap_page is missing",
    Guard.STILL_LINKED: "the table whose entries were frozen is still linked",
    Guard.SET_MISSING: "kvm_mmu_set_spte is missing after the page was mapped",
    Guard.SPLIT_MISSING: "kvm_mmu_split_huge_page is missing after the split",
    Guard.OTHER_SPLIT: "no such split was made",
    Guard.OTHER_ADDRESS: "the entry is at another address",
    Guard.VERSION: "this kernel does not do that",
    Guard.NO_FAST_WRITE: "the page is not MMU-writable",
    Guard.WRONG_CONTEXT: "not between mapping a page and kvm_mmu_set_spte",
    Guard.NOT_REQUESTED: "there was no kvm_mmu_spte_requested for it",
    Guard.NO_SEAMCALL: "the SEAMCALL that goes before is missing",
    Guard.OTHER_SEAMCALL: "the SEAMCALL is not for this entry",
    Guard.SEAMCALL_MISSING: "the SEAMCALLs that remove what was zapped are missing",
    Guard.CHANGE_MISSING: "a SEAMCALL succeeded, and the change of its SPTE is missing",
    Guard.SEPT_STATE: "the S-EPT entry is in another state",
    Guard.NO_TRACK: "there was no TRACK since the entry was blocked",
    Guard.NOT_ZAPPED: "the SPTE was not zapped before",
    Guard.NOT_ALLOWED: "the entry does not allow the access, so the fault is not spurious",
    Guard.MIRROR: "nobody does that to an entry of a mirror root",
}


def word(value: int, level: int) -> str:
    """A word of a page table as the model holds it."""
    if value == 0:
        return "unknown"
    if value == SHADOW_NONPRESENT_VALUE:
        return "non-present"
    if value == FROZEN_SPTE:
        return "frozen"
    if not value & SPTE_MMU_PRESENT_MASK:
        return f"{value:x}"
    kind = "page" if level == 1 or value & PT_PAGE_SIZE_MASK else "table"
    return f"{value:x} ({kind}, pfn {(value & ADDRESS_MASK) >> 12:x})"
