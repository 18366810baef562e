"""Dynamic PAMT references: a pair is taken, then the algorithm of the design uses it or frees it; designs.md 4.

A page is (or was) used at 4K; `pool` is where the pair comes from. A get that fails for want of a pair asserts, for the top-up
promised it; it is -ENOMEM, and the page that was taken goes back to the allocator. The algorithms are septum/kvm/seam/pamt_*.py;
a design names one among its parts.
"""

from septum.host.frames import Content, Gfp, Role, free_page, take, tdx_quirk_reset_paddr
from septum.host.geometry import PAMT_PAGES, Pfn, RangeId
from septum.host.locks import spin_lock, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore
from septum.host.pools import ENOMEM, OK, alloc_or_fail, kvm_mmu_memory_cache_alloc, pop
from septum.host.ranges import place, range_of
from septum.kvm.machine import Machine
from septum.kvm.ops import ops
from septum.lang import Size, Witness, atomic, commutes, process, reached, warn_on
from septum.tdx.injection import was_injected
from septum.tdx.pairs import tdh_phymem_pamt_add
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS, Status

INC_NOT_ZERO = Size("INC_NOT_ZERO", 0)  # a reference to a range that has users is taken without the lock
PAIRS_IN_ARRAY = Size("PAIRS_IN_ARRAY", 0)  # pairs wait in a kvm_mmu_memory_cache, which falls back to GFP_ATOMIC
HOST_COUNTS = Size("HOST_COUNTS", 1)  # the host counts the users of a range; 0: it relies on what the module says
IRQSAVE = Size("IRQSAVE", 0)  # pamt_lock is taken with interrupts off
pair_shared = Witness("pair_shared", "a page found its 2M range already backed")


@process
def pamt_get(m: Machine, page: Pfn, pool):
    """tdx_pamt_get(): a reference for `page`, with a pair from `pool` if the algorithm wants one. Errno."""
    yield from place(m, page)
    if INC_NOT_ZERO:
        yield
        if inc_not_zero(m, page):
            return OK
    if PAIRS_IN_ARRAY:
        page0 = yield from kvm_mmu_memory_cache_alloc(m, pool)
        page1 = yield from kvm_mmu_memory_cache_alloc(m, pool)
    else:
        assert pool.cnt >= PAMT_PAGES, "provision: no pair is left of what the top-up promised"
        if pool.cnt == 0:
            return ENOMEM
        page0 = pop(m, pool)
        if pool.cnt == 0:
            free_page(m, page0, Role.HAND)
            return ENOMEM
        page1 = pop(m, pool)
    return (yield from ops.pamt_back(m, page, page0, page1))


@process
def pamt_get_alone(m: Machine, page: Pfn, gfp: Gfp):
    """tdx_pamt_get() without a pool: the pair comes from the allocator. Errno."""
    yield from place(m, page)
    if INC_NOT_ZERO:
        yield
        if inc_not_zero(m, page):
            return OK
    page0 = yield from alloc_or_fail(m, gfp, Content.UNDEFINED)
    if page0 == 0:
        return ENOMEM
    page1 = yield from alloc_or_fail(m, gfp, Content.UNDEFINED)
    if page1 == 0:
        free_page(m, page0, Role.HAND)
        return ENOMEM
    return (yield from ops.pamt_back(m, page, page0, page1))


@process
def tdx_alloc_control_page(m: Machine, gfp: Gfp):
    """tdx_alloc_control_page() [v5], designs.md 4.10: a page in hand whose range is backed; 0 without memory."""
    page = yield from alloc_or_fail(m, gfp, Content.UNDEFINED)
    if page == 0:
        return Pfn(0)
    error = yield from pamt_get_alone(m, page, gfp)
    if error != OK:
        free_page(m, page, Role.HAND)
        return Pfn(0)
    return page


def inc_not_zero(m: Machine, page: Pfn):
    """atomic_inc_not_zero() of a range's refcount."""
    atomic("one locked instruction")
    r = range_of(m, page)
    if m.range[r].refcount == 0:
        return False
    m.range[r].refcount += 1
    reached(pair_shared)
    return True


def dec_and_test(m: Machine, r: RangeId):
    """atomic_dec_and_test() of a range's refcount: whether it is zero afterwards."""
    atomic("one locked instruction")
    m.range[r].refcount -= 1
    return m.range[r].refcount == 0


@process
def lock_pamt(m: Machine):
    """The global lock of PAMT.ADD and PAMT.REMOVE."""
    if IRQSAVE:
        yield from spin_lock_irqsave(m, m.pamt_lock)
    else:
        yield from spin_lock(m, m.pamt_lock)


def unlock_pamt(m: Machine):
    """Releases it."""
    if IRQSAVE:
        spin_unlock_irqrestore(m, m.pamt_lock)
    else:
        spin_unlock(m, m.pamt_lock)


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


def free_unused(m: Machine, page0: Pfn, page1: Pfn):
    """The two pages that were taken for a pair, and that nobody needs."""
    free_page(m, page0, Role.HAND)
    free_page(m, page1, Role.HAND)


def free_pair(m: Machine, r: RangeId):
    """Frees the two pages that PAMT.REMOVE of this step gave back."""
    page0 = m.pamt[r].page0
    page1 = m.pamt[r].page1
    m.pamt[r].page0 = 0
    m.pamt[r].page1 = 0
    tdx_quirk_reset_paddr(m, page0)
    tdx_quirk_reset_paddr(m, page1)
    free_page(m, page0, Role.PAIR)
    free_page(m, page1, Role.PAIR)


def warn_of_remove(m: Machine, r: RangeId, status: Status):
    """The WARN_ON_ONCE of a PAMT.REMOVE that failed."""
    news = status != TDX_SUCCESS and not was_injected(m, status)
    warn_on(news and status == TDX_OPERAND_BUSY, f"asserts: PAMT.REMOVE of range {r} is busy: WARN_ON_ONCE")
    warn_on(news and status != TDX_OPERAND_BUSY, f"backing: PAMT.REMOVE of range {r} answers {status}: WARN_ON_ONCE")


def leak_pair(m: Machine, r: RangeId):
    """PAMT.REMOVE failed: the pair stays where it is, and is nobody's."""
    m.leaked_pair = r


def check_counted(m: Machine, page: Pfn):
    """A reference that is put was taken, and the page has not been freed."""
    commutes("the check reads this, and no kernel")
    assert m.frame[page].role != Role.FREE, f"custody: page {page} is put after it was freed"
    assert m.range[range_of(m, page)].refcount != 0, f"backing: the PAMT refcount of range {range_of(m, page)} is put below zero"
