"""PAMT references as merged [tip, Sept 2026]: all under the global lock, and a pair is always taken first; designs.md 4.7.

The simple patches of v3 and v4 were like this too: designs.md 4.3, 4.4.
"""

from septum.host.frames import Role, free_page, tdx_quirk_reset_paddr
from septum.host.geometry import Pfn
from septum.host.pools import EIO, OK
from septum.host.ranges import range_of
from septum.kvm.machine import Machine
from septum.kvm.seam.pamt import (
    check_counted,
    inc_not_zero,
    leak_pair,
    lock_pamt,
    pair_shared,
    pamt_add,
    unlock_pamt,
    warn_of_remove,
)
from septum.lang import process, reached, warn_on
from septum.tdx.injection import was_injected
from septum.tdx.pairs import tdh_phymem_pamt_remove
from septum.tdx.status import TDX_SUCCESS


@process
def pamt_back(m: Machine, page: Pfn, page0: Pfn, page1: Pfn):
    """tdx_pamt_get() from the lock on: the first user of a range adds the pair, others free theirs."""
    yield from lock_pamt(m)
    r = range_of(m, page)
    if inc_not_zero(m, page):
        unlock_pamt(m)
        free_rewritten(m, page0, page1, Role.HAND)
        reached(pair_shared)
        return OK
    status = yield from pamt_add(m, r, page0, page1)
    if status == TDX_SUCCESS:
        m.range[r].refcount = 1
    unlock_pamt(m)
    news = status != TDX_SUCCESS and not was_injected(m, status)
    warn_on(news, f"asserts: PAMT.ADD of range {r} answers {status}: WARN_ON_ONCE")
    if status != TDX_SUCCESS:
        free_rewritten(m, page0, page1, Role.HAND)
        return EIO
    return OK


@process
def pamt_put(m: Machine, page: Pfn):
    """tdx_pamt_put(): the last reference removes the pair, all under the lock; its pages are freed after it.

    A REMOVE that fails leaves the count at 1 and leaks the pages.
    """
    yield from lock_pamt(m)
    check_counted(m, page)
    r = range_of(m, page)
    if m.range[r].refcount > 1:
        m.range[r].refcount -= 1
        unlock_pamt(m)
        return
    status = yield from tdh_phymem_pamt_remove(m, r)
    warn_of_remove(m, r, status)
    page0 = m.pamt[r].page0
    page1 = m.pamt[r].page1
    if status == TDX_SUCCESS:
        m.range[r].refcount = 0
        m.pamt[r].page0 = 0
        m.pamt[r].page1 = 0
    else:
        leak_pair(m, r)
    unlock_pamt(m)
    if status == TDX_SUCCESS:
        free_rewritten(m, page0, page1, Role.PAIR)


def free_rewritten(m: Machine, page0: Pfn, page1: Pfn, role: Role):
    """The pages of a pair are rewritten before they are freed, whether the module had them or not."""
    tdx_quirk_reset_paddr(m, page0)
    tdx_quirk_reset_paddr(m, page1)
    free_page(m, page0, role)
    free_page(m, page1, role)
