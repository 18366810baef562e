"""What must hold of direct trees: every translation is one of the primary MMU, no table is lost, counters count."""

from septum.host.entry import FROZEN_SPTE
from septum.host.geometry import GFNS, LEVELS, Gfn, Level, Pfn, VcpuId, VmId, leaf_base
from septum.kvm.machine import Machine
from septum.kvm.memslots import slot_at
from septum.kvm.tdp.changed_spte import is_leaf, is_table
from septum.kvm.tdp.direct import DIRECT, ROOTS, Copy, RootSlot, direct_index, is_mirror_sp
from septum.kvm.tdp.spte import is_mmio_spte, mmio_generation, page_of, spte_to_pfn
from septum.kvm.tdp.tlb import is_host_page
from septum.kvm.tdp.walk import direct_table
from septum.lang import each, u16


def translation(m: Machine):
    """No direct leaf, in a root valid or not, maps what its HVA has not (any more); kvm-mmu.md 7.2 I6, I10."""
    if DIRECT:
        for vm in each(VmId):
            for i in range(ROOTS):
                root = m.vm[vm].direct.roots[RootSlot(i)]
                if root != 0 and not is_mirror_sp(m, root):
                    for gfn in range(GFNS):
                        if gfn & m.vm[vm].direct.gfn_direct_bits == 0:
                            check_leaf(m, vm, root, Gfn(gfn))


def check_leaf(m: Machine, vm: VmId, root: Pfn, gfn: Gfn):
    """The leaf that maps `gfn`, if there is one: its page is that of the GFN's HVA, in a slot that is there; no private GFN's."""
    level = Level(LEVELS)
    spt = root
    while level != 0 and spt != 0:
        entry = m.table[spt].word[direct_index(m, vm, gfn, level)]
        if is_leaf(entry, level):
            page = page_of(entry, level, gfn)
            mine = m.vm[vm].direct.gfn_direct_bits == 0 or m.vm[vm].shared[gfn]
            assert mine, f"translation: GFN {gfn} is private, and a direct leaf maps it"
            assert is_host_page(m, vm, gfn, page), f"translation: GFN {gfn} maps page {page}, which is not that of its HVA"
        spt = spte_to_pfn(entry) if is_table(entry, level) else Pfn(0)
        level = Level(level - 1)


def roots(m: Machine):
    """A vCPU's root has references, a valid root has the TDP MMU's own; kvm-mmu.md 7.2 I11."""
    if DIRECT:
        for vcpu in each(VcpuId):
            loaded = m.vcpu[vcpu].direct.root
            assert loaded == 0 or m.sp[loaded].direct.root_count != 0, f"roots: a vCPU has root {loaded}, which has no reference"
        for vm in each(VmId):
            for i in range(ROOTS):
                root = m.vm[vm].direct.roots[RootSlot(i)]
                if root != 0 and not m.sp[root].direct.invalid:
                    others = roots_like(m, vm, root)
                    assert others == 1, f"roots: {others} valid roots of one role"
                    assert m.sp[root].direct.root_count != 0, f"roots: root {root} is valid, and has no reference"


def roots_like(m: Machine, vm: VmId, root: Pfn):
    """How many valid roots have the role of `root`."""
    found = u16(0)
    for i in range(ROOTS):
        other = m.vm[vm].direct.roots[RootSlot(i)]
        if other != 0 and not m.sp[other].direct.invalid and is_mirror_sp(m, other) == is_mirror_sp(m, root):
            found = u16(found + 1)
    return found


def accounting(m: Machine):
    """While nobody holds mmu_lock: page statistics and tdp_mmu_pages are what a count finds; kvm-mmu.md 7.2 I14, I2."""
    if DIRECT:
        for vm in each(VmId):
            if m.vm[vm].mmu_lock.writer == 0 and m.vm[vm].mmu_lock.readers == 0:
                count_trees(m, vm)


def count_trees(m: Machine, vm: VmId):
    """All direct trees of a VM, an entry at a time."""
    tables = u16(0)
    level = Level(LEVELS)
    while level != 0:
        leaves = u16(0)
        for i in range(ROOTS):
            root = m.vm[vm].direct.roots[RootSlot(i)]
            if root != 0 and not is_mirror_sp(m, root):
                tables = u16(tables + entries(m, vm, root, level, False))
                leaves = u16(leaves + entries(m, vm, root, level, True))
        counted = m.vm[vm].direct.stat[level]
        assert leaves == counted, f"accounting: {leaves} leaves at level {level}, and {counted} are counted"
        level = Level(level - 1)
    counted = m.vm[vm].direct.tdp_mmu_pages
    assert tables == counted, f"accounting: {tables} tables are linked, and {counted} are counted"


def entries(m: Machine, vm: VmId, root: Pfn, level: Level, leaves: bool):
    """How many leaves, or tables, the entries of a tree at one level are."""
    found = u16(0)
    for gfn in range(GFNS):
        if leaf_base(Gfn(gfn), level) == gfn and gfn & m.vm[vm].direct.gfn_direct_bits == 0:
            spt = direct_table(m, vm, root, Gfn(gfn), level)
            if spt != 0:
                entry = m.table[spt].word[direct_index(m, vm, Gfn(gfn), level)]
                assert entry != FROZEN_SPTE, "asserts: a linked entry is FROZEN while nobody holds mmu_lock"
                wanted = is_leaf(entry, level) if leaves else is_table(entry, level)
                found = u16(found + (1 if wanted else 0))
    return found


def mmio(m: Machine):
    """No MMIO SPTE of the current generation lies where a slot is; kvm-mmu.md 2.2."""
    if DIRECT:
        for vm in each(VmId):
            for i in range(ROOTS):
                root = m.vm[vm].direct.roots[RootSlot(i)]
                if root != 0 and not is_mirror_sp(m, root) and not m.sp[root].direct.invalid:
                    for gfn in range(GFNS):
                        check_mmio(m, vm, root, Gfn(gfn))


def check_mmio(m: Machine, vm: VmId, root: Pfn, gfn: Gfn):
    """An MMIO SPTE at `gfn`."""
    spt = direct_table(m, vm, root, gfn, Level(1))
    now = m.vm[vm].memslots.active.generation
    if spt != 0 and now % 2 == 0 and slot_at(m, vm, gfn) != 0:
        entry = m.table[spt].word[direct_index(m, vm, gfn, Level(1))]
        current = is_mmio_spte(entry, m.vm[vm].direct.shadow_mmio_value) and mmio_generation(entry) == now
        assert not current, f"mmio: GFN {gfn} has a memslot, and would still be emulated"


def dirty_log(m: Machine):
    """At rest, with every vCPU out of the guest: what it wrote after userspace copied it is in the dirty log."""
    if DIRECT:
        for vm in each(VmId):
            for gfn in range(GFNS):
                logged = m.vm[vm].direct.dirty_bitmap[Gfn(gfn)]
                lost = m.vm[vm].direct.copy[Gfn(gfn)] == Copy.STALE and not logged
                assert not lost, f"dirty log: a write to GFN {gfn} is lost"


def invalidation(m: Machine):
    """At rest: every invalidation that began has ended; kvm-mmu.md 7.2 I20."""
    for vm in each(VmId):
        assert m.vm[vm].mmu_invalidate_in_progress == 0, "invalidation: one began and never ended"


def linked_direct_tables(m: Machine):
    """How many tables direct trees have, with their roots."""
    found = u16(0)
    for vm in each(VmId):
        found = u16(found + m.vm[vm].direct.tdp_mmu_pages)
        for i in range(ROOTS):
            root = m.vm[vm].direct.roots[RootSlot(i)]
            if root != 0 and not is_mirror_sp(m, root):
                found = u16(found + 1)
    return found
