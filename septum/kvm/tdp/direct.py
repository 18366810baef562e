"""What a VM has with direct roots: the roots, the primary MMU behind its HVAs, a small TLB of each vCPU; kvm-mmu.md 1.

A scenario without them (DIRECT 0) has one mirror root, and none of this.
"""

from septum.host.frames import Role
from septum.host.geometry import ENTRIES, ENTRY_BITS, Gfn, Level, Pfn, VmId, index_at, leaf_base, pages_per_leaf
from septum.host.locks import SpinLock
from septum.kvm.machine import Machine
from septum.kvm.memslots import Hva, MemslotId, covers, hva_of
from septum.kvm.tdp.mixed import is_disallowed
from septum.kvm.tdp.spte import read_spte
from septum.lang import Enum, Index, Size, Struct, array, boolean, bug_on, commutes, u8, u16

DIRECT = Size("DIRECT", 0)  # VMs have direct roots
ROOTS = Size("ROOTS", 2)  # roots that a VM may have at a time, those that are being zapped among them
RESCHED = Size("RESCHED", 0)  # loops that may yield do so, or not
COPIES_ON_WRITE = Size("COPIES_ON_WRITE", 0)  # a page that the primary MMU maps read-only is shared: who writes gets another one
HUGE_PAGES = Size("HUGE_PAGES", 0)  # the primary MMU has 2M folios
HUGE_1G = Size("HUGE_1G", 0)  # and folios of 1G
LARGEST = Size("LARGEST", lambda: 3 if HUGE_1G.value else 2)  # level of the largest leaf
KVM_INVALID_ROOTS, KVM_DIRECT_ROOTS, KVM_MIRROR_ROOTS = 1, 2, 4  # enum kvm_tdp_mmu_root_types, kvm-mmu.md 1.5
KVM_VALID_ROOTS = 6
RootSlot = Index("RootSlot", ROOTS)


class SpRole(Struct):
    """sp->role and the fields of a root, kvm-mmu.md 1.3."""

    is_mirror: bool
    invalid: bool
    scheduled: bool  # tdp_mmu_scheduled_root_to_zap: still has the TDP MMU's own reference
    root_count: u8


class Tlb(Struct):
    """One translation that a vCPU may still use, whatever the page tables say by now."""

    page: Pfn  # 0: none
    gfn: Gfn
    writable: bool
    dirty: bool  # D was set when the translation was made: a write does not look at the SPTE again


class PageFault(Struct):
    """struct kvm_page_fault, on the stack of its vCPU."""

    is_direct: bool
    write: bool
    prefetch: bool
    map_writable: bool
    slot: MemslotId


class VcpuDirect(Struct):
    """What a vCPU has of the direct side."""

    root: Pfn  # mmu->root.hpa
    free_obsolete_roots: bool  # KVM_REQ_MMU_FREE_OBSOLETE_ROOTS
    tlb_flush: bool  # KVM_REQ_TLB_FLUSH
    tlb: Tlb
    pml: boolean[Gfn]  # GPAs in the page-modification log
    fault: PageFault


class Mm(Struct):
    """The primary MMU: which page each HVA has, and whether it may be written and is part of a 2M folio."""

    page: Pfn[Hva]
    read_only: boolean[Hva]
    huge: boolean[Hva]


class Copy(Enum):
    """The VMM's copy of a page of the guest, when it migrates it."""

    NONE = 0
    CURRENT = 1
    STALE = 2  # the guest wrote the page since


class VmDirect(Struct):
    """What a VM has of the direct side; kvm-mmu.md 1.4."""

    gfn_direct_bits: u8  # the shared bit of a TDX VM; 0: every GFN is direct
    shadow_mmio_value: u8
    roots: Pfn[RootSlot]  # tdp_mmu_roots
    pages_lock: SpinLock  # tdp_mmu_pages_lock
    tdp_mmu_pages: u16
    stat: u16[Level]  # pages of direct leaves, by level
    mm: Mm
    dirty_bitmap: boolean[Gfn]
    copy: array(Copy, Gfn)


def root_at(m: Machine, vm: VmId, i: RootSlot):
    """An element of tdp_mmu_roots, as who walks the list finds it; 0: none."""
    commutes("a root that is added meanwhile is found by the next walk; one that is taken off has an end of its own")
    return m.vm[vm].direct.roots[i]


def is_mirror_sp(m: Machine, spt: Pfn):
    """is_mirror_sp() [7.1]."""
    return m.sp[spt].direct.is_mirror


def tdp_mmu_root_match(m: Machine, root: Pfn, types):
    """tdp_mmu_root_match() [7.1], kvm-mmu.md 1.5: an element of the list, which may be empty, is of one of these types."""
    bug_on(types & KVM_VALID_ROOTS == 0, "asserts: WARN_ON_ONCE: neither direct nor mirror roots are asked for")
    if root == 0:
        return False
    if m.sp[root].direct.invalid and types & KVM_INVALID_ROOTS == 0:
        return False
    return types & (KVM_MIRROR_ROOTS if is_mirror_sp(m, root) else KVM_DIRECT_ROOTS) != 0


def spte_index(m: Machine, vm: VmId, spt: Pfn, gfn: Gfn, level: Level):
    """SPTE_INDEX((iter->gfn | iter->gfn_bits), level), with kvm_gfn_root_bits() [7.1]; kvm-mmu.md 4.0."""
    if DIRECT:
        if not is_mirror_sp(m, spt):
            return direct_index(m, vm, gfn, level)
    return index_at(gfn, level)


def direct_index(m: Machine, vm: VmId, gfn: Gfn, level: Level):
    """Which entry of a direct table at `level` translates `gfn`: in a TDX VM with the shared bit."""
    return ((gfn | m.vm[vm].direct.gfn_direct_bits) >> (ENTRY_BITS * Level(level - 1))) % ENTRIES


def read_direct(m: Machine, spt: Pfn, i):
    """READ_ONCE(*sptep) in a direct table: not after the grace period that follows its call_rcu(); kvm-mmu.md 7.2 I12."""
    assert m.frame[spt].role == Role.SPT, f"rcu: page {spt} is read as a table after its free"
    return read_spte(m, spt, i)


def clear_role(m: Machine, spt: Pfn):
    """The header of a table is free."""
    role = m.sp[spt].direct
    role.is_mirror = False
    role.invalid = False
    role.scheduled = False
    role.root_count = 0


def mark_page_dirty_in_slot(m: Machine, vm: VmId, slot: MemslotId, gfn: Gfn):
    """mark_page_dirty_in_slot() [7.1]: the bit of the page, if the slot that the fault found logs dirty pages."""
    commutes("a bit that is set atomically, and that only KVM_GET_DIRTY_LOG clears, before it takes permissions away")
    memslot = m.vm[vm].memslots.memslot[slot]
    assert memslot.npages != 0, f"custody: memslot object {slot} is read after its free"
    if memslot.log_dirty:
        m.vm[vm].direct.dirty_bitmap[gfn] = True


def direct_mapping_level(m: Machine, vm: VmId, slot: MemslotId, gfn: Gfn):
    """kvm_mmu_hugepage_adjust() [7.1]: as large as the folio, if the slot has all of it, aligned, of one view; no dirty log."""
    if HUGE_PAGES:
        if slot != 0 and not m.vm[vm].memslots.memslot[slot].log_dirty:
            if HUGE_1G:
                if is_huge_at(m, vm, slot, gfn, Level(3)):
                    return Level(3)
            if is_huge_at(m, vm, slot, gfn, Level(2)):
                return Level(2)
    return Level(1)


def is_huge_at(m: Machine, vm: VmId, slot: MemslotId, gfn: Gfn, level: Level):
    """Whether a leaf at this level may map `gfn`."""
    base = leaf_base(gfn, level)
    if not covers(m, vm, slot, base) or not covers(m, vm, slot, Gfn(base + pages_per_leaf(level) - 1)):
        return False
    hva = hva_of(m, vm, slot, base)
    return hva % pages_per_leaf(level) == 0 and m.vm[vm].direct.mm.huge[hva] and not is_disallowed(m, vm, gfn)
