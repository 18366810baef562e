"""PAMT references of v6: atomic_inc_not_zero() without the lock, and the count falls to 0 only under it; designs.md 4.6."""

from septum.host.geometry import Pfn, RangeId
from septum.host.ranges import range_of
from septum.kvm.machine import Machine
from septum.kvm.seam.pamt import (
    INC_NOT_ZERO,
    check_counted,
    dec_and_test,
    free_pair,
    leak_pair,
    lock_pamt,
    unlock_pamt,
    warn_of_remove,
)
from septum.kvm.seam.pamt_always_lock import pamt_back
from septum.lang import atomic, process
from septum.tdx.pairs import tdh_phymem_pamt_remove
from septum.tdx.status import TDX_SUCCESS

SIZES = {INC_NOT_ZERO: 1}


def dec_unless_one(m: Machine, r: RangeId):
    """atomic_add_unless(&refcount, -1, 1): whether it was lowered."""
    atomic("one locked instruction")
    if m.range[r].refcount == 1:
        return False
    m.range[r].refcount -= 1
    return True


@process
def pamt_put(m: Machine, page: Pfn):
    """tdx_pamt_put() with atomic_dec_and_lock(): lowered at once unless the count is 1, else looked at again under the lock."""
    yield
    check_counted(m, page)
    r = range_of(m, page)
    if dec_unless_one(m, r):
        return
    yield from lock_pamt(m)
    if not dec_and_test(m, r):
        unlock_pamt(m)
        return
    status = yield from tdh_phymem_pamt_remove(m, r)
    warn_of_remove(m, r, status)
    if status == TDX_SUCCESS:
        free_pair(m, r)
    else:
        m.range[r].refcount = 1
        leak_pair(m, r)
    unlock_pamt(m)


__all__ = ["SIZES", "pamt_back", "pamt_put"]
