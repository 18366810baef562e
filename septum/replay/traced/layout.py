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
READ, EXECUTE, USER_EXECUTE = 1 << 0, 1 << 2, 1 << 10  # of EPT
ACCESS_WRITE, ACCESS_FETCH = 1 << 1, 1 << 4  # PFERR_WRITE_MASK, PFERR_FETCH_MASK
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
    readable: u64  # R of EPT; present of NPT
    executable: u64  # what a leaf that may be executed has
    no_execute: u64  # what it has not
    access_track: u64  # without A/D bits: what an aged leaf has not
    saved_read: u64  # where an aged leaf keeps them
    saved_execute: u64
    saved_user: u64
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


def small_spte(m, huge, level: Level, i):
    """make_small_spte() [6.1]: the i-th of the 512 leaves at `level - 1` that map what the leaf `huge` maps at `level`.

    A huge leaf that may not be executed is one of nx_huge_pages, which leaves 4K pages alone: make_spte_executable() [6.1].
    """
    if level == 2:
        small = huge ^ PT_PAGE_SIZE_MASK ^ (huge & m.layout.no_execute)
        return small | m.layout.executable | (i << PAGE_SHIFT)
    return huge | (i << (PAGE_SHIFT + ENTRIES_SHIFT))


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


def fixed_unseen(m, held):
    """What fast_page_fault() [6.1] makes of a leaf, where its event was not recorded; `held` where it changes nothing."""
    if held & SPTE_MMU_PRESENT_MASK == 0 or held & m.layout.mmu_writable == 0:
        return restored(m, held)
    return restored(m, held) | m.layout.writable


def saved(m, rights):
    """The bits in which mark_spte_for_access_track() [6.1] keeps the rights of a leaf; W is not kept."""
    kept = m.layout.saved_read if rights & READ != 0 else u64(0)
    if rights & EXECUTE != 0:
        kept = kept | m.layout.saved_execute
    return kept | m.layout.saved_user if rights & USER_EXECUTE != 0 else kept


def restored(m, spte):
    """restore_acc_track_spte() [6.1]: an aged leaf with its rights, but W; any other as it is."""
    if m.layout.access_track == 0 or spte & m.layout.access_track != 0:
        return spte
    kept = spte & (m.layout.saved_read | m.layout.saved_execute | m.layout.saved_user)
    rights = u64(READ) if kept & m.layout.saved_read != 0 else u64(0)
    if kept & m.layout.saved_execute != 0:
        rights = rights | EXECUTE
    if kept & m.layout.saved_user != 0:
        rights = rights | USER_EXECUTE
    return (spte ^ kept) | rights


def is_access_allowed(m, spte, access):
    """is_access_allowed() [6.1]: what a guest wanted is what the leaf lets it do."""
    if access & ACCESS_FETCH != 0:
        return spte & m.layout.executable == m.layout.executable and spte & m.layout.no_execute == 0
    return spte & (m.layout.writable if access & ACCESS_WRITE != 0 else m.layout.readable) != 0


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
