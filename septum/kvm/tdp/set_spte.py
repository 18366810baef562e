"""How an SPTE of a direct tree is changed, with mmu_lock held for read or for write; kvm-mmu.md 4.1, 4.7, 4.10."""

from septum.host.entry import FROZEN_SPTE, Entry
from septum.host.frames import Role
from septum.host.geometry import Gfn, Level, Pfn, VmId, leaf_base
from septum.host.locks import holds_exclusively
from septum.host.pools import EBUSY, OK
from septum.kvm.bug import lost_race
from septum.kvm.machine import Machine
from septum.kvm.tdp.changed_spte import handle_changed_spte, is_leaf
from septum.kvm.tdp.direct import is_mirror_sp, spte_index
from septum.kvm.tdp.spte import is_shadow_present_pte, spte_needs_atomic_update
from septum.lang import bug_on, cmpxchg, process, reached, xchg


@process
def tdp_mmu_set_direct_spte_atomic(m: Machine, vm: VmId, spt: Pfn, gfn: Gfn, level: Level, old: Entry, new: Entry):
    """tdp_mmu_set_spte_atomic() [7.2] of a direct SPTE, kvm-mmu.md 4.7: one compare-and-exchange, and what follows it.

    mmu_lock is held for read. Errno: EBUSY if the entry is another by now.
    """
    yield
    i = spte_index(m, vm, spt, gfn, level)
    bug_on(new == FROZEN_SPTE, "asserts: KVM_MMU_WARN_ON: an SPTE is set to FROZEN_SPTE")
    bug_on(old == FROZEN_SPTE, "asserts: WARN_ON_ONCE: a FROZEN SPTE is to be changed")
    assert m.frame[spt].role == Role.SPT, f"rcu: page {spt} is written as a table after its free"
    bug_on(is_mirror_sp(m, spt), "asserts: KVM_BUG_ON: a mirror SPTE is changed with mmu_lock held for read")
    was = cmpxchg(m.table[spt].word[i], old, new)
    if was != old:
        reached(lost_race)
        return EBUSY
    yield from handle_changed_spte(m, vm, leaf_base(gfn, level), level, old, new, True)
    return OK


@process
def tdp_mmu_set_direct_spte(m: Machine, vm: VmId, spt: Pfn, gfn: Gfn, level: Level, old: Entry, new: Entry):
    """tdp_mmu_iter_set_spte() [7.1] of a direct SPTE, kvm-mmu.md 4.10, mmu_lock held for write.

    An exchange where somebody may change it without the lock, else a plain store, kvm-mmu.md 4.1.
    """
    assert holds_exclusively(m.vm[vm].mmu_lock), "context: tdp_mmu_set_spte() without mmu_lock held for write"
    bug_on(old == FROZEN_SPTE or new == FROZEN_SPTE, "asserts: WARN_ON: a FROZEN SPTE while mmu_lock is held for write")
    present = is_shadow_present_pte(new)
    bug_on(present and is_mirror_sp(m, spt), "asserts: KVM_BUG_ON: a mirror SPTE is made present with mmu_lock held for write")
    yield
    i = spte_index(m, vm, spt, gfn, level)
    assert m.frame[spt].role == Role.SPT, f"rcu: page {spt} is written as a table after its free"
    was: Entry = old
    if is_leaf(old, level) and spte_needs_atomic_update(old):
        was = xchg(m.table[spt].word[i], new)
    else:
        m.table[spt].word[i] = new
    yield from handle_changed_spte(m, vm, leaf_base(gfn, level), level, was, new, False)
