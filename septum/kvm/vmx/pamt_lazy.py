"""PAMT before the RFC, the "lazy" form: a pair is added when a SEAMCALL misses it, removed on the module's hint; designs.md 4.1.

The host counts nothing. The module says which page was the last user of its range, and no lock makes that stay true.
"""

from septum.host.frames import Role, free_page
from septum.host.geometry import PAMT_PAGES, Gfn, Level, Pfn, VcpuId, VmId
from septum.host.pools import EBUSY, OK, pop
from septum.host.ranges import range_of
from septum.kvm.bug import tdx_bug_on
from septum.kvm.machine import Machine
from septum.kvm.ops import ops
from septum.kvm.seam.pamt import HOST_COUNTS, free_pair, free_unused, leak_pair, pamt_add
from septum.kvm.vmx.tdx import pin, tdx_sept_free_private_spt, tdx_sept_remove_leaf_spte, unpin
from septum.lang import atomic, process
from septum.tdx.mem_page import tdh_mem_page_aug
from septum.tdx.mem_sept import tdh_mem_sept_add
from septum.tdx.pairs import tdh_phymem_pamt_remove
from septum.tdx.status import TDX_HPA_RANGE_NOT_FREE, TDX_MISSING_PAMT_PAGE_PAIR, TDX_OPERAND_BUSY, TDX_SUCCESS, Status

SIZES = {HOST_COUNTS: 0}


@process
def link_external_spt(m: Machine, vcpu: VcpuId, gfn: Gfn, level: Level, external: Pfn):
    """SEPT.ADD, and once more after its pair was added."""
    status = yield from tdh_mem_sept_add(m, m.vcpu[vcpu].vm, gfn, level, external)
    if status == TDX_MISSING_PAMT_PAGE_PAIR:
        status = yield from add_missing(m, vcpu, external)
        if status == TDX_SUCCESS:
            status = yield from tdh_mem_sept_add(m, m.vcpu[vcpu].vm, gfn, level, external)
    return answer(m, vcpu, status)


@process
def set_external_spte(m: Machine, vcpu: VcpuId, gfn: Gfn, level: Level, page: Pfn):
    """PAGE.AUG, likewise."""
    pin(m, page)
    status = yield from tdh_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page)
    if status == TDX_MISSING_PAMT_PAGE_PAIR:
        status = yield from add_missing(m, vcpu, page)
        if status == TDX_SUCCESS:
            status = yield from tdh_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page)
    if status != TDX_SUCCESS:
        unpin(m, page)
    return answer(m, vcpu, status)


def answer(m: Machine, vcpu: VcpuId, status: Status):
    """What the fault is told: a busy SEAMCALL is tried again."""
    if status == TDX_SUCCESS:
        return OK
    return EBUSY if status == TDX_OPERAND_BUSY else tdx_bug_on(m, m.vcpu[vcpu].vm, status)


@process
def add_missing(m: Machine, vcpu: VcpuId, page: Pfn):
    """PAMT.ADD, without a lock. A pair that is there already is as good."""
    assert ops.pair_pool(m, vcpu).cnt >= PAMT_PAGES, "provision: no pair is left of what the top-up promised"
    page0 = pop(m, ops.pair_pool(m, vcpu))
    page1 = pop(m, ops.pair_pool(m, vcpu))
    status = yield from pamt_add(m, range_of(m, page), page0, page1)
    if status != TDX_SUCCESS:
        free_unused(m, page0, page1)
    return TDX_SUCCESS if status == TDX_HPA_RANGE_NOT_FREE else status


@process
def remove_external_spte(m: Machine, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """PAGE.REMOVE, and PAMT.REMOVE on the hint."""
    error = yield from tdx_sept_remove_leaf_spte(m, vm, gfn, level, page)
    if error == OK:
        yield from remove_if_last(m, page)
    return error


@process
def free_external_spt(m: Machine, vm: VmId, spt: Pfn):
    """RECLAIM, PAMT.REMOVE on the hint, and free."""
    external = m.sp[spt].external_spt
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    m.sp[spt].external_spt = 0
    if error == OK:
        yield from remove_if_last(m, external)
        free_page(m, external, Role.EXTERNAL)


@process
def remove_if_last(m: Machine, page: Pfn):
    """PAMT.REMOVE if the SEAMCALL that has just given the page back hinted that nobody else uses its range."""
    if m.pamt[range_of(m, page)].count == 0:
        status = yield from tdh_phymem_pamt_remove(m, range_of(m, page))
        atomic("the pair came with the status, in registers: whatever the range has by now, its pages are the caller's")
        if status == TDX_SUCCESS:
            free_pair(m, range_of(m, page))
        else:
            leak_pair(m, range_of(m, page))


@process
def put_control_page(m: Machine, page: Pfn):
    """PAMT.REMOVE on the hint."""
    yield from remove_if_last(m, page)
