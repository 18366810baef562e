"""Aging: the primary MMU asks whether a page was accessed, and takes the A bit; without mmu_lock [6.15+]; kvm-mmu.md 4.13."""

from septum.host.entry import Entry
from septum.host.geometry import Gfn, Level, Pfn, VmId, leaf_base
from septum.host.rcu import rcu_read_lock, rcu_read_unlock
from septum.host.srcu import srcu_read_lock, srcu_read_unlock
from septum.kvm.machine import Machine
from septum.kvm.memslots import SLOT_IDS, Hva, SlotNumber, first_gfn, slot_in_hva_range
from septum.kvm.tdp.changed_spte import is_leaf
from septum.kvm.tdp.direct import (
    HUGE_1G,
    HUGE_PAGES,
    KVM_DIRECT_ROOTS,
    ROOTS,
    RootSlot,
    direct_index,
    is_mirror_sp,
    read_direct,
    root_at,
    tdp_mmu_root_match,
)
from septum.kvm.tdp.spte import AD_DISABLED, SHADOW_ACCESSED_MASK, is_accessed_spte, mark_spte_for_access_track
from septum.kvm.tdp.walk import walk_to
from septum.kvm.versions import KERNEL, V7_2
from septum.lang import Witness, atomic, bug_on, process, reached

aged = Witness("aged", "aging took an A bit")
aged_too_late = Witness("aged_too_late", "aging took the A bit of an entry that was zapped or frozen meanwhile")


@process
def kvm_age_hva(m: Machine, vm: VmId, hva: Hva):
    """kvm_mmu_notifier_clear_flush_young() [7.1]: SHARED filter, no mmu_lock; every memslot with the HVA, under SRCU."""
    yield
    srcu_read_lock(m.vm[vm].memslots.srcu)
    for number in range(SLOT_IDS):
        slot = slot_in_hva_range(m, vm, SlotNumber(number), hva, hva)
        if slot != 0:
            yield from kvm_tdp_mmu_age_gfn_range(m, vm, first_gfn(m, vm, slot, hva))
    srcu_read_unlock(m.vm[vm].memslots.srcu)


@process
def kvm_tdp_mmu_age_gfn_range(m: Machine, vm: VmId, gfn: Gfn):
    """__kvm_tdp_mmu_age_gfn_range() [7.1]: for_each_tdp_mmu_root_rcu(), valid direct roots, each leaf that maps the GFN."""
    rcu_read_lock(m)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        yield
        if tdp_mmu_root_match(m, root, KVM_DIRECT_ROOTS):
            if HUGE_1G:
                yield from age_leaf(m, vm, root, leaf_base(gfn, Level(3)), Level(3))
            if HUGE_PAGES:
                yield from age_leaf(m, vm, root, leaf_base(gfn, Level(2)), Level(2))
            yield from age_leaf(m, vm, root, gfn, Level(1))
    rcu_read_unlock(m)


@process
def age_leaf(m: Machine, vm: VmId, root: Pfn, gfn: Gfn, level: Level):
    """kvm_tdp_mmu_age_spte() [7.2]: a compare and exchange that may fail; without A/D bits it takes the permissions too.

    With A/D bits FETCH_AND of A until 7.1, whatever the entry holds by then.
    """
    spt = yield from walk_to(m, vm, root, gfn, level)
    if spt != 0:
        yield
        i = direct_index(m, vm, gfn, level)
        old = read_direct(m, spt, i)
        if is_leaf(old, level) and is_accessed_spte(old):
            bug_on(is_mirror_sp(m, spt), "asserts: WARN_ON_ONCE: a mirror SPTE is aged")
            yield
            atomic("one locked instruction")
            now = read_direct(m, spt, i)
            if KERNEL < V7_2 and not AD_DISABLED:
                m.table[spt].word[i] = Entry(now ^ (now & SHADOW_ACCESSED_MASK))
            elif now == old:
                m.table[spt].word[i] = mark_spte_for_access_track(old) if AD_DISABLED else Entry(old ^ SHADOW_ACCESSED_MASK)
            if is_leaf(now, level) if KERNEL < V7_2 and not AD_DISABLED else now == old:
                reached(aged)
            else:
                reached(aged_too_late)
