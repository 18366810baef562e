"""PAMT references from RFC to RFC v5: the count falls to 0 outside of the lock, a getter may rescue the pair; designs.md 4.2-4.5.

v3 raises the count of a rescued pair where the others set it to 1: under the lock it is 0, and the two are the same. The
simple patches of v3 and v4, which take the lock first, are pamt_always_lock.
"""

from septum.host.geometry import Pfn
from septum.host.pools import EIO, OK
from septum.host.ranges import range_of
from septum.kvm.machine import Machine
from septum.kvm.seam.pamt import (
    INC_NOT_ZERO,
    check_counted,
    dec_and_test,
    free_pair,
    free_unused,
    inc_not_zero,
    leak_pair,
    lock_pamt,
    pamt_add,
    unlock_pamt,
    warn_of_remove,
)
from septum.lang import Size, Witness, process, reached, warn_on
from septum.tdx.injection import was_injected
from septum.tdx.pairs import tdh_phymem_pamt_remove
from septum.tdx.status import TDX_HPA_RANGE_NOT_FREE, TDX_SUCCESS

COUNTED_AGAIN = Size("COUNTED_AGAIN", 1)  # a pair that PAMT.REMOVE left there is counted again; not so in the RFC
SIZES = {INC_NOT_ZERO: 1, COUNTED_AGAIN: 1}
pair_rescued = Witness("pair_rescued", "a getter found the pair that a putter was about to remove")


@process
def pamt_back(m: Machine, page: Pfn, page0: Pfn, page1: Pfn):
    """tdx_pamt_get() from the lock on: where the pair is still there, a putter has not come to remove it."""
    yield from lock_pamt(m)
    r = range_of(m, page)
    if inc_not_zero(m, page):
        unlock_pamt(m)
        free_unused(m, page0, page1)
        return OK
    status = yield from pamt_add(m, r, page0, page1)
    if status in (TDX_SUCCESS, TDX_HPA_RANGE_NOT_FREE):
        m.range[r].refcount = 1
    unlock_pamt(m)
    if status == TDX_SUCCESS:
        return OK
    free_unused(m, page0, page1)
    if status == TDX_HPA_RANGE_NOT_FREE:
        reached(pair_rescued)
        return OK
    warn_on(not was_injected(m, status), f"asserts: PAMT.ADD of range {r} answers {status}")
    return EIO


@process
def pamt_put(m: Machine, page: Pfn):
    """tdx_pamt_put(): atomic_dec_and_test() without the lock, checked again under it."""
    yield
    check_counted(m, page)
    r = range_of(m, page)
    if not dec_and_test(m, r):
        return
    yield from lock_pamt(m)
    if m.range[r].refcount != 0:
        unlock_pamt(m)
        return
    status = yield from tdh_phymem_pamt_remove(m, r)
    if status == TDX_SUCCESS:
        free_pair(m, r)
    else:
        leak_pair(m, r)
        if COUNTED_AGAIN:
            m.range[r].refcount += 1
    unlock_pamt(m)
    warn_of_remove(m, r, status)
