"""Dynamic PAMT v5, follow-up "alt": pairs are installed at link time, and every pair comes from a list; designs.md 5.7.3."""

from septum.designs.dpamt_merged_split import design as dpamt_merged_split
from septum.host.frames import Gfp
from septum.host.geometry import CACHE_CAPACITY, PAMT_PAGES, PT64_ROOT_MAX_LEVEL, Pfn
from septum.host.pools import OK, MemoryCache, kvm_mmu_topup_memory_cache, topup_list
from septum.kvm.design import VCPU_POOL, Design
from septum.kvm.ops import ops
from septum.kvm.seam import pamt_dec_and_lock
from septum.lang import Struct, u8

LIST_PAGES = PAMT_PAGES * (PT64_ROOT_MAX_LEVEL + 1)

design = Design(
    "dpamt_v5_alt", base=dpamt_merged_split, parts=[pamt_dec_and_lock], sizes={VCPU_POOL: CACHE_CAPACITY + LIST_PAGES}
)


class PamtCache(Struct):
    """struct tdx_pamt_cache, with room for one pair more."""

    cnt: u8
    pages: Pfn[LIST_PAGES]


@design.vcpu
class Caches(Struct):
    """vcpu->arch.mmu_external_spt_cache, and vcpu_tdx.pamt_cache."""

    mmu_external_spt_cache: MemoryCache
    pamt_cache: PamtCache


@design.process
def topup_external_cache(m, vcpu, tables):
    """A pair for every table and one for the guest page."""
    error = yield from kvm_mmu_topup_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache, tables)
    if error != OK:
        return error
    return (yield from topup_list(m, ops.pair_pool(m, vcpu), PAMT_PAGES * (tables + 1), Gfp.KERNEL_ACCOUNT))
