"""A word of a page: an SPTE of a mirror table, or an entry of a Secure EPT page, as the page's owner reads it."""

from septum.host.geometry import Pfn
from septum.lang import Packed

PAGE_SHIFT = 12
ADDRESS_MASK = 0x000FFFFFFFFFF000  # bits 12 .. 51: a page number, in every encoding

SHADOW_NONPRESENT_VALUE = 0x8000000000000000  # kvm-mmu.md 2.2
FROZEN_SPTE = 0x80000000000005A0  # kvm-mmu.md 2.2
SEPT_FREE = 0x80E0000000000000  # tdx-module.md 5.1
POISON = 0x5AA00000000006AA  # what the allocator leaves in a page that nobody initialised; ours

SPECIAL = {
    0: "0", SHADOW_NONPRESENT_VALUE: "nonpresent", FROZEN_SPTE: "FROZEN", SEPT_FREE: "SEPT FREE", POISON: "uninitialised",
}  # fmt: skip


def describe(word: int) -> str:
    """A word as a reader of a trace wants it: special values by name, else its page and its bits."""
    if word in SPECIAL:
        return SPECIAL[word]
    page, bits = (word & ADDRESS_MASK) >> PAGE_SHIFT, word & ~ADDRESS_MASK
    lock = " locked" if bits & 1 << 11 and not bits & 1 << 8 else ""
    kind = SPECIAL.get(bits & ~(1 << 11 | 1 << 52)) or KINDS.get(bits & ~(1 << 11 | 1 << 52 | 1 << 9)) or f"{bits:#x}"
    return f"{kind} pfn {page}{lock}" if page else f"{kind}{lock}"


KINDS = {
    0x8000000000000107: "table", 0x8600000000000137: "leaf", 0x86000000000001B7: "huge leaf",
    0x8000000000000407: "SEPT NL_MAPPED", 0x8080000000000000: "SEPT NL_BLOCKED",
    0x80000000000004F7: "SEPT MAPPED", 0x80800000000000F0: "SEPT BLOCKED",
    0x81000000000000F0: "SEPT PENDING", 0x81800000000000F0: "SEPT PENDING_BLOCKED",
}  # fmt: skip

Entry = Packed("Entry", Pfn, 12, 52, describe=describe)
