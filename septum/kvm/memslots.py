"""Memslots: what userspace says where guest memory lies, under slots_lock and SRCU; kvm-mmu.md 6.5.

A scenario without memslots (MEMSLOTS 0) has all its GFNs in one that nobody changes. An object is never changed once a reader may
have found it, but replaced; the old one is freed after a grace period. Who holds one across that reads freed memory.
"""

from septum.host.geometry import GFNS, Gfn, VmId
from septum.host.locks import mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.host.pools import EEXIST, EINVAL, OK
from septum.host.srcu import Srcu, in_srcu, synchronize_srcu
from septum.kvm.machine import Machine
from septum.kvm.tdp_mmu import tdp_mmu_zap_leafs
from septum.lang import Index, Size, Struct, Witness, Word, each, process, reached, u8, when

MEMSLOTS = Size("MEMSLOTS", 0)  # struct kvm_memory_slot objects that a VM may have at a time
SLOT_IDS = Size("SLOT_IDS", 1)  # numbers of slots that userspace uses
HVAS = Size("HVAS", 4)  # pages of the VMM's address space
LOCAL_RETRY_LOOKS_AT_SLOT = Size("LOCAL_RETRY_LOOKS_AT_SLOT", 1)  # 0: before 6.18
MemslotId = Index("MemslotId", MEMSLOTS + 1, none=True)
SlotNumber = Index("SlotNumber", SLOT_IDS)
Hva = Index("Hva", HVAS)

slot_deleted = Witness("slot_deleted", "a memslot was deleted")
slot_moved = Witness("slot_moved", "a memslot was moved")
met_dying_slot = Witness("met_dying_slot", "a fault found its memslot flagged INVALID")


class Memslot(Struct):
    """struct kvm_memory_slot."""

    npages: u8  # 0: this object is free
    base_gfn: Gfn
    hva: Hva  # userspace_addr, in pages
    invalid: bool  # KVM_MEMSLOT_INVALID: being deleted or moved
    log_dirty: bool  # KVM_MEM_LOG_DIRTY_PAGES
    gmem: bool  # KVM_MEM_GUEST_MEMFD


class ActiveMemslots(Word):
    """What kvm->memslots[0] points to: the set of slots that a reader finds, and its generation."""

    slot: MemslotId[SlotNumber]
    generation: u8  # odd: an update is in progress (KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS)


class Memslots(Struct):
    """Everything of a VM that concerns its memslots."""

    memslot: Memslot[MemslotId]
    active: ActiveMemslots
    srcu: Srcu
    mn_active_invalidate_count: u8  # MMU notifiers between start and end; nobody swaps slots meanwhile


def gfn_to_memslot(m: Machine, vm: VmId, gfn: Gfn):
    """gfn_to_memslot() [7.1]: the slot object that translates `gfn`, or 0; in an SRCU section or with slots_lock held."""
    slots = m.vm[vm].memslots
    assert in_srcu(slots.srcu), "context: memslots are read outside of an SRCU section"
    for number in range(SLOT_IDS):
        slot = slots.active.slot[SlotNumber(number)]
        if slot != 0 and covers(m, vm, slot, gfn):
            return slot
    return MemslotId(0)


def covers(m: Machine, vm: VmId, slot: MemslotId, gfn: Gfn):
    """Whether a slot object translates `gfn`."""
    memslot = m.vm[vm].memslots.memslot[slot]
    assert memslot.npages != 0, f"custody: memslot object {slot} is read after its free"
    return memslot.base_gfn <= gfn and gfn < memslot.base_gfn + memslot.npages


def is_dying(m: Machine, vm: VmId, slot: MemslotId):
    """slot->flags & KVM_MEMSLOT_INVALID."""
    memslot = m.vm[vm].memslots.memslot[slot]
    assert memslot.npages != 0, f"custody: memslot object {slot} is read after its free"
    return memslot.invalid


def slot_is_dying(m: Machine, vm: VmId, gfn: Gfn):
    """Whether the slot of `gfn` is flagged INVALID by now."""
    slot = gfn_to_memslot(m, vm, gfn)
    return slot != 0 and is_dying(m, vm, slot)


def hva_of(m: Machine, vm: VmId, slot: MemslotId, gfn: Gfn):
    """__gfn_to_hva_memslot()."""
    memslot = m.vm[vm].memslots.memslot[slot]
    assert memslot.npages != 0, f"custody: memslot object {slot} is read after its free"
    return Hva(memslot.hva + gfn - memslot.base_gfn)


@process
def kvm_set_memory_region(m: Machine, vm: VmId, number: SlotNumber, npages: u8, base_gfn: Gfn, hva: Hva, flags: u8):
    """KVM_SET_USER_MEMORY_REGION2, kvm_set_memory_region() [7.1]: creates, deletes (no pages), moves, or changes flags. Errno.

    `flags`: 1 to log dirty pages, 2 for guest_memfd, as the bits of a mask; a slot of guest_memfd is only created and deleted.
    """
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    error = yield from kvm_change_memslot(m, vm, number, npages, base_gfn, hva, flags)
    mutex_unlock(m, m.vm[vm].slots_lock)
    return error


@process
def kvm_change_memslot(m: Machine, vm: VmId, number: SlotNumber, npages: u8, base_gfn: Gfn, hva: Hva, flags: u8):
    """The checks of __kvm_set_memory_region() [7.1], and the change that they come to."""
    old = m.vm[vm].memslots.active.slot[SlotNumber(number)]
    memslot = m.vm[vm].memslots.memslot[old]
    if base_gfn + npages > GFNS:
        return EINVAL
    if npages == 0:
        if old == 0:
            return EINVAL
        yield from kvm_delete_memslot(m, vm, number, old)
        return OK
    if old != 0:
        if memslot.gmem or flags & 2 != 0 or npages != memslot.npages or hva != memslot.hva:
            return EINVAL
        if base_gfn == memslot.base_gfn and memslot.log_dirty == (flags & 1 != 0):
            return OK
    if base_gfn != memslot.base_gfn or old == 0:
        if overlaps(m, vm, number, base_gfn, npages):
            return EEXIST
    new = kvm_alloc_memslot(m, vm)
    made = m.vm[vm].memslots.memslot[new]
    made.npages = npages
    made.base_gfn = base_gfn
    made.hva = hva
    made.log_dirty = flags & 1 != 0
    made.gmem = flags & 2 != 0
    if old != 0 and base_gfn != memslot.base_gfn:
        yield from kvm_move_memslot(m, vm, number, old, new)
    else:
        yield from kvm_activate_memslot(m, vm, number, new)
        if old != 0:
            free_memslot(m, vm, old)
    return OK


def overlaps(m: Machine, vm: VmId, number: SlotNumber, first: Gfn, npages: u8):
    """kvm_check_memslot_overlap(): another slot translates one of these GFNs."""
    for other in range(SLOT_IDS):
        slot = m.vm[vm].memslots.active.slot[SlotNumber(other)]
        memslot = m.vm[vm].memslots.memslot[slot]
        if slot != 0 and other != number and memslot.base_gfn < first + npages and first < memslot.base_gfn + memslot.npages:
            return True
    return False


@process
def kvm_delete_memslot(m: Machine, vm: VmId, number: SlotNumber, old: MemslotId):
    """kvm_set_memslot(KVM_MR_DELETE) [7.1]: an INVALID copy, a grace period, the flush, and no slot."""
    copy = yield from kvm_invalidate_memslot(m, vm, number, old)
    yield from kvm_activate_memslot(m, vm, number, MemslotId(0))
    free_memslot(m, vm, copy)
    free_memslot(m, vm, old)
    reached(slot_deleted)


@process
def kvm_move_memslot(m: Machine, vm: VmId, number: SlotNumber, old: MemslotId, new: MemslotId):
    """kvm_set_memslot(KVM_MR_MOVE) [7.1]: as a deletion, and then the new one."""
    copy = yield from kvm_invalidate_memslot(m, vm, number, old)
    yield from kvm_activate_memslot(m, vm, number, new)
    free_memslot(m, vm, copy)
    free_memslot(m, vm, old)
    reached(slot_moved)


@process
def kvm_invalidate_memslot(m: Machine, vm: VmId, number: SlotNumber, old: MemslotId):
    """kvm_invalidate_memslot() [7.1], kvm-mmu.md 6.5: whoever found the slot without the flag is gone before the flush."""
    copy = kvm_alloc_memslot(m, vm)
    made = m.vm[vm].memslots.memslot[copy]
    memslot = m.vm[vm].memslots.memslot[old]
    made.npages = memslot.npages
    made.base_gfn = memslot.base_gfn
    made.hva = memslot.hva
    made.log_dirty = memslot.log_dirty
    made.gmem = memslot.gmem
    made.invalid = True
    yield from kvm_activate_memslot(m, vm, number, copy)
    yield from kvm_arch_flush_shadow_memslot(m, vm, old)
    return copy


@process
def kvm_activate_memslot(m: Machine, vm: VmId, number: SlotNumber, slot: MemslotId):
    """kvm_activate_memslot() and kvm_swap_active_memslots() [7.1]: not between start and end of an MMU notifier; then SRCU."""
    slots = m.vm[vm].memslots
    yield when(lambda: m.vm[vm].memslots.mn_active_invalidate_count == 0)
    slots.active.slot[SlotNumber(number)] = slot
    slots.active.generation += 1
    yield from synchronize_srcu(m, m.vm[vm].memslots.srcu)
    slots.active.generation += 1


@process
def kvm_arch_flush_shadow_memslot(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_mmu_zap_memslot() [7.1], kvm-mmu.md 4.11: the leaves of the slot, mirror and direct, with mmu_lock held for write."""
    memslot = m.vm[vm].memslots.memslot[slot]
    yield from write_lock(m, m.vm[vm].mmu_lock)
    yield from tdp_mmu_zap_leafs(m, vm, memslot.base_gfn, Gfn(memslot.base_gfn + memslot.npages - 1))
    write_unlock(m, m.vm[vm].mmu_lock)


def kvm_alloc_memslot(m: Machine, vm: VmId):
    """kzalloc_obj(struct kvm_memory_slot): an object that nobody has; slots_lock is held."""
    for slot in each(MemslotId):
        if m.vm[vm].memslots.memslot[slot].npages == 0:
            return slot
    assert MEMSLOTS == 0, "scope: out of memslot objects, raise MEMSLOTS"
    return MemslotId(0)


def free_memslot(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_free_memslot(): after a grace period in which the object was in no set."""
    memslot = m.vm[vm].memslots.memslot[slot]
    memslot.npages = 0
    memslot.base_gfn = 0
    memslot.hva = 0
    memslot.invalid = False
    memslot.log_dirty = False
    memslot.gmem = False
