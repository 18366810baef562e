"""Splitting 2M leaves with mmu_lock held for read, as dirty logging would for a TD; designs.md 5.9 (planned, not posted), 9.

The parent entry is frozen while the S-EPT is split, and gets its leaf back if the pool turns out to be short.
"""

from septum.host.entry import FROZEN_SPTE, Entry
from septum.host.geometry import ENTRIES, Gfn, Level, Pfn, VcpuId, VmId, index_at, leaf_base
from septum.host.locks import holds_shared, read_lock, read_unlock
from septum.host.pools import EBUSY, ENOMEM, OK
from septum.kvm.machine import SPLITS_UNDER_READ_LOCK, Machine
from septum.kvm.ops import ops
from septum.kvm.tdp.split import split_done, tdp_mmu_alloc_sp_for_split
from septum.kvm.tdp.spte import is_last_spte, is_shadow_present_pte, make_nonleaf_spte, make_small_spte, read_spte, spte_to_pfn
from septum.kvm.tdp.tdp_mmu import init_sp, table_at, tdp_mmu_free_sp
from septum.lang import process, reached, when

SIZES = {SPLITS_UNDER_READ_LOCK: 1}


@process
def split_under_read_lock(m: Machine, vm: VmId, gfn: Gfn):
    """kvm_mmu_slot_try_split_huge_pages() [7.1] of one leaf: tdp_mmu_split_huge_pages_root(shared)."""
    yield from read_lock(m, m.vm[vm].mmu_lock)
    sp = Pfn(0)
    error = OK
    huge = yield from is_huge_leaf(m, vm, gfn)
    while error == OK and huge:
        if sp == 0 or ops.need_topup_split(m, vm, VcpuId(0)):
            read_unlock(m, m.vm[vm].mmu_lock)
            if sp == 0:
                sp = yield from tdp_mmu_alloc_sp_for_split(m)
            error = ENOMEM
            if sp != 0:
                error = yield from ops.topup_split(m, vm, VcpuId(0))
            yield from read_lock(m, m.vm[vm].mmu_lock)
        else:
            error = yield from tdp_mmu_split_huge_page_atomic(m, vm, gfn, sp)
            if error == OK:
                sp = Pfn(0)
            elif error == EBUSY:
                error = OK
        huge = yield from is_huge_leaf(m, vm, gfn)
    if sp != 0:
        yield from tdp_mmu_free_sp(m, sp)
    read_unlock(m, m.vm[vm].mmu_lock)


@process
def is_huge_leaf(m: Machine, vm: VmId, gfn: Gfn):
    """Whether a 2M leaf maps `gfn`; waits while another thread has the entry frozen. The tables above it stay."""
    spt = table_at(m, vm, gfn, Level(2))
    yield when(lambda: m.table[spt].word[index_at(gfn, Level(2))] != FROZEN_SPTE)
    spte = read_spte(m, spt, index_at(gfn, Level(2)))
    return is_shadow_present_pte(spte) and is_last_spte(spte, Level(2))


@process
def tdp_mmu_split_huge_page_atomic(m: Machine, vm: VmId, gfn: Gfn, sp: Pfn):
    """tdp_mmu_split_huge_page(shared): fill the table, freeze the leaf, split the S-EPT, link; or the leaf again. Errno."""
    assert holds_shared(m.vm[vm].mmu_lock), "context: a shared split without mmu_lock held for read"
    spt = table_at(m, vm, gfn, Level(2))
    i = index_at(gfn, Level(2))
    huge: Entry = m.table[spt].word[i]
    init_sp(m, sp, m.sp[sp].external_spt, gfn, Level(1))
    for n in range(ENTRIES):
        m.table[sp].word[n] = make_small_spte(huge, n)
    yield
    if m.table[spt].word[i] != huge:
        return EBUSY
    m.table[spt].word[i] = FROZEN_SPTE
    error = yield from ops.split_external_spte(
        m, vm, VcpuId(0), leaf_base(gfn, Level(2)), spte_to_pfn(huge), m.sp[sp].external_spt
    )
    yield
    m.table[spt].word[i] = huge if error != OK else make_nonleaf_spte(sp)
    if error == OK:
        reached(split_done)
    return error


@process
def start_dirty_logging(m: Machine, vm: VmId, gfn: Gfn):
    """Eager page splitting of one leaf when a memslot gets KVM_MEM_LOG_DIRTY_PAGES."""
    yield from ops.split_under_read_lock(m, vm, gfn)
