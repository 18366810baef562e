"""SEAMCALL leaves on the module: SYS.INIT, LP.INIT, CONFIG, KEY.CONFIG, TDMR.INIT, LP.SHUTDOWN, RD; tdx-module.md 2.1, 4.1."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, PAGES, Pfn, ThreadId
from septum.lang import each, process, u8, u16, u64
from septum.tdx.geometry import (
    FIRST_HKID,
    HKIDS,
    PAMT_INIT_PAGES,
    RESERVED_AREAS,
    TDMRS,
    Hkid,
    Package,
)
from septum.tdx.keys import KotState
from septum.tdx.leaves import Leaf
from septum.tdx.locks import release_exclusive, try_exclusive
from septum.tdx.operands import R8, RCX, RDX, TDMR
from septum.tdx.pamt import gig_of, paired
from septum.tdx.platform import SysState
from septum.tdx.processor import is_shared, me, refuse
from septum.tdx.status import (
    TDX_KEY_CONFIGURED,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_INVALID,
    TDX_SUCCESS,
    TDX_SYS_BUSY,
    TDX_SYS_CONFIG_NOT_PENDING,
    TDX_SYS_INIT_NOT_PENDING,
    TDX_SYS_KEY_CONFIG_NOT_PENDING,
    TDX_SYS_LP_INIT_DONE,
    TDX_SYS_LP_INIT_NOT_PENDING,
    TDX_TDMR_ALREADY_INITIALIZED,
)
from septum.tdx.tdmr import check_tdmrs, is_reserved


def before_ready(leaf: Leaf):
    """The leaves that a module answers before it is ready; tdx-module.md 4.1."""
    return leaf in (Leaf.SYS_INFO, Leaf.SYS_RD, Leaf.SYS_INIT, Leaf.SYS_LP_INIT, Leaf.SYS_CONFIG, Leaf.SYS_KEY_CONFIG,
                    Leaf.SYS_LP_SHUTDOWN)  # fmt: skip


@process
def tdh_sys_init(m):
    """TDH.SYS.INIT: once."""
    no_error_information(m)
    if m.lp[me()].given.rcx != 0:
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    if m.sys.state != SysState.LOADED:
        return refuse(m, TDX_SYS_INIT_NOT_PENDING, 0)
    yield
    m.sys.state = SysState.INITIALISED
    return TDX_SUCCESS


@process
def tdh_sys_lp_init(m):
    """TDH.SYS.LP.INIT: once on every LP, before SYS.CONFIG."""
    no_error_information(m)
    if m.sys.state != SysState.INITIALISED:
        return refuse(m, TDX_SYS_LP_INIT_NOT_PENDING, 0)
    if m.lp[me()].initialised:
        return refuse(m, TDX_SYS_LP_INIT_DONE, 0)
    yield
    m.lp[me()].initialised = True
    return TDX_SUCCESS


def no_error_information(m):
    """RCX, RDX and R8 of SYS.INIT and LP.INIT would say which CPUID leaf or MSR is not as it has to be; here all are."""
    answer = m.lp[me()].answer
    answer.rcx = 0
    answer.rdx = 0
    answer.r8 = 0


@process
def tdh_sys_config(m):
    """TDH.SYS.CONFIG, tdx-module.md 2.1: the TDMRs of the host, checked one by one, and the global HKID."""
    lp = m.lp[me()]
    if m.sys.state != SysState.INITIALISED or not all_initialised(m):
        return refuse(m, TDX_SYS_CONFIG_NOT_PENDING, 0)
    if not try_exclusive(m.sys.lock):
        return refuse(m, TDX_SYS_BUSY, 0)
    status = configuration(m)
    if status != TDX_SUCCESS:
        release_exclusive(m.sys.lock)
        return status
    yield
    m.sys.tdmrs = u8(lp.given.rdx)
    m.sys.global_hkid = u16(lp.given.r8 & 0xFFFF)
    m.sys.dynamic = lp.given.r8 >> 16 & 1 != 0
    for i in range(TDMRS):
        if i < m.sys.tdmrs:
            accept_tdmr(m, i)
    m.sys.state = SysState.CONFIGURED
    release_exclusive(m.sys.lock)
    return TDX_SUCCESS


def all_initialised(m):
    """Whether SYS.LP.INIT was called on every LP."""
    for lp in each(ThreadId):
        if not m.lp[lp].initialised:
            return False
    return True


def configuration(m):
    """The checks of SYS.CONFIG. The HKID stays reserved also where a later one fails."""
    given = m.lp[me()].given
    if given.rcx % 512 != 0 or not is_shared(given.rcx):
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    if given.rdx < 1 or given.rdx > TDMRS:
        return refuse(m, TDX_OPERAND_INVALID, RDX)
    asked = given.r8 >> 16 & 1 != 0
    if given.r8 >> 17 != 0 or (asked and DYNAMIC_PAMT == 0):
        return refuse(m, TDX_OPERAND_INVALID, R8)
    if given.r8 & 0xFFFF >= HKIDS or given.r8 & 0xFFFF < FIRST_HKID or (asked and PAGES > 1 << 36):
        return refuse(m, TDX_OPERAND_INVALID, R8)
    m.kot[Hkid(given.r8 & 0xFFFF)].state = KotState.RESERVED
    return check_tdmrs(m, u8(given.rdx), asked)


def accept_tdmr(m, i: u8):
    """The module keeps what the host offered."""
    of = m.sys.offered[i]
    to = m.sys.tdmr[i].info
    to.base = of.base
    to.size = of.size
    for level in range(3):
        to.pamt[level].base = of.pamt[level].base
        to.pamt[level].size = of.pamt[level].size
    for area in range(RESERVED_AREAS):
        to.reserved[area].base = of.reserved[area].base
        to.reserved[area].size = of.reserved[area].size
    m.sys.tdmr[i].next = of.base


@process
def tdh_sys_key_config(m):
    """TDH.SYS.KEY.CONFIG: the module's key on this package; with the last package the module is ready."""
    if m.sys.state != SysState.CONFIGURED:
        return refuse(m, TDX_SYS_KEY_CONFIG_NOT_PENDING, 0)
    if m.package[m.lp[me()].package].configured:
        return refuse(m, TDX_KEY_CONFIGURED, 0)
    yield
    m.package[m.lp[me()].package].configured = True
    for package in each(Package):
        if not m.package[package].configured:
            return TDX_SUCCESS
    m.sys.state = SysState.READY
    return TDX_SUCCESS


@process
def tdh_sys_tdmr_init(m):
    """TDH.SYS.TDMR.INIT, tdx-module.md 2.1: the PAMT of the next pages; RDX is the next address, rounded down to 1G."""
    number = tdmr_at(m, m.lp[me()].given.rcx)
    m.lp[me()].answer.rdx = 0
    if number == TDMRS:
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    tdmr = m.sys.tdmr[number]
    if not try_exclusive(tdmr.lock):
        return refuse(m, TDX_OPERAND_BUSY, TDMR)
    if tdmr.next == tdmr.info.base + tdmr.info.size:
        release_exclusive(tdmr.lock)
        return refuse(m, TDX_TDMR_ALREADY_INITIALIZED, 0)
    yield
    pages = 4 * PAMT_INIT_PAGES if paired(m) else PAMT_INIT_PAGES
    first = Pfn(tdmr.next >> PAGE_SHIFT)
    left = u64(tdmr.info.base + tdmr.info.size - tdmr.next)
    for i in range(min(pages, left >> PAGE_SHIFT)):
        page = Pfn(first + i)
        m.frame[page].type = PageType.RSVD if page == 0 or is_reserved(m, number, page) else PageType.NDA
    tdmr.next = u64(tdmr.next + min(u64(pages) << PAGE_SHIFT, left))
    if tdmr.next % block_bytes() == 0:
        m.gig[gig_of(first)].initialised = True
    m.lp[me()].answer.rdx = tdmr.next - tdmr.next % block_bytes()
    release_exclusive(tdmr.lock)
    return TDX_SUCCESS


def block_bytes():
    """1 GiB, at real geometry."""
    return (ENTRIES * ENTRIES) << PAGE_SHIFT


def tdmr_at(m, base: u64):
    """The number of the TDMR that begins at an address; TDMRS if none does."""
    for i in range(TDMRS):
        if i < m.sys.tdmrs and m.sys.tdmr[i].info.base == base:
            return i
    return TDMRS


@process
def tdh_sys_info(m):
    """TDH.SYS.INFO: SYS.RD says the same; it writes to memory, which the emulator has not."""
    yield
    return TDX_SUCCESS


@process
def tdh_sys_lp_shutdown(m):
    """TDH.SYS.LP.SHUTDOWN: deprecated, does nothing."""
    yield
    return TDX_SUCCESS
