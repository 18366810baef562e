"""Exhaustive exploration by the C explorer that is compiled with a model: breadth first, so a finding is a nearest one."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

ENDLESS = -2
"""The failure of a thread that takes steps which nobody else can see for ever."""

POLL_SECONDS = 0.1

_NO_FAILURE = -1


class Outcome(Enum):
    """How an exploration ended. Only a COMPLETE one proves that nothing can go wrong."""

    COMPLETE = 0
    VIOLATED = 1
    DEADLOCK = 2
    OUT_OF_STATES = 3
    OUT_OF_MEMORY = 4
    OUT_OF_TIME = 5
    STOPPED = 6
    DEPTH_REACHED = 7


@dataclass(frozen=True)
class Budget:
    """Where an exploration ends at the latest; None is no limit. Bytes are kept exactly, states to a few thousand."""

    seconds: float | None = None
    bytes: int | None = None
    states: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far a running exploration is."""

    states: int
    transitions: int
    frontier: int
    depth: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Exploration:
    """What an exploration found, and what it covered.

    `schedule` is the way to a violation or a deadlock: the thread of every step, and its choice. Under symmetry it may be
    missing (`traced` is False): the model then gives several representatives to states that differ in names only.
    """

    outcome: Outcome
    failure: int | None
    states: int
    transitions: int
    depth: int
    final_states: int
    seconds: float
    peak_bytes: int
    witnesses: int
    schedule: tuple[tuple[int, int], ...]
    traced: bool
    covered: bytes

    @property
    def collision_chance(self) -> float:
        """At most the chance that two of the states generated had one fingerprint, so that one of them went unseen."""
        return min(1.0, (self.transitions + 1) ** 2 / 2**129)


class _Progress(ctypes.Structure):
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


class _Run(ctypes.Structure):
    """struct septum_run."""

    _fields_: ClassVar = [
        ("initial", ctypes.c_char_p),
        ("most_states", ctypes.c_uint64),
        ("most_bytes", ctypes.c_uint64),
        ("most_depth", ctypes.c_uint64),
        ("most_seconds", ctypes.c_double),
        ("threads", ctypes.c_uint32),
        ("daemons", ctypes.c_uint32),
        ("workers", ctypes.c_uint32),
        ("symmetry", ctypes.c_uint32),
        ("fusion", ctypes.c_uint32),
        ("stop", ctypes.c_uint32),
        ("progress", _Progress),
        ("outcome", ctypes.c_int32),
        ("failure", ctypes.c_int32),
        ("peak_bytes", ctypes.c_uint64),
        ("witnesses", ctypes.c_uint64),
        ("seconds", ctypes.c_double),
        ("schedule", ctypes.POINTER(ctypes.c_uint32)),
        ("steps", ctypes.c_uint64),
        ("traced", ctypes.c_uint32),
    ]

    progress: _Progress
    stop: int
    outcome: int
    failure: int
    peak_bytes: int
    witnesses: int
    seconds: float
    schedule: ctypes._Pointer[ctypes.c_uint32]
    steps: int
    traced: int


def sources() -> tuple[Path, ...]:
    """The C files of the explorer, in the order in which they follow a generated model in its translation unit."""
    names = "run.h fingerprints.c frontier.c moves.c workers.c expand.c schedule.c explorer.c exports.c"
    return tuple(Path(__file__).with_name(name) for name in names.split())


def explore(
    library: ctypes.CDLL,
    initial: bytes,
    threads: int,
    *,
    daemons: int = 0,
    workers: int = 2,
    budget: Budget = Budget(),
    max_depth: int = 0,
    symmetry: bool = True,
    fusion: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> Exploration:
    """Explore all schedules of `threads` threads from the state `initial`, one exploration of a library at a time.

    `daemons` is the mask of the threads that may be blocked for ever. With `max_depth`, schedules of up to so many moves are
    judged; COMPLETE then means that there are no longer ones. An interrupt from the keyboard ends the run as STOPPED.
    """
    _check_arguments(library, initial, threads, workers)
    run = _Run(
        initial=initial,
        most_states=_limit(budget.states),
        most_bytes=_limit(budget.bytes),
        most_depth=max_depth,
        most_seconds=0.0 if budget.seconds is None else max(budget.seconds, 1e-9),
        threads=threads,
        daemons=daemons,
        workers=workers,
        symmetry=symmetry,
        fusion=fusion,
        outcome=Outcome.STOPPED.value,
        failure=_NO_FAILURE,
    )
    _watch(lambda: library.septum_explore(ctypes.byref(run)), run, progress)
    try:
        return _exploration(library, run)
    finally:
        library.septum_free(ctypes.byref(run))


def _check_arguments(library: ctypes.CDLL, initial: bytes, threads: int, workers: int) -> None:
    size, most_threads = library.septum_state_size(), library.septum_max_threads()
    if len(initial) != size:
        raise ValueError(f"the initial state has {len(initial)} bytes, but a state of this model has {size}")
    if not 0 < threads <= most_threads:
        raise ValueError(f"{threads} threads, but this model has room for 1 to {most_threads}")
    if workers < 1:
        raise ValueError(f"{workers} workers, but it takes at least 1 to explore")


def _limit(amount: int | None) -> int:
    """As C takes it, where 0 is no limit: no budget at all is the smallest one."""
    return 0 if amount is None else max(amount, 1)


def _watch(explore: Callable[[], object], run: _Run, progress: Callable[[Progress], None] | None) -> None:
    """Explores in a thread, and tells how far it is; whatever happens here, the exploration has ended afterwards.

    The end is told by an event: a `join` that Ctrl-C interrupts takes the thread for ended although it runs on.
    """
    ended = threading.Event()
    began = time.monotonic()

    def run_and_tell() -> None:
        try:
            explore()
        finally:
            ended.set()

    threading.Thread(target=run_and_tell, daemon=True).start()
    try:
        running = True
        while running:
            running = not ended.wait(POLL_SECONDS)
            if progress:
                progress(_progress(run, time.monotonic() - began))
    except KeyboardInterrupt:
        pass
    finally:
        _end(ended, run)


def _end(ended: threading.Event, run: _Run) -> None:
    run.stop = 1
    while not ended.is_set():
        try:
            ended.wait()
        except KeyboardInterrupt:
            continue


def _progress(run: _Run, seconds: float) -> Progress:
    now = run.progress
    return Progress(now.states, now.transitions, now.frontier, now.depth, now.bytes, seconds)


def _exploration(library: ctypes.CDLL, run: _Run) -> Exploration:
    pairs = run.schedule[: 2 * run.steps] if run.steps else []
    library.septum_covered.restype = ctypes.c_void_p
    return Exploration(
        outcome=Outcome(run.outcome),
        failure=None if run.failure == _NO_FAILURE else run.failure,
        states=run.progress.states,
        transitions=run.progress.transitions,
        depth=run.progress.depth,
        final_states=run.progress.final_states,
        seconds=run.seconds,
        peak_bytes=run.peak_bytes,
        witnesses=run.witnesses,
        schedule=tuple(zip(pairs[::2], pairs[1::2], strict=True)) if run.traced else (),
        traced=bool(run.traced),
        covered=ctypes.string_at(library.septum_covered(), library.septum_coverage()),
    )
