"""KVM_SET_USER_MEMORY_REGION2: memslots are created, deleted, moved, under slots_lock; kvm-mmu.md 6.5."""

from septum.host.geometry import GFNS, Gfn, VmId
from septum.host.locks import mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.host.pools import EEXIST, EINVAL, OK
from septum.host.srcu import synchronize_srcu
from septum.kvm.contents import dropped, dropping
from septum.kvm.machine import Machine
from septum.kvm.memslots import MEMSLOTS, SLOT_IDS, Hva, MemslotId, SlotNumber
from septum.kvm.tdp.direct import DIRECT
from septum.kvm.tdp.dirty_log import INITIALLY_SET, kvm_mmu_slot_apply_flags
from septum.kvm.tdp.manual_log import set_all_dirty
from septum.kvm.tdp.mirror_zap import tdp_mmu_zap_leafs
from septum.kvm.tdp.roots import kvm_mmu_zap_all_fast
from septum.kvm.tdp.tlb import kvm_flush_remote_tlbs
from septum.kvm.versions import KERNEL, V6_19
from septum.kvm.virt.gmem_file import CLOSES_FILE, kvm_gmem_bind, kvm_gmem_unbind
from septum.kvm.virt.gmem_files import FILES, kvm_gmem_unbind_from
from septum.kvm.virt.notifier import kvm_unmap_gfn_range
from septum.lang import Size, Witness, atomic, each, process, reached, u8, when

SLOT_ZAP_ALL = Size("SLOT_ZAP_ALL", 1)  # KVM_X86_QUIRK_SLOT_ZAP_ALL, which plain VMs have unless it is disabled

slot_deleted = Witness("slot_deleted", "a memslot was deleted")
slot_moved = Witness("slot_moved", "a memslot was moved")


@process
def kvm_set_memory_region(m: Machine, vm: VmId, number: SlotNumber, npages: u8, base_gfn: Gfn, hva: Hva, flags: u8):
    """KVM_SET_USER_MEMORY_REGION2, kvm_set_memory_region() [7.1]: creates, deletes (no pages), moves, or changes flags. Errno.

    `flags`: 1 to log dirty pages, 2 for guest_memfd, as the bits of a mask; a slot of guest_memfd is only created and deleted.
    Until 6.18 a change that leaves guest_memfd out is taken for one of flags, and the file stays bound to the slot before it.
    """
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    error = yield from kvm_change_memslot(m, vm, number, npages, base_gfn, hva, flags)
    mutex_unlock(m, m.vm[vm].slots_lock)
    return error


@process
def kvm_change_memslot(m: Machine, vm: VmId, number: SlotNumber, npages: u8, base_gfn: Gfn, hva: Hva, flags: u8):
    """The checks of kvm_set_memory_region() [7.1], and the change that they come to."""
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
        if flags & 2 != 0 or npages != memslot.npages or hva != memslot.hva:
            return EINVAL
        if KERNEL >= V6_19 and memslot.gmem:
            return EINVAL
        if base_gfn == memslot.base_gfn and memslot.log_dirty == (flags & 1 != 0) and not memslot.gmem:
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
    if DIRECT and INITIALLY_SET:
        if made.log_dirty:
            set_all_dirty(m, vm, new)
    if CLOSES_FILE and made.gmem:
        error = yield from kvm_gmem_bind(m, vm, new)
        if error != OK:
            free_memslot(m, vm, new)
            return error
    if old != 0 and base_gfn != memslot.base_gfn:
        yield from kvm_move_memslot(m, vm, number, old, new)
    else:
        yield from kvm_activate_memslot(m, vm, number, new)
        if old != 0:
            free_memslot(m, vm, old)
            if DIRECT:
                yield from kvm_mmu_slot_apply_flags(m, vm, new)
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
    if CLOSES_FILE:
        yield from kvm_gmem_unbind(m, vm, old)
    if FILES:
        yield from kvm_gmem_unbind_from(m, vm, old)
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
    """kvm_invalidate_memslot() [7.1], kvm-mmu.md 6.5: whoever found the slot without the flag is gone before the flush.

    The copy has flags and place, and no file: the bindings keep the slot itself.
    """
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
    atomic("mn_invalidate_lock is held from this test to the assignment")
    slots.active.slot[SlotNumber(number)] = slot
    slots.active.generation += 1
    yield from synchronize_srcu(m, m.vm[vm].memslots.srcu)
    slots.active.generation += 1


@process
def kvm_arch_flush_shadow_memslot(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_arch_flush_shadow_memslot() [7.1], kvm-mmu.md 4.11: the leaves of the slot, mirror and direct; mmu_lock held for write.

    Of a plain VM all direct roots, unless userspace has disabled the quirk.
    """
    if DIRECT and SLOT_ZAP_ALL:
        if m.vm[vm].direct.gfn_direct_bits == 0:
            yield from kvm_mmu_zap_all_fast(m, vm)
            return
    memslot = m.vm[vm].memslots.memslot[slot]
    last = Gfn(memslot.base_gfn + memslot.npages - 1)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    dropping(m, vm, memslot.base_gfn, last)
    if DIRECT:
        flush = yield from kvm_unmap_gfn_range(m, vm, memslot.base_gfn, last, True, True)
        if flush:
            yield from kvm_flush_remote_tlbs(m, vm)
    else:
        yield from tdp_mmu_zap_leafs(m, vm, memslot.base_gfn, last)
    dropped(m, vm)
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
    if FILES:
        memslot.at.file = 0
        memslot.at.pgoff = 0
