"""Operands of SEAMCALLs as pages, ranges, GPAs and levels; one that is none comes as 0, and is noted; tdx-module.md 4.2 - 4.4."""

from septum.host.entry import PAGE_SHIFT
from septum.host.frames import PageType
from septum.host.geometry import ENTRIES, ENTRY_BITS, GFNS, LEVELS, PAGES, Gfn, Level, Pfn, RangeId, VmId
from septum.lang import u8, u64
from septum.tdx.geometry import HKIDS
from septum.tdx.leaves import Leaf
from septum.tdx.operands import R9, RCX
from septum.tdx.pamt import td_of
from septum.tdx.processor import is_shared, me
from septum.tdx.td import is_private

ADDRESS_OPERAND = 0x000FFFFFFFFFF000


def page_operand(m, address: u64, operand: u8, level: Level):
    """An HPA of a page of this size, as its page; 0, and noted as malformed, if it is none."""
    size = ENTRIES << PAGE_SHIFT if level == 2 else 1 << PAGE_SHIFT
    if address % size != 0 or address >> PAGE_SHIFT >= PAGES:
        m.lp[me()].malformed |= 1 << (operand & 15)
        return Pfn(0)
    return Pfn(address >> PAGE_SHIFT)


def tdr_operand(m, address: u64, operand: u8):
    """The TDR of the leaf: its TD, 0 if it is no TDR."""
    page = page_operand(m, address, operand, Level(1))
    m.lp[me()].tdr = page
    m.lp[me()].tdr_operand = operand
    return td_of(m, page) if m.frame[page].type == PageType.TDR else VmId(0)


def source_operand(m):
    """R9 of PAGE.ADD: a page of the host's with a shared HKID."""
    address = m.lp[me()].given.r9
    if address % 4096 != 0 or not is_shared(address):
        m.lp[me()].malformed |= 1 << R9


def range_operand(m):
    """RCX of PAMT.ADD and PAMT.REMOVE: level 1 and an aligned address, as a 2M range."""
    address = m.lp[me()].given.rcx
    if address & 0xFFF0000000000FFF != 1 or address % (ENTRIES << PAGE_SHIFT) != 1 or address >> PAGE_SHIFT >= PAGES:
        m.lp[me()].malformed |= 1 << RCX
        return RangeId(0)
    return RangeId((address >> PAGE_SHIFT) // ENTRIES)


def without_hkid(address: u64):
    """An address without its HKID, which stands above the page number."""
    return address % (PAGES << PAGE_SHIFT) if address >> PAGE_SHIFT < PAGES * HKIDS else address


def gfn_operand(m):
    """The page of the GPA in RCX; 0 if it is none."""
    gfn = (m.lp[me()].given.rcx & ADDRESS_OPERAND) >> PAGE_SHIFT
    return Gfn(gfn) if gfn < GFNS else Gfn(0)


def level_operand(m, vm: VmId):
    """The level in RCX, one more than the module's; 0 if RCX is malformed for this leaf, tdx-module.md 4.4."""
    lp = m.lp[me()]
    rcx = lp.given.rcx
    if lp.leaf == Leaf.MR_EXTEND:
        return Level(1) if rcx % 256 == 0 and is_private(m, vm, rcx) else Level(0)
    level = rcx & 7
    if rcx & 0xFFF0000000000FF8 != 0 or level >= m.td[vm].build.levels or not is_private(m, vm, rcx & ADDRESS_OPERAND):
        return Level(0)
    if level < lowest(lp.leaf) or level > highest(lp.leaf):
        return Level(0)
    if ((rcx & ADDRESS_OPERAND) >> PAGE_SHIFT) % (1 << (ENTRY_BITS * level)) != 0:
        return Level(0)
    return Level(level + 1)


def lowest(leaf: Leaf):
    """The lowest level that a leaf takes, as the module counts."""
    if leaf in (Leaf.MEM_SEPT_ADD, Leaf.MEM_SEPT_REMOVE, Leaf.MEM_PAGE_PROMOTE, Leaf.MEM_PAGE_DEMOTE):
        return 1
    return 0


def highest(leaf: Leaf):
    """The highest level that a leaf takes."""
    if leaf in (Leaf.MEM_PAGE_ADD, Leaf.MEM_PAGE_RELOCATE):
        return 0
    if leaf == Leaf.MEM_PAGE_AUG:
        return 1
    if leaf in (Leaf.MEM_PAGE_REMOVE, Leaf.MEM_PAGE_PROMOTE, Leaf.MEM_PAGE_DEMOTE):
        return 2
    return LEVELS - 1
