"""Dynamic PAMT v2 with the split of huge pages RFC v2, corrected: a mutex over top-up and use, guarded DEMOTE; designs.md 5.8."""

from septum.designs.dpamt_v2_split_as_posted import design as dpamt_v2_split_as_posted
from septum.host.geometry import PAMT_PAGES
from septum.host.locks import Mutex, mutex_lock, mutex_unlock
from septum.host.pools import PairCache, kvm_mmu_topup_memory_cache
from septum.kvm.design import Design
from septum.kvm.seam import pamt_dec_and_lock
from septum.kvm.vmx.demote import COUNT_COMPARED, DEMOTE_GUARDED
from septum.lang import Struct, u8

design = Design(
    "dpamt_v2_split", base=dpamt_v2_split_as_posted, parts=[pamt_dec_and_lock], sizes={DEMOTE_GUARDED: 1, COUNT_COMPARED: 1}
)


@design.vm
class KvmArch(Struct):
    """kvm->arch.pamt_page_cache, and what it lacked."""

    pamt_page_cache: PairCache
    pamt_page_cache_lock: Mutex


@design.process
def begin_split(m, vm, vcpu):
    yield from mutex_lock(m, m.vm[vm].design.pamt_page_cache_lock)


@design.routine
def end_split(m, vm, vcpu):
    mutex_unlock(m, m.vm[vm].design.pamt_page_cache_lock)


@design.process
def topup_split(m, vm, vcpu):
    return (yield from kvm_mmu_topup_memory_cache(m, m.vm[vm].design.pamt_page_cache, u8(PAMT_PAGES * 2)))
