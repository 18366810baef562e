"""Dirty logging of a slot in direct trees: from KVM_MEM_LOG_DIRTY_PAGES to KVM_GET_DIRTY_LOG; kvm-mmu.md 4.12, 4.13.

The log is read, cleared and protected again in one ioctl, or in two (manual_log.py). With PML the D bit is cleared, else W.
"""

from septum.host.entry import Entry
from septum.host.frames import Content, Gfp, Role, alloc_page, take
from septum.host.geometry import ENTRIES, GFNS, Gfn, Level, Pfn, VmId, leaf_base
from septum.host.locks import mutex_lock, mutex_unlock, read_lock, read_unlock, write_lock, write_unlock
from septum.host.pools import OK
from septum.host.rcu import rcu_read_lock, rcu_read_unlock
from septum.kvm.machine import Machine
from septum.kvm.memslots import MemslotId, SlotNumber
from septum.kvm.requests import kick_vcpus
from septum.kvm.tdp.changed_spte import is_leaf, is_table
from septum.kvm.tdp.direct import (
    HUGE_1G,
    HUGE_PAGES,
    KVM_VALID_ROOTS,
    LARGEST,
    ROOTS,
    Copy,
    RootSlot,
    direct_mapping_level,
    is_mirror_sp,
    read_direct,
    root_at,
    spte_index,
    tdp_mmu_root_match,
)
from septum.kvm.tdp.roots import kvm_tdp_mmu_put_root, tdp_mmu_get_root
from septum.kvm.tdp.set_spte import tdp_mmu_set_direct_spte_atomic
from septum.kvm.tdp.spte import PT_WRITABLE_MASK, SHADOW_DIRTY_MASK, make_huge_spte, spte_needs_atomic_update, spte_to_pfn
from septum.kvm.tdp.tdp_mmu import read_sptep, tdp_mmu_free_sp, tdp_mmu_split_direct
from septum.kvm.tdp.tlb import PML, kvm_flush_remote_tlbs
from septum.kvm.tdp.walk import direct_table, tdp_mmu_iter_cond_resched, walk_to
from septum.lang import Size, Witness, atomic, bug_on, process, reached, u8, u64

EAGER_PAGE_SPLIT = Size("EAGER_PAGE_SPLIT", 1)  # the module parameter: huge leaves are split when logging begins
INITIALLY_SET = Size("INITIALLY_SET", 0)  # KVM_DIRTY_LOG_INITIALLY_SET: all pages count as dirty, nothing is protected at first

ALL = (1 << 64) - 1

write_protected = Witness("write_protected", "dirty logging took W or D from a leaf")
page_logged = Witness("page_logged", "KVM_GET_DIRTY_LOG reported a page")
recovered = Witness("recovered", "a table became a 2M leaf again")
split_raced = Witness("split_raced", "a leaf that was to be split was another when the table for it was there")


@process
def kvm_mmu_slot_apply_flags(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_mmu_slot_apply_flags() [7.1]: when logging begins, split, take W from every leaf, flush in any case.

    With PML D from every leaf, then W from larger ones.
    """
    if not m.vm[vm].memslots.memslot[slot].log_dirty:
        yield from kvm_mmu_recover_huge_pages(m, vm, slot)
        return
    if INITIALLY_SET:
        return
    if HUGE_PAGES and EAGER_PAGE_SPLIT:
        yield from kvm_mmu_slot_try_split_huge_pages(m, vm, slot)
    yield from protect_slot(m, vm, slot, u64(SHADOW_DIRTY_MASK if PML else PT_WRITABLE_MASK), Level(1))
    if PML and HUGE_PAGES:
        yield from protect_slot(m, vm, slot, u64(PT_WRITABLE_MASK), Level(2))
    yield from kvm_flush_remote_tlbs(m, vm)


@process
def protect_slot(m: Machine, vm: VmId, slot: MemslotId, bit: u64, least: Level):
    """kvm_mmu_slot_remove_write_access() or kvm_mmu_slot_leaf_clear_dirty() [7.1]: mmu_lock held for read, all valid roots."""
    yield from read_lock(m, m.vm[vm].mmu_lock)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if tdp_mmu_root_match(m, root, KVM_VALID_ROOTS) and tdp_mmu_get_root(m, root):
            yield from wrprot_gfn_range(m, vm, root, slot, bit, least)
            yield from kvm_tdp_mmu_put_root(m, vm, root)
    read_unlock(m, m.vm[vm].mmu_lock)


@process
def wrprot_gfn_range(m: Machine, vm: VmId, root: Pfn, slot: MemslotId, bit: u64, least: Level):
    """wrprot_gfn_range() and clear_dirty_gfn_range() [7.1], kvm-mmu.md 4.13: leaves from a level on lose W or D.

    mmu_lock is held for read; again if the entry changed.
    """
    memslot = m.vm[vm].memslots.memslot[slot]
    rcu_read_lock(m)
    gfn = memslot.base_gfn
    left = memslot.npages
    while left != 0:
        yield from tdp_mmu_iter_cond_resched(m, vm, False, True)
        if HUGE_1G:
            yield from take_bit(m, vm, root, leaf_base(gfn, Level(3)), Level(3), bit)
        if HUGE_PAGES:
            yield from take_bit(m, vm, root, leaf_base(gfn, Level(2)), Level(2), bit)
        if least == 1:
            yield from take_bit(m, vm, root, gfn, Level(1), bit)
        left = u8(left - 1)
        gfn = Gfn(gfn + 1) if left != 0 else gfn
    rcu_read_unlock(m)


@process
def take_bit(m: Machine, vm: VmId, root: Pfn, gfn: Gfn, level: Level, bit: u64):
    """One leaf loses W or D, by compare and exchange, until it has it no more."""
    spt = yield from walk_to(m, vm, root, gfn, level)
    again = spt != 0
    while again:
        yield
        old = read_sptep(m, vm, spt, gfn, level)
        again = is_leaf(old, level) and old & bit != 0
        if again:
            error = yield from tdp_mmu_set_direct_spte_atomic(m, vm, spt, gfn, level, old, Entry(old ^ bit))
            if error == OK:
                reached(write_protected)
            again = error != OK


@process
def kvm_mmu_slot_try_split_huge_pages(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_mmu_slot_try_split_huge_pages() [7.1]: mmu_lock held for read, and dropped to allocate; kvm-mmu.md 4.12."""
    yield from read_lock(m, m.vm[vm].mmu_lock)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if tdp_mmu_root_match(m, root, KVM_VALID_ROOTS) and tdp_mmu_get_root(m, root):
            yield from tdp_mmu_split_huge_pages_root(m, vm, root, slot, True)
            yield from kvm_tdp_mmu_put_root(m, vm, root)
    read_unlock(m, m.vm[vm].mmu_lock)


@process
def tdp_mmu_split_huge_pages_root(m: Machine, vm: VmId, root: Pfn, slot: MemslotId, shared: bool):
    """tdp_mmu_split_huge_pages_root() [7.1], kvm-mmu.md 4.12: after the lock was dropped the walk starts anew."""
    memslot = m.vm[vm].memslots.memslot[slot]
    sp = Pfn(0)
    rcu_read_lock(m)
    gfn = memslot.base_gfn
    left = memslot.npages
    while left != 0:
        level = Level(LARGEST)
        while level != 1:
            spt = yield from walk_to(m, vm, root, gfn, level)
            yield
            found = False
            if spt != 0:
                huge = read_sptep(m, vm, spt, gfn, level)
                if is_leaf(huge, level):
                    found = True
                    if sp == 0:
                        rcu_read_unlock(m)
                        if shared:
                            read_unlock(m, m.vm[vm].mmu_lock)
                            sp = tdp_mmu_alloc_sp_for_split(m)
                            yield from read_lock(m, m.vm[vm].mmu_lock)
                        else:
                            write_unlock(m, m.vm[vm].mmu_lock)
                            sp = tdp_mmu_alloc_sp_for_split(m)
                            yield from write_lock(m, m.vm[vm].mmu_lock)
                        rcu_read_lock(m)
                    else:
                        error = yield from tdp_mmu_split_direct(m, vm, spt, gfn, level, huge, sp, shared)
                        if error == OK:
                            sp = Pfn(0)
                        else:
                            reached(split_raced)
            if not found:
                level = Level(level - 1)
        left = u8(left - 1)
        gfn = Gfn(gfn + 1) if left != 0 else gfn
    rcu_read_unlock(m)
    if sp != 0:
        yield from tdp_mmu_free_sp(m, sp)


def tdp_mmu_alloc_sp_for_split(m: Machine):
    """tdp_mmu_alloc_sp_for_split() [7.1]: a table that is not zeroed, since every entry is written."""
    spt = alloc_page(m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
    take(m, spt, Role.HAND, Role.SPT)
    return spt


@process
def get_dirty_log(m: Machine, vm: VmId, number: SlotNumber):
    """KVM_GET_DIRTY_LOG, kvm_get_dirty_log_protect() [7.1]; then the VMM copies the pages that were reported.

    What is logged is cleared and protected again with mmu_lock held for write; TLBs are flushed before userspace hears of it.
    """
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    if PML:
        kick_vcpus(m, vm)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    mask = take_dirty_bits(m, vm, m.vm[vm].memslots.active.slot[number], ALL)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if mask != 0 and tdp_mmu_root_match(m, root, KVM_VALID_ROOTS):
            yield from clear_dirty_pt_masked(m, vm, root, mask)
    write_unlock(m, m.vm[vm].mmu_lock)
    if mask != 0:
        yield from kvm_flush_remote_tlbs(m, vm)
    mutex_unlock(m, m.vm[vm].slots_lock)
    yield from copy_pages(m, vm, mask)


def take_dirty_bits(m: Machine, vm: VmId, slot: MemslotId, asked):
    """xchg() of the bitmap, or atomic_long_fetch_andnot() of the bits asked for, a bit for each GFN of the slot."""
    atomic("one exchange takes 64 bits")
    memslot = m.vm[vm].memslots.memslot[slot]
    mask = u64(0)
    for gfn in range(GFNS):
        inside = memslot.base_gfn <= gfn and gfn < memslot.base_gfn + memslot.npages
        if inside and asked >> gfn & 1 != 0 and m.vm[vm].direct.dirty_bitmap[Gfn(gfn)]:
            m.vm[vm].direct.dirty_bitmap[Gfn(gfn)] = False
            mask = u64(mask | 1 << gfn)
            reached(page_logged)
    return mask


@process
def clear_dirty_pt_masked(m: Machine, vm: VmId, root: Pfn, mask: u64):
    """clear_dirty_pt_masked() [7.1], kvm-mmu.md 4.13: 4K leaves lose D or W, atomically where it matters."""
    bit = SHADOW_DIRTY_MASK if PML else PT_WRITABLE_MASK
    rcu_read_lock(m)
    for gfn in range(GFNS):
        if mask >> gfn & 1 != 0:
            yield
            spt = direct_table(m, vm, root, Gfn(gfn), Level(1))
            if spt != 0:
                i = spte_index(m, vm, spt, Gfn(gfn), Level(1))
                old = read_direct(m, spt, i)
                if is_leaf(old, Level(1)) and old & bit != 0:
                    bug_on(is_mirror_sp(m, spt), "asserts: KVM_BUG_ON: a mirror SPTE is changed from present to present")
                    yield
                    now: Entry = old
                    if spte_needs_atomic_update(old):
                        atomic("atomic64_fetch_and()")
                        now = m.table[spt].word[i]
                    m.table[spt].word[i] = Entry(now ^ (now & bit))
                    reached(write_protected)
    rcu_read_unlock(m)


@process
def copy_pages(m: Machine, vm: VmId, mask: u64):
    """The VMM copies pages to where the guest migrates."""
    for gfn in range(GFNS):
        if mask >> gfn & 1 != 0:
            yield
            m.vm[vm].direct.copy[Gfn(gfn)] = Copy.CURRENT


@process
def copy_all(m: Machine, vm: VmId):
    """The first round of a migration, when logging has begun: every page."""
    yield from copy_pages(m, vm, u64((1 << GFNS) - 1))


@process
def kvm_mmu_recover_huge_pages(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_mmu_recover_huge_pages() [7.1], kvm-mmu.md 4.13, when logging ends: tables become 2M leaves again."""
    yield from read_lock(m, m.vm[vm].mmu_lock)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if tdp_mmu_root_match(m, root, KVM_VALID_ROOTS) and tdp_mmu_get_root(m, root):
            yield from recover_huge_pages_range(m, vm, root, slot)
            yield from kvm_tdp_mmu_put_root(m, vm, root)
    read_unlock(m, m.vm[vm].mmu_lock)


@process
def recover_huge_pages_range(m: Machine, vm: VmId, root: Pfn, slot: MemslotId):
    """recover_huge_pages_range() [7.1]: mmu_lock held for read; the flush comes before the end of the RCU read section."""
    flush = False
    rcu_read_lock(m)
    if HUGE_1G:
        for number in range(GFNS // (ENTRIES * ENTRIES)):
            made = yield from recover_huge_page(m, vm, root, slot, Gfn(number * ENTRIES * ENTRIES), Level(3))
            flush = flush or made
    for number in range(GFNS // ENTRIES):
        made = yield from recover_huge_page(m, vm, root, slot, Gfn(number * ENTRIES), Level(2))
        flush = flush or made
    if flush:
        yield from kvm_flush_remote_tlbs(m, vm)
    rcu_read_unlock(m)


@process
def recover_huge_page(m: Machine, vm: VmId, root: Pfn, slot: MemslotId, gfn: Gfn, level: Level):
    """One entry of that walk: a table where a leaf may be. Whether there is a leaf now that was none."""
    again = direct_mapping_level(m, vm, slot, gfn) >= level
    while again:
        spt = yield from walk_to(m, vm, root, gfn, level)
        again = False
        if spt != 0:
            yield
            old = read_sptep(m, vm, spt, gfn, level)
            if is_table(old, level):
                yield
                huge = tdp_mmu_make_huge_spte(m, spte_to_pfn(old), level)
                if huge != 0:
                    error = yield from tdp_mmu_set_direct_spte_atomic(m, vm, spt, gfn, level, old, huge)
                    again = error != OK
                    if error == OK:
                        reached(recovered)
                        return True
    return False


def tdp_mmu_make_huge_spte(m: Machine, spt: Pfn, level: Level):
    """tdp_mmu_make_huge_spte() [7.1]: of the first leaf below a table, which is linked at `level`; 0 if there is none."""
    atomic("leaves of one table differ in A, D and W; the first one that is found is as good as any")
    if HUGE_1G and level == 3:
        for i in range(ENTRIES):
            entry = read_direct(m, spt, i)
            if is_leaf(entry, Level(2)):
                return make_huge_spte(entry, i * ENTRIES)
            if is_table(entry, Level(2)):
                huge = make_recovered(m, spte_to_pfn(entry))
                if huge != 0:
                    return make_huge_spte(huge, i * ENTRIES)
        return Entry(0)
    return make_recovered(m, spt)


def make_recovered(m: Machine, spt: Pfn):
    """make_huge_spte() of the first leaf that a table of 4K leaves has; 0 if it has none."""
    atomic("as above")
    for i in range(ENTRIES):
        small = read_direct(m, spt, i)
        if is_leaf(small, Level(1)):
            return make_huge_spte(small, i)
    return Entry(0)
