"""The iterator over a direct tree: the way to a table, and how it yields; kvm-mmu.md 4.0, 4.15."""

from septum.host.geometry import LEVELS, Gfn, Level, Pfn, VmId
from septum.host.locks import read_lock, read_unlock, write_lock, write_unlock
from septum.host.rcu import rcu_read_lock, rcu_read_unlock
from septum.kvm.machine import Machine
from septum.kvm.tdp.changed_spte import is_table
from septum.kvm.tdp.direct import RESCHED, read_direct, spte_index
from septum.kvm.tdp.spte import spte_to_pfn
from septum.kvm.tdp.tlb import kvm_flush_remote_tlbs
from septum.lang import Witness, bug_on, choose, process, reached

yielded = Witness("yielded", "a loop over a tree dropped mmu_lock in between")


def tdp_iter_start(m: Machine, root: Pfn):
    """tdp_iter_start() [7.1], kvm-mmu.md 4.0: what it warns of; that the GFN fits its type says."""
    bug_on(root == 0 or m.sp[root].level != LEVELS, "asserts: WARN_ON_ONCE: a walk begins at what is no root")


def direct_table(m: Machine, vm: VmId, root: Pfn, gfn: Gfn, level: Level):
    """The table that holds the entry of `gfn` at `level`, where nobody links or unlinks tables meanwhile; 0 if there is none."""
    tdp_iter_start(m, root)
    spt = root
    at = Level(LEVELS)
    while at != level and spt != 0:
        entry = read_direct(m, spt, spte_index(m, vm, spt, gfn, at))
        spt = spte_to_pfn(entry) if is_table(entry, at) else Pfn(0)
        at = Level(at - 1)
    return spt


@process
def walk_to(m: Machine, vm: VmId, root: Pfn, gfn: Gfn, level: Level):
    """The same while others link and unlink tables: in an RCU read section, an entry at a time."""
    tdp_iter_start(m, root)
    spt = root
    at = Level(LEVELS)
    while at != level and spt != 0:
        yield
        entry = read_direct(m, spt, spte_index(m, vm, spt, gfn, at))
        spt = spte_to_pfn(entry) if is_table(entry, at) else Pfn(0)
        at = Level(at - 1)
    return spt


@process
def tdp_mmu_iter_cond_resched(m: Machine, vm: VmId, flush: bool, shared: bool):
    """tdp_mmu_iter_cond_resched() [7.1], kvm-mmu.md 4.15: whether mmu_lock and RCU were dropped; then the walk starts again.

    What is to be flushed is flushed before.
    """
    if not RESCHED:
        return False
    needed = yield choose(2)
    if needed == 0:
        return False
    if flush:
        yield from kvm_flush_remote_tlbs(m, vm)
    rcu_read_unlock(m)
    if shared:
        read_unlock(m, m.vm[vm].mmu_lock)
        yield from read_lock(m, m.vm[vm].mmu_lock)
    else:
        write_unlock(m, m.vm[vm].mmu_lock)
        yield from write_lock(m, m.vm[vm].mmu_lock)
    rcu_read_lock(m)
    reached(yielded)
    return True
