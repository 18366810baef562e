"""Where pages wait: kvm_mmu_memory_cache, and the page lists of the Dynamic PAMT series.

A top-up is one step: what it allocates nobody else can see, so it has a scheduling point only where a failure may be injected.
"""

from septum.host.cpu import might_sleep
from septum.host.frames import Content, Gfp, Role, alloc_page, free_page, may_fail, note_failure, take, ways_to_fail
from septum.host.geometry import CACHE_CAPACITY, PAMT_PAGES, PT64_ROOT_MAX_LEVEL, Pfn
from septum.lang import MEASURING, Enum, Meter, Size, Struct, address, choose, observe, process, u8, u16, warn_on

pooled = Meter("pooled", "a page was put into a pool: its origin, and where the pool lies")


class Errno(Enum):
    """Errors of the kernel, without the sign."""

    OK = 0
    EBUSY = 1
    ENOMEM = 2
    EIO = 3
    EFAULT = 4
    EINVAL = 5
    EEXIST = 6
    EAGAIN = 7
    ENOENT = 8
    EOPNOTSUPP = 9
    EINTR = 10
    EHWPOISON = 11


POOLED = 1 << 15  # in the origin of a page: it waited in a pool
POOL_PLACES = 1 << 13  # more than the bytes of a world that is measured
PAIR_CAPACITY = Size("PAIR_CAPACITY", lambda: max(CACHE_CAPACITY.value, PAMT_PAGES * (PT64_ROOT_MAX_LEVEL.value + 1)))

OK, EBUSY, ENOMEM, EIO, EFAULT, EINVAL, EEXIST, EAGAIN, ENOENT, EOPNOTSUPP, EINTR, EHWPOISON = Errno


class MemoryCache(Struct):
    """struct kvm_mmu_memory_cache: a stack of pages topped up before mmu_lock is taken; kvm-mmu.md 3.1."""

    nobjs: u8
    content: Content  # gfp_zero and init_value, which exclude each other
    objects: Pfn[CACHE_CAPACITY]


class PairCache(Struct):
    """A kvm_mmu_memory_cache of pages for PAMT pairs; as large as the others, or larger where the small scope wants it."""

    nobjs: u8
    content: Content
    objects: Pfn[PAIR_CAPACITY]


@process
def kvm_mmu_topup_memory_cache(m, mc, minimum):
    """kvm_mmu_topup_memory_cache() [7.1]: fills to capacity unless `minimum` is there; ENOMEM if not even `minimum` came."""
    if mc.nobjs >= minimum:
        return OK
    might_sleep(m)
    target = u8(len(mc.objects))
    if may_fail(m):
        failing = yield choose(lambda: ways_to_fail(m, u8(len(mc.objects) - mc.nobjs)))
        if failing != 0:
            note_failure(m)
            target = u8(mc.nobjs + failing - 1)
    while mc.nobjs < target:
        keep(m, mc, alloc_page(m, Gfp.KERNEL_ACCOUNT, mc.content))
    return OK if mc.nobjs >= minimum else ENOMEM


def note_pooled(m, page: Pfn, pool):
    """For measurements: in which pool a page waits."""
    if MEASURING:
        origin = m.frame[page].origin % POOLED
        observe(pooled, origin * POOL_PLACES + address(pool))
        m.frame[page].origin = u16(origin + POOLED)


def keep(m, mc, page: Pfn):
    """mc->objects[mc->nobjs++] = page: a page in hand goes into a cache."""
    take(m, page, Role.HAND, Role.POOL)
    mc.objects[mc.nobjs] = page
    mc.nobjs += 1
    note_pooled(m, page, mc)


@process
def kvm_mmu_memory_cache_alloc(m, mc):
    """kvm_mmu_memory_cache_alloc() [7.1]: pops a page; of an empty cache WARN and one try with GFP_ATOMIC, else BUG."""
    if warn_on(mc.nobjs == 0, "provision: a kvm_mmu_memory_cache is empty under mmu_lock"):
        page = yield from alloc_atomic(m, mc.content)
        assert page != 0, "asserts: BUG_ON(!obj) of kvm_mmu_memory_cache_alloc()"
        return page
    mc.nobjs -= 1
    page = mc.objects[mc.nobjs]
    mc.objects[mc.nobjs] = 0
    take(m, page, Role.POOL, Role.HAND)
    return page


@process
def alloc_atomic(m, content: Content):
    """An allocation with GFP_ATOMIC | __GFP_ACCOUNT, allowed in every context; 0 if it fails."""
    return (yield from alloc_or_fail(m, Gfp.ATOMIC_ACCOUNT, content))


@process
def alloc_or_fail(m, gfp: Gfp, content: Content):
    """alloc_page() that may be made to fail: then 0. It has a scheduling point only where that may be."""
    if may_fail(m):
        failing = yield choose(lambda: ways_to_fail(m, 1))
        if failing != 0:
            note_failure(m)
            return Pfn(0)
    return alloc_page(m, gfp, content)


def kvm_mmu_free_memory_cache(m, mc):
    """kvm_mmu_free_memory_cache() [7.1]."""
    while mc.nobjs != 0:
        mc.nobjs -= 1
        free_page(m, mc.objects[mc.nobjs], Role.POOL)
        mc.objects[mc.nobjs] = 0


@process
def topup_list(m, pool, minimum, gfp: Gfp):
    """Fills a page list to exactly `minimum` pages; what was allocated before a failure stays in the list."""
    if pool.cnt >= minimum:
        return OK
    might_sleep(m)
    target = u8(minimum)
    if may_fail(m):
        failing = yield choose(lambda: ways_to_fail(m, u8(minimum - pool.cnt)))
        if failing != 0:
            note_failure(m)
            target = u8(pool.cnt + failing - 1)
    while pool.cnt < target:
        push(m, pool, alloc_page(m, gfp, Content.UNDEFINED))
    return OK if pool.cnt >= minimum else ENOMEM


def push(m, pool, page: Pfn):
    """list_add(): a page in hand goes into the pool."""
    take(m, page, Role.HAND, Role.POOL)
    pool.pages[pool.cnt] = page
    pool.cnt += 1
    note_pooled(m, page, pool)


def pop(m, pool):
    """Takes the last page out of a pool that has one."""
    pool.cnt -= 1
    page = pool.pages[pool.cnt]
    pool.pages[pool.cnt] = 0
    take(m, page, Role.POOL, Role.HAND)
    return page


def free_list(m, pool):
    """Frees what is left in a pool."""
    while pool.cnt != 0:
        free_page(m, pop(m, pool), Role.HAND)
