"""SEAMCALL leaves on the module: SYS.INIT, LP.INIT, CONFIG, KEY.CONFIG, TDMR.INIT, LP.SHUTDOWN, RD; tdx-module.md 2.1, 4.1."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, PAGES, Pfn, ThreadId
from septum.lang import each, process, u8, u16, u64
from septum.tdx.geometry import (
    CMRS,
    ENHANCED_DEMOTE,
    FIRST_HKID,
    HAS_DYNAMIC_PAMT,
    HKIDS,
    MIN_TDCX,
    MIN_TDVPX,
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
    TDX_METADATA_FIELD_ID_INCORRECT,
    TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT,
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
from septum.tdx.tdmr import ENTRY_BYTES, check_tdmrs, is_reserved


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


MAX_TDMRS, MAX_RESERVED = 0x9100000100000008, 0x9100000100000009  # ids of global metadata fields
PAMT_4K_ENTRY_SIZE, PAMT_2M_ENTRY_SIZE, PAMT_1G_ENTRY_SIZE = 0x9100000100000010, 0x9100000100000011, 0x9100000100000012
PAMT_PAGE_BITMAP_ENTRY_BITS = 0x9100000000000013
NUM_CMRS, CMR_BASE, CMR_SIZE = 0x9000000100000000, 0x9000000300000080, 0x9000000300000100
TDCS_BASE_SIZE, TDCS_SIZE_PER_L2_VM = 0x9800000100000100, 0x9800000100000101
TDVPS_BASE_SIZE, TDVPS_SIZE_PER_L2_VM = 0x9800000100000200, 0x9800000100000201
TDX_FEATURES0 = 0x0A00000300000008
FIRST_FIELD, SECOND_FIELD = 0x0000000200000000, 0x0000000200000001
BEHIND_PAMT = 0x9100000000000014  # a field that the emulator has not
FIELD_CODE = 0xFFFFFFC0FFFFFFFF  # a field id without the size of an element, which SYS.RD does not look at
FEATURES = 0xD1326F3F0EBF & ~(1 << 36)  # of 1.5.25
FEATURE_DYNAMIC_PAMT, FEATURE_ENHANCED_DEMOTE = 1 << 36, 1 << 51
NO_FIELD = (1 << 64) - 1


@process
def tdh_sys_rd(m):
    """TDH.SYS.RD: the global metadata field in RDX, its value in R8, and in RDX the next field; those that Linux reads of a module's
    memory side. -1 asks for the first."""
    lp = m.lp[me()]
    field = lp.given.rdx
    lp.answer.r8 = 0
    if field == NO_FIELD:
        lp.answer.rdx = FIRST_FIELD
        return refuse(m, TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT, 0)
    lp.answer.rdx = next_field(u64(field & FIELD_CODE))
    if lp.answer.rdx == NO_FIELD:
        return refuse(m, TDX_METADATA_FIELD_ID_INCORRECT, 0)
    yield
    lp.answer.r8 = field_value(m, u64(field & FIELD_CODE))
    return TDX_SUCCESS


def is_field(code: u64, field: u64):
    """Whether a field id without its element size is that of a field."""
    return code == field & FIELD_CODE


def cmr_number(code: u64, first: u64):
    """Which CMR a field is about, of those from `first` on; CMRS if it is none."""
    for number in range(CMRS):
        if code == (first & FIELD_CODE) + number:
            return number
    return CMRS


def next_field(code: u64):
    """The id of the field behind one, -1 if the emulator has it not."""
    base = cmr_number(code, CMR_BASE)
    size = cmr_number(code, CMR_SIZE)
    if base < CMRS:
        return u64(CMR_BASE + base + 1) if base + 1 < CMRS else CMR_SIZE
    if size < CMRS:
        return u64(CMR_SIZE + size + 1) if size + 1 < CMRS else MAX_TDMRS
    if is_field(code, TDX_FEATURES0):
        return NUM_CMRS
    if is_field(code, NUM_CMRS):
        return CMR_BASE
    if is_field(code, MAX_TDMRS):
        return MAX_RESERVED
    if is_field(code, MAX_RESERVED):
        return PAMT_4K_ENTRY_SIZE
    if is_field(code, PAMT_4K_ENTRY_SIZE):
        return PAMT_2M_ENTRY_SIZE
    if is_field(code, PAMT_2M_ENTRY_SIZE):
        return PAMT_1G_ENTRY_SIZE
    if is_field(code, PAMT_1G_ENTRY_SIZE):
        return PAMT_PAGE_BITMAP_ENTRY_BITS
    if is_field(code, PAMT_PAGE_BITMAP_ENTRY_BITS):
        return BEHIND_PAMT
    if is_field(code, TDCS_BASE_SIZE):
        return TDCS_SIZE_PER_L2_VM
    if is_field(code, TDCS_SIZE_PER_L2_VM):
        return TDVPS_BASE_SIZE
    if is_field(code, TDVPS_BASE_SIZE):
        return TDVPS_SIZE_PER_L2_VM
    return SECOND_FIELD if is_field(code, FIRST_FIELD) else NO_FIELD


def field_value(m, code: u64):
    """The value of a global metadata field."""
    base = cmr_number(code, CMR_BASE)
    size = cmr_number(code, CMR_SIZE)
    if base < CMRS:
        return m.sys.cmr[base % CMRS].base
    if size < CMRS:
        return m.sys.cmr[size % CMRS].size
    if is_field(code, TDX_FEATURES0):
        return u64(FEATURES | (FEATURE_DYNAMIC_PAMT if HAS_DYNAMIC_PAMT else 0) | (FEATURE_ENHANCED_DEMOTE if ENHANCED_DEMOTE else 0))
    if is_field(code, FIRST_FIELD):
        return u64(0)
    if is_field(code, MAX_TDMRS):
        return u64(TDMRS)
    if is_field(code, MAX_RESERVED):
        return u64(RESERVED_AREAS)
    if is_field(code, NUM_CMRS):
        return u64(CMRS)
    if is_field(code, TDCS_BASE_SIZE):
        return u64(MIN_TDCX << PAGE_SHIFT)
    if is_field(code, TDVPS_BASE_SIZE):
        return u64(MIN_TDVPX << PAGE_SHIFT)
    if is_field(code, TDCS_SIZE_PER_L2_VM):
        return u64(1 << PAGE_SHIFT)
    return u64(1) if is_field(code, PAMT_PAGE_BITMAP_ENTRY_BITS) else u64(ENTRY_BYTES)


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
