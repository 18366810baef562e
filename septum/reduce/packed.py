"""Tables of numbers as C reads them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from typing import Any

Packed = ctypes.Array[ctypes.c_uint64]


def rows(layout: str, of: Iterable[Iterable[Any]]) -> Packed:
    """Structs one behind the other; `layout` is that of one, as the module struct writes it, and as C aligns it."""
    return _packed(b"".join(struct.pack(layout, *row) for row in of))


def sets(of: Iterable[int], words: int) -> Packed:
    """Sets as bits, each of so many words."""
    return _packed(b"".join(bits.to_bytes(8 * words, "little") for bits in of))


def _packed(data: bytes) -> Packed:
    words = len(data) // 8 + 1
    return (ctypes.c_uint64 * words).from_buffer_copy(data.ljust(8 * words, b"\0"))
