"""KVM_SET_MEMORY_ATTRIBUTES: a range of GFNs becomes private or shared, and its old view is unmapped; kvm-mmu.md 6.3."""

from septum.host.frames import may_fail, note_failure, ways_to_fail
from septum.host.geometry import ENTRIES, GFNS, Gfn, Level, VmId, index_at, table_base
from septum.host.locks import mutex_lock, mutex_unlock, write_lock, write_unlock
from septum.host.pools import ENOMEM, OK
from septum.kvm.contents import dropped, dropping
from septum.kvm.invalidation import kvm_mmu_invalidate_end, kvm_mmu_invalidate_start
from septum.kvm.machine import Machine
from septum.kvm.memslots import MEMSLOTS, slot_at
from septum.kvm.tdp.changed_spte import is_leaf
from septum.kvm.tdp.direct import DIRECT, HUGE_PAGES, ROOTS, RootSlot, direct_index, is_mirror_sp
from septum.kvm.tdp.mirror_zap import tdp_mmu_zap_leafs
from septum.kvm.tdp.mixed import MIXED, hugepage_test_mixed, kvm_arch_post_set_memory_attributes
from septum.kvm.tdp.spte import is_shadow_present_pte
from septum.kvm.tdp.tdp_mmu import table_at
from septum.kvm.tdp.tlb import kvm_flush_remote_tlbs
from septum.kvm.tdp.walk import direct_table
from septum.kvm.versions import KERNEL, V7_3
from septum.kvm.virt.notifier import kvm_unmap_gfn_range
from septum.lang import Witness, choose, process, reached

made_shared = Witness("made_shared", "private memory was converted to shared")
made_private = Witness("made_private", "shared memory was converted to private")


@process
def kvm_vm_ioctl_set_mem_attributes(m: Machine, vm: VmId, first: Gfn, last: Gfn, shared: bool):
    """kvm_vm_set_mem_attributes() [7.1], kvm-mmu.md 6.3, both ways. Errno.

    The old view goes between begin and end, each attribute is stored with mmu_lock dropped: a fault that reads the old one is
    found by its staleness, one that reads the new one leaves with a memory fault. GFNs without a memslot have neither.
    """
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    error = OK
    if not has_attributes(m, vm, first, last, shared):
        error = yield from reserve_attributes(m, shared)
        if error == OK:
            yield from set_attributes(m, vm, first, last, shared)
            note_conversion(shared)
    mutex_unlock(m, m.vm[vm].slots_lock)
    return error


@process
def reserve_attributes(m: Machine, shared: bool):
    """xa_reserve() for what is to be stored, before anything changes; since 7.3 not to clear attributes. Errno."""
    if may_fail(m) and (KERNEL < V7_3 or not shared):
        failing = yield choose(lambda: ways_to_fail(m, 1))
        if failing != 0:
            note_failure(m)
            return ENOMEM
    return OK


@process
def set_attributes(m: Machine, vm: VmId, first: Gfn, last: Gfn, shared: bool):
    """kvm_vm_set_mem_attributes() [7.1] from the first kvm_handle_gfn_range() to the last, which look for memslots."""
    found = overlaps_memslot(m, vm, first, last)
    if found:
        yield from write_lock(m, m.vm[vm].mmu_lock)
        kvm_mmu_invalidate_start(m, vm, first_straddled(m, vm, first), last_straddled(m, vm, last))
        yield from kvm_arch_pre_set_memory_attributes(m, vm, first, last, shared)
        write_unlock(m, m.vm[vm].mmu_lock)
    done = 0
    while first + done <= last:
        yield
        m.vm[vm].shared[Gfn(first + done)] = shared
        done = done + 1
    if found:
        yield from write_lock(m, m.vm[vm].mmu_lock)
        check_old_view(m, vm, first, last, shared)
        kvm_mmu_invalidate_end(m, vm)
        if MIXED:
            kvm_arch_post_set_memory_attributes(m, vm, first, last)
        write_unlock(m, m.vm[vm].mmu_lock)


def overlaps_memslot(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """Whether a memslot has one of these GFNs; slots_lock is held."""
    if MEMSLOTS:
        for gfn in range(first, last + 1):
            if slot_at(m, vm, Gfn(gfn)) != 0:
                return True
        return False
    return True


def has_attributes(m: Machine, vm: VmId, first: Gfn, last: Gfn, shared: bool):
    """kvm_range_has_memory_attributes() [7.1]; slots_lock keeps writers out."""
    for gfn in range(first, last + 1):
        if m.vm[vm].shared[Gfn(gfn)] != shared:
            return False
    return True


def first_straddled(m: Machine, vm: VmId, first: Gfn):
    """The invalidation reaches from the start of the 2M range in which the conversion begins, which may have had a 2M leaf."""
    if MIXED:
        if hugepage_test_mixed(m, vm, first):
            return first
    return table_base(first, Level(1))


def last_straddled(m: Machine, vm: VmId, last: Gfn):
    """And to the end of that in which it ends."""
    if MIXED:
        if hugepage_test_mixed(m, vm, last):
            return last
    end = table_base(last, Level(1)) + ENTRIES - 1
    return Gfn(end if end < GFNS else GFNS - 1)


@process
def kvm_arch_pre_set_memory_attributes(m: Machine, vm: VmId, first: Gfn, last: Gfn, shared: bool):
    """kvm_arch_pre_set_memory_attributes() [7.1]: unmaps the range from the roots of the old view; mmu_lock held for write."""
    if shared:
        dropping(m, vm, first, last)
        yield from tdp_mmu_zap_leafs(m, vm, first, last)
        dropped(m, vm)
    elif DIRECT:
        flush = yield from kvm_unmap_gfn_range(m, vm, first, last, False, True)
        if flush:
            yield from kvm_flush_remote_tlbs(m, vm)


def check_old_view(m: Machine, vm: VmId, first: Gfn, last: Gfn, shared: bool):
    """I9 of kvm-mmu.md 7.2: at the end of a change no leaf of the old view is left; mmu_lock is held for write."""
    for gfn in range(first, last + 1):
        if shared:
            assert not has_private_leaf(m, vm, Gfn(gfn)), f"agreement: GFN {gfn} is shared now, and a private leaf is left (I9)"
        elif DIRECT:
            assert not has_direct_leaf(m, vm, Gfn(gfn)), f"agreement: GFN {gfn} is private now, and a direct leaf is left (I9)"


def has_private_leaf(m: Machine, vm: VmId, gfn: Gfn):
    """Whether a 4K leaf of the mirror maps `gfn`; mmu_lock is held for write."""
    spt = table_at(m, vm, gfn, Level(1))
    return spt != 0 and is_shadow_present_pte(m.table[spt].word[index_at(gfn, Level(1))])


def has_direct_leaf(m: Machine, vm: VmId, gfn: Gfn):
    """Whether a leaf of a direct root, valid or not, maps `gfn`; mmu_lock is held for write."""
    for i in range(ROOTS):
        root = m.vm[vm].direct.roots[RootSlot(i)]
        if root != 0 and not is_mirror_sp(m, root):
            spt = direct_table(m, vm, root, gfn, Level(1))
            if spt != 0 and is_shadow_present_pte(m.table[spt].word[direct_index(m, vm, gfn, Level(1))]):
                return True
            if HUGE_PAGES:
                spt = direct_table(m, vm, root, gfn, Level(2))
                if spt != 0 and is_leaf(m.table[spt].word[direct_index(m, vm, gfn, Level(2))], Level(2)):
                    return True
    return False


def note_conversion(shared: bool):
    """For the witnesses."""
    if shared:
        reached(made_shared)
    else:
        reached(made_private)
