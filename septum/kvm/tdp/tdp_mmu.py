"""The TDP MMU on a mirror root: walk, map, link, freeze; kvm-mmu.md 4. How it is zapped: mirror_zap.py.

A yield stands before each access to an entry that another CPU may change meanwhile. With mmu_lock held for write
nobody else reads or writes a mirror table, and there is none.
"""

from septum.host.entry import FROZEN_SPTE, Entry
from septum.host.frames import Role, free_page, take
from septum.host.geometry import (
    ENTRIES,
    LEVELS,
    Gfn,
    Level,
    Pfn,
    VcpuId,
    VmId,
    index_at,
    leaf_base,
    table_base,
)
from septum.host.locks import holds_shared
from septum.host.pools import EBUSY, OK, kvm_mmu_memory_cache_alloc
from septum.host.rcu import rcu_read_lock, rcu_read_unlock
from septum.kvm.bug import lost_race, met_frozen, page_came_back, page_mapped, table_freed_unused, table_linked
from septum.kvm.machine import Machine
from septum.kvm.ops import ops
from septum.kvm.tdp.changed_spte import is_leaf, is_table, tdp_account_mmu_page
from septum.kvm.tdp.direct import DIRECT, HUGE_1G, clear_role, is_mirror_sp, mark_page_dirty_in_slot, read_direct, spte_index
from septum.kvm.tdp.set_spte import tdp_mmu_set_direct_spte, tdp_mmu_set_direct_spte_atomic
from septum.kvm.tdp.spte import (
    is_access_allowed,
    is_last_spte,
    is_shadow_present_pte,
    is_writable_pte,
    leaf_spte_change_needs_tlb_flush,
    make_direct_spte,
    make_mmio_spte,
    make_nonleaf_spte,
    make_small_huge_spte,
    make_small_spte,
    make_spte,
    read_spte,
    spte_to_pfn,
)
from septum.kvm.tdp.tlb import kvm_flush_remote_tlbs
from septum.lang import Enum, Size, Witness, bug_on, cmpxchg, process, reached

RWX = 7
BACKED_AT_ALLOCATION = Size("BACKED_AT_ALLOCATION", 0)  # an S-EPT page has its PAMT pair from its allocation to its free
PHYS_HOOKS = Size("PHYS_HOOKS", 0)  # phys_prepare() and phys_cleanup() around every install
direct_mapped = Witness("direct_mapped", "a page was mapped in a direct tree")
mmio_mapped = Witness("mmio_mapped", "an MMIO SPTE was installed")
direct_split = Witness("direct_split", "a 2M leaf of a direct tree was split")


class Fault(Enum):
    """RET_PF_* and the errors that leave the fault; kvm-mmu.md 4.2."""

    CONTINUE = 0
    RETRY = 1
    FIXED = 2
    SPURIOUS = 3
    NO_MEMORY = 4
    MEMORY_FAULT = 5  # KVM_EXIT_MEMORY_FAULT: userspace has to convert
    DEAD = 6  # KVM_REQ_VM_DEAD: -EIO
    EMULATE = 7  # MMIO
    WRITE_PROTECTED = 8
    AGAIN = 9  # -EAGAIN of a prefault
    INVALID_SLOT = 10  # RETRY because the slot is being deleted or moved: -EAGAIN for a prefault


@process
def kvm_tdp_mmu_map(m: Machine, vcpu: VcpuId, gfn: Gfn, goal: Level, page: Pfn):
    """kvm_tdp_mmu_map() [7.2], kvm-mmu.md 4.4: mmu_lock held for read, caches topped up.

    The first read joins the step that took the lock: no writer is inside, and other faults do not care who locked first.
    """
    vm = m.vcpu[vcpu].vm
    assert holds_shared(m.vm[vm].mmu_lock), "context: kvm_tdp_mmu_map() without mmu_lock held for read"
    rcu_read_lock(m)
    spt = tdp_mmu_get_root_for_fault(m, vcpu)
    level = Level(LEVELS)
    result = Fault.CONTINUE
    while result == Fault.CONTINUE:
        old = read_sptep(m, vm, spt, gfn, level)
        if old == FROZEN_SPTE:
            reached(met_frozen)
            result = Fault.RETRY
        elif level == goal:
            result = yield from tdp_mmu_map_handle_target_level(m, vcpu, spt, gfn, level, old, page)
        elif not is_shadow_present_pte(old):
            child = yield from tdp_mmu_alloc_sp(m, vcpu, gfn, Level(level - 1))
            error = yield from tdp_mmu_install(m, vcpu, spt, gfn, level, old, make_nonleaf_spte(child), m.sp[child].external_spt)
            if DIRECT:
                if error == OK and not is_mirror_sp(m, spt):
                    tdp_account_mmu_page(m, vm)
            if error != OK:
                yield from tdp_mmu_free_sp(m, child)
                reached(table_freed_unused)
                result = Fault.RETRY
            else:
                reached(table_linked)
                spt = child
                level = Level(level - 1)
                yield
        elif DIRECT and is_last_spte(old, level):
            bug_on(is_mirror_sp(m, spt), "asserts: KVM_BUG_ON(is_mirror_sptep): a fault meets a huge leaf above its goal")
            error = yield from split_in_fault(m, vcpu, spt, gfn, level, old)
            result = Fault.CONTINUE if error == OK else Fault.RETRY
            yield
        else:
            assert not is_last_spte(old, level), "asserts: KVM_BUG_ON(is_mirror_sptep): a fault meets a huge leaf above its goal"
            spt = spte_to_pfn(old)
            level = Level(level - 1)
            yield
    rcu_read_unlock(m)
    return result


def tdp_mmu_get_root_for_fault(m: Machine, vcpu: VcpuId):
    """tdp_mmu_get_root_for_fault() [7.1]: the mirror root for a private GPA, else the direct root of the vCPU."""
    if DIRECT:
        if m.vcpu[vcpu].direct.fault.is_direct:
            root = m.vcpu[vcpu].direct.root
            assert root != 0 and not m.sp[root].direct.invalid, "asserts: KVM_MMU_WARN_ON: a fault without a valid root"
            return root
    root = m.vm[m.vcpu[vcpu].vm].mirror_root
    assert root != 0, "asserts: KVM_MMU_WARN_ON: a fault without a mirror root"
    return root


def read_sptep(m: Machine, vm: VmId, spt: Pfn, gfn: Gfn, level: Level):
    """tdp_iter_refresh_sptep() [7.1]: the entry of `gfn` in a table at `level`."""
    if DIRECT:
        return read_direct(m, spt, spte_index(m, vm, spt, gfn, level))
    return read_spte(m, spt, index_at(gfn, level))


@process
def split_in_fault(m: Machine, vcpu: VcpuId, spt: Pfn, gfn: Gfn, level: Level, huge: Entry):
    """tdp_mmu_split_huge_page(shared) [7.1] where a fault needs 4K of a larger direct leaf; kvm-mmu.md 4.4, 4.12."""
    sp = yield from tdp_mmu_alloc_sp(m, vcpu, gfn, Level(level - 1))
    error = yield from tdp_mmu_split_direct(m, m.vcpu[vcpu].vm, spt, gfn, level, huge, sp, True)
    if error != OK:
        yield from tdp_mmu_free_sp(m, sp)
        reached(table_freed_unused)
    return error


@process
def tdp_mmu_split_direct(m: Machine, vm: VmId, spt: Pfn, gfn: Gfn, level: Level, huge: Entry, sp: Pfn, shared: bool):
    """tdp_mmu_split_huge_page() [7.1], kvm-mmu.md 4.12: smaller leaves that translate the same, then the link; no flush."""
    init_sp(m, sp, Pfn(0), gfn, Level(level - 1))
    for i in range(ENTRIES):
        if HUGE_1G and level == 3:
            m.table[sp].word[i] = make_small_huge_spte(huge, i)
        else:
            m.table[sp].word[i] = make_small_spte(huge, i)
    error = OK
    if shared:
        error = yield from tdp_mmu_set_direct_spte_atomic(m, vm, spt, gfn, level, huge, make_nonleaf_spte(sp))
    else:
        yield from tdp_mmu_set_direct_spte(m, vm, spt, gfn, level, huge, make_nonleaf_spte(sp))
    if error == OK:
        tdp_account_mmu_page(m, vm)
        m.vm[vm].direct.stat[Level(level - 1)] += ENTRIES
        reached(direct_split)
    return error


@process
def tdp_mmu_map_handle_target_level(m: Machine, vcpu: VcpuId, spt: Pfn, gfn: Gfn, level: Level, old: Entry, page: Pfn):
    """tdp_mmu_map_handle_target_level() [7.1], kvm-mmu.md 4.5: every error becomes RETRY."""
    if DIRECT:
        if not is_mirror_sp(m, spt):
            return (yield from map_direct_leaf(m, vcpu, spt, gfn, level, old, page))
    if is_shadow_present_pte(old):
        assert is_last_spte(old, level), "asserts: a fault replaces a table by a huge page (present to present)"
        assert spte_to_pfn(old) == page, "asserts: WARN_ON_ONCE: a present leaf maps another page"
        return Fault.SPURIOUS
    error = yield from tdp_mmu_install(m, vcpu, spt, gfn, level, old, make_spte(page, level), page)
    if error != OK:
        return Fault.RETRY
    reached(page_mapped)
    if m.vm[m.vcpu[vcpu].vm].mmu_invalidate_seq != 0:
        reached(page_came_back)
    return Fault.FIXED


@process
def map_direct_leaf(m: Machine, vcpu: VcpuId, spt: Pfn, gfn: Gfn, level: Level, old: Entry, page: Pfn):
    """tdp_mmu_map_handle_target_level() [7.1] in a direct tree, kvm-mmu.md 4.5. `page` 0: no memslot, an MMIO SPTE."""
    vm = m.vcpu[vcpu].vm
    f = m.vcpu[vcpu].direct.fault
    bug_on(m.sp[spt].level != level, "asserts: WARN_ON_ONCE(sp->role.level != fault->goal_level)")
    if is_leaf(old, level) and (f.prefetch or is_access_allowed(f.write, old)):
        bug_on(spte_to_pfn(old) != page, "asserts: WARN_ON_ONCE: a spurious fault finds another page mapped")
        return Fault.SPURIOUS
    if page != 0:
        new = make_direct_spte(page, level, f.map_writable, f.prefetch)
        if is_writable_pte(new):
            mark_page_dirty_in_slot(m, vm, f.slot, gfn)
    else:
        new = make_mmio_spte(gfn, m.vm[vm].memslots.active.generation, m.vm[vm].direct.shadow_mmio_value)
    if new != old:
        error = yield from tdp_mmu_set_direct_spte_atomic(m, vm, spt, gfn, level, old, new)
        if error != OK:
            return Fault.RETRY
        if is_table(old, level):
            yield from kvm_flush_remote_tlbs(m, vm)
        else:
            lost = is_leaf(old, level) and leaf_spte_change_needs_tlb_flush(old, new)
            bug_on(lost, "asserts: WARN_ON_ONCE: a fault takes MMU-writable from a leaf")
    if page == 0:
        reached(mmio_mapped)
        return Fault.EMULATE
    reached(direct_mapped)
    return Fault.FIXED


@process
def tdp_mmu_install(m: Machine, vcpu: VcpuId, spt: Pfn, gfn: Gfn, level: Level, old: Entry, new: Entry, page: Pfn):
    """tdp_mmu_set_spte_atomic(), and around it the hooks of the Dynamic PAMT RFC; `page` is what the module is given."""
    if PHYS_HOOKS:
        error = yield from ops.phys_prepare(m, vcpu, page)
        if error != OK:
            return error
    error = yield from tdp_mmu_set_spte_atomic(m, vcpu, spt, gfn, level, old, new)
    if PHYS_HOOKS:
        if error != OK:
            yield from ops.phys_cleanup(m, page)
    return error


@process
def tdp_mmu_set_spte_atomic(m: Machine, vcpu: VcpuId, spt: Pfn, gfn: Gfn, level: Level, old: Entry, new: Entry):
    """tdp_mmu_set_spte_atomic() [7.2], kvm-mmu.md 4.7b: freeze, external operation, then the new value, or the old one again."""
    if DIRECT:
        if not is_mirror_sp(m, spt):
            return (yield from tdp_mmu_set_direct_spte_atomic(m, m.vcpu[vcpu].vm, spt, gfn, level, old, new))
    bug_on(old == FROZEN_SPTE, "asserts: WARN_ON_ONCE: a FROZEN SPTE is to be changed")
    bug_on(not is_shadow_present_pte(new), "asserts: KVM_BUG_ON: a mirror SPTE is zapped with mmu_lock held for read")
    bug_on(is_shadow_present_pte(old), "asserts: KVM_BUG_ON(was_present): a mirror SPTE goes from present to present")
    i = index_at(gfn, level)
    yield
    was = cmpxchg(m.table[spt].word[i], old, FROZEN_SPTE)
    if was != old:
        reached(lost_race)
        return EBUSY
    error = yield from set_external_spte(m, vcpu, gfn, level, new)
    yield
    m.table[spt].word[i] = old if error != OK else new
    return error


@process
def set_external_spte(m: Machine, vcpu: VcpuId, gfn: Gfn, level: Level, new: Entry):
    """tdx_sept_set_private_spte() [7.2], kvm-mmu.md 5.4: a table or a leaf."""
    assert holds_shared(m.vm[m.vcpu[vcpu].vm].mmu_lock), "context: the S-EPT is changed by a fault without mmu_lock"
    if is_last_spte(new, level):
        bug_on(new & RWX != RWX, "asserts: WARN_ON_ONCE: a mirror leaf is not RWX")
        return (yield from ops.set_external_spte(m, vcpu, gfn, level, spte_to_pfn(new)))
    child = spte_to_pfn(new)
    assert m.sp[child].external_spt != 0, "asserts: KVM_BUG_ON(!sp->external_spt)"
    assert m.sp[child].level + 1 == level, "asserts: KVM_BUG_ON(sp->role.level + 1 != level)"
    assert m.sp[child].gfn == leaf_base(gfn, level), "asserts: KVM_BUG_ON(sp->gfn != gfn)"
    return (yield from ops.link_external_spt(m, vcpu, gfn, level, m.sp[child].external_spt))


@process
def tdp_mmu_alloc_sp(m: Machine, vcpu: VcpuId, gfn: Gfn, level: Level):
    """tdp_mmu_alloc_sp(), kvm_mmu_alloc_external_spt(), tdp_mmu_init_child_sp() [7.1], kvm-mmu.md 3.3."""
    spt = yield from kvm_mmu_memory_cache_alloc(m, m.vcpu[vcpu].mmu_shadow_page_cache)
    take(m, spt, Role.HAND, Role.SPT)
    if DIRECT:
        if m.vcpu[vcpu].direct.fault.is_direct:
            init_sp(m, spt, Pfn(0), gfn, level)
            return spt
    external = yield from ops.alloc_external_spt(m, vcpu)
    take(m, external, Role.HAND, Role.EXTERNAL)
    init_sp(m, spt, external, gfn, level)
    return spt


def init_sp(m: Machine, spt: Pfn, external: Pfn, gfn: Gfn, level: Level):
    """tdp_mmu_init_child_sp() [7.1]."""
    m.sp[spt].external_spt = external
    m.sp[spt].level = level
    m.sp[spt].gfn = table_base(gfn, level)
    if DIRECT:
        m.sp[spt].direct.is_mirror = external != 0


@process
def tdp_mmu_free_sp(m: Machine, spt: Pfn):
    """__tdp_mmu_free_sp() and tdp_mmu_free_unused_sp() [7.2]: S-EPT page, if any, table, header; until 7.1 tdp_mmu_free_sp()."""
    if m.sp[spt].external_spt != 0:
        if BACKED_AT_ALLOCATION:
            yield from ops.free_external_sp(m, spt)
        else:
            free_page(m, m.sp[spt].external_spt, Role.EXTERNAL)
    m.sp[spt].external_spt = 0
    m.sp[spt].level = 0
    m.sp[spt].gfn = 0
    if DIRECT:
        clear_role(m, spt)
    free_page(m, spt, Role.SPT)


def table_at(m: Machine, vm: VmId, gfn: Gfn, level: Level):
    """The mirror table that holds the entry of `gfn` at `level`; 0 if an upper entry is no table."""
    spt = m.vm[vm].mirror_root
    at = Level(LEVELS)
    while at != level and spt != 0:
        spte = read_spte(m, spt, index_at(gfn, at))
        assert spte != FROZEN_SPTE, "asserts: a linked entry is FROZEN while mmu_lock is held for write"
        spt = spte_to_pfn(spte) if is_shadow_present_pte(spte) and not is_last_spte(spte, at) else 0
        at = Level(at - 1)
    return spt
