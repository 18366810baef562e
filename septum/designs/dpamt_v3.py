"""Dynamic PAMT v3, corrected: one list of the vCPU for S-EPT and PAMT pages, behind ops, no fallback; designs.md 5.4."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.frames import Gfp
from septum.host.geometry import PAMT_PAGES, PT64_ROOT_MAX_LEVEL, Pfn
from septum.host.pools import free_list, pop, topup_list
from septum.kvm.design import VCPU_POOL, Design
from septum.kvm.seam import pamt_dec_and_lock
from septum.kvm.vmx import reclaim_put
from septum.lang import Size, Struct, bug_on, u8

CHARGED = Size("CHARGED", 1)  # pages of the list are charged to the VM
VCPU_PAGES = PT64_ROOT_MAX_LEVEL + PAMT_PAGES * PT64_ROOT_MAX_LEVEL

design = Design("dpamt_v3", base=dpamt_merged, parts=[pamt_dec_and_lock, reclaim_put], sizes={VCPU_POOL: VCPU_PAGES})


class Prealloc(Struct):
    """struct tdx_prealloc of a vCPU: pages for S-EPT tables and for PAMT pairs alike."""

    cnt: u8
    pages: Pfn[VCPU_PAGES]


@design.vcpu
class VcpuTdx(Struct):
    """vcpu_tdx.prealloc; the array cache of KVM is gone."""

    prealloc: Prealloc


@design.routine
def init_vcpu(m, vcpu):
    pass


@design.routine
def pair_pool(m, vcpu):
    return m.vcpu[vcpu].design.prealloc


@design.process
def topup_external_cache(m, vcpu, tables):
    """tdx_topup_external_fault_cache(): filled to exactly this number."""
    gfp = Gfp.KERNEL_ACCOUNT if CHARGED else Gfp.KERNEL
    return (yield from topup_list(m, pair_pool(m, vcpu), tables + PAMT_PAGES * PT64_ROOT_MAX_LEVEL, gfp))


@design.process
def alloc_external_spt(m, vcpu):
    """tdx_alloc_external_fault_cache(): pops the list that pairs come from too."""
    if False:
        yield
    bug_on(pair_pool(m, vcpu).cnt == 0, "provision: the list of the vCPU is empty under mmu_lock")
    return pop(m, pair_pool(m, vcpu))


@design.routine
def free_external_cache(m, vcpu):
    free_list(m, pair_pool(m, vcpu))


@design.routine
def vcpu_pool_pages(m, vcpu):
    return pair_pool(m, vcpu).cnt
