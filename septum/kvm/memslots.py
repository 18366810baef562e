"""Memslots as their readers find them, in SRCU sections: what userspace says where guest memory lies; kvm-mmu.md 6.5.

A scenario without memslots (MEMSLOTS 0) has all its GFNs in one that nobody changes. An object is never changed once a reader may
have found it, but replaced; the old one is freed after a grace period. Who holds one across that reads freed memory.
"""

from septum.host.geometry import Gfn, VmId
from septum.host.srcu import Srcu, in_srcu
from septum.kvm.machine import Machine
from septum.kvm.versions import KERNEL, V6_18
from septum.lang import Index, Size, Slot, Struct, Witness, Word, u8

MEMSLOTS = Size("MEMSLOTS", 0)  # struct kvm_memory_slot objects that a VM may have at a time
SLOT_IDS = Size("SLOT_IDS", 1)  # numbers of slots that userspace uses
HVAS = Size("HVAS", 4)  # pages of the VMM's address space
LOCAL_RETRY_LOOKS_AT_SLOT = Size("LOCAL_RETRY_LOOKS_AT_SLOT", lambda: int(KERNEL.value >= V6_18))
MemslotId = Index("MemslotId", MEMSLOTS + 1, none=True)
SlotNumber = Index("SlotNumber", SLOT_IDS)
Hva = Index("Hva", HVAS)

met_dying_slot = Witness("met_dying_slot", "a fault found its memslot flagged INVALID")


SLOT_FILE = Slot("slot.file")


class Memslot(Struct):
    """struct kvm_memory_slot."""

    npages: u8  # 0: this object is free
    base_gfn: Gfn
    hva: Hva  # userspace_addr, in pages
    invalid: bool  # KVM_MEMSLOT_INVALID: being deleted or moved
    log_dirty: bool  # KVM_MEM_LOG_DIRTY_PAGES
    gmem: bool  # KVM_MEM_GUEST_MEMFD
    at: SLOT_FILE  # slot->gmem, where a VM has several files


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


def slot_at(m: Machine, vm: VmId, gfn: Gfn):
    """The slot object of a GFN in the active set, dying or not; 0 if there is none."""
    slots = m.vm[vm].memslots
    for number in range(SLOT_IDS):
        slot = slots.active.slot[SlotNumber(number)]
        if slot != 0:
            memslot = slots.memslot[slot]
            if memslot.base_gfn <= gfn and gfn < memslot.base_gfn + memslot.npages:
                return slot
    return MemslotId(0)


def slot_in_hva_range(m: Machine, vm: VmId, number: SlotNumber, first: Hva, last: Hva):
    """The slot of this number, if it has any of these HVAs; else 0."""
    slot = m.vm[vm].memslots.active.slot[number]
    if slot != 0:
        memslot = m.vm[vm].memslots.memslot[slot]
        assert memslot.npages != 0, f"custody: memslot object {slot} is read after its free"
        if memslot.hva <= last and first < memslot.hva + memslot.npages:
            return slot
    return MemslotId(0)


def first_gfn(m: Machine, vm: VmId, slot: MemslotId, first: Hva):
    """hva_to_gfn_memslot() of the first HVA of a range that the slot has."""
    memslot = m.vm[vm].memslots.memslot[slot]
    return Gfn(memslot.base_gfn + max(first, memslot.hva) - memslot.hva)


def last_gfn(m: Machine, vm: VmId, slot: MemslotId, last: Hva):
    """hva_to_gfn_memslot() of the last HVA of a range that the slot has."""
    memslot = m.vm[vm].memslots.memslot[slot]
    return Gfn(memslot.base_gfn + min(last, memslot.hva + memslot.npages - 1) - memslot.hva)
