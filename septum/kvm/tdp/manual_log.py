"""Manual protection of the dirty log (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2): it is read in one ioctl and cleared in another.

With KVM_DIRTY_LOG_INITIALLY_SET nothing is protected when logging begins, and 2M leaves are split when their pages are cleared.
"""

from septum.host.entry import Entry
from septum.host.geometry import GFNS, Gfn, Level, Pfn, VmId, leaf_base
from septum.host.locks import mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.kvm.machine import Machine
from septum.kvm.memslots import MemslotId, SlotNumber
from septum.kvm.requests import kick_vcpus
from septum.kvm.tdp.changed_spte import is_leaf
from septum.kvm.tdp.direct import HUGE_PAGES, KVM_VALID_ROOTS, ROOTS, Copy, RootSlot, root_at, tdp_mmu_root_match
from septum.kvm.tdp.dirty_log import (
    EAGER_PAGE_SPLIT,
    INITIALLY_SET,
    clear_dirty_pt_masked,
    copy_pages,
    take_dirty_bits,
    tdp_mmu_split_huge_pages_root,
    write_protected,
)
from septum.kvm.tdp.roots import kvm_tdp_mmu_put_root, tdp_mmu_get_root
from septum.kvm.tdp.set_spte import tdp_mmu_set_direct_spte
from septum.kvm.tdp.spte import EPT_SPTE_MMU_WRITABLE, PT_WRITABLE_MASK
from septum.kvm.tdp.tdp_mmu import read_sptep
from septum.kvm.tdp.tlb import PML, kvm_flush_remote_tlbs
from septum.kvm.tdp.walk import direct_table
from septum.lang import atomic, process, reached, u8, u64


@process
def copy_round(m: Machine, vm: VmId, number: SlotNumber):
    """The VMM migrates: KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG of what that said, and only then the copies."""
    mask = yield from kvm_vm_ioctl_get_dirty_log(m, vm, number)
    yield from kvm_clear_dirty_log_protect(m, vm, number, mask)
    yield from copy_pages(m, vm, mask)


@process
def copies_nothing_yet(m: Machine, vm: VmId, npages: u8):
    """The VMM begins a migration whose first log says what is to be copied; nothing of the first pages is yet."""
    yield
    atomic("the VMM's own memory")
    for gfn in range(GFNS):
        if gfn < npages:
            m.vm[vm].direct.copy[Gfn(gfn)] = Copy.STALE


@process
def kvm_vm_ioctl_get_dirty_log(m: Machine, vm: VmId, number: SlotNumber):
    """KVM_GET_DIRTY_LOG, kvm_get_dirty_log_protect() [7.1] with manual protection: a copy of the bitmap, and nothing else."""
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    if PML:
        kick_vcpus(m, vm)
    memslot = m.vm[vm].memslots.memslot[m.vm[vm].memslots.active.slot[number]]
    mask = u64(0)
    for gfn in range(GFNS):
        if memslot.base_gfn <= gfn and gfn < memslot.base_gfn + memslot.npages:
            yield
            if m.vm[vm].direct.dirty_bitmap[Gfn(gfn)]:
                mask = u64(mask | 1 << gfn)
    mutex_unlock(m, m.vm[vm].slots_lock)
    return mask


@process
def kvm_clear_dirty_log_protect(m: Machine, vm: VmId, number: SlotNumber, asked: u64):
    """KVM_CLEAR_DIRTY_LOG, kvm_clear_dirty_log_protect() [7.1]: what is still set is cleared and protected; then the flush."""
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    if PML:
        kick_vcpus(m, vm)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    slot = m.vm[vm].memslots.active.slot[number]
    mask = take_dirty_bits(m, vm, slot, asked)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if mask != 0 and tdp_mmu_root_match(m, root, KVM_VALID_ROOTS) and tdp_mmu_get_root(m, root):
            yield from kvm_arch_mmu_enable_log_dirty_pt_masked(m, vm, root, slot, mask)
            yield from kvm_tdp_mmu_put_root(m, vm, root)
    write_unlock(m, m.vm[vm].mmu_lock)
    if mask != 0:
        yield from kvm_flush_remote_tlbs(m, vm)
    mutex_unlock(m, m.vm[vm].slots_lock)


@process
def kvm_arch_mmu_enable_log_dirty_pt_masked(m: Machine, vm: VmId, root: Pfn, slot: MemslotId, mask: u64):
    """kvm_arch_mmu_enable_log_dirty_pt_masked() [7.1], kvm-mmu.md 4.13: 2M leaves that nobody protected yet, then 4K leaves."""
    if HUGE_PAGES and INITIALLY_SET:
        if EAGER_PAGE_SPLIT:
            yield from tdp_mmu_split_huge_pages_root(m, vm, root, slot, False)
        for gfn in range(GFNS):
            if mask >> gfn & 1 != 0:
                yield from write_protect_huge_gfn(m, vm, root, leaf_base(Gfn(gfn), Level(2)))
    yield from clear_dirty_pt_masked(m, vm, root, mask)


@process
def write_protect_huge_gfn(m: Machine, vm: VmId, root: Pfn, gfn: Gfn):
    """write_protect_gfn() [7.1] from 2M on, kvm-mmu.md 4.13: W and MMU-writable go, so that no fast page fault gives W back."""
    yield
    spt = direct_table(m, vm, root, gfn, Level(2))
    if spt != 0:
        old = read_sptep(m, vm, spt, gfn, Level(2))
        bits = old & (PT_WRITABLE_MASK | EPT_SPTE_MMU_WRITABLE)
        if is_leaf(old, Level(2)) and bits != 0:
            yield from tdp_mmu_set_direct_spte(m, vm, spt, gfn, Level(2), old, Entry(old ^ bits))
            reached(write_protected)


def set_all_dirty(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_prepare_memory_region() [7.1]: every bit of a new bitmap is set, before anybody finds the slot."""
    atomic("nobody has the slot yet")
    memslot = m.vm[vm].memslots.memslot[slot]
    for gfn in range(GFNS):
        if memslot.base_gfn <= gfn and gfn < memslot.base_gfn + memslot.npages:
            m.vm[vm].direct.dirty_bitmap[Gfn(gfn)] = True
