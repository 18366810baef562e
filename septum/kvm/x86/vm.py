"""The end of a VM, to the last page; kvm-mmu.md 5.10."""

from septum.host.cpu import me
from septum.host.frames import CHECKS_CONTENTS, Role, free_page, leak, tdx_quirk_reset_paddr
from septum.host.geometry import GFNS, Gfn, Pfn, VcpuId, VmId
from septum.host.locks import mutex_lock, mutex_unlock, read_lock, read_unlock, write_lock, write_unlock
from septum.host.pools import kvm_mmu_free_memory_cache
from septum.host.rcu import call_rcu, callback_ready, dequeue_callback
from septum.kvm.bug import tdx_bug_on
from septum.kvm.contents import dropped, dropping
from septum.kvm.invalidation import kvm_mmu_invalidate_end, kvm_mmu_invalidate_start
from septum.kvm.machine import Machine, VmState
from septum.kvm.mmu.mirror_root import put_mirror_root
from septum.kvm.ops import ops
from septum.kvm.tdp.mirror_zap import tdp_mmu_zap_leafs, tdp_mmu_zap_root
from septum.kvm.tdp.tdp_mmu import BACKED_AT_ALLOCATION, tdp_mmu_free_sp
from septum.kvm.virt.attributes import has_private_leaf
from septum.kvm.virt.gmem import truncate
from septum.kvm.virt.gmem_file import CLOSES_FILE, forget_file
from septum.lang import Witness, atomic, each, process, reached, when
from septum.tdx.building import tdh_vp_flush
from septum.tdx.geometry import BUILDS
from septum.tdx.phymem import release_hkid, tdh_phymem_page_reclaim, tdh_phymem_page_wbinvd
from septum.tdx.status import TDX_SUCCESS
from septum.tdx.td import Lifecycle

file_closed = Witness("file_closed", "the guest_memfd file was closed while its VM was used")
vm_destroyed = Witness("vm_destroyed", "a VM was destroyed to the last page")


@process
def close_vcpu(m: Machine, vcpu: VcpuId):
    """The VMM is done with a vCPU: its thread has ended, its descriptor is closed."""
    yield
    atomic("refcount_dec_and_test() of users_count")
    m.vm[m.vcpu[vcpu].vm].users -= 1


@process
def close_vm(m: Machine, vm: VmId):
    """A thread of the VMM that worked on the VM without a vCPU is done with it."""
    yield
    atomic("refcount_dec_and_test() of users_count")
    m.vm[vm].users -= 1


@process
def kvm_destroy_vm(m: Machine, vm: VmId):
    """From the last close to tdx_vm_destroy() [7.2], in the order of kvm-mmu.md 5.10."""
    yield when(lambda: m.vm[vm].users == 0)
    yield from kvm_gmem_release(m, vm)
    yield from tdx_mmu_release_hkid(m, vm)
    for vcpu in each(VcpuId):
        if m.vcpu[vcpu].vm == vm:
            if BUILDS:
                yield from tdx_vcpu_free(m, vcpu)
            if BACKED_AT_ALLOCATION:
                yield from ops.drain_external_cache(m, vcpu)
            kvm_mmu_destroy(m, vcpu)
    yield from kvm_mmu_uninit_tdp_mmu(m, vm)
    ops.free_split_cache(m, vm)
    yield from tdx_vm_destroy(m, vm)
    m.vm[vm].state = VmState.DESTROYED
    reached(vm_destroyed)


@process
def tdx_mmu_release_hkid(m: Machine, vm: VmId):
    """tdx_mmu_release_hkid() [7.2], kvm-mmu.md 5.10: VP.FLUSH of every vCPU, then the key; no private leaf is left (I18).

    If it fails the key stays, and with it all control and S-EPT pages: they are leaked.
    """
    if BUILDS:
        if m.td[vm].tdr == 0:
            return
    if BUILDS:
        for gfn in range(GFNS):
            assert not has_private_leaf(m, vm, Gfn(gfn)), f"asserts: GFN {gfn} has a private leaf when the HKID is released (I18)"
        for vcpu in each(VcpuId):
            if m.vcpu[vcpu].vm == vm and m.vcpu[vcpu].life.associated:
                status = yield from tdh_vp_flush(m, vm, vcpu)
                if status != TDX_SUCCESS:
                    tdx_bug_on(m, vm, status)
                m.vcpu[vcpu].life.associated = False
    status = yield from release_hkid(m, vm)
    if status != TDX_SUCCESS:
        tdx_bug_on(m, vm, status)


@process
def tdx_vcpu_free(m: Machine, vcpu: VcpuId):
    """tdx_vcpu_free() and kvm_mmu_destroy() [7.2], kvm-mmu.md 5.10: reclaims the TDVPR, then puts the mirror root."""
    vm = m.vcpu[vcpu].vm
    assert not m.vcpu[vcpu].life.associated, "asserts: KVM_BUG_ON: a vCPU is freed that is associated with a CPU"
    tdvpr = m.tdvps[vcpu].build.tdvpr
    if tdvpr != 0:
        m.tdvps[vcpu].build.tdvpr = 0
        yield from reclaim_control_page(m, vm, tdvpr)
    if m.vcpu[vcpu].life.has_root:
        yield from read_lock(m, m.vm[vm].mmu_lock)
        put_mirror_root(m, vm)
        m.vcpu[vcpu].life.has_root = False
        read_unlock(m, m.vm[vm].mmu_lock)


@process
def close_gmem(m: Machine, vm: VmId):
    """fput() of the last reference to the guest_memfd file, while the VM is used; kvm-mmu.md 6.4."""
    yield
    m.vm[vm].file.dying = True
    reached(file_closed)
    yield from kvm_gmem_release(m, vm)


@process
def kvm_gmem_release(m: Machine, vm: VmId):
    """kvm_gmem_release() [7.1]: the last reference to the file is gone, and every private leaf is zapped; then the inode goes."""
    yield from mutex_lock(m, m.vm[vm].slots_lock)
    yield from mutex_lock(m, m.vm[vm].invalidate_lock)
    if CLOSES_FILE:
        forget_file(m, vm)
    yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_start(m, vm, Gfn(0), Gfn(GFNS - 1))
    dropping(m, vm, Gfn(0), Gfn(GFNS - 1))
    yield from tdp_mmu_zap_leafs(m, vm, Gfn(0), Gfn(GFNS - 1))
    dropped(m, vm)
    if CLOSES_FILE:
        write_unlock(m, m.vm[vm].mmu_lock)
        yield from write_lock(m, m.vm[vm].mmu_lock)
    kvm_mmu_invalidate_end(m, vm)
    write_unlock(m, m.vm[vm].mmu_lock)
    mutex_unlock(m, m.vm[vm].invalidate_lock)
    mutex_unlock(m, m.vm[vm].slots_lock)
    truncate(m, vm, Gfn(0), Gfn(GFNS - 1))


def kvm_mmu_destroy(m: Machine, vcpu: VcpuId):
    """kvm_mmu_destroy() and mmu_free_memory_caches() [7.1]."""
    kvm_mmu_free_memory_cache(m, m.vcpu[vcpu].mmu_shadow_page_cache)
    ops.free_external_cache(m, vcpu)


@process
def kvm_mmu_uninit_tdp_mmu(m: Machine, vm: VmId):
    """kvm_mmu_uninit_tdp_mmu() [7.1]: the mirror root is zapped with mmu_lock held for write and put; rcu_barrier()."""
    yield from write_lock(m, m.vm[vm].mmu_lock)
    if BUILDS:
        if m.vm[vm].mirror_root != 0:
            yield from tdp_mmu_zap_root(m, vm)
            put_mirror_root(m, vm)
    else:
        yield from tdp_mmu_zap_root(m, vm)
        call_rcu(m, m.vm[vm].mirror_root)
        m.vm[vm].mirror_root = 0
    write_unlock(m, m.vm[vm].mmu_lock)
    yield when(lambda: m.rcu.queued == 0)


@process
def tdx_vm_destroy(m: Machine, vm: VmId):
    """tdx_vm_destroy() [7.1]: TDCS pages, then the TDR."""
    root = m.td[vm].root
    tdr = m.td[vm].tdr
    m.td[vm].root = 0
    m.td[vm].tdr = 0
    if root != 0:
        yield from reclaim_control_page(m, vm, root)
        yield from reclaim_control_page(m, vm, tdr)


@process
def reclaim_control_page(m: Machine, vm: VmId, page: Pfn):
    """tdx_reclaim_control_page() and tdx_free_control_page() [tip], designs.md 4.10; a page that does not come back is leaked."""
    if m.td[vm].lifecycle == Lifecycle.KEYS_CONFIGURED:
        leak(m, page, Role.CONTROL)
        return
    status = yield from tdh_phymem_page_reclaim(m, page)
    if status != TDX_SUCCESS:
        tdx_bug_on(m, vm, status)
        leak(m, page, Role.CONTROL)
        return
    if CHECKS_CONTENTS:
        yield from tdh_phymem_page_wbinvd(m, page)
    tdx_quirk_reset_paddr(m, page)
    yield from ops.put_control_page(m, page)
    free_page(m, page, Role.CONTROL)


@process
def rcu_softirq(m: Machine):
    """RCU's softirq: runs tdp_mmu_free_sp_rcu_callback() [7.1] of one table after another, for ever."""
    while True:
        yield when(lambda: callback_ready(m))
        m.cpu[me()].softirq = True
        spt = dequeue_callback(m)
        yield from tdp_mmu_free_sp(m, spt)
        m.cpu[me()].softirq = False
