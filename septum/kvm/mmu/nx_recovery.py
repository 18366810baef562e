"""NX recovery: a table that only the iTLB-multihit mitigation made is unlinked, so that a 2M leaf may come; kvm-mmu.md 4.11."""

from septum.host.entry import SHADOW_NONPRESENT_VALUE
from septum.host.geometry import Gfn, Level, VmId
from septum.host.locks import read_lock, read_unlock
from septum.host.pools import OK
from septum.host.rcu import rcu_read_lock, rcu_read_unlock
from septum.kvm.machine import Machine
from septum.kvm.tdp.changed_spte import is_table
from septum.kvm.tdp.direct import KVM_DIRECT_ROOTS, ROOTS, RootSlot, is_mirror_sp, root_at, tdp_mmu_root_match
from septum.kvm.tdp.set_spte import tdp_mmu_set_direct_spte_atomic
from septum.kvm.tdp.spte import spte_to_pfn
from septum.kvm.tdp.tdp_mmu import read_sptep
from septum.kvm.tdp.tlb import kvm_flush_remote_tlbs
from septum.kvm.tdp.walk import walk_to
from septum.lang import Witness, bug_on, process, reached

nx_recovered = Witness("nx_recovered", "NX recovery unlinked a table")


@process
def kvm_recover_nx_huge_pages(m: Machine, vm: VmId, gfn: Gfn):
    """kvm_recover_nx_huge_pages() [6.18]: the table of 4K leaves at `gfn`, in a valid direct root; mmu_lock held for read.

    Its pages are taken for ones that the mitigation split: whatever maps them asks for 4K.
    """
    yield from read_lock(m, m.vm[vm].mmu_lock)
    flush = False
    rcu_read_lock(m)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if tdp_mmu_root_match(m, root, KVM_DIRECT_ROOTS):
            parent = yield from walk_to(m, vm, root, gfn, Level(2))
            if parent != 0:
                yield
                old = read_sptep(m, vm, parent, gfn, Level(2))
                if is_table(old, Level(2)):
                    bug_on(is_mirror_sp(m, spte_to_pfn(old)), "asserts: NX recovery of a mirror table")
                    error = yield from tdp_mmu_set_direct_spte_atomic(m, vm, parent, gfn, Level(2), old, SHADOW_NONPRESENT_VALUE)
                    if error == OK:
                        flush = True
                        reached(nx_recovered)
    if flush:
        yield from kvm_flush_remote_tlbs(m, vm)
    rcu_read_unlock(m)
    read_unlock(m, m.vm[vm].mmu_lock)
