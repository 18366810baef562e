"""A hole is punched in a part of a 2M page of guest_memfd, as the huge-page series of January 2026 allowed; designs.md 5.14, 9.

Before a hole may only be as large as a folio it splits the leaves that cross its ends, as a conversion does, and without a vCPU.
"""

from septum.host.geometry import Gfn, VmId
from septum.host.locks import mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.host.pools import OK
from septum.kvm.invalidation import kvm_mmu_invalidate_end
from septum.kvm.machine import Machine
from septum.kvm.tdp.split import split_and_zap
from septum.kvm.virt.gmem import truncate
from septum.lang import process


@process
def kvm_gmem_punch_hole_split(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """kvm_gmem_punch_hole() [H v3], with kvm_gmem_split_private(): if a split fails for want of memory, nothing was punched."""
    yield from mutex_lock(m, m.vm[vm].invalidate_lock)
    error = yield from split_and_zap(m, vm, first, last)
    if error == OK:
        yield
        truncate(m, vm, first, last)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_end(m, vm)
    write_unlock(m, m.vm[vm].mmu_lock)
    mutex_unlock(m, m.vm[vm].invalidate_lock)
