"""Several guest_memfd files in one VM, where a scenario has them (FILES): each slot lies at an offset of one; kvm-mmu.md 6.4.

Elsewhere a VM has one file, whose offsets are its GFNs (gmem.py). Offsets count pages, and there are as many as GFNs.
"""

from septum.host.frames import CHECKS_CONTENTS, Content, Gfp, Role, alloc_page, get_page, put_page, take
from septum.host.geometry import GFNS, Gfn, Pfn, VmId
from septum.host.locks import InvalidateLock, holds_exclusively, mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.kvm.contents import dropped, dropping
from septum.kvm.invalidation import kvm_mmu_invalidate_end, kvm_mmu_invalidate_range_add, kvm_mmu_invalidate_start
from septum.kvm.machine import Machine
from septum.kvm.memslots import MemslotId
from septum.kvm.tdp.mirror_zap import tdp_mmu_zap_leafs
from septum.kvm.virt.gmem import hole_punched
from septum.lang import Index, Size, Struct, Witness, atomic, commutes, each, process, reached

FILES = Size("FILES", 0)
FileId = Index("FileId", FILES + 1, none=True)
hole_beside_slots = Witness("hole_beside_slots", "a hole was punched in a file at offsets that no slot is bound to")


class SlotFile(Struct):
    """slot->gmem: the file, and the offset of the slot's first page in it."""

    file: FileId
    pgoff: Gfn


class GuestMemfd(Struct):
    """A file with its inode: pages, the slots that are bound to them, filemap_invalidate_lock."""

    invalidate_lock: InvalidateLock
    page: Pfn[Gfn]
    bindings: MemslotId[Gfn]


class Files(Struct):
    """The files of a VM."""

    file: GuestMemfd[FileId]


@process
def kvm_gmem_get_pfn_of(m: Machine, vm: VmId, slot: MemslotId, gfn: Gfn):
    """kvm_gmem_get_pfn() [7.1]: the folio at the slot's offset, with a reference; 0 if the slot is not bound there (any more)."""
    yield
    atomic("the folio is locked until it is there")
    memslot = m.vm[vm].memslots.memslot[slot]
    assert memslot.npages != 0, f"custody: memslot object {slot} is read after its free"
    index = Gfn(gfn - memslot.base_gfn + memslot.at.pgoff)
    file = m.vm[vm].files.file[memslot.at.file]
    if file.bindings[index] != slot:
        return Pfn(0)
    page = file.page[index]
    if page == 0:
        page = alloc_page(m, Gfp.KERNEL_ACCOUNT, Content.ZEROED)
        take(m, page, Role.HAND, Role.GUEST)
        m.frame[page].refcount = 1
        file.page[index] = page
    get_page(m, page)
    return page


@process
def kvm_gmem_punch_hole_in(m: Machine, vm: VmId, number: FileId, first: Gfn, last: Gfn):
    """kvm_gmem_punch_hole() [7.1] of one file: its own lock, and the GFNs of the slots that are bound in the range."""
    file = m.vm[vm].files.file[number]
    yield from mutex_lock(m, file.invalidate_lock)
    yield from kvm_gmem_invalidate_start(m, vm, number, first, last)
    for index in range(GFNS):
        if first <= index and index <= last:
            yield
            page = file.page[Gfn(index)]
            if page != 0:
                file.page[Gfn(index)] = 0
                put_page(m, page)
                reached(hole_punched)
    if is_bound(m, vm, number, first, last):
        yield from write_lock(m, m.vm[vm].mmu_lock)
        kvm_mmu_invalidate_end(m, vm)
        write_unlock(m, m.vm[vm].mmu_lock)
    mutex_unlock(m, file.invalidate_lock)


@process
def kvm_gmem_invalidate_start(m: Machine, vm: VmId, number: FileId, first: Gfn, last: Gfn):
    """kvm_gmem_invalidate_start() [7.2]: one invalidation for every slot bound there; until 7.1 kvm_gmem_invalidate_begin()."""
    found = False
    for slot in each(MemslotId):
        if overlaps(m, vm, number, slot, first, last):
            low = first_gfn(m, vm, slot, first)
            high = last_gfn(m, vm, slot, last)
            if not found:
                yield from write_lock(m, m.vm[vm].mmu_lock)
                kvm_mmu_invalidate_start(m, vm, low, high)
                note_hole(m, vm, number, first, last)
            else:
                yield
                kvm_mmu_invalidate_range_add(m, vm, low, high)
            found = True
            yield from tdp_mmu_zap_leafs(m, vm, low, high)
    if found:
        dropped(m, vm)
        write_unlock(m, m.vm[vm].mmu_lock)
    else:
        reached(hole_beside_slots)


def note_hole(m: Machine, vm: VmId, number: FileId, first: Gfn, last: Gfn):
    """What userspace asked to drop: the GFNs that find their pages in the hole."""
    commutes("the check reads this, and no kernel")
    if CHECKS_CONTENTS:
        low = Gfn(GFNS - 1)
        high = Gfn(0)
        for slot in each(MemslotId):
            if overlaps(m, vm, number, slot, first, last):
                low = Gfn(min(low, first_gfn(m, vm, slot, first)))
                high = Gfn(max(high, last_gfn(m, vm, slot, last)))
        dropping(m, vm, low, high)


def is_bound(m: Machine, vm: VmId, number: FileId, first: Gfn, last: Gfn):
    """Whether a slot is bound to an offset of the range; the file's invalidate_lock is held."""
    assert holds_exclusively(m.vm[vm].files.file[number].invalidate_lock), "context: bindings are read without invalidate_lock"
    for index in range(GFNS):
        if first <= index and index <= last and m.vm[vm].files.file[number].bindings[Gfn(index)] != 0:
            return True
    return False


def overlaps(m: Machine, vm: VmId, number: FileId, slot: MemslotId, first: Gfn, last: Gfn):
    """Whether a slot is bound to an offset of the range."""
    for index in range(GFNS):
        if first <= index and index <= last and m.vm[vm].files.file[number].bindings[Gfn(index)] == slot:
            return True
    return False


def first_gfn(m: Machine, vm: VmId, slot: MemslotId, first: Gfn):
    """The GFN at the first offset of the range that the slot has."""
    memslot = m.vm[vm].memslots.memslot[slot]
    return Gfn(memslot.base_gfn + max(memslot.at.pgoff, first) - memslot.at.pgoff)


def last_gfn(m: Machine, vm: VmId, slot: MemslotId, last: Gfn):
    """The GFN at the last offset of the range that the slot has."""
    memslot = m.vm[vm].memslots.memslot[slot]
    return Gfn(memslot.base_gfn + min(memslot.npages - 1, last - memslot.at.pgoff))


@process
def kvm_gmem_unbind_from(m: Machine, vm: VmId, slot: MemslotId):
    """kvm_gmem_unbind() [7.1] of a slot that is about to be freed: not between begin and end of an invalidation of its file."""
    assert holds_exclusively(m.vm[vm].slots_lock), "context: a slot is unbound without slots_lock"
    number = FileId(m.vm[vm].memslots.memslot[slot].at.file)
    yield from mutex_lock(m, m.vm[vm].files.file[number].invalidate_lock)
    for index in range(GFNS):
        if m.vm[vm].files.file[number].bindings[Gfn(index)] == slot:
            m.vm[vm].files.file[number].bindings[Gfn(index)] = 0
    mutex_unlock(m, m.vm[vm].files.file[number].invalidate_lock)
