"""Exhaustive exploration by the C explorer that is compiled with a model: breadth first, so a finding is a nearest one."""

from __future__ import annotations

import ctypes
import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

from septum.explore.checkpoint import IN_USE, REFUSALS, Checkpoint, Resumed
from septum.explore.run import Run
from septum.explore.watching import FoundRace, Watching
from septum.lang.errors import UserError
from septum.translate.cache import cache_directory

POLL_SECONDS = 0.1

HERE = Path(__file__).parent

LIVELOCKS, HUNTS = "LIVELOCKS", "HUNTS"
SOURCES = {
    "": "run.h fingerprints.c frontier.c spill.c watched.c reach.c between.c races.c moves.c workers.c expand.c schedule.c "
    "seal.c checkpoint.c resume.c explorer.c exports.c",
    LIVELOCKS: "../progress/graph.c ../progress/fair.c ../progress/lasso.c",
    HUNTS: "../hunt/pct.c ../hunt/shrink.c ../hunt/hunt.c",
}
"""The C files of the explorer, in order; what goes beyond a check has a name, and is compiled only where it is wanted."""

_NO_FAILURE = -1

WENT_ON, ENDED_THERE = 1, 2
"""As in runtime.h: the run went on behind what failed, or its schedule ended."""


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
    OUT_OF_DISK = 8


_CONCLUSIVE = {Outcome.COMPLETE, Outcome.VIOLATED, Outcome.DEADLOCK, Outcome.DEPTH_REACHED}


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
    missing (`traced` is False): the model then gives several representatives to states that differ in names only. Where there
    is only a `race`, it leads to where that begins. `unwatched`: some steps touched more than could be watched. `covered` has a
    byte for each line of the design, whether it ran, and one for each site of the translation: how it failed where that is not
    judged, of WENT_ON and ENDED_THERE. `deadlocked`: a deadlock was met, and is not judged.
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
    spilled_bytes: int = 0
    checkpoints: int = 0
    failed_checkpoints: int = 0
    resumed: Resumed | None = None
    race: FoundRace | None = None
    unwatched: bool = False
    deadlocked: bool = False

    @property
    def collision_chance(self) -> float:
        """At most the chance that two of the states generated had one fingerprint, so that one of them went unseen."""
        return min(1.0, (self.transitions + 1) ** 2 / 2**129)


def sources() -> dict[str, tuple[Path, ...]]:
    """The C files that follow a generated model in its unit, in order, by the name that is defined to compile them."""
    return {part: tuple(HERE / name for name in names.split()) for part, names in SOURCES.items()}


def source() -> str:
    """Their text, with what has a name left out unless that is defined."""
    texts = {part: "\n".join(path.read_text() for path in paths) for part, paths in sources().items()}
    return "\n".join(f"#ifdef {part}\n{text}\n#endif" if part else text for part, text in texts.items())


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
    fusion: bool = False,
    partial: bool = False,
    progress: Callable[[Progress], None] | None = None,
    directory: Path | None = None,
    spill_bytes: int | None = None,
    checkpoint: Checkpoint | None = None,
    resumed: Callable[[Resumed], None] | None = None,
    watching: Watching = Watching.NOTHING,
    deadlocks: bool = True,
    better: Callable[[], ctypes.CDLL | None] = lambda: None,
) -> Exploration:
    """Explore all schedules of `threads` threads from the state `initial`, one exploration of a library at a time.

    `daemons` is the mask of the threads that may be blocked for ever; without `deadlocks` all may. With `max_depth`, schedules
    of up to so many moves are judged; COMPLETE then means that there are no longer ones. `fusion` and `partial` want a library
    that was given footprints, and `watching` one that tells its accesses as well.
    Ctrl-C ends the run as STOPPED.

    With `directory`, states that wait to be expanded go there, to files without a name, once they take `spill_bytes` of memory
    (by default a quarter of the budget, or of the machine). Where the run goes on from a `checkpoint`, `resumed` is told from
    which level, and what was lost; UserError if the checkpoint cannot be used.

    `better` is asked, every POLL_SECONDS, for another library of the same model, which then goes on from the next level.
    """
    _check_arguments(library, initial, threads, workers)
    run = Run(
        initial=initial, most_states=limit(budget.states), most_bytes=limit(budget.bytes), most_depth=max_depth,
        most_seconds=0.0 if budget.seconds is None else max(budget.seconds, 1e-9),
        threads=threads, daemons=daemons, workers=workers,
        symmetry=symmetry, reductions=fusion + 2 * partial, watch=watching.value, deadlocks_aside=not deadlocks,
        spill_bytes=0 if directory is None else limit(spill_bytes or _spill_bytes(budget)),
        outcome=Outcome.STOPPED.value,
        failure=_NO_FAILURE,
    )  # fmt: skip
    with ExitStack() as stack:
        if checkpoint:
            options = (threads, daemons, max_depth, symmetry, fusion, partial, watching.value, deadlocks)
            checkpoint = _kept(run, checkpoint, initial, options, stack)
        if directory is not None:
            run.spill_files[:] = [stack.enter_context(_unnamed_file(directory)).fileno() for _ in range(2)]
        stack.callback(library.septum_free, ctypes.byref(run))
        relay = _Relay(library, run)
        watch(relay.explore, run, progress, resumed, lambda: relay.take(better))
        library = relay.library
        if run.refusal:
            raise UserError(f"{checkpoint.path if checkpoint else ''}: {REFUSALS[run.refusal]}")
        found = _exploration(library, run)
        if checkpoint and not (found.outcome not in _CONCLUSIVE and (checkpoint.kept or found.outcome is Outcome.STOPPED)):
            checkpoint.remove()
        return found


@dataclass
class _Relay:
    """A run that one library begins, and another one of the same model may go on with."""

    library: ctypes.CDLL
    run: Run

    def explore(self) -> None:
        self.library.septum_explore(ctypes.byref(self.run))
        while self.run.left:
            self.run.change = 0
            self.library.septum_explore(ctypes.byref(self.run))

    def take(self, better: Callable[[], ctypes.CDLL | None]) -> None:
        """Asks for another library; it is called at the end of the level."""
        found = better()
        if found:
            self.library = found
            self.run.change = 1


def _kept(run: Run, checkpoint: Checkpoint, initial: bytes, options: tuple[int, ...], stack: ExitStack) -> Checkpoint | None:
    """Tells the run of its checkpoint, which is its own as long as the stack; where another run has it, it does without."""
    if not stack.enter_context(checkpoint.held()):
        if checkpoint.resume:
            raise UserError(f"{checkpoint.path}: {REFUSALS[IN_USE]}")
        return None
    run.checkpoint, run.unfinished_checkpoint = bytes(checkpoint.path), bytes(checkpoint.unfinished)
    run.identity, run.key = checkpoint.identity(initial, options), checkpoint.key
    run.resume, run.keep_at_end, run.checkpoint_seconds = checkpoint.resume, checkpoint.kept, checkpoint.seconds
    return checkpoint


def _check_arguments(library: ctypes.CDLL, initial: bytes, threads: int, workers: int) -> None:
    size, most_threads = library.septum_state_size(), library.septum_max_threads()
    if len(initial) != size:
        raise ValueError(f"the initial state has {len(initial)} bytes, but a state of this model has {size}")
    if not 0 < threads <= most_threads:
        raise ValueError(f"{threads} threads, but this model has room for 1 to {most_threads}")
    if workers < 1:
        raise ValueError(f"{workers} workers, but it takes at least 1 to explore")


def limit(amount: int | None) -> int:
    """As C takes it, where 0 is no limit: no budget at all is the smallest one."""
    return 0 if amount is None else max(amount, 1)


def spill_directory() -> Path | None:
    """Where states go that memory has no room for: $SEPTUM_SPILL, or the cache directory if it can be written."""
    named = os.environ.get("SEPTUM_SPILL")
    if named:
        return Path(named)
    return cache_directory() if os.access(cache_directory(), os.W_OK) else None


def _spill_bytes(budget: Budget) -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (machine if budget.bytes is None else budget.bytes) // 4


def _unnamed_file(directory: Path) -> IO[bytes]:
    """A file that is gone with the process, however it ends."""
    try:
        return tempfile.TemporaryFile(dir=directory, buffering=0)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; states that memory has no room for go there") from None


def watch(
    explore: Callable[[], object],
    run: Run,
    progress: Callable[[Progress], None] | None,
    resumed: Callable[[Resumed], None] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
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
            begun = _resumed(run) if resumed and run.progress.states else None
            if resumed and begun:
                resumed(begun)
                resumed = None
            if progress:
                progress(_progress(run, time.monotonic() - began))
            if running:
                meanwhile()
    except KeyboardInterrupt:
        pass
    finally:
        _end(ended, run)


def _end(ended: threading.Event, run: Run) -> None:
    run.stop = 1
    while not ended.is_set():
        try:
            ended.wait()
        except KeyboardInterrupt:
            continue


def _progress(run: Run, seconds: float) -> Progress:
    now = run.progress
    return Progress(now.states, now.transitions, now.frontier, now.depth, now.bytes, seconds)


def _resumed(run: Run) -> Resumed | None:
    of = run.resumed
    if not of.states:
        return None
    return Resumed(of.depth, of.states, of.seconds, of.lost_depth, of.lost_states, of.lost_seconds)


def _exploration(library: ctypes.CDLL, run: Run) -> Exploration:
    pairs = run.schedule[: 2 * run.steps] if run.steps else []
    library.septum_covered.restype = ctypes.c_void_p
    covered = ctypes.string_at(library.septum_covered(), library.septum_coverage())
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
        covered=covered[:-1],
        deadlocked=bool(covered[-1]),
        spilled_bytes=run.spilled_bytes,
        checkpoints=run.checkpoints,
        failed_checkpoints=run.failed_checkpoints,
        resumed=_resumed(run),
        race=run.race.read(), unwatched=bool(run.unwatched),
    )  # fmt: skip
