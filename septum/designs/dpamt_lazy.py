"""Dynamic PAMT before the RFC, abandoned: the host counts nothing; designs.md 4.1.

A pair is added when a SEAMCALL misses it, and removed when the module says that the last user is gone.
"""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.frames import Role, free_page
from septum.host.pools import EBUSY, OK, pop
from septum.host.ranges import range_of
from septum.kvm.bug import tdx_bug_on
from septum.kvm.design import Design
from septum.kvm.ops import ops
from septum.kvm.pamt import HOST_COUNTS, free_pair, free_unused, pamt_add
from septum.kvm.tdx import tdx_sept_free_private_spt, tdx_sept_remove_leaf_spte
from septum.lang import process
from septum.tdx.mem_page import tdh_mem_page_aug
from septum.tdx.mem_sept import tdh_mem_sept_add
from septum.tdx.pairs import tdh_phymem_pamt_remove
from septum.tdx.status import TDX_HPA_RANGE_NOT_FREE, TDX_MISSING_PAMT_PAGE_PAIR, TDX_OPERAND_BUSY, TDX_SUCCESS

design = Design("dpamt_lazy", base=dpamt_merged, sizes={HOST_COUNTS: 0})


@design.process
def link_external_spt(m, vcpu, gfn, level, external):
    status = yield from tdh_mem_sept_add(m, m.vcpu[vcpu].vm, gfn, level, external)
    if status == TDX_MISSING_PAMT_PAGE_PAIR:
        status = yield from add_missing(m, vcpu, external)
        if status == TDX_SUCCESS:
            status = yield from tdh_mem_sept_add(m, m.vcpu[vcpu].vm, gfn, level, external)
    return answer(m, vcpu, status)


@design.process
def set_external_spte(m, vcpu, gfn, level, page):
    status = yield from tdh_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page)
    if status == TDX_MISSING_PAMT_PAGE_PAIR:
        status = yield from add_missing(m, vcpu, page)
        if status == TDX_SUCCESS:
            status = yield from tdh_mem_page_aug(m, m.vcpu[vcpu].vm, gfn, level, page)
    return answer(m, vcpu, status)


def answer(m, vcpu, status):
    """What the fault is told: a busy SEAMCALL is tried again."""
    if status == TDX_SUCCESS:
        return OK
    return EBUSY if status == TDX_OPERAND_BUSY else tdx_bug_on(m, m.vcpu[vcpu].vm, status)


@process
def add_missing(m, vcpu, page):
    """PAMT.ADD, without a lock. A pair that is there already is as good."""
    page0 = pop(m, ops.pair_pool(m, vcpu))
    page1 = pop(m, ops.pair_pool(m, vcpu))
    status = yield from pamt_add(m, range_of(m, page), page0, page1)
    if status != TDX_SUCCESS:
        free_unused(m, page0, page1)
    return TDX_SUCCESS if status == TDX_HPA_RANGE_NOT_FREE else status


@design.process
def remove_external_spte(m, vm, gfn, level, page):
    error = yield from tdx_sept_remove_leaf_spte(m, vm, gfn, level, page)
    if error == OK:
        yield from remove_if_last(m, page)
    return error


@design.process
def free_external_spt(m, vm, spt):
    external = m.sp[spt].external_spt
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    m.sp[spt].external_spt = 0
    if error == OK:
        yield from remove_if_last(m, external)
        free_page(m, external, Role.EXTERNAL)


@process
def remove_if_last(m, page):
    """PAMT.REMOVE if the SEAMCALL that has just given the page back hinted that nobody else uses its range."""
    if m.pamt[range_of(m, page)].count == 0:
        status = yield from tdh_phymem_pamt_remove(m, range_of(m, page))
        if status == TDX_SUCCESS:
            free_pair(m, range_of(m, page))


@design.process
def put_control_page(m, page):
    yield from remove_if_last(m, page)
