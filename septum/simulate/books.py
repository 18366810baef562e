"""What is counted in a simulation, as books.c lays it out, and the table of costs that it reads."""

from __future__ import annotations

import ctypes

MOST_LEAVES, STATUSES, ROLES, KINDS, BUCKETS, SUB = 64, 256, 16, 128, 1024, 16


class CostTable(ctypes.Structure):
    """costs_t of books.c, in picoseconds."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("step", "page", "accept", "refused")] + [
        ("leaf", ctypes.c_uint64 * MOST_LEAVES)
    ]


class Books(ctypes.Structure):
    """books_t of books.c; times in picoseconds, but `longest` and the buckets of `latency` in nanoseconds."""

    _fields_ = [
        ("answered", ctypes.c_uint64 * STATUSES * MOST_LEAVES), ("allocated", ctypes.c_uint64 * KINDS),
        ("pages", ctypes.c_uint64 * ROLES), ("peak", ctypes.c_uint64 * ROLES),
        *((name, ctypes.c_uint64) for name in (
            "touched", "faults", "steps", "pamt_held", "mmu_read", "mmu_written", "pamt_waited", "mmu_waited", "waited",
            "pamt_waits", "mmu_waits", "longest", "most_popped", "most_idle",
            "most_idle_of_vm", "most_idle_pairs",
        )),
        ("latency", ctypes.c_uint64 * BUCKETS),
    ]  # fmt: skip
