"""SEAMCALL leaves of the end of a TD: HKID release and PHYMEM.PAGE.RECLAIM; tdx-module.md 7.16, 7.17."""

from septum.host.frames import PageType, give_back
from septum.host.geometry import DYNAMIC_PAMT, Pfn, VmId
from septum.host.ranges import range_of
from septum.lang import process
from septum.tdx.locks import release_exclusive, release_shared, try_exclusive, try_shared
from septum.tdx.pamt import uncount_page, unlock_page
from septum.tdx.status import (
    TDX_LIFECYCLE_STATE_INCORRECT,
    TDX_OPERAND_BUSY,
    TDX_PAGE_METADATA_INCORRECT,
    TDX_SUCCESS,
    TDX_TD_ASSOCIATED_PAGES_EXIST,
)
from septum.tdx.td import Lifecycle


@process
def release_hkid(m, vm: VmId):
    """VPFLUSHDONE, PHYMEM.CACHE.WB and KEY.FREEID as one: no vCPU may be associated, TDR exclusive, then TEARDOWN."""
    yield
    td = m.td[vm]
    if not try_exclusive(td.tdr_lock):
        return TDX_OPERAND_BUSY
    yield
    td.lifecycle = Lifecycle.TEARDOWN
    td.refcount[0] = 0
    td.refcount[1] = 0
    release_exclusive(td.tdr_lock)
    return TDX_SUCCESS


@process
def tdh_phymem_page_reclaim(m, page: Pfn):
    """TDH.PHYMEM.PAGE.RECLAIM: any page of a TD in TEARDOWN, the TDR last."""
    yield
    frame = m.frame[page]
    if frame.type == PageType.NDA:
        return TDX_PAGE_METADATA_INCORRECT
    td = m.td[frame.owner]
    if td.lifecycle != Lifecycle.TEARDOWN:
        return TDX_LIFECYCLE_STATE_INCORRECT
    if frame.type == PageType.TDR and td.chldcnt != 0:
        return TDX_TD_ASSOCIATED_PAGES_EXIST
    if DYNAMIC_PAMT:
        if not try_shared(m.pamt[range_of(m, page)].lock):
            return TDX_OPERAND_BUSY
    if frame.type != PageType.TDR and not try_shared(td.tdr_lock):
        unlock_page(m, page)
        return TDX_OPERAND_BUSY
    yield
    if frame.type != PageType.TDR:
        td.chldcnt -= 1
        release_shared(td.tdr_lock)
    unlock_page(m, page)
    give_back(m, page)
    uncount_page(m, page)
    return TDX_SUCCESS
