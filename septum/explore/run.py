"""A run of the explorer as C has it: the structures of run.h."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import ClassVar


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


class ProgressRecord(ctypes.Structure):
    """struct septum_progress."""

    _fields_: ClassVar = [
        (name, ctypes.c_uint64) for name in ("states", "transitions", "final_states", "frontier", "depth", "bytes")
    ]

    states: int
    transitions: int
    final_states: int
    frontier: int
    depth: int
    bytes: int


class ResumedRecord(ctypes.Structure):
    """struct septum_resumed."""

    _fields_: ClassVar = [
        ("depth", ctypes.c_uint64),
        ("states", ctypes.c_uint64),
        ("seconds", ctypes.c_double),
        ("lost_depth", ctypes.c_uint64),
        ("lost_states", ctypes.c_uint64),
        ("lost_seconds", ctypes.c_double),
    ]

    depth: int
    states: int
    seconds: float
    lost_depth: int
    lost_states: int
    lost_seconds: float


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


class Run(ctypes.Structure):
    """struct septum_run."""

    _fields_: ClassVar = [
        ("initial", ctypes.c_char_p),
        ("most_states", ctypes.c_uint64),
        ("most_bytes", ctypes.c_uint64),
        ("most_depth", ctypes.c_uint64),
        ("most_seconds", ctypes.c_double),
        ("spill_bytes", ctypes.c_uint64),
        ("threads", ctypes.c_uint32),
        ("daemons", ctypes.c_uint32),
        ("workers", ctypes.c_uint32),
        ("symmetry", ctypes.c_uint32),
        ("reductions", ctypes.c_uint32),
        ("watch", ctypes.c_uint32),
        ("resume", ctypes.c_uint32),
        ("keep_at_end", ctypes.c_uint32),
        ("checkpoint", ctypes.c_char_p),
        ("unfinished_checkpoint", ctypes.c_char_p),
        ("identity", ctypes.c_char_p),
        ("key", ctypes.c_char_p),
        ("checkpoint_seconds", ctypes.c_double),
        ("spill_files", ctypes.c_int32 * 2),
        ("stop", ctypes.c_uint32),
        ("progress", ProgressRecord),
        ("outcome", ctypes.c_int32),
        ("failure", ctypes.c_int32),
        ("peak_bytes", ctypes.c_uint64),
        ("frontier_bytes", ctypes.c_uint64),
        ("spilled_bytes", ctypes.c_uint64),
        ("checkpoints", ctypes.c_uint64),
        ("failed_checkpoints", ctypes.c_uint64),
        ("resumed", ResumedRecord),
        ("refusal", ctypes.c_uint32),
        ("witnesses", ctypes.c_uint64),
        ("seconds", ctypes.c_double),
        ("schedule", ctypes.POINTER(ctypes.c_uint32)),
        ("steps", ctypes.c_uint64),
        ("race", RaceRecord),
        ("unwatched", ctypes.c_uint32),
        ("traced", ctypes.c_uint32),
    ]

    progress: ProgressRecord
    spill_files: ctypes.Array[ctypes.c_int32]
    resume: int
    keep_at_end: int
    checkpoint: bytes
    unfinished_checkpoint: bytes
    identity: bytes
    key: bytes
    checkpoint_seconds: float
    stop: int
    outcome: int
    failure: int
    peak_bytes: int
    spilled_bytes: int
    checkpoints: int
    failed_checkpoints: int
    resumed: ResumedRecord
    refusal: int
    witnesses: int
    seconds: float
    schedule: ctypes._Pointer[ctypes.c_uint32]
    steps: int
    race: RaceRecord
    unwatched: int
    traced: int
