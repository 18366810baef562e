"""Dynamic PAMT as merged, with a rwlock for each 2M range in place of the global lock: an idea of 2025; designs.md 4.9.

PAMT.ADD locks its range exclusively and the ranges of the two pages shared, and so does this.
"""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.geometry import SPREAD
from septum.host.locks import RwLock, read_lock, read_unlock, write_lock, write_unlock
from septum.host.pools import EIO, OK
from septum.host.ranges import place, range_of
from septum.kvm.design import Design
from septum.kvm.seam.pamt import check_counted, free_pair, free_unused, leak_pair, pair_shared, pamt_add, warn_of_remove
from septum.lang import Struct, reached, warn_on
from septum.tdx.injection import was_injected
from septum.tdx.pairs import tdh_phymem_pamt_remove
from septum.tdx.status import TDX_SUCCESS

design = Design("dpamt_range_locks", base=dpamt_merged, sizes={SPREAD: 2})


@design.range
class RangeLock(Struct):
    """The lock of a 2M range."""

    lock: RwLock


@design.process
def pamt_back(m, page, page0, page1):
    """As merged, under the locks of all ranges that PAMT.ADD touches."""
    yield from place(m, page0)
    yield from place(m, page1)
    r = range_of(m, page)
    r0 = range_of(m, page0)
    r1 = range_of(m, page1)
    yield from write_lock(m, m.range[r].design.lock)
    if m.range[r].refcount != 0:
        m.range[r].refcount += 1
        write_unlock(m, m.range[r].design.lock)
        free_unused(m, page0, page1)
        reached(pair_shared)
        return OK
    if r0 != r:
        yield from read_lock(m, m.range[r0].design.lock)
    if r1 != r and r1 != r0:
        yield from read_lock(m, m.range[r1].design.lock)
    status = yield from pamt_add(m, r, page0, page1)
    if status == TDX_SUCCESS:
        m.range[r].refcount = 1
    if r0 != r:
        read_unlock(m, m.range[r0].design.lock)
    if r1 != r and r1 != r0:
        read_unlock(m, m.range[r1].design.lock)
    write_unlock(m, m.range[r].design.lock)
    news = status != TDX_SUCCESS and not was_injected(m, status)
    warn_on(news, f"asserts: PAMT.ADD of range {r} answers {status}: WARN_ON_ONCE")
    if status != TDX_SUCCESS:
        free_unused(m, page0, page1)
        return EIO
    return OK


@design.process
def pamt_put(m, page):
    """As merged, under the lock of the range."""
    r = range_of(m, page)
    yield from write_lock(m, m.range[r].design.lock)
    check_counted(m, page)
    if m.range[r].refcount > 1:
        m.range[r].refcount -= 1
        write_unlock(m, m.range[r].design.lock)
        return
    status = yield from tdh_phymem_pamt_remove(m, r)
    warn_of_remove(m, r, status)
    if status == TDX_SUCCESS:
        m.range[r].refcount = 0
        free_pair(m, r)
    else:
        leak_pair(m, r)
    write_unlock(m, m.range[r].design.lock)
