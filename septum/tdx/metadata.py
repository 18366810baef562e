"""TDH.SYS.RD: global metadata, those fields that Linux reads of a module's memory side, as 1.5.25 has them."""

from septum.host.entry import PAGE_SHIFT
from septum.lang import process, u64
from septum.tdx.geometry import CMRS, MIN_TDVPX, RESERVED_AREAS, TDMRS
from septum.tdx.processor import me, refuse
from septum.tdx.status import TDX_METADATA_FIELD_ID_INCORRECT, TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT, TDX_SUCCESS
from septum.tdx.tdmr import ENTRY_BYTES
from septum.tdx.versions import ENHANCED_DEMOTE, HAS_DYNAMIC_PAMT, MIN_TDCX

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
    """TDH.SYS.RD: the value of the field in RDX in R8, and in RDX the next field; -1 asks for the first."""
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
        return u64(
            FEATURES | (FEATURE_DYNAMIC_PAMT if HAS_DYNAMIC_PAMT else 0) | (FEATURE_ENHANCED_DEMOTE if ENHANCED_DEMOTE else 0)
        )
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
