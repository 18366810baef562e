"""KVM's TDX side [7.2]: SEAMCALL sequences for tables and leaves, busy retry with vCPUs kicked out; kvm-mmu.md 5."""

from septum.host.frames import CHECKS_CONTENTS, Role, free_page, get_page, leak, put_page, tdx_quirk_reset_paddr
from septum.host.geometry import Gfn, Level, Pfn, VcpuId, VmId
from septum.host.locks import holds_exclusively
from septum.host.pools import EBUSY, EIO, OK
from septum.kvm.bug import dies, tdx_bug_on
from septum.kvm.contents import check_wanted
from septum.kvm.machine import SPLITS_UNDER_READ_LOCK, Machine, TdState
from septum.kvm.requests import kvm_make_all_cpus_request
from septum.kvm.versions import KERNEL, V6_19
from septum.lang import Witness, atomic, commutes, each, process, reached, warn_on
from septum.tdx.geometry import BUILDS, Epoch
from septum.tdx.mem_page import tdh_mem_page_add, tdh_mem_page_aug, tdh_mem_page_remove
from septum.tdx.mem_range import tdh_mem_range_block
from septum.tdx.mem_sept import tdh_mem_sept_add
from septum.tdx.phymem import tdh_phymem_page_reclaim, tdh_phymem_page_wbinvd
from septum.tdx.sept import SeptState, entry_of, sept_state
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS
from septum.tdx.td import Lifecycle
from septum.tdx.tracking import tdh_mem_track

busy_retried = Witness("busy_retried", "a SEAMCALL was busy and was repeated with all vCPUs kicked out")


@process
def tdx_sept_map_nonleaf_spte(m: Machine, vm: VmId, gfn: Gfn, level: Level, external: Pfn):
    """tdx_sept_map_nonleaf_spte() [7.2], until 7.1 tdx_sept_link_private_spt(), kvm-mmu.md 5.4: SEPT.ADD; busy is the fault's."""
    status = yield from tdh_mem_sept_add(m, vm, gfn, level, external)
    if status == TDX_SUCCESS:
        return OK
    return EBUSY if status == TDX_OPERAND_BUSY else tdx_bug_on(m, vm, status)


@process
def tdx_mem_page_aug(m: Machine, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """tdx_sept_map_leaf_spte() [7.2], kvm-mmu.md 5.4: PAGE.AUG, or PAGE.ADD as long as the TD does not run; busy is the fault's.

    Until 6.18 a reference to the page is held as long as it is mapped.
    """
    assert level == 1, "asserts: KVM_BUG_ON(level != PG_LEVEL_4K)"
    pin(m, page)
    if BUILDS:
        yield
        if m.vm[vm].life.state != TdState.RUNNABLE:
            return (yield from map_before_finalize(m, vm, gfn, level, page))
    status = yield from tdh_mem_page_aug(m, vm, gfn, level, page)
    if status == TDX_SUCCESS:
        return OK
    unpin(m, page)
    return EBUSY if status == TDX_OPERAND_BUSY else tdx_bug_on(m, vm, status)


def pin(m: Machine, page: Pfn):
    """get_page() of a page that is mapped, until 6.18."""
    if KERNEL < V6_19:
        get_page(m, page)


def unpin(m: Machine, page: Pfn):
    """put_page() of the reference of a mapped page, until 6.18."""
    if KERNEL < V6_19:
        put_page(m, page)


@process
def map_before_finalize(m: Machine, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """tdx_mem_page_add() [7.2], kvm-mmu.md 5.4; until 6.18 tdx_mem_page_record_premap_cnt(). Errno."""
    assert not m.vm[vm].life.pre_fault_allowed, "asserts: KVM_BUG_ON(pre_fault_allowed) before the TD is finalized"
    if KERNEL < V6_19:
        m.vm[vm].life.nr_premapped += 1
        return OK
    assert m.vm[vm].life.page_add_src, "asserts: KVM_BUG_ON(!page_add_src): a page is added that has no source"
    assert holds_exclusively(m.vm[vm].slots_lock), "context: PAGE.ADD without slots_lock"
    status = yield from tdh_mem_page_add(m, vm, gfn, level, page)
    if status == TDX_SUCCESS:
        return OK
    return EBUSY if status == TDX_OPERAND_BUSY else tdx_bug_on(m, vm, status)


@process
def tdx_sept_remove_leaf_spte(m: Machine, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """tdx_sept_remove_leaf_spte() [7.2], until 7.1 tdx_sept_remove_private_spte(), kvm-mmu.md 5.5; mmu_lock held for write.

    BLOCK, TRACK and kick, REMOVE, rewrite. A TRACK that fails is a KVM_BUG_ON, and REMOVE is tried all the same.
    """
    assert holds_exclusively(m.vm[vm].mmu_lock), "context: a private leaf is removed without mmu_lock held for write"
    assert m.td[vm].lifecycle == Lifecycle.KEYS_CONFIGURED, "asserts: KVM_BUG_ON(!is_hkid_assigned)"
    assert level == 1, "asserts: KVM_BUG_ON(level != PG_LEVEL_4K)"
    check_wanted(m, vm, gfn, level)
    if BUILDS and KERNEL < V6_19:
        if is_premapped(m, vm, gfn, level):
            assert m.vm[vm].life.nr_premapped != 0, "asserts: KVM_BUG_ON(!nr_premapped)"
            m.vm[vm].life.nr_premapped -= 1
            put_page(m, page)
            return OK
    error = yield from block(m, vm, gfn, level)
    if error != OK:
        return error
    yield from tdx_track(m, vm)
    blocked_in = m.frame[page].bepoch
    status = yield from tdh_mem_page_remove(m, vm, gfn, level)
    if status == TDX_OPERAND_BUSY:
        yield from no_vcpus_enter_start(m, vm)
        status = yield from tdh_mem_page_remove(m, vm, gfn, level)
        no_vcpus_enter_stop(m, vm)
    if status != TDX_SUCCESS:
        return tdx_bug_on(m, vm, status)
    check_translations(m, vm, blocked_in)
    if CHECKS_CONTENTS:
        status = yield from tdh_phymem_page_wbinvd(m, page)
        if status != TDX_SUCCESS:
            return tdx_bug_on(m, vm, status)
    tdx_quirk_reset_paddr(m, page)
    unpin(m, page)
    return OK


def check_translations(m: Machine, vm: VmId, blocked_in: Epoch):
    """I7 of kvm-mmu.md 7.2: who is in the guest now entered, and flushed its TLB, after the page was blocked."""
    commutes("the check reads this, and no kernel")
    for vcpu in each(VcpuId):
        if m.vcpu[vcpu].vm == vm and m.tdvps[vcpu].epoch != 0:
            assert m.tdvps[vcpu].epoch > blocked_in, "tlb: a page is the host's again, and a vCPU may have a translation of it"


def is_premapped(m: Machine, vm: VmId, gfn: Gfn, level: Level):
    """BLOCK would find a free entry, as the page was never added: until 6.18 tdx_is_sept_zap_err_due_to_premap()."""
    return m.vm[vm].life.state != TdState.RUNNABLE and sept_state(entry_of(m, vm, gfn, level)) == SeptState.FREE


@process
def block(m: Machine, vm: VmId, gfn: Gfn, level: Level):
    """RANGE.BLOCK under tdh_do_no_vcpus() [6.19]."""
    status = yield from tdh_mem_range_block(m, vm, gfn, level)
    if status == TDX_OPERAND_BUSY:
        yield from no_vcpus_enter_start(m, vm)
        status = yield from tdh_mem_range_block(m, vm, gfn, level)
        no_vcpus_enter_stop(m, vm)
    return OK if status == TDX_SUCCESS else tdx_bug_on(m, vm, status)


@process
def tdx_track(m: Machine, vm: VmId):
    """tdx_track() [7.2], kvm-mmu.md 5.7: a new epoch, then every vCPU out of the guest."""
    if not SPLITS_UNDER_READ_LOCK:
        assert holds_exclusively(m.vm[vm].mmu_lock), "context: tdx_track() without mmu_lock held for write"
    if BUILDS:
        if m.vm[vm].life.state != TdState.RUNNABLE:
            return OK
    status = yield from tdh_mem_track(m, vm)
    if status == TDX_OPERAND_BUSY:
        yield from no_vcpus_enter_start(m, vm)
        status = yield from tdh_mem_track(m, vm)
        no_vcpus_enter_stop(m, vm)
    if status != TDX_SUCCESS:
        return tdx_bug_on(m, vm, status)
    atomic("a vCPU that enters between the new epoch and the IPIs has the new one, and gets an IPI that it does not need")
    yield from kvm_make_all_cpus_request(m, vm)
    return OK


@process
def no_vcpus_enter_start(m: Machine, vm: VmId):
    """In tdh_do_no_vcpus() [6.19], until 6.18 tdx_no_vcpus_enter_start(), kvm-mmu.md 5.6: no vCPU enters or stays inside."""
    if not SPLITS_UNDER_READ_LOCK:
        assert holds_exclusively(m.vm[vm].mmu_lock), "context: vCPUs are kicked out without mmu_lock held for write"
    reached(busy_retried)
    yield
    atomic("a vCPU that comes between the flag and the IPIs sees the flag, or was in the guest before and gets an IPI")
    m.vm[vm].wait_for_sept_zap = True
    yield from kvm_make_all_cpus_request(m, vm)


def no_vcpus_enter_stop(m: Machine, vm: VmId):
    """In tdh_do_no_vcpus() [6.19], until 6.18 tdx_no_vcpus_enter_stop()."""
    commutes("a vCPU that enters before what follows gets an IPI that is late")
    m.vm[vm].wait_for_sept_zap = False


@process
def tdx_sept_free_private_spt(m: Machine, vm: VmId, spt: Pfn):
    """tdx_sept_free_private_spt() [7.2], kvm-mmu.md 5.8: RECLAIM. Errno: OK if the S-EPT page is the host's again."""
    external = m.sp[spt].external_spt
    if m.td[vm].lifecycle == Lifecycle.KEYS_CONFIGURED:
        warn_on(dies(m, vm), "asserts: KVM_BUG_ON(is_hkid_assigned)")
        leak(m, external, Role.EXTERNAL)
        return EIO
    status = yield from tdh_phymem_page_reclaim(m, external)
    if status != TDX_SUCCESS:
        leak(m, external, Role.EXTERNAL)
        return tdx_bug_on(m, vm, status)
    tdx_quirk_reset_paddr(m, external)
    return OK


def free_external_page(m: Machine, spt: Pfn):
    """free_page(sp->external_spt); and sp->external_spt = NULL."""
    free_page(m, m.sp[spt].external_spt, Role.EXTERNAL)
    m.sp[spt].external_spt = 0
