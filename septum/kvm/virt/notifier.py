"""MMU notifiers: the primary MMU takes a page of the VMM away, or its write permission; kvm-mmu.md 6.5.

Only direct trees follow the primary MMU: the filter is SHARED, and private memory has no HVA.
"""

from septum.host.entry import SHADOW_NONPRESENT_VALUE
from septum.host.frames import Content, Gfp, Role, alloc_page, put_page, take
from septum.host.geometry import Gfn, Level, Pfn, VmId, leaf_base
from septum.host.locks import write_lock, write_unlock
from septum.host.rcu import rcu_read_lock, rcu_read_unlock
from septum.host.srcu import in_srcu, srcu_read_lock, srcu_read_unlock
from septum.kvm.invalidation import kvm_mmu_invalidate_end, kvm_mmu_invalidate_range_add, kvm_mmu_invalidate_start
from septum.kvm.machine import Machine
from septum.kvm.memslots import SLOT_IDS, Hva, SlotNumber, first_gfn, last_gfn, slot_in_hva_range
from septum.kvm.tdp.changed_spte import is_leaf
from septum.kvm.tdp.direct import (
    COPIES_ON_WRITE,
    HUGE_1G,
    HUGE_PAGES,
    KVM_DIRECT_ROOTS,
    KVM_INVALID_ROOTS,
    ROOTS,
    RootSlot,
    root_at,
    tdp_mmu_root_match,
)
from septum.kvm.tdp.mirror_zap import tdp_mmu_zap_leafs
from septum.kvm.tdp.roots import kvm_tdp_mmu_put_root, tdp_mmu_get_root
from septum.kvm.tdp.set_spte import tdp_mmu_set_direct_spte
from septum.kvm.tdp.tdp_mmu import read_sptep
from septum.kvm.tdp.tlb import kvm_flush_remote_tlbs
from septum.kvm.tdp.walk import direct_table, tdp_mmu_iter_cond_resched
from septum.lang import Witness, atomic, bug_on, process, reached

leaf_zapped = Witness("leaf_zapped", "a direct leaf was zapped")
page_copied = Witness("page_copied", "a page of the VMM was copied, since it was shared and written to")
page_unmapped = Witness("page_unmapped", "the primary MMU took a page away")


@process
def madvise_dontneed(m: Machine, vm: VmId, first: Hva, last: Hva):
    """zap_page_range_single(), as MADV_DONTNEED calls it: pages leave the VMM's address space between start and end."""
    yield from kvm_mmu_notifier_invalidate_range_start(m, vm, first, last)
    done = 0
    while first + done <= last:
        yield
        unmap_page(m, vm, Hva(first + done))
        done = done + 1
    yield from kvm_mmu_notifier_invalidate_range_end(m, vm, first, last)


def unmap_page(m: Machine, vm: VmId, hva: Hva):
    """zap_pte_range() of one page."""
    atomic("the host's page table has a lock of its own")
    page = m.vm[vm].direct.mm.page[hva]
    if page != 0:
        m.vm[vm].direct.mm.page[hva] = 0
        put_page(m, page)
        reached(page_unmapped)


@process
def write_protect_hva(m: Machine, vm: VmId, hva: Hva):
    """change_protection(): the page may be read, and no more, until a write fault of the host."""
    yield from kvm_mmu_notifier_invalidate_range_start(m, vm, hva, hva)
    yield
    m.vm[vm].direct.mm.read_only[hva] = True
    yield from kvm_mmu_notifier_invalidate_range_end(m, vm, hva, hva)


@process
def host_write(m: Machine, vm: VmId, hva: Hva):
    """The VMM writes to a page, which is copied where it is shared."""
    yield
    atomic("the CPU looks into the host's page table, and a fault looks again")
    if m.vm[vm].direct.mm.page[hva] != 0 and m.vm[vm].direct.mm.read_only[hva]:
        yield from wp_page_copy(m, vm, hva)


@process
def wp_page_copy(m: Machine, vm: VmId, hva: Hva):
    """wp_page_copy(): another page, which may be written, takes the place of the shared one between start and end.

    What the others see of the old page nobody here can tell: this was its last reference but for faults in flight.
    """
    yield from kvm_mmu_notifier_invalidate_range_start(m, vm, hva, hva)
    yield
    atomic("the host's page table has a lock of its own")
    mm = m.vm[vm].direct.mm
    page = mm.page[hva]
    if page != 0 and mm.read_only[hva]:
        copy = alloc_page(m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
        take(m, copy, Role.HAND, Role.GUEST)
        m.frame[copy].refcount = 1
        mm.page[hva] = copy
        mm.read_only[hva] = False
        put_page(m, page)
        reached(page_copied)
    yield from kvm_mmu_notifier_invalidate_range_end(m, vm, hva, hva)


@process
def kvm_mmu_notifier_invalidate_range_start(m: Machine, vm: VmId, first: Hva, last: Hva):
    """kvm_mmu_notifier_invalidate_range_start() [7.1]: nobody swaps memslots until the end; what slots have there is unmapped.

    A fault that copies the page calls this in its own SRCU section.
    """
    nested = in_section(m, vm)
    yield
    atomic("under mn_invalidate_lock")
    m.vm[vm].memslots.mn_active_invalidate_count += 1
    yield
    if not nested:
        srcu_read_lock(m.vm[vm].memslots.srcu)
    found = False
    flush = False
    for number in range(SLOT_IDS):
        slot = slot_in_hva_range(m, vm, SlotNumber(number), first, last)
        if slot != 0:
            low = first_gfn(m, vm, slot, first)
            high = last_gfn(m, vm, slot, last)
            if not found:
                yield from write_lock(m, m.vm[vm].mmu_lock)
                kvm_mmu_invalidate_start(m, vm, low, high)
            else:
                yield
                kvm_mmu_invalidate_range_add(m, vm, low, high)
            found = True
            zapped = yield from kvm_unmap_gfn_range(m, vm, low, high, False, True)
            flush = flush or zapped
    if found:
        if flush:
            yield from kvm_flush_remote_tlbs(m, vm)
        write_unlock(m, m.vm[vm].mmu_lock)
    if not nested:
        srcu_read_unlock(m.vm[vm].memslots.srcu)


@process
def kvm_mmu_notifier_invalidate_range_end(m: Machine, vm: VmId, first: Hva, last: Hva):
    """kvm_mmu_notifier_invalidate_range_end() [7.1]: it finds the slots that the start found; kvm-mmu.md 7.2 I20."""
    nested = in_section(m, vm)
    yield
    if not nested:
        srcu_read_lock(m.vm[vm].memslots.srcu)
    if is_in_a_slot(m, vm, first, last):
        yield from write_lock(m, m.vm[vm].mmu_lock)
        kvm_mmu_invalidate_end(m, vm)
        write_unlock(m, m.vm[vm].mmu_lock)
    if not nested:
        srcu_read_unlock(m.vm[vm].memslots.srcu)
    yield
    atomic("under mn_invalidate_lock")
    bug_on(m.vm[vm].memslots.mn_active_invalidate_count == 0, "asserts: WARN_ON_ONCE: an MMU notifier ends that did not start")
    m.vm[vm].memslots.mn_active_invalidate_count -= 1


def in_section(m: Machine, vm: VmId):
    """Whether this thread is in an SRCU section already: a fault that has a page copied is."""
    if COPIES_ON_WRITE:
        return in_srcu(m.vm[vm].memslots.srcu)
    return False


def is_in_a_slot(m: Machine, vm: VmId, first: Hva, last: Hva):
    """Whether kvm_for_each_memslot_in_hva_range() finds any."""
    for number in range(SLOT_IDS):
        if slot_in_hva_range(m, vm, SlotNumber(number), first, last) != 0:
            return True
    return False


@process
def kvm_unmap_gfn_range(m: Machine, vm: VmId, first: Gfn, last: Gfn, private: bool, shared: bool):
    """kvm_unmap_gfn_range() and kvm_tdp_mmu_unmap_gfn_range() [7.1], kvm-mmu.md 4.11: roots by the filter, invalid ones too.

    Whether the TLBs of the vCPUs are to be flushed for it.
    """
    flush = False
    if shared:
        for i in range(ROOTS):
            root = root_at(m, vm, RootSlot(i))
            if tdp_mmu_root_match(m, root, KVM_DIRECT_ROOTS | KVM_INVALID_ROOTS) and tdp_mmu_get_root(m, root):
                flush = yield from tdp_mmu_zap_direct_leafs(m, vm, root, first, last, flush)
                yield from kvm_tdp_mmu_put_root(m, vm, root)
    if private and m.vm[vm].mirror_root != 0:
        yield from tdp_mmu_zap_leafs(m, vm, first, last)
    return flush


@process
def tdp_mmu_zap_direct_leafs(m: Machine, vm: VmId, root: Pfn, first: Gfn, last: Gfn, flush: bool):
    """tdp_mmu_zap_leafs() [7.1], kvm-mmu.md 4.11: leaves of every level that overlap; tables stay; a yield flushes."""
    rcu_read_lock(m)
    gfn = first
    going = True
    while going:
        resched = yield from tdp_mmu_iter_cond_resched(m, vm, flush, False)
        if resched:
            flush = False
        if HUGE_1G:
            zapped = yield from zap_direct_leaf(m, vm, root, leaf_base(gfn, Level(3)), Level(3))
            flush = flush or (zapped and not m.sp[root].direct.invalid)
        if HUGE_PAGES:
            zapped = yield from zap_direct_leaf(m, vm, root, leaf_base(gfn, Level(2)), Level(2))
            flush = flush or (zapped and not m.sp[root].direct.invalid)
        zapped = yield from zap_direct_leaf(m, vm, root, gfn, Level(1))
        flush = flush or (zapped and not m.sp[root].direct.invalid)
        going = gfn != last
        gfn = Gfn(gfn + 1) if going else gfn
    rcu_read_unlock(m)
    return flush


@process
def zap_direct_leaf(m: Machine, vm: VmId, root: Pfn, gfn: Gfn, level: Level):
    """The leaf at `gfn` and `level`, if there is one, becomes SHADOW_NONPRESENT_VALUE; whether there was one."""
    yield
    spt = direct_table(m, vm, root, gfn, level)
    if spt == 0:
        return False
    old = read_sptep(m, vm, spt, gfn, level)
    if not is_leaf(old, level):
        return False
    yield from tdp_mmu_set_direct_spte(m, vm, spt, gfn, level, old, SHADOW_NONPRESENT_VALUE)
    reached(leaf_zapped)
    return True
