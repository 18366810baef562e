"""The mirror root: allocated by the first vCPU that loads its MMU, referenced by each, put with the VM; kvm-mmu.md 1.6."""

from septum.host.frames import Role, take
from septum.host.geometry import LEVELS, Pfn, VcpuId, VmId
from septum.host.locks import read_lock, read_unlock, spin_lock, spin_unlock
from septum.host.pools import EIO, OK, kvm_mmu_memory_cache_alloc
from septum.host.rcu import call_rcu
from septum.kvm.machine import Machine
from septum.kvm.mmu.mmu import mmu_topup_memory_caches
from septum.lang import Witness, atomic, process, reached

root_shared = Witness("root_shared", "a vCPU that came to allocate the mirror root found it there under pages_lock")


@process
def kvm_mmu_reload(m: Machine, vcpu: VcpuId):
    """kvm_mmu_reload() and kvm_mmu_load() [7.1]: the mirror root, and the direct one into the VMCS. Errno."""
    vm = m.vcpu[vcpu].vm
    if m.vcpu[vcpu].life.has_root:
        return OK
    error = yield from mmu_topup_memory_caches(m, vcpu)
    if error != OK:
        return error
    if m.vm[vm].bugged:
        return EIO
    yield from alloc_mirror_root(m, vcpu)
    assert m.vm[vm].life.direct_bits, "asserts: KVM_BUG_ON: the shared bit is not that of gfn_direct_bits"
    return OK


@process
def alloc_mirror_root(m: Machine, vcpu: VcpuId):
    """kvm_tdp_mmu_alloc_root(mirror) [7.1]: mmu_lock for read; looks again under pages_lock before it allocates."""
    vm = m.vcpu[vcpu].vm
    yield from read_lock(m, m.vm[vm].mmu_lock)
    if m.vm[vm].mirror_root == 0:
        yield from spin_lock(m, m.vm[vm].life.pages_lock)
        if m.vm[vm].mirror_root == 0:
            root = yield from kvm_mmu_memory_cache_alloc(m, m.vcpu[vcpu].mmu_shadow_page_cache)
            take(m, root, Role.HAND, Role.SPT)
            m.sp[root].level = LEVELS
            m.vm[vm].life.root_count = 2  # the TDP MMU's reference, and this vCPU's
            m.vm[vm].mirror_root = root
        else:
            reached(root_shared)
            get_mirror_root(m, vm)
        spin_unlock(m, m.vm[vm].life.pages_lock)
    else:
        get_mirror_root(m, vm)
    m.vcpu[vcpu].life.has_root = True
    read_unlock(m, m.vm[vm].mmu_lock)


def get_mirror_root(m: Machine, vm: VmId):
    """kvm_tdp_mmu_get_root() [7.1]: the TDP MMU holds a reference to a valid root, so it has one."""
    atomic("refcount_inc_not_zero()")
    assert m.vm[vm].life.root_count != 0, "asserts: WARN_ON_ONCE: a valid root without a reference"
    m.vm[vm].life.root_count += 1


def put_mirror_root(m: Machine, vm: VmId):
    """kvm_tdp_mmu_put_root() [7.1]: the last reference frees the root, after a grace period."""
    root = m.vm[vm].mirror_root
    assert m.vm[vm].life.root_count != 0, "custody: the mirror root is put without a reference"
    m.vm[vm].life.root_count -= 1
    if m.vm[vm].life.root_count == 0:
        call_rcu(m, root)
        m.vm[vm].mirror_root = Pfn(0)
