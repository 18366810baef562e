"""The compiled follower: the model's routines and the scanner of lines in one library, and its structs as Python sees them."""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
from collections.abc import Callable
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

from septum.replay.ready import Translated, layout_of, translated, type_of
from septum.replay.traced.events import Step
from septum.translate.compile import compiled, load

HERE = Path(__file__).parent
SOURCES = ("text.c", "records.c", "fields.c", "events.c", "heads.c", "lines.c", "follow.c", "overtaken.c", "order.c")
RING, SAMPLES, STEP_KINDS, NAMES, NAME = 1 << 15, 1024, 48, 64, 48
CPUS, PIDS, MARKERS, TEXT = 8192, (1 << 22) + 1, 10_000, 1 << 23
PER_TASK = (1 << 12) + 1
LAZY = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
u16, u32, u64 = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class Form(IntEnum):
    """FORM_ of records.c: forms of a trace that cannot be followed."""

    NO_TASK = 0
    NO_TIME = 1
    RAW = 2
    HEX = 3
    PERF_TRACE = 4
    VERBOSE = 5
    QUOTED = 6
    FIELDS = 7


class Seen(IntFlag):
    """SEEN_ of records.c: what lines tell of the kernel and the tool that wrote them."""

    TGID = 1
    PERF = 2
    ACCESS = 4
    OLD_FAULT = 8
    LAZY = 16
    NPF = 32
    EPT = 64
    ENTRY_INFO = 128
    TICKS = 256
    SECONDS = 512
    NO_CPU = 1024


class Record(ctypes.Structure):
    """record_t of records.c: one event."""

    _fields_ = [
        *((name, u64) for name in ("offset", "line", "time", "gfn", "pfn", "old", "value", "sptep")),
        *((name, u32) for name in ("length", "pid", "tgid", "comm")),
        ("cpu", u16), ("task", u16), ("vcpu", ctypes.c_int16), ("loses", u16), ("seen", u16),
        *((name, ctypes.c_uint8) for name in ("kind", "as_id", "level", "failed", "done", "access", "spurious", "learned")),
    ]  # fmt: skip


class Scan(ctypes.Structure):
    """scan_t of records.c: what was read."""

    _fields_ = [
        *((name, u64) for name in (
            "lines", "entries", "events", "headers", "stacks", "texts", "tools", "quotes", "longest", "folded", "twice",
            "unreadable", "losses", "lost", "unknown", "shadow", "backwards", "without_gfn", "in_buffer", "written", "cpus",
            "starts", "ties",
        )),
        ("forms", u64 * len(Form)), ("kinds", u64 * 32), ("unknown_names", u32), ("formats", u32),
        ("name", ctypes.c_char * NAME * NAMES), ("times", u64 * NAMES),
    ]  # fmt: skip


class Sample(ctypes.Structure):
    """sample_t of follow.c: leaves and tables by level at a time."""

    _fields_ = [("time", u64), ("mapped", u64 * 6), ("linked", u64 * 6)]


class Marker(ctypes.Structure):
    """marker_t of follow.c: what a program wrote into the trace."""

    _fields_ = [("time", u64), ("length", u32), ("text", ctypes.c_uint8 * 240)]


class Spurious(ctypes.Structure):
    """place_t of follow.c: spurious faults on a GFN."""

    _fields_ = [("gfn", u64), ("count", u64)]


class State(ctypes.Structure):
    """replay_t of follow.c."""

    _fields_ = [
        ("scan", Scan), ("world", ctypes.c_void_p),
        *((name, u64) for name in (
            "next", "tail", "followed", "reordered", "worst_back", "overtaken", "read_ahead", "diverged", "diverged_at",
            "nonpresent", "frozen", "encrypted", "first_time", "last_time", "changes", "learned", "unseen", "gaps", "started",
            "comm_flips",
        )),
        ("steps", u64 * STEP_KINDS), ("step_time", u64 * STEP_KINDS), ("sample_every", u64), ("sample_next", u64),
        ("spurious_run", u64), ("spurious_gfn", u64), ("spurious_pid", u64),
        *((name, u32) for name in (
            "sample_count", "marker_count", "tasks", "hand", "stop", "site", "hold", "told", "cpus_seen", "lossy",
        )),
        ("sample", Sample * SAMPLES), ("met", u64), ("asking", u64 * PER_TASK), ("asked_by", u16 * 4096),
        *((name, u32 * PER_TASK) for name in ("pid_of", "comm_of", "comm_before")),
        *((name, u64 * PER_TASK) for name in ("used_at", "seen_at", "run_gfn", "run")),
        ("spurious", Spurious * 1024), ("marker", Marker * MARKERS), ("ring", Record * RING),
        ("text_end", u64), ("last_text", u64), ("work", u64),
        *((name, u32) for name in ("last_length", "held", "pieces", "skipping")), ("held_line", u64),
        ("seen_cpu", ctypes.c_uint8 * CPUS), ("serves", ctypes.c_uint8 * PIDS), ("task_of", u16 * PIDS),
        ("holding", ctypes.c_uint8 * 4096), ("text", ctypes.c_uint8 * TEXT),
    ]  # fmt: skip


class Library:
    """The follower: translated unless that was kept, and compiled unless that is in the cache."""

    def __init__(self) -> None:
        found = translated(_translate)
        self.sites = found.sites
        self._world = type_of(found.layout)
        self.c = load(compiled(found.code, ("-O2",)))
        for name in ("replay_size", "replay_feed"):
            getattr(self.c, name).restype = ctypes.c_size_t
        if self.c.replay_size() != ctypes.sizeof(State):
            raise AssertionError(f"State has {ctypes.sizeof(State)} bytes here and {self.c.replay_size()} in C")

    def world(self) -> Any:
        """A world without any table, in pages that come when they are touched."""
        return self._world.from_buffer(mmap.mmap(-1, ctypes.sizeof(self._world), flags=LAZY))

    def state(self) -> State:
        """A replay that has read nothing, in pages that come when they are touched."""
        return State.from_buffer(mmap.mmap(-1, ctypes.sizeof(State), flags=LAZY))


def _translate() -> Translated:
    """The routines of the model and the scanner of lines, as one program."""
    from septum.host.geometry import LEVELS
    from septum.lang.types import scope
    from septum.replay.traced.followed import MAX_LEVEL, TASKS, Followed
    from septum.replay.traced.losses import adopt, blind, lose
    from septum.replay.traced.steps import follow
    from septum.replay.traced.transitions import guard_of
    from septum.translate.translation import Translation
    from septum.translate.unit import library as program

    routines: dict[str, Callable[..., Any]] = {
        "FOLLOW": follow,
        "LOSE": lose,
        "ADOPT": adopt,
        "BLIND": blind,
        "GUARD_OF": guard_of,
    }
    code = f"#define MAX_TASKS {int(TASKS)}\n#define STEP_UNSEEN {int(Step.UNSEEN)}\n#include <stddef.h>\n"
    code += "".join((HERE / name).read_text() for name in SOURCES)
    with scope({LEVELS: MAX_LEVEL}):
        unit = Translation(Followed, 1)
        code = program(unit, routines, code)
    sites = [f"{site.file}:{site.line}: {site.kind} {site.message}" for site in unit.sites]
    return Translated(code, sites, layout_of(unit.layout))


@functools.cache
def library() -> Library:
    """The one library of this process."""
    return Library()
