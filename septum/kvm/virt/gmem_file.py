"""The guest_memfd file: slots are bound to ranges of it, and its release finds them there; kvm-mmu.md 6.4.

Only where a scenario closes it (CLOSES_FILE); elsewhere it is there as long as its VM. An offset is the GFN that it had first.
"""

from septum.host.geometry import GFNS, Gfn, VmId
from septum.host.locks import holds_exclusively, mutex_lock, mutex_unlock
from septum.host.pools import EEXIST, OK
from septum.kvm.machine import Machine
from septum.kvm.memslots import MEMSLOTS, MemslotId
from septum.kvm.versions import KERNEL, V6_18
from septum.lang import Size, Struct, Witness, process, reached

CLOSES_FILE = Size("CLOSES_FILE", 0)

unbound_dying = Witness("unbound_dying", "a slot went while the release of its file waited for slots_lock")


class GmemFile(Struct):
    """What there is beside the pages of the inode."""

    dying: bool  # the last reference to the file is gone
    bindings: MemslotId[Gfn]  # the slot that is bound to each offset


@process
def kvm_gmem_bind(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_gmem_bind() [7.2]: a new slot, unless an offset is bound already. Errno."""
    memslot = m.vm[vm].memslots.memslot[slot]
    yield from mutex_lock(m, m.vm[vm].invalidate_lock)
    error = OK
    for gfn in range(GFNS):
        if memslot.base_gfn <= gfn and gfn < memslot.base_gfn + memslot.npages and m.vm[vm].file.bindings[Gfn(gfn)] != 0:
            error = EEXIST
    if error == OK:
        for gfn in range(GFNS):
            if memslot.base_gfn <= gfn and gfn < memslot.base_gfn + memslot.npages:
                m.vm[vm].file.bindings[Gfn(gfn)] = slot
    mutex_unlock(m, m.vm[vm].invalidate_lock)
    return error


@process
def kvm_gmem_unbind(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_gmem_unbind() [7.1] of a slot that is about to be freed.

    The bindings of a file that is dying go too [6.18]: slots_lock keeps its release out. Before, they were left to it.
    """
    assert holds_exclusively(m.vm[vm].slots_lock), "context: a slot is unbound without slots_lock"
    yield
    if m.vm[vm].file.dying:
        reached(unbound_dying)
        if KERNEL >= V6_18:
            erase_bindings(m, vm, slot)
    else:
        yield from mutex_lock(m, m.vm[vm].invalidate_lock)
        erase_bindings(m, vm, slot)
        mutex_unlock(m, m.vm[vm].invalidate_lock)


def erase_bindings(m: Machine, vm: VmId, slot: MemslotId):
    """__kvm_gmem_unbind() [7.1]."""
    for gfn in range(GFNS):
        if m.vm[vm].file.bindings[Gfn(gfn)] == slot:
            m.vm[vm].file.bindings[Gfn(gfn)] = 0


def forget_file(m: Machine, vm: VmId):
    """kvm_gmem_release() [7.1] clears slot->gmem.file of every slot that is bound; slots_lock and invalidate_lock are held."""
    if MEMSLOTS:
        for gfn in range(GFNS):
            slot = m.vm[vm].file.bindings[Gfn(gfn)]
            if slot != 0:
                freed = m.vm[vm].memslots.memslot[slot].npages == 0
                assert not freed, f"custody: the release of guest_memfd writes to memslot object {slot} after its free"
                m.vm[vm].file.bindings[Gfn(gfn)] = 0
