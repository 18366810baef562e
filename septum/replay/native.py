"""The compiled follower: the model's routines and the scanner of lines in one library, and its structs as Python sees them."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from septum.host.geometry import LEVELS
from septum.lang.struct import allocate
from septum.lang.types import scope
from septum.replay.traced.followed import MAX_LEVEL, TASKS, Followed
from septum.replay.traced.losses import adopt, lose
from septum.replay.traced.steps import follow
from septum.replay.traced.transitions import guard_of
from septum.translate.compile import compiled, load
from septum.translate.translation import Translation
from septum.translate.unit import library as routines

HERE = Path(__file__).parent
SOURCES = ("fields.c", "lines.c", "follow.c", "overtaken.c", "order.c")
RING, SAMPLES, STEP_KINDS, NAMES, NAME = 1 << 15, 1024, 40, 64, 48
ROUTINES: dict[str, Callable[..., Any]] = {"FOLLOW": follow, "LOSE": lose, "ADOPT": adopt, "GUARD_OF": guard_of}
GEOMETRY: dict[object, object] = {LEVELS: MAX_LEVEL}
u16, u32, u64 = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class Record(ctypes.Structure):
    """record_t of fields.c: one event."""

    _fields_ = [
        *((name, u64) for name in ("offset", "line", "time", "gfn", "pfn", "old", "value", "sptep")),
        ("length", u32), ("pid", u32), ("tgid", u32), ("cpu", u16), ("task", u16), ("vcpu", ctypes.c_int16),
        *((name, ctypes.c_uint8) for name in ("kind", "as_id", "level", "failed", "done")),
    ]  # fmt: skip


class Scan(ctypes.Structure):
    """scan_t of fields.c: what was read."""

    _fields_ = [
        *((name, u64) for name in ("lines", "headers", "events", "unknown", "cut", "losses", "lost", "shadow", "backwards")),
        ("in_buffer", u64), ("written", u64), ("kinds", u64 * 32), ("unknown_names", u32), ("formats", u32),
        ("name", ctypes.c_char * NAME * NAMES), ("times", u64 * NAMES),
    ]  # fmt: skip


class Sample(ctypes.Structure):
    """sample_t of follow.c: leaves and tables by level at a time."""

    _fields_ = [("time", u64), ("mapped", u64 * 6), ("linked", u64 * 6)]


class State(ctypes.Structure):
    """replay_t of follow.c."""

    _fields_ = [
        ("scan", Scan), ("world", ctypes.c_void_p),
        *((name, u64) for name in (
            "next", "tail", "offset", "followed", "reordered", "worst_back", "overtaken", "read_ahead", "diverged",
            "diverged_at", "nonpresent", "frozen", "encrypted", "first_time", "last_time",
        )),
        ("steps", u64 * STEP_KINDS), ("step_time", u64 * STEP_KINDS), ("sample_every", u64), ("sample_next", u64),
        *((name, u32) for name in ("sample_count", "tasks", "stop", "site", "hold", "told")), ("sample", Sample * SAMPLES),
        ("met", u64), ("asking", u64 * (int(TASKS) + 1)), ("asked_by", u16 * 4096),
        ("pid_of", u32 * (int(TASKS) + 1)), ("used_at", u64 * (int(TASKS) + 1)),
        ("seen_at", u64 * (int(TASKS) + 1)), ("hash", u16 * (4 * int(TASKS))),
        ("ring", Record * RING),
    ]  # fmt: skip


class Library:
    """The follower, translated and compiled once in a process."""

    def __init__(self) -> None:
        program = f"#define MAX_TASKS {int(TASKS)}\n#include <stddef.h>\n"
        program += "".join((HERE / name).read_text() for name in SOURCES)
        with scope(GEOMETRY):
            self.translation = Translation(Followed, 1)
            code = routines(self.translation, ROUTINES, program)
        self.c = load(compiled(code, ("-O2",)))
        for name in ("replay_size", "replay_feed"):
            getattr(self.c, name).restype = ctypes.c_size_t
        if self.c.replay_size() != ctypes.sizeof(State):
            raise AssertionError(f"State has {ctypes.sizeof(State)} bytes here and {self.c.replay_size()} in C")

    def world(self) -> Any:
        """A world without any table, lazily backed."""
        with scope(GEOMETRY):
            return allocate(self.translation.layout)[0]


@functools.cache
def library() -> Library:
    """The one library of this process."""
    return Library()
