"""NX recovery: a table that only the iTLB-multihit mitigation made is unlinked, so that a 2M leaf may come; kvm-mmu.md 4.11."""

from septum.host.entry import SHADOW_NONPRESENT_VALUE
from septum.host.geometry import Gfn, Level, Pfn, VmId
from septum.host.locks import read_lock, read_unlock, write_lock, write_unlock
from septum.host.pools import OK
from septum.host.rcu import rcu_read_lock, rcu_read_unlock
from septum.host.srcu import srcu_read_lock, srcu_read_unlock
from septum.kvm.machine import Machine
from septum.kvm.memslots import gfn_to_memslot
from septum.kvm.tdp.changed_spte import is_table
from septum.kvm.tdp.direct import (
    KVM_DIRECT_ROOTS,
    KVM_INVALID_ROOTS,
    ROOTS,
    RootSlot,
    direct_index,
    is_mirror_sp,
    read_direct,
    root_at,
    tdp_mmu_root_match,
)
from septum.kvm.tdp.set_spte import tdp_mmu_set_direct_spte, tdp_mmu_set_direct_spte_atomic
from septum.kvm.tdp.spte import spte_to_pfn
from septum.kvm.tdp.tdp_mmu import read_sptep
from septum.kvm.tdp.tlb import kvm_flush_remote_tlbs
from septum.kvm.tdp.walk import direct_table, tdp_mmu_iter_cond_resched
from septum.kvm.versions import KERNEL, V6_18
from septum.lang import Size, Witness, atomic, bug_on, process, reached

SHARED = Size("NX_RECOVERY_SHARED", lambda: int(KERNEL.value >= V6_18))  # mmu_lock is held for read
nx_recovered = Witness("nx_recovered", "NX recovery unlinked a table")
nx_recovered_late = Witness("nx_recovered_late", "NX recovery unlinked a table of a root that is being zapped")


@process
def kvm_recover_nx_huge_pages(m: Machine, vm: VmId, gfn: Gfn):
    """kvm_recover_nx_huge_pages() [6.18]: the tables of 4K leaves at `gfn`, of whatever direct root, valid or not.

    mmu_lock is held for read, until 6.17 for write. The pages are taken for ones that the mitigation split: whatever maps them
    asks for 4K. A slot that logs dirty pages keeps its tables.
    """
    srcu_read_lock(m.vm[vm].memslots.srcu)
    yield from lock(m, vm)
    flush = False
    rcu_read_lock(m)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if tdp_mmu_root_match(m, root, KVM_DIRECT_ROOTS | KVM_INVALID_ROOTS):
            yield
            atomic("tdp_mmu_pages_lock is held: the list has a table as long as it is linked, and the table knows its parent")
            parent = direct_table(m, vm, root, gfn, Level(2))
            child = child_of(m, vm, parent, gfn)
            slot = gfn_to_memslot(m, vm, gfn)
            if child != 0 and (slot == 0 or not m.vm[vm].memslots.memslot[slot].log_dirty):
                zapped = yield from kvm_tdp_mmu_zap_possible_nx_huge_page(m, vm, parent, gfn, child)
                flush = flush or zapped
                if zapped and m.sp[root].direct.invalid:
                    reached(nx_recovered_late)
            dropped = yield from tdp_mmu_iter_cond_resched(m, vm, flush, bool(SHARED))
            if dropped:
                flush = False
    if flush:
        yield from kvm_flush_remote_tlbs(m, vm)
    rcu_read_unlock(m)
    unlock(m, vm)
    srcu_read_unlock(m.vm[vm].memslots.srcu)


@process
def lock(m: Machine, vm: VmId):
    """mmu_lock, as NX recovery of this release takes it."""
    if SHARED:
        yield from read_lock(m, m.vm[vm].mmu_lock)
    else:
        yield from write_lock(m, m.vm[vm].mmu_lock)


def unlock(m: Machine, vm: VmId):
    """And releases it."""
    if SHARED:
        read_unlock(m, m.vm[vm].mmu_lock)
    else:
        write_unlock(m, m.vm[vm].mmu_lock)


def child_of(m: Machine, vm: VmId, parent: Pfn, gfn: Gfn):
    """The table of 4K leaves that an entry of `parent` links; 0 if it links none."""
    if parent == 0:
        return Pfn(0)
    spte = read_direct(m, parent, direct_index(m, vm, gfn, Level(2)))
    return spte_to_pfn(spte) if is_table(spte, Level(2)) else Pfn(0)


@process
def kvm_tdp_mmu_zap_possible_nx_huge_page(m: Machine, vm: VmId, parent: Pfn, gfn: Gfn, child: Pfn):
    """kvm_tdp_mmu_zap_possible_nx_huge_page() [6.18]: unless the entry links another table, or none, by now. Whether it did."""
    yield
    old = read_sptep(m, vm, parent, gfn, Level(2))
    if not is_table(old, Level(2)) or spte_to_pfn(old) != child:
        return False
    bug_on(is_mirror_sp(m, child), "asserts: NX recovery of a mirror table")
    if SHARED:
        error = yield from tdp_mmu_set_direct_spte_atomic(m, vm, parent, gfn, Level(2), old, SHADOW_NONPRESENT_VALUE)
        if error != OK:
            return False
    else:
        yield from tdp_mmu_set_direct_spte(m, vm, parent, gfn, Level(2), old, SHADOW_NONPRESENT_VALUE)
    reached(nx_recovered)
    return True
