"""Dynamic PAMT references as the series do them: tdx_pamt_get() and tdx_pamt_put(); designs.md 4.

Both take the page that is (or was) used at 4K; `pool` is where the pair comes from. An operation that fails for want of a
pair asserts: the top-up promised it.
"""

from septum.host.frames import Role, free_page, take
from septum.host.geometry import PAMT_PAGES, Pfn, RangeId
from septum.host.locks import spin_lock, spin_unlock
from septum.host.pools import EIO, ENOMEM, OK, pop
from septum.host.ranges import place, range_of
from septum.kvm.machine import Machine
from septum.lang import Witness, process, reached
from septum.tdx.pairs import tdh_phymem_pamt_add, tdh_phymem_pamt_remove
from septum.tdx.status import TDX_HPA_RANGE_NOT_FREE, TDX_OPERAND_BUSY, TDX_SUCCESS

pair_shared = Witness("pair_shared", "a page found its 2M range already backed")
pair_rescued = Witness("pair_rescued", "a getter found the pair that a putter was about to remove")


@process
def pamt_get(m: Machine, page: Pfn, pool):
    """tdx_pamt_get() [tip, Sept 2026], designs.md 4.7: a pair is always taken first, everything else is under the lock."""
    yield from place(m, page)
    assert pool.cnt >= PAMT_PAGES, "provision: no pair is left of what the top-up promised"
    if pool.cnt < PAMT_PAGES:
        return ENOMEM
    page0 = pop(m, pool)
    page1 = pop(m, pool)
    yield from spin_lock(m, m.pamt_lock)
    r = range_of(m, page)
    if m.range[r].refcount != 0:
        m.range[r].refcount += 1
        spin_unlock(m, m.pamt_lock)
        free_page(m, page0, Role.HAND)
        free_page(m, page1, Role.HAND)
        reached(pair_shared)
        return OK
    status = yield from pamt_add(m, r, page0, page1)
    if status == TDX_SUCCESS:
        m.range[r].refcount = 1
    spin_unlock(m, m.pamt_lock)
    assert status == TDX_SUCCESS, f"asserts: PAMT.ADD of range {r} answers {status}: WARN_ON_ONCE"
    if status != TDX_SUCCESS:
        free_page(m, page0, Role.HAND)
        free_page(m, page1, Role.HAND)
        return EIO
    return OK


@process
def pamt_put(m: Machine, page: Pfn):
    """tdx_pamt_put() [tip, Sept 2026], designs.md 4.7: the last reference removes the pair, all under the lock."""
    yield from spin_lock(m, m.pamt_lock)
    assert m.frame[page].role != Role.FREE, f"custody: page {page} is put after it was freed"
    r = range_of(m, page)
    assert m.range[r].refcount != 0, f"backing: the PAMT refcount of range {r} is put below zero"
    if m.range[r].refcount > 1:
        m.range[r].refcount -= 1
        spin_unlock(m, m.pamt_lock)
        return
    status = yield from tdh_phymem_pamt_remove(m, r)
    assert status != TDX_OPERAND_BUSY, f"asserts: PAMT.REMOVE of range {r} is busy: WARN_ON_ONCE"
    assert status == TDX_SUCCESS, f"backing: PAMT.REMOVE of range {r} answers {status}: WARN_ON_ONCE"
    if status == TDX_SUCCESS:
        m.range[r].refcount = 0
        free_pair(m, r)
    spin_unlock(m, m.pamt_lock)


@process
def pamt_get_v4(m: Machine, page: Pfn, pool):
    """tdx_pamt_get() [v4], designs.md 4.4: atomic_inc_not_zero() without the lock, a pair only if that fails."""
    yield from place(m, page)
    yield
    r = range_of(m, page)
    if m.range[r].refcount != 0:
        m.range[r].refcount += 1
        reached(pair_shared)
        return OK
    assert pool.cnt >= PAMT_PAGES, "provision: no pair is left of what the top-up promised"
    if pool.cnt < PAMT_PAGES:
        return ENOMEM
    page0 = pop(m, pool)
    page1 = pop(m, pool)
    yield from spin_lock(m, m.pamt_lock)
    if m.range[r].refcount != 0:
        m.range[r].refcount += 1
        spin_unlock(m, m.pamt_lock)
        free_page(m, page0, Role.HAND)
        free_page(m, page1, Role.HAND)
        return OK
    status = yield from pamt_add(m, r, page0, page1)
    if status in (TDX_SUCCESS, TDX_HPA_RANGE_NOT_FREE):
        m.range[r].refcount = 1
    spin_unlock(m, m.pamt_lock)
    if status == TDX_SUCCESS:
        return OK
    free_page(m, page0, Role.HAND)
    free_page(m, page1, Role.HAND)
    if status == TDX_HPA_RANGE_NOT_FREE:
        reached(pair_rescued)
        return OK
    assert status == TDX_SUCCESS, f"asserts: PAMT.ADD of range {r} answers {status}"
    return EIO


@process
def pamt_put_v4(m: Machine, page: Pfn):
    """tdx_pamt_put() [v4], designs.md 4.4: atomic_dec_and_test() without the lock, checked again under it."""
    yield
    assert m.frame[page].role != Role.FREE, f"custody: page {page} is put after it was freed"
    r = range_of(m, page)
    assert m.range[r].refcount != 0, f"backing: the PAMT refcount of range {r} is put below zero"
    m.range[r].refcount -= 1
    if m.range[r].refcount != 0:
        return
    yield from spin_lock(m, m.pamt_lock)
    if m.range[r].refcount != 0:
        spin_unlock(m, m.pamt_lock)
        return
    status = yield from tdh_phymem_pamt_remove(m, r)
    if status == TDX_SUCCESS:
        free_pair(m, r)
    else:
        m.range[r].refcount += 1
    spin_unlock(m, m.pamt_lock)
    assert status != TDX_OPERAND_BUSY, f"asserts: PAMT.REMOVE of range {r} is busy, the pair is leaked"
    assert status == TDX_SUCCESS, f"backing: PAMT.REMOVE of range {r} answers {status}, the pair is leaked"


@process
def pamt_add(m: Machine, r: RangeId, page0: Pfn, page1: Pfn):
    """PAMT.ADD of two pages in hand; they are in hand again if it fails."""
    take(m, page0, Role.HAND, Role.PAIR)
    take(m, page1, Role.HAND, Role.PAIR)
    status = yield from tdh_phymem_pamt_add(m, r, page0, page1)
    if status != TDX_SUCCESS:
        take(m, page0, Role.PAIR, Role.HAND)
        take(m, page1, Role.PAIR, Role.HAND)
    return status


def free_pair(m: Machine, r: RangeId):
    """Frees the two pages that PAMT.REMOVE of this step gave back."""
    page0 = m.pamt[r].page0
    page1 = m.pamt[r].page1
    m.pamt[r].page0 = 0
    m.pamt[r].page1 = 0
    free_page(m, page0, Role.PAIR)
    free_page(m, page1, Role.PAIR)
