"""What the host has in memory for the module to read: the TDMR_INFO structures of SYS.CONFIG and the TD_PARAMS of MNG.INIT."""

from __future__ import annotations

import struct
from contextlib import AbstractContextManager
from typing import Any, Protocol

from septum.host.entry import PAGE_SHIFT
from septum.lang import UserError
from septum.tdx.geometry import FIRST_HKID, RESERVED_AREAS, TDMRS

TD_PARAMS_BYTES = 48  # as far as the emulator reads them


class Memory(dict[int, bytes]):
    """What the host has written to memory: bytes by address; what is written later lies over what was there."""

    def __setitem__(self, address: int, content: bytes) -> None:
        self.pop(address, None)
        super().__setitem__(address, content)

    def read(self, address: int, size: int) -> bytes | None:
        """So many bytes at an address, with zeros where nothing was written; None if nothing was written at its first."""
        found, first = bytearray(size), False
        for at, content in self.items():
            begin, end = max(at, address), min(at + len(content), address + size)
            if begin < end:
                found[begin - address : end - address] = content[begin - at : end - at]
                first |= begin == address
        return bytes(found) if first else None


class Platform(Protocol):
    """What is needed of a module: its world, the host's memory, its sizes, and the scope that they make."""

    m: Any
    memory: Memory
    geometry: Any

    def scope(self) -> AbstractContextManager[None]: ...


def offer_tdmrs(module: Platform, pointers: int, count: int) -> None:
    """Reads the TDMR_INFO structures that the array of pointers at an address names, as SYS.CONFIG does."""
    with module.scope():
        areas, most, end = RESERVED_AREAS.value, TDMRS.value, module.geometry.pages * FIRST_HKID.value << PAGE_SHIFT
    if pointers % 512 or pointers >= end or not 0 < count <= most:
        return
    addresses = struct.unpack(f"<{count}Q", _read(module, pointers, count * 8))
    for number, address in enumerate(addresses):
        to = module.m.sys.offered[number]
        to.misplaced = address % 512 != 0 or address >= end
        if to.misplaced:
            continue
        words = struct.unpack("<64Q", _read(module, address, 512))
        to.base, to.size = words[0], words[1]
        for level in range(3):
            to.pamt[2 - level].base, to.pamt[2 - level].size = words[2 + 2 * level], words[3 + 2 * level]
        for area in range(areas):
            to.reserved[area].base, to.reserved[area].size = words[8 + 2 * area], words[9 + 2 * area]


def offer_parameters(module: Platform, lp: int, address: int | None = None) -> None:
    """Reads TD_PARAMS for a MNG.INIT of an LP; where there are none, those of a plain TD with the levels of the geometry."""
    content = None if address is None else module.memory.read(address, TD_PARAMS_BYTES)
    geometry = module.geometry
    plain = (0, 3, geometry.vcpus, (geometry.levels - 1) << 3 | 6, int(geometry.gfns > 1 << 35), 100)
    words = struct.unpack("<6Q", content) if content else plain
    to = module.m.lp[lp].params
    to.attributes, to.xfam, to.eptp, to.config = words[0], words[1], words[3], words[4]
    to.max_vcpus, to.l2_vms, to.tsc = words[2] & 0xFFFF, words[2] >> 16 & 0xFF, words[5] & 0xFFFF


def _read(module: Platform, address: int, size: int) -> bytes:
    found = module.memory.read(address, size)
    if found is None:
        raise UserError(f"there is nothing at {address:#x}; put what the host has there into module.memory")
    return found
