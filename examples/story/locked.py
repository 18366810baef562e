"""Patch 7 of 12, version 2: each push and each pop of the VM's list is under its spinlock, and so is a look at the count."""

from as_posted import PairList
from as_posted import design as as_posted

from septum.host.frames import Content, Gfp
from septum.host.geometry import PAMT_PAGES
from septum.host.locks import SpinLock, spin_lock, spin_unlock
from septum.host.pools import ENOMEM, OK, alloc_or_fail, kvm_mmu_topup_memory_cache, push
from septum.kvm.bug import vm_bugged
from septum.kvm.design import Design
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import pamt_get
from septum.kvm.vmx.tdx import tdx_mem_page_aug, tdx_sept_map_nonleaf_spte
from septum.lang import Struct, process

design = Design("locked", base=as_posted)


@design.vm
class VmPool(Struct):
    """kvm_tdx.pamt_cache, and what keeps its vCPUs apart."""

    pamt_cache: PairList
    pamt_cache_lock: SpinLock


@process
def pages(m, vm):
    """How many pages the VM has at this moment."""
    yield from spin_lock(m, m.vm[vm].design.pamt_cache_lock)
    count = m.vm[vm].design.pamt_cache.cnt
    spin_unlock(m, m.vm[vm].design.pamt_cache_lock)
    return count


@process
def get(m, vm, page):
    """tdx_pamt_get() with a pair of the VM."""
    yield from spin_lock(m, m.vm[vm].design.pamt_cache_lock)
    error = yield from pamt_get(m, page, m.vm[vm].design.pamt_cache)
    spin_unlock(m, m.vm[vm].design.pamt_cache_lock)
    return error


@design.process
def topup_external_cache(m, vcpu, tables):
    error = yield from kvm_mmu_topup_memory_cache(m, m.vcpu[vcpu].design.mmu_external_spt_cache, tables)
    if error != OK:
        return error
    vm = m.vcpu[vcpu].vm
    yield
    count = yield from pages(m, vm)
    while count < PAMT_PAGES * tables:
        page = yield from alloc_or_fail(m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
        if page == 0:
            return ENOMEM
        yield from spin_lock(m, m.vm[vm].design.pamt_cache_lock)
        push(m, m.vm[vm].design.pamt_cache, page)
        spin_unlock(m, m.vm[vm].design.pamt_cache_lock)
        count = yield from pages(m, vm)
    return OK


@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    vm = m.vcpu[vcpu].vm
    error = yield from get(m, vm, external)
    if error != OK:
        return vm_bugged(m, vm, error)
    error = yield from tdx_sept_map_nonleaf_spte(m, vm, gfn, level, external)
    if error != OK:
        yield from ops.pamt_put(m, external)
    return error


@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    vm = m.vcpu[vcpu].vm
    error = yield from get(m, vm, page)
    if error != OK:
        return vm_bugged(m, vm, error)
    error = yield from tdx_mem_page_aug(m, vm, gfn, level, page)
    if error != OK:
        yield from ops.pamt_put(m, page)
    return error
