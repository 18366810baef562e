"""Before a vCPU with a direct root enters the guest: obsolete roots are given up, a root is there, TLB flushes are served."""

from septum.host.geometry import VcpuId
from septum.host.pools import OK
from septum.kvm.machine import Machine
from septum.kvm.mmu.direct_fault import topup
from septum.kvm.mmu.mmu import has_obsolete_root
from septum.kvm.tdp.roots import kvm_mmu_free_roots, kvm_tdp_mmu_alloc_root
from septum.kvm.tdp.tlb import flush_tlb
from septum.lang import commutes, process


@process
def reload_direct_root(m: Machine, vcpu: VcpuId):
    """kvm_check_request(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS) and kvm_mmu_reload() [7.1]. Errno."""
    if roots_are_obsolete(m, vcpu):
        yield from kvm_mmu_free_roots(m, vcpu)
    if m.vcpu[vcpu].direct.root == 0:
        return (yield from load_direct_root(m, vcpu))
    return OK


def may_enter(m: Machine, vcpu: VcpuId):
    """kvm_vcpu_exit_request() [7.1]: not with an obsolete root; a TLB flush that was asked for is made on the way."""
    if m.vcpu[vcpu].direct.free_obsolete_roots or m.vcpu[vcpu].direct.root == 0:
        return False
    if m.vcpu[vcpu].direct.tlb_flush:
        m.vcpu[vcpu].direct.tlb_flush = False
        flush_tlb(m, vcpu)
    return True


def roots_are_obsolete(m: Machine, vcpu: VcpuId):
    """kvm_check_request(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS), and whether the root is obsolete: a newer one is kept."""
    commutes("a request that comes after this is seen when the mode is set; a root is invalid before the request is made")
    asked = m.vcpu[vcpu].direct.free_obsolete_roots
    m.vcpu[vcpu].direct.free_obsolete_roots = False
    return asked and has_obsolete_root(m, vcpu)


@process
def load_direct_root(m: Machine, vcpu: VcpuId):
    """kvm_mmu_load() [7.1], kvm-mmu.md 1.6: caches, the direct root, and nothing kept from the one before. Errno."""
    error = yield from topup(m, vcpu)
    if error == OK:
        yield from kvm_tdp_mmu_alloc_root(m, vcpu)
        flush_tlb(m, vcpu)
    return error
