"""The end of a VM that is no TD; kvm-mmu.md 5.10, without what concerns a TD."""

from septum.host.frames import put_page
from septum.host.geometry import VCPUS, VcpuId, VmId
from septum.host.pools import kvm_mmu_free_memory_cache
from septum.kvm.machine import Machine, VmState
from septum.kvm.memslots import HVAS, Hva
from septum.kvm.tdp.roots import kvm_mmu_free_roots, kvm_tdp_mmu_zap_all, uninit_direct_roots
from septum.kvm.x86.vm import vm_destroyed
from septum.lang import process, reached, when


@process
def destroy_plain_vm(m: Machine, vm: VmId):
    """kvm_destroy_vm() [7.1]: the VMM's address space goes first (kvm_mmu_notifier_release()), then vCPUs, then the roots."""
    yield when(lambda: m.vm[vm].users == 0)
    yield from kvm_tdp_mmu_zap_all(m, vm)
    exit_mmap(m, vm)
    for number in range(VCPUS):
        vcpu = VcpuId(number + 1)
        if m.vcpu[vcpu].vm == vm:
            yield from kvm_mmu_free_roots(m, vcpu)
            kvm_mmu_free_memory_cache(m, m.vcpu[vcpu].mmu_shadow_page_cache)
    yield from uninit_direct_roots(m, vm)
    m.vm[vm].state = VmState.DESTROYED
    reached(vm_destroyed)


def exit_mmap(m: Machine, vm: VmId):
    """The VMM is gone, and its pages with it."""
    for hva in range(HVAS):
        page = m.vm[vm].direct.mm.page[Hva(hva)]
        if page != 0:
            m.vm[vm].direct.mm.page[Hva(hva)] = 0
            put_page(m, page)
