"""Direct roots: allocation, references, invalidation, zap, and the end of them; kvm-mmu.md 1.5, 1.6, 4.11."""

from septum.host.entry import SHADOW_NONPRESENT_VALUE
from septum.host.frames import Role, take
from septum.host.geometry import GFNS, LEVELS, Gfn, Level, Pfn, VcpuId, VmId, pages_per_leaf
from septum.host.locks import (
    holds_exclusively,
    mutex_lock,
    mutex_unlock,
    read_lock,
    read_unlock,
    spin_lock,
    spin_unlock,
    write_lock,
    write_unlock,
)
from septum.host.pools import OK, kvm_mmu_memory_cache_alloc
from septum.host.rcu import call_rcu, rcu_read_lock, rcu_read_unlock
from septum.kvm.machine import Machine
from septum.kvm.requests import kvm_make_all_cpus_request
from septum.kvm.tdp.changed_spte import ZAP_LEVEL
from septum.kvm.tdp.direct import (
    KVM_DIRECT_ROOTS,
    KVM_INVALID_ROOTS,
    KVM_VALID_ROOTS,
    ROOTS,
    RootSlot,
    root_at,
    tdp_mmu_root_match,
)
from septum.kvm.tdp.set_spte import tdp_mmu_set_direct_spte, tdp_mmu_set_direct_spte_atomic
from septum.kvm.tdp.spte import is_shadow_present_pte
from septum.kvm.tdp.tdp_mmu import read_sptep
from septum.kvm.tdp.walk import direct_table, tdp_mmu_iter_cond_resched
from septum.lang import Witness, atomic, bug_on, commutes, each, process, reached, u64, when

root_allocated = Witness("root_allocated", "a vCPU allocated a direct root")
root_found = Witness("root_found", "a vCPU found the root that another one had allocated")
root_freed = Witness("root_freed", "the last reference of a root was put")


@process
def kvm_tdp_mmu_alloc_root(m: Machine, vcpu: VcpuId):
    """kvm_tdp_mmu_alloc_root() [7.1] of a direct root, kvm-mmu.md 1.6: one that is there, or a new one with two references."""
    vm = m.vcpu[vcpu].vm
    yield from read_lock(m, m.vm[vm].mmu_lock)
    root = get_valid_root(m, vm)
    if root == 0:
        yield from spin_lock(m, m.vm[vm].direct.pages_lock)
        root = get_valid_root(m, vm)
        if root == 0:
            root = yield from kvm_mmu_memory_cache_alloc(m, m.vcpu[vcpu].mmu_shadow_page_cache)
            add_root(m, vm, root)
            reached(root_allocated)
        else:
            reached(root_found)
        spin_unlock(m, m.vm[vm].direct.pages_lock)
    m.vcpu[vcpu].direct.root = root
    read_unlock(m, m.vm[vm].mmu_lock)


def get_valid_root(m: Machine, vm: VmId):
    """The valid direct root of the VM, with a reference more; 0 if there is none."""
    commutes("a root that is added meanwhile is found again with pages_lock held; none becomes invalid while mmu_lock is held")
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if tdp_mmu_root_match(m, root, KVM_DIRECT_ROOTS):
            bug_on(m.sp[root].direct.root_count == 0, "asserts: WARN_ON_ONCE: a valid root without the TDP MMU's reference")
            m.sp[root].direct.root_count += 1
            return root
    return Pfn(0)


def add_root(m: Machine, vm: VmId, root: Pfn):
    """list_add_rcu() of a new root: a reference for the vCPU, one for the TDP MMU."""
    take(m, root, Role.HAND, Role.SPT)
    m.sp[root].level = LEVELS
    m.sp[root].direct.root_count = 2
    roots = m.vm[vm].direct.roots
    free = RootSlot(0)
    while roots[free] != 0:
        assert free + 1 < ROOTS, "scope: too many roots at a time, raise ROOTS"
        free = RootSlot(free + 1)
    roots[free] = root


def tdp_mmu_get_root(m: Machine, root: Pfn):
    """kvm_tdp_mmu_get_root() [7.1]: refcount_inc_not_zero()."""
    commutes("refcount_inc_not_zero() is atomic, and a root without references is not found")
    if m.sp[root].direct.root_count == 0:
        return False
    m.sp[root].direct.root_count += 1
    return True


def drop_reference(m: Machine, root: Pfn):
    """refcount_dec_and_test()."""
    commutes("refcount_dec_and_test() is atomic, and the last one to drop a reference knows it")
    assert m.sp[root].direct.root_count != 0, "roots: a reference is dropped that nobody has"
    m.sp[root].direct.root_count -= 1
    return m.sp[root].direct.root_count == 0


@process
def kvm_tdp_mmu_put_root(m: Machine, vm: VmId, root: Pfn):
    """kvm_tdp_mmu_put_root() [7.1], kvm-mmu.md 1.6: the last reference takes it off the list; it must be empty by then."""
    if drop_reference(m, root):
        bug_on(not m.sp[root].direct.invalid, "asserts: KVM_BUG_ON: the last reference of a valid root is put")
        yield from spin_lock(m, m.vm[vm].direct.pages_lock)
        for i in range(ROOTS):
            if m.vm[vm].direct.roots[RootSlot(i)] == root:
                m.vm[vm].direct.roots[RootSlot(i)] = 0
        spin_unlock(m, m.vm[vm].direct.pages_lock)
        reached(root_freed)
        yield
        call_rcu(m, root)


@process
def kvm_mmu_free_roots(m: Machine, vcpu: VcpuId):
    """kvm_mmu_free_roots() [7.1]: the vCPU's reference to its direct root, with mmu_lock held for read."""
    vm = m.vcpu[vcpu].vm
    root = m.vcpu[vcpu].direct.root
    if root != 0:
        yield from read_lock(m, m.vm[vm].mmu_lock)
        m.vcpu[vcpu].direct.root = 0
        yield from kvm_tdp_mmu_put_root(m, vm, root)
        read_unlock(m, m.vm[vm].mmu_lock)


def kvm_tdp_mmu_invalidate_roots(m: Machine, vm: VmId, types):
    """kvm_tdp_mmu_invalidate_roots() [7.1], kvm-mmu.md 4.11: roots of these types are left to zap_invalidated_roots()."""
    bug_on(types & KVM_INVALID_ROOTS != 0, "asserts: WARN_ON_ONCE: invalid roots are to be invalidated")
    assert holds_exclusively(m.vm[vm].mmu_lock), "context: roots are invalidated without mmu_lock held for write"
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if tdp_mmu_root_match(m, root, types):
            m.sp[root].direct.scheduled = True
            m.sp[root].direct.invalid = True


@process
def kvm_tdp_mmu_zap_invalidated_roots(m: Machine, vm: VmId, shared: bool):
    """kvm_tdp_mmu_zap_invalidated_roots() [7.1], kvm-mmu.md 4.11: the put comes last: notifiers reach the tree till then."""
    if shared:
        yield from read_lock(m, m.vm[vm].mmu_lock)
    else:
        yield from write_lock(m, m.vm[vm].mmu_lock)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if root != 0 and m.sp[root].direct.scheduled and tdp_mmu_get_root(m, root):
            m.sp[root].direct.scheduled = False
            bug_on(not m.sp[root].direct.invalid, "asserts: KVM_BUG_ON: a root is scheduled to be zapped, and is valid")
            yield from tdp_mmu_zap_direct_root(m, vm, root, shared)
            yield from kvm_tdp_mmu_put_root(m, vm, root)
            yield from kvm_tdp_mmu_put_root(m, vm, root)
    if shared:
        read_unlock(m, m.vm[vm].mmu_lock)
    else:
        write_unlock(m, m.vm[vm].mmu_lock)


@process
def tdp_mmu_zap_direct_root(m: Machine, vm: VmId, root: Pfn, shared: bool):
    """tdp_mmu_zap_root() [7.1], kvm-mmu.md 4.11: passes over 4K (1G) up to the root's level; it yields in between."""
    bug_on(m.sp[root].direct.root_count == 0, "asserts: WARN_ON: a root without references is zapped")
    rcu_read_lock(m)
    zap_level = Level(ZAP_LEVEL)
    while zap_level != 0:
        gfn = u64(0)
        while gfn < GFNS:
            yield from tdp_mmu_iter_cond_resched(m, vm, False, shared)
            yield from zap_direct_entry(m, vm, root, Gfn(gfn), zap_level, shared)
            gfn = u64(gfn + pages_per_leaf(zap_level))
        zap_level = Level(zap_level + 1) if zap_level != LEVELS else Level(0)
    rcu_read_unlock(m)


@process
def zap_direct_entry(m: Machine, vm: VmId, root: Pfn, gfn: Gfn, level: Level, shared: bool):
    """One entry of a pass of zap_root: a leaf or a table that is empty by now. Nobody links tables in a root that is invalid."""
    yield
    atomic(
        "a table that NX recovery unlinks on the way has frozen entries, which are passed by, as if it had been unlinked before"
    )
    spt = direct_table(m, vm, root, gfn, level)
    again = spt != 0
    while again:
        old = read_sptep(m, vm, spt, gfn, level)
        again = is_shadow_present_pte(old)
        if again:
            if shared:
                error = yield from tdp_mmu_set_direct_spte_atomic(m, vm, spt, gfn, level, old, SHADOW_NONPRESENT_VALUE)
                again = error != OK
            else:
                yield from tdp_mmu_set_direct_spte(m, vm, spt, gfn, level, old, SHADOW_NONPRESENT_VALUE)
                again = False


@process
def kvm_mmu_zap_all_fast(m: Machine, vm: VmId):
    """kvm_mmu_zap_all_fast() [7.1], kvm-mmu.md 4.11: slots_lock held. Roots are invalidated and requests made in one section."""
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_tdp_mmu_invalidate_roots(m, vm, KVM_DIRECT_ROOTS)
    yield
    request_free_obsolete_roots(m, vm)
    yield
    yield from kvm_make_all_cpus_request(m, vm)
    write_unlock(m, m.vm[vm].mmu_lock)
    yield from kvm_tdp_mmu_zap_invalidated_roots(m, vm, True)


def request_free_obsolete_roots(m: Machine, vm: VmId):
    """KVM_REQ_MMU_FREE_OBSOLETE_ROOTS."""
    commutes("a vCPU that enters before its own request is set gets an IPI after it")
    for vcpu in each(VcpuId):
        if m.vcpu[vcpu].vm == vm:
            m.vcpu[vcpu].direct.free_obsolete_roots = True


@process
def fast_zap(m: Machine, vm: VmId):
    """A toggle of the NX mitigation, as far as one VM goes: kvm_mmu_zap_all_fast() under slots_lock."""
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    yield from kvm_mmu_zap_all_fast(m, vm)
    mutex_unlock(m, m.vm[vm].slots_lock)


@process
def kvm_tdp_mmu_zap_all(m: Machine, vm: VmId):
    """kvm_tdp_mmu_zap_all() [7.1], kvm-mmu.md 4.11: the VMM's address space goes away; direct roots, valid or not, no mirror."""
    yield from write_lock(m, m.vm[vm].mmu_lock)
    for i in range(ROOTS):
        root = root_at(m, vm, RootSlot(i))
        if tdp_mmu_root_match(m, root, KVM_DIRECT_ROOTS | KVM_INVALID_ROOTS) and tdp_mmu_get_root(m, root):
            yield from tdp_mmu_zap_direct_root(m, vm, root, False)
            yield from kvm_tdp_mmu_put_root(m, vm, root)
    write_unlock(m, m.vm[vm].mmu_lock)


@process
def uninit_direct_roots(m: Machine, vm: VmId):
    """kvm_mmu_uninit_tdp_mmu() [7.1] of a plain VM: the vCPUs are gone; invalidate, zap, rcu_barrier(), and nothing is left."""
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_tdp_mmu_invalidate_roots(m, vm, KVM_VALID_ROOTS)
    write_unlock(m, m.vm[vm].mmu_lock)
    yield from kvm_tdp_mmu_zap_invalidated_roots(m, vm, False)
    bug_on(m.vm[vm].direct.tdp_mmu_pages != 0, "asserts: KVM_MMU_WARN_ON(tdp_mmu_pages) when the VM is destroyed")
    for i in range(ROOTS):
        bug_on(m.vm[vm].direct.roots[RootSlot(i)] != 0, "asserts: WARN_ON: a root is left when the VM is destroyed")
    yield when(lambda: m.rcu.queued == 0)
