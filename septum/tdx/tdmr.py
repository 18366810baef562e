"""TDMRs as SYS.CONFIG checks them: sorted 1G ranges in convertible memory, with reserved areas and PAMT; tdx-module.md 2.1."""

from septum.host.entry import PAGE_SHIFT
from septum.host.geometry import ENTRIES, PAGES, Pfn
from septum.lang import u8, u64
from septum.tdx.geometry import CMRS, RESERVED_AREAS, TDMRS
from septum.tdx.operands import RCX
from septum.tdx.processor import refuse
from septum.tdx.status import (
    TDX_INVALID_PAMT,
    TDX_INVALID_RESERVED_IN_TDMR,
    TDX_INVALID_TDMR,
    TDX_NON_ORDERED_RESERVED_IN_TDMR,
    TDX_NON_ORDERED_TDMR,
    TDX_OPERAND_INVALID,
    TDX_PAMT_OUTSIDE_CMRS,
    TDX_PAMT_OVERLAP,
    TDX_SUCCESS,
    TDX_TDMR_OUTSIDE_CMRS,
)

PAGE = 1 << PAGE_SHIFT
ENTRY_BYTES = 16  # of a PAMT entry


def memory_end():
    """The first address that is none: MAXPA, or where the HKID begins."""
    return PAGES << PAGE_SHIFT


def check_tdmrs(m, count: u8, dynamic: bool):
    """Every TDMR in order; the low bits of an error say which TDMR, which PAMT level or reserved area, which other TDMR."""
    for i in range(TDMRS):
        if i < count:
            status = check_range(m, u8(i))
            if status == TDX_SUCCESS:
                status = check_reserved(m, u8(i))
            if status == TDX_SUCCESS:
                status = check_pamt(m, u8(i), dynamic)
            if status == TDX_SUCCESS:
                status = check_overlap(m, u8(i))
            if status == TDX_SUCCESS:
                status = check_available(m, u8(i))
            if status == TDX_SUCCESS:
                status = check_convertible(m, u8(i))
            if status != TDX_SUCCESS:
                return status
    return TDX_SUCCESS


def check_range(m, i: u8):
    """Base and size of a TDMR: multiples of 1G, in memory, behind the one before."""
    of = m.sys.offered[i]
    block = (ENTRIES * ENTRIES) << PAGE_SHIFT
    if of.misplaced:
        return refuse(m, TDX_OPERAND_INVALID, RCX)
    if overflows(of.base, of.size):
        return refuse(m, TDX_INVALID_TDMR, i)
    if i > 0 and of.base < m.sys.offered[i - 1].base + m.sys.offered[i - 1].size:
        return refuse(m, TDX_NON_ORDERED_TDMR, i)
    if of.size == 0 or of.base % block != 0 or of.size % block != 0 or of.base + of.size > memory_end():
        return refuse(m, TDX_INVALID_TDMR, i)
    return TDX_SUCCESS


def overflows(base: u64, size: u64):
    """Whether an area does not end within 64 bits."""
    return base + size > (1 << 64) - 1


def check_reserved(m, i: u8):
    """The reserved areas: multiples of 4K, ascending and disjoint, inside of the TDMR; the first of no size ends them."""
    of = m.sys.offered[i]
    for k in range(RESERVED_AREAS):
        area = of.reserved[k]
        if area.size == 0:
            if k + 1 < RESERVED_AREAS and of.reserved[(k + 1) % RESERVED_AREAS].size != 0:
                return refuse(m, TDX_NON_ORDERED_RESERVED_IN_TDMR, i | (k << 8))
        elif overflows(area.base, area.size):
            return refuse(m, TDX_INVALID_RESERVED_IN_TDMR, i | (k << 8))
        elif k > 0 and area.base < of.reserved[max(k, 1) - 1].base + of.reserved[max(k, 1) - 1].size:
            return refuse(m, TDX_NON_ORDERED_RESERVED_IN_TDMR, i | (k << 8))
        elif area.base % PAGE != 0 or area.size % PAGE != 0 or area.base + area.size > of.size:
            return refuse(m, TDX_INVALID_RESERVED_IN_TDMR, i | (k << 8))
    return TDX_SUCCESS


def pamt_bytes(size: u64, level: u8, dynamic: bool):
    """What a PAMT area needs: an entry a page of its level (0: 4K, 1: 2M, 2: 1G), or a bit a 4K page with Dynamic PAMT."""
    pages = size >> PAGE_SHIFT
    if level == 0:
        return (pages + 7) // 8 if dynamic else pages * ENTRY_BYTES
    return pages // ENTRIES * ENTRY_BYTES if level == 1 else pages // (ENTRIES * ENTRIES) * ENTRY_BYTES


def check_pamt(m, i: u8, dynamic: bool):
    """Each PAMT area, from 1G down: aligned, in memory, big enough."""
    of = m.sys.offered[i]
    for k in range(3):
        level = 2 - k
        area = of.pamt[level]
        if area.base % PAGE != 0 or area.size % PAGE != 0 or overflows(area.base, area.size):
            return refuse(m, TDX_INVALID_PAMT, i | (level << 8))
        if area.base + area.size > memory_end() or area.size < pamt_bytes(of.size, u8(level), dynamic):
            return refuse(m, TDX_INVALID_PAMT, i | (level << 8))
    return TDX_SUCCESS


def check_overlap(m, i: u8):
    """PAMT areas lie apart from each other: from those of the TDMRs before, then from those of this one; 4K first."""
    for k in range(TDMRS):
        if k < i:
            for level in range(3):
                for other in range(3):
                    if meet(m.sys.offered[i].pamt[level], m.sys.offered[k].pamt[other]):
                        return refuse(m, TDX_PAMT_OVERLAP, i | (level << 8) | (k << 16))
    of = m.sys.offered[i]
    for level in range(3):
        for other in range(3):
            if other > level and meet(of.pamt[level], of.pamt[other]):
                return refuse(m, TDX_PAMT_OVERLAP, i | (level << 8) | (i << 16))
    return TDX_SUCCESS


def check_available(m, i: u8):
    """PAMT areas lie apart from what a TDMR has not reserved: those of this one in it and in those before, those of these in it.

    The error names the TDMR of the PAMT first.
    """
    for k in range(TDMRS):
        if k <= i:
            for level in range(3):
                area = m.sys.offered[i].pamt[level]
                if not only_reserved(m, u8(k), area.base, area.size):
                    return refuse(m, TDX_PAMT_OVERLAP, i | (level << 8) | (k << 16))
            for level in range(3):
                area = m.sys.offered[k].pamt[level]
                if k < i and not only_reserved(m, i, area.base, area.size):
                    return refuse(m, TDX_PAMT_OVERLAP, k | (level << 8) | (i << 16))
    return TDX_SUCCESS


def meet(area, other):
    """Whether two areas share a byte."""
    return overlap(area.base, area.size, other.base, other.size)


def overlap(base: u64, size: u64, other: u64, length: u64):
    """Whether two areas share a byte."""
    return base < other + length and other < base + size


def only_reserved(m, k: u8, base: u64, size: u64):
    """Whether the part of an area that lies in a TDMR is reserved there. Reserved areas are ascending and disjoint."""
    of = m.sys.offered[k]
    if not overlap(base, size, of.base, of.size):
        return True
    at = max(base, of.base)
    last = min(base + size, of.base + of.size)
    for r in range(RESERVED_AREAS):
        area = of.reserved[r]
        begin = of.base + area.base
        if area.size != 0 and begin <= at and at < begin + area.size:
            at = begin + area.size
    return at >= last


def check_convertible(m, i: u8):
    """PAMT areas and what is not reserved lie in convertible memory; neighbouring CMRs count as one."""
    of = m.sys.offered[i]
    for k in range(3):
        level = 2 - k
        if not convertible(m, of.pamt[level].base, u64(of.pamt[level].base + of.pamt[level].size)):
            return refuse(m, TDX_PAMT_OUTSIDE_CMRS, i | (level << 8))
    at = of.base
    for r in range(RESERVED_AREAS):
        area = of.reserved[r]
        if area.size != 0:
            if not convertible(m, at, u64(of.base + area.base)):
                return refuse(m, TDX_TDMR_OUTSIDE_CMRS, i)
            at = u64(of.base + area.base + area.size)
    if not convertible(m, at, u64(of.base + of.size)):
        return refuse(m, TDX_TDMR_OUTSIDE_CMRS, i)
    return TDX_SUCCESS


def convertible(m, begin: u64, end: u64):
    """Whether an area lies in CMRs, which are ascending."""
    at = begin
    for k in range(CMRS):
        cmr = m.sys.cmr[k]
        if k < m.sys.cmrs and cmr.base <= at and at < cmr.base + cmr.size:
            at = u64(cmr.base + cmr.size)
    return at >= end


def is_reserved(m, number: u8, page: Pfn):
    """Whether a page lies in a reserved area of its TDMR."""
    of = m.sys.tdmr[number].info
    offset = u64((u64(page) << PAGE_SHIFT) - of.base)
    for r in range(RESERVED_AREAS):
        area = of.reserved[r]
        if area.base <= offset and offset < area.base + area.size:
            return True
    return False
