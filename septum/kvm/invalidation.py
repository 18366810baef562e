"""Invalidations in progress, as faults look at them under mmu_lock: virt/kvm/kvm_main.c; kvm-mmu.md 6.5."""

from septum.host.geometry import Gfn, VmId
from septum.host.locks import holds_exclusively
from septum.kvm.machine import Machine
from septum.lang import atomic


def kvm_mmu_invalidate_start(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """kvm_mmu_invalidate_start() [7.2] and its first range, kvm-mmu.md 6.5; mmu_lock held for write. Ranges only grow."""
    atomic("who reads this without mmu_lock looks at it again under the lock")
    kvm = m.vm[vm]
    assert holds_exclusively(kvm.mmu_lock), "context: an invalidation begins without mmu_lock held for write"
    kvm.mmu_invalidate_in_progress += 1
    if kvm.mmu_invalidate_in_progress == 1:
        kvm.invalidate_first = first
        kvm.invalidate_last = last
    else:
        kvm_mmu_invalidate_range_add(m, vm, first, last)


def kvm_mmu_invalidate_range_add(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """kvm_mmu_invalidate_range_add() [7.1]: what is invalidated already, and what lies between, stays in the range."""
    atomic("who reads this without mmu_lock looks at it again under the lock")
    kvm = m.vm[vm]
    kvm.invalidate_first = Gfn(min(kvm.invalidate_first, first))
    kvm.invalidate_last = Gfn(max(kvm.invalidate_last, last))


def kvm_mmu_invalidate_end(m: Machine, vm: VmId):
    """kvm_mmu_invalidate_end() [7.1], kvm-mmu.md 6.5; mmu_lock held for write."""
    atomic("who reads this without mmu_lock looks at it again under the lock")
    kvm = m.vm[vm]
    assert holds_exclusively(kvm.mmu_lock), "context: an invalidation ends without mmu_lock held for write"
    assert kvm.mmu_invalidate_in_progress != 0, "asserts: KVM_BUG_ON(mmu_invalidate_in_progress < 0) (I20)"
    kvm.mmu_invalidate_seq += 1
    kvm.mmu_invalidate_in_progress -= 1
    if kvm.mmu_invalidate_in_progress == 0:
        kvm.invalidate_first = 0
        kvm.invalidate_last = 0
