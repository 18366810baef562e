"""A fault of a shared GPA, or of any GPA of a plain VM: the host page, the retry checks, the map; MMIO; kvm-mmu.md 4.2, 4.3."""

from septum.host.entry import Entry
from septum.host.frames import Content, Gfp, Role, alloc_page, get_page, put_page, take
from septum.host.geometry import PT64_ROOT_MAX_LEVEL, Gfn, Level, Pfn, VcpuId, VmId, leaf_base
from septum.host.locks import read_lock, read_unlock
from septum.host.pools import EFAULT, OK, kvm_mmu_topup_memory_cache
from septum.host.rcu import rcu_read_lock, rcu_read_unlock
from septum.kvm.exits import kvm_prepare_memory_fault_exit
from septum.kvm.machine import Machine
from septum.kvm.memslots import Hva, gfn_to_memslot, hva_of, is_dying, met_dying_slot
from septum.kvm.mmu.mmu import has_obsolete_root, mmu_invalidate_retry_gfn, root_obsolete, stale_fault
from septum.kvm.ops import ops
from septum.kvm.tdp.changed_spte import is_leaf
from septum.kvm.tdp.direct import (
    COPIES_ON_WRITE,
    HUGE_PAGES,
    direct_index,
    direct_mapping_level,
    mark_page_dirty_in_slot,
    read_direct,
)
from septum.kvm.tdp.spte import (
    AD_DISABLED,
    PT_WRITABLE_MASK,
    SHADOW_ACCESSED_MASK,
    is_access_allowed,
    is_access_track_spte,
    is_mmio_spte,
    is_mmu_writable_spte,
    mmio_generation,
    restore_acc_track_spte,
)
from septum.kvm.tdp.tdp_mmu import Fault, kvm_tdp_mmu_map
from septum.kvm.tdp.walk import walk_to
from septum.kvm.virt.notifier import wp_page_copy
from septum.lang import Witness, atomic, cmpxchg, process, reached

fixed_fast = Witness("fixed_fast", "a fast page fault gave W back without mmu_lock")
restored = Witness("restored", "a fast page fault met a leaf that was aged, and gives R and X back")
old_mmio = Witness("old_mmio", "an MMIO SPTE of an older generation was met")


@process
def direct_page_fault(m: Machine, vcpu: VcpuId, gfn: Gfn, write: bool, present: bool):
    """kvm_mmu_do_page_fault() and kvm_tdp_mmu_page_fault() [7.1] of a direct GPA, kvm-mmu.md 4.2; in an SRCU section.

    `present`: the CPU met a translation, which did not allow the access.
    """
    vm = m.vcpu[vcpu].vm
    f = m.vcpu[vcpu].direct.fault
    f.is_direct = True
    f.write = write
    f.slot = gfn_to_memslot(m, vm, gfn)
    result = Fault.CONTINUE
    if page_fault_can_be_fast(write, present):
        result = yield from fast_page_fault(m, vcpu, gfn, write)
    if result == Fault.CONTINUE:
        result = yield from slow_page_fault(m, vcpu, gfn, write)
    f.is_direct = False
    f.write = False
    f.prefetch = False
    f.map_writable = False
    f.slot = 0
    return result


@process
def slow_page_fault(m: Machine, vcpu: VcpuId, gfn: Gfn, write: bool):
    """kvm_tdp_mmu_page_fault() from the top-up on, with kvm_mmu_faultin_pfn() [7.1], kvm-mmu.md 4.2."""
    vm = m.vcpu[vcpu].vm
    slot = m.vcpu[vcpu].direct.fault.slot
    error = yield from topup(m, vcpu)
    if error != OK:
        return Fault.NO_MEMORY
    yield
    atomic("whoever changes the VM between these reads is found again under mmu_lock")
    mmu_seq = m.vm[vm].mmu_invalidate_seq
    if m.vm[vm].direct.gfn_direct_bits != 0 and not m.vm[vm].shared[gfn]:
        kvm_prepare_memory_fault_exit(m, vcpu, gfn, False, EFAULT)
        return Fault.MEMORY_FAULT
    page = Pfn(0)
    if slot != 0:
        if is_dying(m, vm, slot):
            reached(met_dying_slot)
            return Fault.INVALID_SLOT if m.vcpu[vcpu].direct.fault.prefetch else Fault.RETRY
        if mmu_invalidate_retry_gfn(m, vm, mmu_seq, gfn):
            return Fault.RETRY
        page = yield from hva_to_pfn(m, vcpu, hva_of(m, vm, slot, gfn), write)
    yield from read_lock(m, m.vm[vm].mmu_lock)
    result = Fault.RETRY
    if has_obsolete_root(m, vcpu):
        reached(root_obsolete)
    elif slot != 0 and mmu_invalidate_retry_gfn(m, vm, mmu_seq, gfn):
        reached(stale_fault)
    else:
        goal = direct_mapping_level(m, vm, slot, gfn)
        target = page
        if goal != 1:
            target = m.vm[vm].direct.mm.page[hva_of(m, vm, slot, leaf_base(gfn, goal))]
        result = yield from kvm_tdp_mmu_map(m, vcpu, gfn, goal, target)
    if page != 0:
        put_page(m, page)
    read_unlock(m, m.vm[vm].mmu_lock)
    return result


@process
def topup(m: Machine, vcpu: VcpuId):
    """mmu_topup_memory_caches() [7.1], kvm-mmu.md 3.2: external pages only where the VM has mirrored TDP. Errno."""
    if m.vm[m.vcpu[vcpu].vm].direct.gfn_direct_bits != 0:
        error = yield from ops.topup_external_cache(m, vcpu, PT64_ROOT_MAX_LEVEL)
        if error != OK:
            return error
    return (yield from kvm_mmu_topup_memory_cache(m, m.vcpu[vcpu].mmu_shadow_page_cache, PT64_ROOT_MAX_LEVEL))


@process
def hva_to_pfn(m: Machine, vcpu: VcpuId, hva: Hva, write: bool):
    """hva_to_pfn() [7.1]: the page of the primary MMU, faulted in where there is none, with a reference.

    A write makes a page writable that was not: in place, or another one where it is shared.
    """
    vm = m.vcpu[vcpu].vm
    if COPIES_ON_WRITE:
        yield
        atomic("GUP looks again after it had the page copied")
        if write and m.vm[vm].direct.mm.read_only[hva] and m.vm[vm].direct.mm.page[hva] != 0:
            yield from wp_page_copy(m, vm, hva)
    yield
    atomic("GUP holds the page-table lock of the host page")
    mm = m.vm[vm].direct.mm
    page = mm.page[hva]
    if page == 0:
        page = alloc_page(m, Gfp.KERNEL_ACCOUNT, Content.ZEROED)
        take(m, page, Role.HAND, Role.GUEST)
        m.frame[page].refcount = 1
        mm.page[hva] = page
    if write:
        mm.read_only[hva] = False
    get_page(m, page)
    m.vcpu[vcpu].direct.fault.map_writable = not mm.read_only[hva]
    return page


def page_fault_can_be_fast(write: bool, present: bool):
    """page_fault_can_be_fast() [7.1]: what dirty logging took is missing from a translation; what aging took leaves none."""
    return write if present else bool(AD_DISABLED)


@process
def fast_page_fault(m: Machine, vcpu: VcpuId, gfn: Gfn, write: bool):
    """fast_page_fault() [7.1], kvm-mmu.md 4.3: W back to a leaf that dirty logging took it from, R and X to one that was aged.

    RCU alone; the dirty log comes after. A larger leaf gets nothing back as long as its slot logs.
    """
    vm = m.vcpu[vcpu].vm
    result = Fault.CONTINUE
    rcu_read_lock(m)
    slot = m.vcpu[vcpu].direct.fault.slot
    level = Level(1)
    spt = yield from walk_to(m, vm, m.vcpu[vcpu].direct.root, gfn, level)
    if HUGE_PAGES:
        if spt == 0 and slot != 0 and not m.vm[vm].memslots.memslot[slot].log_dirty:
            level = Level(2)
            spt = yield from walk_to(m, vm, m.vcpu[vcpu].direct.root, gfn, level)
    if spt != 0:
        yield
        i = direct_index(m, vm, gfn, level)
        old = read_direct(m, spt, i)
        if is_leaf(old, level):
            new = fixed_spte(old, write)
            if is_access_allowed(write, old):
                result = Fault.SPURIOUS
            elif is_access_allowed(write, new):
                yield
                was = cmpxchg(m.table[spt].word[i], old, new)
                if was == old:
                    if write and slot != 0:
                        yield
                        mark_page_dirty_in_slot(m, vm, slot, gfn)
                    reached(fixed_fast)
                    result = Fault.FIXED
    rcu_read_unlock(m)
    return result


def fixed_spte(old, write: bool):
    """What a fast page fault makes of a leaf: accessed if it was aged without A/D bits, writable if it may be written."""
    new = old
    if AD_DISABLED:
        if is_access_track_spte(old):
            reached(restored)
            new = restore_acc_track_spte(old) | SHADOW_ACCESSED_MASK
    if write and is_mmu_writable_spte(old):
        new = new | PT_WRITABLE_MASK
    return Entry(new)


@process
def handle_mmio_page_fault(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """handle_mmio_page_fault() [7.1]: emulate, unless the SPTE is of older memslots: then a fault like any."""
    vm = m.vcpu[vcpu].vm
    rcu_read_lock(m)
    spt = yield from walk_to(m, vm, m.vcpu[vcpu].direct.root, gfn, Level(1))
    result = Fault.RETRY
    if spt != 0:
        yield
        spte = read_direct(m, spt, direct_index(m, vm, gfn, Level(1)))
        if is_mmio_spte(spte, m.vm[vm].direct.shadow_mmio_value):
            if is_current(m, vm, mmio_generation(spte)):
                result = Fault.EMULATE
            else:
                reached(old_mmio)
                result = Fault.CONTINUE
    rcu_read_unlock(m)
    if result == Fault.CONTINUE:
        return (yield from direct_page_fault(m, vcpu, gfn, False, False))
    return result


def is_current(m: Machine, vm: VmId, generation):
    """check_mmio_spte() [7.1]: of this generation, and no update of the memslots goes on."""
    now = m.vm[vm].memslots.active.generation
    return now % 2 == 0 and generation == now
