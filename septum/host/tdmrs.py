"""How Linux makes TDMRs of a memory map: 1G ranges, their PAMTs, reserved areas; tdx-module.md 2.1.

Plain Python, which runs once before a module is configured; all addresses and sizes are in bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from septum.lang.errors import UserError

PAGE = 4096
GIB = 1 << 30
MAX_TDMRS, MAX_RESERVED = 64, 16
TDMR_NR_WARN = 4  # fewer left than these are worth a warning
ENTRY_SIZE = 16  # of a PAMT entry, at 4K, 2M and 1G

Area = tuple[int, int]  # begin and end


@dataclass(frozen=True)
class Shape:
    """What the module's metadata says: the block of a TDMR, pages of a large page, limits, and the way of the 4K PAMT."""

    block: int = GIB
    entries: int = 512
    tdmrs: int = MAX_TDMRS
    reserved: int = MAX_RESERVED
    dynamic: bool = False


@dataclass(frozen=True)
class Tdmr:
    """A TDMR as it is handed to the module: range, PAMT areas in the order 4K, 2M, 1G, reserved areas with absolute addresses."""

    base: int
    size: int
    pamt: tuple[Area, Area, Area]
    reserved: tuple[Area, ...] = ()

    @property
    def end(self) -> int:
        return self.base + self.size


def construct_tdmrs(memory: Sequence[Area], shape: Shape | None = None) -> list[Tdmr]:
    """construct_tdmrs(): the TDMRs that cover these memory regions, which are ascending and disjoint.

    UserError where Linux gives up: too many TDMRs (-ENOSPC), too many reserved areas (-ENOSPC), no room for a PAMT (-ENOMEM);
    a warning where it warns.
    """
    shape = shape or Shape()
    ranges = list(fill_out_tdmrs(memory, shape))
    if shape.tdmrs - len(ranges) < TDMR_NR_WARN:
        warnings.warn(f"consumed TDMRs reaching limit: {len(ranges)} used out of {shape.tdmrs}", stacklevel=2)
    chunks = _allocate(ranges, memory, shape)
    areas = [_areas(chunk, base, end, shape) for chunk, (base, end) in zip(chunks, ranges, strict=True)]
    pamts = [(three[0][0], three[2][1]) for three in areas]
    return [
        Tdmr(base, end - base, pamt, _reserved(base, end, memory, pamts, shape))
        for (base, end), pamt in zip(ranges, areas, strict=True)
    ]


def fill_out_tdmrs(memory: Sequence[Area], shape: Shape) -> Iterator[Area]:
    """fill_out_tdmrs(): every region out to whole blocks; what the TDMR before covers is left out; tdx-module.md 2.1."""
    made, behind = 0, 0
    for begin, end in memory:
        if not 0 <= begin < end or begin % PAGE or end % PAGE:
            raise UserError(f"the memory region {begin:#x}-{end:#x} is not one of whole pages")
        first, last = begin // shape.block * shape.block, -(-end // shape.block) * shape.block
        first = max(first, behind)
        if first >= last:
            continue
        made += 1
        if made > shape.tdmrs:
            raise UserError(f"the memory map needs more than {shape.tdmrs} TDMRs: initialization fails with -ENOSPC")
        behind = last
        yield first, last


def pamt_sizes(size: int, shape: Shape) -> tuple[int, int, int]:
    """tdmr_get_pamt_sz(): the bytes of the PAMT of a TDMR at 4K, 2M and 1G, in whole pages."""
    pages = size // PAGE
    fine = -(-pages // 8) if shape.dynamic else pages * ENTRY_SIZE
    coarse = pages // shape.entries * ENTRY_SIZE
    gigantic = size // shape.block * ENTRY_SIZE
    return _whole(fine), _whole(coarse), _whole(gigantic)


def _whole(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _areas(chunk: int, base: int, end: int, shape: Shape) -> tuple[Area, Area, Area]:
    fine, coarse, gigantic = pamt_sizes(end - base, shape)
    a, b = chunk + fine, chunk + fine + coarse
    return (chunk, a), (a, b), (b, b + gigantic)


def _allocate(ranges: Sequence[Area], memory: Sequence[Area], shape: Shape) -> list[int]:
    """alloc_contig_pages() for each TDMR: one chunk in memory that nobody has, here the highest in its own range first."""
    taken: list[Area] = []
    for base, end in ranges:
        size = sum(pamt_sizes(end - base, shape))
        own = [(max(base, a), min(end, b)) for a, b in memory if a < end and b > base]
        chunk = next(
            (at for area in [*reversed(own), *reversed(memory)] for at in [_fit(area, size, taken)] if at is not None), None
        )
        if chunk is None:
            raise UserError(f"no {size} contiguous bytes are left for the PAMT of {base:#x}-{end:#x}: -ENOMEM")
        taken.append((chunk, chunk + size))
    return [begin for begin, _ in taken]


def _fit(area: Area, size: int, taken: Sequence[Area]) -> int | None:
    """The highest place in an area for so many bytes."""
    at = area[1] - size
    for begin, end in sorted(taken, reverse=True):
        if begin < at + size and at < end:
            at = begin - size
    return at if at >= area[0] else None


def _reserved(base: int, end: int, memory: Sequence[Area], pamts: Sequence[Area], shape: Shape) -> tuple[Area, ...]:
    """tdmr_populate_rsvd_areas(): the holes between memory regions, and the PAMTs, as far as they lie in the TDMR."""
    holes, at = [], base
    for begin, stop in memory:
        if begin < end and stop > base:
            if begin > at:
                holes.append((at, begin))
            at = max(at, stop)
    if at < end:
        holes.append((at, end))
    inside = [(max(a, base), min(b, end)) for a, b in pamts if a < end and b > base]
    found = tuple(sorted([*holes, *inside]))
    if len(found) > shape.reserved:
        raise UserError(f"the TDMR {base:#x}-{end:#x} needs {len(found)} reserved areas, and has {shape.reserved}: -ENOSPC")
    return found
