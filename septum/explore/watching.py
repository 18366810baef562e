"""Whether an exploration looks for races, and one that it found; races.c does the work."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class Watching(Enum):
    """Whether an exploration looks for races; one that is found is told at the end, or ends it."""

    NOTHING = 0
    TO_THE_END = 1
    UNTIL_FOUND = 2


@dataclass(frozen=True)
class FoundRace:
    """A step of `thread` that `partner` may come into: the two accesses of either, as numbers of expressions, in order.

    `apart`: the partner makes its two accesses in two steps.
    """

    thread: int
    choice: int
    partner: int
    partner_choice: int
    sites: tuple[int, int]
    partner_sites: tuple[int, int]
    written: int
    offsets: tuple[int, int, int, int]
    apart: bool


class RaceRecord(ctypes.Structure):
    """struct race."""

    _fields_: ClassVar = [
        *((name, ctypes.c_uint32) for name in ("found", "apart", "thread", "choice", "partner", "partner_choice")),
        ("site", ctypes.c_uint32 * 2), ("partner_site", ctypes.c_uint32 * 2), ("written", ctypes.c_uint32),
        ("offset", ctypes.c_uint32 * 4),
        ("moves", ctypes.c_uint64), ("where", ctypes.c_uint64 * 2), ("state", ctypes.c_uint64),
    ]  # fmt: skip

    def read(self) -> FoundRace | None:
        if not self.found:
            return None
        (a, b), (x, y), (p, q, r, s) = self.site, self.partner_site, self.offset
        return FoundRace(
            self.thread, self.choice, self.partner, self.partner_choice, (a, b), (x, y), self.written, (p, q, r, s),
            bool(self.apart),
        )  # fmt: skip
