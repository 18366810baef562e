"""SPTEs of mirror and direct tables: constructors and predicates with the real bits; kvm-mmu.md 2."""

from septum.host.entry import ADDRESS_MASK, PAGE_SHIFT, POISON, SHADOW_NONPRESENT_VALUE, Entry
from septum.host.geometry import ENTRIES, Gfn, Level, Pfn, pages_per_leaf
from septum.lang import Size, u64

AD_DISABLED = Size("AD_DISABLED", 0)  # EPT A/D bits are off: A is KVM's own, what was aged has no permissions until it is used

SPTE_MMU_PRESENT_MASK = 1 << 11
PT_PAGE_SIZE_MASK = 1 << 7
LEAF_SPTE = 0x8600000000000B37  # made by a demand fault: RWX, WB, accessed, dirty, host- and MMU-writable
NONLEAF_SPTE = 0x8000000000000907
PT_WRITABLE_MASK = 1 << 1
SHADOW_ACCESSED_MASK = 1 << 8
SHADOW_DIRTY_MASK = 1 << 9
EPT_SPTE_HOST_WRITABLE = 1 << 57
EPT_SPTE_MMU_WRITABLE = 1 << 58
WRITE_BITS = PT_WRITABLE_MASK | SHADOW_DIRTY_MASK | EPT_SPTE_MMU_WRITABLE
SHADOW_MMIO_MASK = 0x8000000000000007
MMIO_VALUE = 6  # of a plain VM: W and X without R, an EPT misconfiguration; a TDX VM has 0
MMIO_GENERATION_SHIFT = 3
SPTE_TDP_AD_DISABLED = 1 << 52
PT_PRESENT_MASK = 1 << 0  # R
SHADOW_ACC_TRACK_MASK = 7  # RWX
SHADOW_ACC_TRACK_SAVED_BITS_MASK = 5  # R and X; MMU-writable says whether W may come back
SHADOW_ACC_TRACK_SAVED_BITS_SHIFT = 54


def is_shadow_present_pte(spte):
    """is_shadow_present_pte() [7.1]: the only presence test that KVM uses."""
    return spte & SPTE_MMU_PRESENT_MASK != 0


def is_last_spte(spte, level: Level):
    """is_last_spte() [7.1]."""
    return level == 1 or spte & PT_PAGE_SIZE_MASK != 0


def spte_to_pfn(spte):
    """spte_to_pfn() [7.1]: the guest page of a leaf, the table of a non-leaf."""
    return Pfn((spte & ADDRESS_MASK) >> PAGE_SHIFT)


def make_spte(page: Pfn, level: Level):
    """make_spte() [7.1] for a demand fault of private memory."""
    return Entry((u64(page) << PAGE_SHIFT) | LEAF_SPTE | (PT_PAGE_SIZE_MASK if level != 1 else 0))


def make_nonleaf_spte(spt: Pfn):
    """make_nonleaf_spte() [7.1]."""
    if AD_DISABLED:
        return Entry((u64(spt) << PAGE_SHIFT) | (NONLEAF_SPTE ^ SHADOW_ACCESSED_MASK) | SPTE_TDP_AD_DISABLED)
    return Entry((u64(spt) << PAGE_SHIFT) | NONLEAF_SPTE)


def make_small_spte(huge, i):
    """make_small_spte() [7.1] for a table of 4K leaves: the i-th page of a 2M leaf, whose page number is aligned."""
    return Entry((huge & ~PT_PAGE_SIZE_MASK) | (i % ENTRIES << PAGE_SHIFT))


def make_small_huge_spte(huge, i):
    """make_small_spte() [7.1] for a table of 2M leaves: the i-th of a 1G leaf."""
    return Entry(huge | (i % ENTRIES * ENTRIES << PAGE_SHIFT))


def page_of(spte, level: Level, gfn: Gfn):
    """The page that a leaf gives `gfn`."""
    return Pfn(((spte & ADDRESS_MASK) >> PAGE_SHIFT) + gfn % pages_per_leaf(level))


def read_spte(m, spt: Pfn, i):
    """READ_ONCE(*sptep) of a walker. An entry that only the allocator wrote must not be seen, unless as SHADOW_NONPRESENT_VALUE:
    in a TDX VM a zero entry reads as an MMIO SPTE (kvm-mmu.md 2.2)."""
    spte = m.table[spt].word[i]
    assert spte != 0, f"initial value: entry {i} of table {spt} reads 0, an MMIO SPTE in a TDX VM"
    assert spte != POISON, f"initial value: entry {i} of table {spt} is read before anybody wrote it"
    return spte


def is_nonpresent(spte):
    """Neither present nor frozen."""
    return spte == SHADOW_NONPRESENT_VALUE


def is_writable_pte(spte):
    """is_writable_pte() [7.1]: W."""
    return spte & PT_WRITABLE_MASK != 0


def is_mmu_writable_spte(spte):
    """is_mmu_writable_spte() [7.1]: nothing but dirty logging keeps W away, and a fast page fault may give it back."""
    return spte & EPT_SPTE_MMU_WRITABLE != 0


def is_accessed_spte(spte):
    """is_accessed_spte() [7.1]."""
    return spte & SHADOW_ACCESSED_MASK != 0


def make_direct_spte(page: Pfn, level: Level, map_writable, prefetch):
    """make_spte() [7.1] of a direct leaf: writable if the primary MMU lets it; with A/D bits, not accessed if prefetched."""
    bits = u64(LEAF_SPTE) if map_writable else u64(LEAF_SPTE & ~WRITE_BITS & ~EPT_SPTE_HOST_WRITABLE)
    if AD_DISABLED:
        bits = u64(bits | SPTE_TDP_AD_DISABLED)
    elif prefetch:
        bits = u64(bits & ~SHADOW_ACCESSED_MASK)
    return Entry((u64(page) << PAGE_SHIFT) | bits | (PT_PAGE_SIZE_MASK if level != 1 else 0))


def make_huge_spte(small, i):
    """make_huge_spte() [7.1]: the leaf of which `small` maps the i-th page."""
    return Entry((small ^ (u64(i) << PAGE_SHIFT)) | PT_PAGE_SIZE_MASK)


def make_mmio_spte(gfn: Gfn, generation, value):
    """make_mmio_spte() [7.1], kvm-mmu.md 2.2: the GFN, and the low bits of the memslots' generation."""
    return Entry((u64(gfn) << PAGE_SHIFT) | (u64(generation) << MMIO_GENERATION_SHIFT) | value)


def is_mmio_spte(spte, value):
    """is_mmio_spte() [7.1]: with the value 0 of a TDX VM, a zero word is one."""
    return spte & SHADOW_MMIO_MASK == value


def mmio_generation(spte):
    """get_mmio_spte_generation() [7.1], its low bits."""
    return (spte >> MMIO_GENERATION_SHIFT) & 0xFF


def spte_needs_atomic_update(spte):
    """spte_needs_atomic_update() [7.1]: somebody may change it without mmu_lock: a fast page fault W, the CPU D, or aging."""
    if AD_DISABLED:
        return True
    if not is_writable_pte(spte) and is_mmu_writable_spte(spte):
        return True
    return is_writable_pte(spte) and spte & SHADOW_DIRTY_MASK == 0


def leaf_spte_change_needs_tlb_flush(old, new):
    """leaf_spte_change_needs_tlb_flush() [7.1]."""
    return is_mmu_writable_spte(old) and not is_mmu_writable_spte(new)


def is_access_track_spte(spte):
    """is_access_track_spte() [7.1]: aged without A/D bits, and not used since."""
    return spte & SHADOW_ACC_TRACK_MASK == 0


def mark_spte_for_access_track(spte):
    """mark_spte_for_access_track() [7.1], kvm-mmu.md 2.1: R and X are saved, and the next access faults."""
    saved = (spte & SHADOW_ACC_TRACK_SAVED_BITS_MASK) << SHADOW_ACC_TRACK_SAVED_BITS_SHIFT
    return Entry((spte & ~(SHADOW_ACC_TRACK_MASK | SHADOW_ACCESSED_MASK)) | saved)


def restore_acc_track_spte(spte):
    """restore_acc_track_spte() [7.1]: R and X are back."""
    saved = spte & (SHADOW_ACC_TRACK_SAVED_BITS_MASK << SHADOW_ACC_TRACK_SAVED_BITS_SHIFT)
    return Entry((spte ^ saved) | (saved >> SHADOW_ACC_TRACK_SAVED_BITS_SHIFT))


def is_access_allowed(write, spte):
    """is_access_allowed() [7.1] of a load or a store."""
    return is_writable_pte(spte) if write else spte & PT_PRESENT_MASK != 0
