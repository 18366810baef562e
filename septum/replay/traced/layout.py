"""How the SPTEs of a traced kernel are laid out: the bits of EPT and NPT, the special values; kvm-mmu.md 2.1, 2.2.

A `Layout` is data, since the kernel that wrote a trace is known only when the trace is read. Values come from a trace in its
kernel's own words; non-present and frozen ones are brought to SHADOW_NONPRESENT_VALUE and FROZEN_SPTE before they get here.
"""

from septum.host.entry import ADDRESS_MASK, FROZEN_SPTE, PAGE_SHIFT, SHADOW_NONPRESENT_VALUE
from septum.host.geometry import Level
from septum.lang import Enum, Struct, u64

SPTE_MMU_PRESENT_MASK = 1 << 11
PT_PAGE_SIZE_MASK = 1 << 7
UNKNOWN = 0  # an entry that no event has shown yet
ENTRIES_SHIFT = 9
SAVED_RIGHTS = 54  # SHADOW_ACC_TRACK_SAVED_BITS_SHIFT
FRAME_ALIGNMENT = 511


class Layout(Struct):
    """The masks of one page-table format of one kernel; a mask is 0 where the format has no such bit."""

    nonleaf: u64  # every bit of a non-leaf SPTE but its address
    leaf: u64  # bits that every present leaf has
    optional: u64  # bits that a leaf may have besides
    writable: u64
    mmu_writable: u64
    host_writable: u64
    accessed: u64
    dirty: u64
    access_track: u64  # without A/D bits: what an aged leaf has not
    mmio_mask: u64
    mmio_value: u64
    mmio_ve: bool  # a TD's MMIO SPTE has no RWX bits and no suppress-#VE
    parent_last: bool  # 7.3: the event of a removed table comes after those of its entries
    silent_unfreeze: bool  # 6.1: frozen becomes non-present without an event
    recovers: bool  # 6.17: a table becomes a huge leaf in one step, outside of a fault
    splits: bool  # 6.2: a fault that is more fine-grained than a huge leaf splits it


class Word(Enum):
    """What a word of a page table is."""

    UNKNOWN = 0
    NONPRESENT = 1
    FROZEN = 2
    MMIO = 3
    TABLE = 4
    LEAF = 5
    ODD = 6


def word_of(m, spte, level: Level):
    """What `spte` is at `level`."""
    if spte == SHADOW_NONPRESENT_VALUE:
        return Word.NONPRESENT
    if spte == FROZEN_SPTE:
        return Word.FROZEN
    if spte & SPTE_MMU_PRESENT_MASK != 0:
        return Word.LEAF if level == 1 or spte & PT_PAGE_SIZE_MASK != 0 else Word.TABLE
    if spte == UNKNOWN:
        return Word.UNKNOWN
    if m.layout.mmio_mask != 0 and spte & m.layout.mmio_mask == m.layout.mmio_value:
        return Word.MMIO
    if m.layout.mmio_ve and spte & m.layout.mmio_mask == 0:
        return Word.MMIO
    return Word.ODD


def frame_of(spte):
    """spte_to_pfn() [6.1]."""
    return (spte & ADDRESS_MASK) >> PAGE_SHIFT


def small_spte(huge, level: Level, i):
    """make_small_spte() [6.1]: the i-th of the 512 leaves at `level - 1` that map what the leaf `huge` maps at `level`."""
    size = huge ^ PT_PAGE_SIZE_MASK if level == 2 else huge
    return size | (i << (PAGE_SHIFT + (ENTRIES_SHIFT if level == 3 else 0)))


def same_but_hardware(m, held, seen):
    """Whether an entry that holds `held` may be read as `seen`: a CPU sets A, and D where W is set (kvm-mmu.md 2.1)."""
    if held == seen:
        return True
    if held & SPTE_MMU_PRESENT_MASK == 0 or held & seen != held:
        return False
    gained = held ^ seen
    if gained == m.layout.accessed:
        return True
    return held & m.layout.writable != 0 and (gained == m.layout.dirty or gained == m.layout.dirty | m.layout.accessed)


def restored(m, spte):
    """restore_acc_track_spte() [6.1]: an aged leaf with its rights, but W; any other as it is."""
    if m.layout.access_track == 0 or spte & m.layout.access_track != 0:
        return spte
    saved = spte & (5 << SAVED_RIGHTS)
    return (spte ^ saved) | (saved >> SAVED_RIGHTS)


def is_leaf_spte(m, spte, level: Level):
    """Whether make_spte() can make this leaf: only bits of the format, page-size bit and address by level, and
    check_spte_writable_invariants(): W only with MMU-writable, that only with host-writable (kvm-mmu.md 2.4)."""
    bits = spte ^ (spte & ADDRESS_MASK)
    if level != 1:
        if bits & PT_PAGE_SIZE_MASK == 0 or frame_of(spte) & (FRAME_ALIGNMENT if level == 2 else (1 << 18) - 1) != 0:
            return False
        bits = bits ^ PT_PAGE_SIZE_MASK
    if bits & m.layout.leaf != m.layout.leaf or (bits ^ m.layout.leaf) & m.layout.optional != bits ^ m.layout.leaf:
        return False
    if spte & m.layout.writable != 0 and spte & m.layout.mmu_writable == 0:
        return False
    return spte & m.layout.mmu_writable == 0 or spte & m.layout.host_writable != 0


def is_nonleaf_spte(m, spte):
    """Whether make_nonleaf_spte() can make this entry."""
    return spte ^ (spte & ADDRESS_MASK) == m.layout.nonleaf
