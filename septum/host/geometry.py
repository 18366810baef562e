"""The sizes of the model and the index types that follow: small in a check, those of a real machine in a simulation.

Real geometry is ENTRIES 512, LEVELS 4 or 5, CACHE_CAPACITY 40, LAZY_RANGES 0; the numbers below are a small scope.
"""

from septum.lang import Index, SetOf, Size
from septum.lang.types import Unsigned

ENTRIES = Size("ENTRIES", 2)  # entries of a table, 4K pages of a 2M range of guest addresses
ENTRY_BITS = Size("ENTRY_BITS", lambda: ENTRIES.value.bit_length() - 1)
LEVELS = Size("LEVELS", 3)  # the level of the root; tables lie at LEVELS - 1 .. 1
PT64_ROOT_MAX_LEVEL = Size("PT64_ROOT_MAX_LEVEL", lambda: LEVELS.value)  # what a top-up asks for, kvm-mmu.md 3.2
CACHE_CAPACITY = Size("CACHE_CAPACITY", lambda: PT64_ROOT_MAX_LEVEL.value)  # KVM_ARCH_NR_OBJS_PER_MEMORY_CACHE
GFNS = Size("GFNS", 4)
VMS = Size("VMS", 1)
VCPUS = Size("VCPUS", 2)
THREADS = Size("THREADS", lambda: VCPUS.value)
PAGES = Size("PAGES", 48)
FIXED_PAGES = Size("FIXED_PAGES", 5)  # pages 1 .. FIXED_PAGES-1 have a name in the scenario, the others are interchangeable
RANGES = Size("RANGES", 10)
FIXED_RANGES = Size("FIXED_RANGES", 2)  # 2M ranges 1 .. FIXED_RANGES-1 belong to fixed pages
RCU_QUEUE = Size("RCU_QUEUE", 8)  # callbacks that may wait at a time
LAZY_RANGES = Size(
    "LAZY_RANGES", 1
)  # 1: which 2M range a page lies in is explored; 0: its number // ENTRIES; 2: one of its own; 3: the first in use
SPREAD = Size("SPREAD", 0)  # over how many 2M ranges pages may be spread beside those of fixed pages; 0: as many as there may be
DYNAMIC_PAMT = Size("DYNAMIC_PAMT", 0)  # the module runs with Dynamic PAMT

EPOCH_BITS = Size("EPOCH_BITS", 8)
SEQUENCE_BITS = Size("SEQUENCE_BITS", 8)

PAMT_PAGES = 2  # pages of a pair, designs.md 1.4: TDX_DPAMT_ENTRY_PAGE_CNT

Pfn = Index("Pfn", PAGES, none=True, scalarset=True, first=FIXED_PAGES)
RangeId = Index("RangeId", RANGES, none=True, scalarset=True, first=FIXED_RANGES)
VmId = Index("VmId", VMS + 1, none=True)
VcpuId = Index("VcpuId", VCPUS + 1, none=True)
ThreadId = Index("ThreadId", THREADS)
Cpus = SetOf(ThreadId)
Gfn = Index("Gfn", GFNS)
Epoch = Unsigned("Epoch", EPOCH_BITS)  # TD_EPOCH of the module, and what its metadata of a page says of it
Sequence = Unsigned("Sequence", SEQUENCE_BITS)  # kvm->mmu_invalidate_seq, as far as it is counted
Level = Index("Level", LEVELS + 1)  # KVM's: 1 is 4K; the module's level is one less


def index_at(gfn: Gfn, level: Level):
    """SPTE_INDEX(): which entry of the table at `level` translates `gfn`."""
    return (gfn >> (ENTRY_BITS * Level(level - 1))) % ENTRIES


def table_base(gfn: Gfn, level: Level):
    """The first GFN that the table at `level` translates."""
    return Gfn(gfn - gfn % (1 << (ENTRY_BITS * level)))


def leaf_base(gfn: Gfn, level: Level):
    """gfn_round_for_level(): the first GFN of the leaf at `level` that maps `gfn`."""
    return Gfn(gfn - gfn % (1 << (ENTRY_BITS * Level(level - 1))))


def pages_per_leaf(level: Level):
    """KVM_PAGES_PER_HPAGE()."""
    return 1 << (ENTRY_BITS * Level(level - 1))
