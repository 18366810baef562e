"""SPTEs of a mirror table: constructors and predicates with the real bits; kvm-mmu.md 2."""

from septum.host.entry import ADDRESS_MASK, PAGE_SHIFT, POISON, SHADOW_NONPRESENT_VALUE, Entry
from septum.host.geometry import ENTRIES, Level, Pfn
from septum.lang import u64

SPTE_MMU_PRESENT_MASK = 1 << 11
PT_PAGE_SIZE_MASK = 1 << 7
LEAF_SPTE = 0x8600000000000B37  # made by a demand fault: RWX, WB, accessed, dirty, host- and MMU-writable
NONLEAF_SPTE = 0x8000000000000907


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
    return Entry((u64(spt) << PAGE_SHIFT) | NONLEAF_SPTE)


def make_small_spte(huge, i):
    """make_small_spte() [7.1] for a table of 4K leaves: the i-th page of a 2M leaf, whose page number is aligned."""
    return Entry((huge & ~PT_PAGE_SIZE_MASK) | (i % ENTRIES << PAGE_SHIFT))


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
