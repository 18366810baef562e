"""SEAMCALL leaves on physical memory: PAGE.RECLAIM, PAGE.WBINVD, PAGE.RDMD, CACHE.WB; tdx-module.md 2.5, 7.16 - 7.18."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType, held_by_module
from septum.host.geometry import DYNAMIC_PAMT, Level, Pfn, VmId, pages_per_leaf
from septum.host.ranges import range_of
from septum.lang import choose, each, process, u8, u64
from septum.tdx.geometry import BUILDS, WHOLE, Hkid, Package, PageCount
from septum.tdx.injection import fails, ways
from septum.tdx.keys import KotState, key_lock_shared
from septum.tdx.leaves import Leaf
from septum.tdx.locks import release_exclusive, release_shared, try_exclusive, try_shared
from septum.tdx.mem_sept import REMOVAL_HINT
from septum.tdx.operands import RCX, TDR, WBCACHE
from septum.tdx.pairs import leaf_level
from septum.tdx.pamt import (
    bepoch_at,
    lock_walk,
    owner_at,
    paired,
    release,
    tdr_at,
    type_at,
    uncount_page,
    unlock_page,
    unlock_walk,
    usable,
)
from septum.tdx.processor import malformed, me, refuse
from septum.tdx.status import (
    TDX_FLUSHVP_NOT_DONE,
    TDX_INTERRUPTED_RESUMABLE,
    TDX_LIFECYCLE_STATE_INCORRECT,
    TDX_NO_HKID_READY_TO_WBCACHE,
    TDX_OPERAND_ADDR_RANGE_ERROR,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_INVALID,
    TDX_PAGE_METADATA_INCORRECT,
    TDX_SUCCESS,
    TDX_TD_ASSOCIATED_PAGES_EXIST,
    TDX_WBCACHE_RESUME_ERROR,
)
from septum.tdx.td import Lifecycle, drop_children
from septum.tdx.vp import forget_vcpu


@process
def release_hkid(m, vm: VmId):
    """VPFLUSHDONE, PHYMEM.CACHE.WB and KEY.FREEID as one, as KVM makes them: TDR exclusive, then TEARDOWN."""
    way = yield choose(lambda: ways(m, Leaf.MNG_VPFLUSHDONE))
    if fails(m, way):
        return m.injection.status
    td = m.td[vm]
    if not try_exclusive(td.tdr_lock):
        return TDX_OPERAND_BUSY
    if BUILDS and td.build.associated != 0:
        release_exclusive(td.tdr_lock)
        return TDX_FLUSHVP_NOT_DONE
    yield
    td.lifecycle = Lifecycle.TEARDOWN
    td.refcount[0] = 0
    td.refcount[1] = 0
    release_exclusive(td.tdr_lock)
    return TDX_SUCCESS


@process
def tdh_phymem_page_reclaim(m, page: Pfn):
    """TDH.PHYMEM.PAGE.RECLAIM, tdx-module.md 7.17: any page of a TD in TEARDOWN, the TDR last."""
    if not WHOLE:
        way = yield choose(lambda: ways(m, Leaf.PHYMEM_PAGE_RECLAIM))
        if fails(m, way):
            return m.injection.status
    status = lock_operand(m, page)
    if status != TDX_SUCCESS:
        return status
    status = reclaimable(m, page, size_of(m, page))
    if status != TDX_SUCCESS:
        unlock_operand(m, page)
        return status
    yield
    level = size_of(m, page)
    vm = owner_at(m, page, level)
    root = type_at(m, page, level) == PageType.TDR
    if not root:
        drop_children(m.td[vm], PageCount(pages_per_leaf(level)))
    if WHOLE and type_at(m, page, level) == PageType.TDVPR:
        forget_vcpu(m, page)
    release(m, page, level)
    if WHOLE:
        yield
        if root:
            m.td[vm].tdr = 0
            m.frame[page].owner = 0
        last = uncount_page(m, page) if level == 1 else False
        m.lp[me()].answer.r9 = REMOVAL_HINT if last else 0
        unlock_walk(m, page, level, True)
    else:
        unlock_page(m, page)
        uncount_page(m, page)
    if not root:
        unlock_tdr(m, vm)
    return TDX_SUCCESS


def size_of(m, page: Pfn):
    """The level of the PAMT entry of a page; inside of a machine pages are reclaimed at 4K."""
    return leaf_level(m, page) if WHOLE else Level(1)


def unlock_operand(m, page: Pfn):
    """Releases what `lock_operand` took."""
    if WHOLE:
        unlock_walk(m, page, leaf_level(m, page), True)


def lock_operand(m, page: Pfn):
    """RECLAIM, steps 1 to 3: a page in an initialised block, walked to its leaf."""
    if not WHOLE:
        return TDX_SUCCESS
    if malformed(m, RCX):
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    if not usable(m, page):
        return refuse(m, TDX_OPERAND_ADDR_RANGE_ERROR, RCX)
    if lock_walk(m, page, Level(1), True) == 0:
        return refuse(m, TDX_OPERAND_BUSY, RCX)
    return TDX_SUCCESS


def reclaimable(m, page: Pfn, level: Level):
    """RECLAIM, steps 4 to 6; on success the TDR of a page that is none is locked, and in a machine its 2M entry."""
    if type_at(m, page, level) in (PageType.NDA, PageType.RSVD, PageType.PAMT):
        return refuse(m, TDX_PAGE_METADATA_INCORRECT, RCX)
    root = type_at(m, page, level) == PageType.TDR
    vm = owner_at(m, page, level)
    if WHOLE:
        describe(m, page, level)
        if u64(page) % pages_per_leaf(level) != 0:
            return refuse(m, TDX_OPERAND_INVALID, RCX)
        if not root and not try_shared(m.frame[m.td[vm].tdr].lock):
            return refuse(m, TDX_OPERAND_BUSY, TDR)
    status = TDX_SUCCESS
    if m.td[vm].lifecycle != Lifecycle.TEARDOWN:
        status = TDX_LIFECYCLE_STATE_INCORRECT
    elif root and m.td[vm].chldcnt != 0:
        status = TDX_TD_ASSOCIATED_PAGES_EXIST
    if WHOLE:
        if status == TDX_SUCCESS:
            return status
        if not root:
            unlock_tdr(m, vm)
        return refuse(m, status, 0)
    if status == TDX_SUCCESS and DYNAMIC_PAMT and not try_shared(m.pamt[range_of(m, page)].lock):
        return TDX_OPERAND_BUSY
    if status == TDX_SUCCESS and not root and not try_shared(m.td[vm].tdr_lock):
        unlock_page(m, page)
        return TDX_OPERAND_BUSY
    return status


def unlock_tdr(m, vm: VmId):
    """Gives the TDR of a page back."""
    if WHOLE:
        release_shared(m.frame[m.td[vm].tdr].lock)
    else:
        release_shared(m.td[vm].tdr_lock)


def describe(m, page: Pfn, level: Level):
    """What RECLAIM and RDMD say of a page: type, owner, level."""
    answer = m.lp[me()].answer
    of = type_at(m, page, level)
    answer.rcx = u64(u8(of))
    answer.rdx = 0 if of in (PageType.TDR, PageType.PAMT) else u64(tdr_at(m, page, level)) << PAGE_SHIFT
    answer.r8 = u8(level - 1)
    answer.r9 = 0


@process
def tdh_phymem_page_wbinvd(m, page: Pfn):
    """TDH.PHYMEM.PAGE.WBINVD, tdx-module.md 7.18: writes back a free page; the caches themselves are not modelled."""
    if not WHOLE:
        way = yield choose(lambda: ways(m, Leaf.PHYMEM_PAGE_WBINVD))
        if fails(m, way):
            return m.injection.status
        return write_back(m, page)
    status = lock_free(m, page)
    if status != TDX_SUCCESS:
        return status
    yield
    unlock_walk(m, page, leaf_level(m, page), False)
    return TDX_SUCCESS


def write_back(m, page: Pfn):
    """WBINVD inside of a machine: no line with the private key is left of a page that the module does not hold."""
    if held_by_module(m, page):
        return TDX_PAGE_METADATA_INCORRECT
    m.frame[page].cache.private = False
    return TDX_SUCCESS


def lock_free(m, page: Pfn):
    """An HPA operand that must be free at whatever level its leaf is."""
    if malformed(m, RCX):
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    if not usable(m, page):
        return refuse(m, TDX_OPERAND_ADDR_RANGE_ERROR, RCX)
    level = lock_walk(m, page, Level(1), False)
    if level == 0:
        return refuse(m, TDX_OPERAND_BUSY, RCX)
    if type_at(m, page, level) != PageType.NDA or m.frame[page].type != PageType.NDA:
        unlock_walk(m, page, level, False)
        return refuse(m, TDX_PAGE_METADATA_INCORRECT, RCX)
    return TDX_SUCCESS


@process
def tdh_phymem_page_rdmd(m, page: Pfn, least: Level):
    """TDH.PHYMEM.PAGE.RDMD, tdx-module.md 2.5: the PAMT entry of a page, at `least` or above; shared."""
    if malformed(m, RCX):
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    if not usable(m, page):
        return refuse(m, TDX_OPERAND_ADDR_RANGE_ERROR, RCX)
    level = lock_walk(m, page, least, False)
    if level == 0:
        return refuse(m, TDX_OPERAND_BUSY, RCX)
    yield
    describe(m, page, level)
    answer = m.lp[me()].answer
    of = type_at(m, page, level)
    if of in (PageType.REG, PageType.EPT):
        answer.r9 = bepoch_at(m, page, level)
    if level == 2 and of == PageType.PAMT:
        answer.rcx = u64(answer.rcx | NON_LEAF)
        answer.r10 = u64(m.pamt[range_of(m, page)].page0) << PAGE_SHIFT
        answer.r11 = u64(m.pamt[range_of(m, page)].page1) << PAGE_SHIFT
    elif DYNAMIC_PAMT and paired(m) and least == 1 and level != 3 and m.frame[page].type in (PageType.PAMT, PageType.RSVD):
        answer.rcx = u64(u8(PageType.PAMT))  # its bit in the bitmap
        answer.r8 = 0
    unlock_walk(m, page, level, False)
    return TDX_SUCCESS


NON_LEAF = 1 << 63  # RDMD: the 2M entry has a pair, and no page of its own


@process
def tdh_phymem_cache_wb(m, resume: u64):
    """TDH.PHYMEM.CACHE.WB, tdx-module.md 7.16: writes back the caches of this package for the HKIDs that are flushed now."""
    if resume > 1:
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    package = my_package(m)
    wb = m.package[package]
    if not try_exclusive(wb.lock):
        return refuse(m, TDX_OPERAND_BUSY, WBCACHE)
    status = key_lock_shared(m)
    if status == TDX_SUCCESS:
        status = begin_write_back(m, package, resume)
        if status != TDX_SUCCESS:
            release_shared(m.kot_lock)
    if status != TDX_SUCCESS:
        release_exclusive(wb.lock)
        return status
    yield
    release_shared(m.kot_lock)
    wb.written += 1
    if m.lp[me()].interrupt and wb.written < m.sys.cache_blocks:
        release_exclusive(wb.lock)
        return refuse(m, TDX_INTERRUPTED_RESUMABLE, 0)
    wb.written = 0
    for hkid in each(Hkid):
        if m.kot[hkid].remembered & (1 << package) != 0:
            m.kot[hkid].remembered ^= 1 << package
            m.kot[hkid].dirty = m.kot[hkid].dirty & (255 - (1 << package))
    release_exclusive(wb.lock)
    return TDX_SUCCESS


def begin_write_back(m, package: Package, resume: u64):
    """Which HKIDs this write-back is for: those FLUSHED at its start."""
    if resume == 1:
        return TDX_SUCCESS if m.package[package].written != 0 else refuse(m, TDX_WBCACHE_RESUME_ERROR, 0)
    found = False
    for hkid in each(Hkid):
        if m.kot[hkid].state == KotState.FLUSHED:
            found = True
            m.kot[hkid].remembered |= 1 << package
    return TDX_SUCCESS if found else refuse(m, TDX_NO_HKID_READY_TO_WBCACHE, 0)


def my_package(m):
    """The package of this LP."""
    return m.lp[me()].package
