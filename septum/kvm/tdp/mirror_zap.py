"""Zaps of the mirror: leaves while the TD lives, its whole tree at the end; mmu_lock held for write; kvm-mmu.md 4.9 to 4.11."""

from septum.host.entry import FROZEN_SPTE, SHADOW_NONPRESENT_VALUE
from septum.host.frames import leak_guest_page
from septum.host.geometry import ENTRIES, GFNS, LEVELS, Gfn, Level, Pfn, VmId, index_at, pages_per_leaf
from septum.host.locks import FAIR, cond_resched_rwlock_write, holds_exclusively
from septum.host.pools import OK
from septum.host.rcu import call_rcu
from septum.kvm.bug import dies
from septum.kvm.machine import Machine
from septum.kvm.ops import ops
from septum.kvm.tdp.changed_spte import PROVE_MMU, ZAP_LEVEL, is_table, tables_removed
from septum.kvm.tdp.spte import is_last_spte, is_shadow_present_pte, read_spte, spte_to_pfn
from septum.kvm.tdp.tdp_mmu import table_at
from septum.lang import process, reached, u64, warn_on


@process
def tdp_mmu_zap_leafs(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """tdp_mmu_zap_leafs() [7.2], kvm-mmu.md 4.11: mmu_lock held for write; tables stay. 4K leaves."""
    assert holds_exclusively(m.vm[vm].mmu_lock), "context: leaves are zapped without mmu_lock held for write"
    done = 0
    while first + done <= last:
        yield from tdp_mmu_zap_leaf(m, vm, Gfn(first + done))
        done = done + 1
        if FAIR:
            yield from cond_resched_rwlock_write(m, m.vm[vm].mmu_lock)


@process
def tdp_mmu_zap_leaf(m: Machine, vm: VmId, gfn: Gfn):
    """tdp_mmu_iter_set_spte(SHADOW_NONPRESENT_VALUE) of a leaf [7.2], kvm-mmu.md 4.10: the mirror first, then the S-EPT."""
    spt = table_at(m, vm, gfn, Level(1))
    if spt == 0:
        return
    old = read_spte(m, spt, index_at(gfn, Level(1)))
    assert old != FROZEN_SPTE, "asserts: a linked entry is FROZEN while mmu_lock is held for write"
    if not is_shadow_present_pte(old):
        return
    m.table[spt].word[index_at(gfn, Level(1))] = SHADOW_NONPRESENT_VALUE
    error = yield from ops.remove_external_spte(m, vm, gfn, Level(1), spte_to_pfn(old))
    if error != OK:
        warn_on(dies(m, vm), "asserts: KVM_BUG_ON: a leaf could not be removed from the S-EPT")
        leak_guest_page(m, spte_to_pfn(old))


@process
def tdp_mmu_zap_root(m: Machine, vm: VmId):
    """tdp_mmu_zap_root() [7.2], kvm-mmu.md 4.11, mmu_lock held for write: passes over 4K, 2M, ... up to the root's level.

    Thanks to the passes a table that is unlinked has no present entry left; with PROVE_MMU they begin with 1G.
    """
    zap_level = Level(ZAP_LEVEL)
    while zap_level != 0:
        gfn = u64(0)
        while gfn < GFNS:
            yield from zap_entry(m, vm, Gfn(gfn), zap_level)
            gfn = u64(gfn + pages_per_leaf(zap_level))
        zap_level = Level(zap_level + 1) if zap_level != LEVELS else Level(0)


@process
def zap_entry(m: Machine, vm: VmId, gfn: Gfn, level: Level):
    """One entry of a pass of zap_root: a leaf is removed, a table is unlinked and goes through handle_removed_pt()."""
    if level == 1:
        yield from tdp_mmu_zap_leaf(m, vm, gfn)
        return
    spt = table_at(m, vm, gfn, level)
    if spt == 0:
        return
    old = read_spte(m, spt, index_at(gfn, level))
    if not is_shadow_present_pte(old):
        return
    assert not is_last_spte(old, level), "asserts: a huge leaf is left when the VM is destroyed"
    m.table[spt].word[index_at(gfn, level)] = SHADOW_NONPRESENT_VALUE
    yield from handle_removed_pt(m, vm, spte_to_pfn(old))


@process
def handle_removed_pt(m: Machine, vm: VmId, child: Pfn):
    """handle_removed_pt() [7.2], kvm-mmu.md 4.9: an unlinked table: its S-EPT page is reclaimed, then the sp waits for RCU.

    What it links goes before. There are no leaves any more, and nothing above 1G is unlinked that has entries.
    """
    assert holds_exclusively(m.vm[vm].mmu_lock), "asserts: KVM_BUG_ON(shared): mirror tables go with mmu_lock for write"
    for i in range(ENTRIES):
        old = m.table[child].word[i]
        if PROVE_MMU:
            if is_table(old, Level(m.sp[child].level)):
                m.table[child].word[i] = FROZEN_SPTE
                yield from handle_removed_empty_pt(m, vm, spte_to_pfn(old))
                reached(tables_removed)
            else:
                assert not is_shadow_present_pte(old), "asserts: KVM_BUG_ON(!is_hkid_assigned): a leaf is left in the S-EPT"
        else:
            assert not is_shadow_present_pte(old), "asserts: a table is removed before its entries"
    yield from ops.free_external_spt(m, vm, child)
    call_rcu(m, child)


@process
def handle_removed_empty_pt(m: Machine, vm: VmId, child: Pfn):
    """The same where the kernel recurses: a table without entries."""
    for i in range(ENTRIES):
        assert not is_shadow_present_pte(m.table[child].word[i]), "asserts: a table is removed before its entries"
    yield from ops.free_external_spt(m, vm, child)
    call_rcu(m, child)
