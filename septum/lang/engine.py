"""The Python engine: runs the source of a model as it stands, one step at a time, and says what its state is in bytes.

The state is the world followed by a frame a thread: where its generators are suspended, and their live locals, laid out as
who translates the model to C says (frames.py).
"""

from __future__ import annotations

import ctypes
import enum
import operator
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from septum.lang.errors import ModelError, OutOfRange, SeptumError, Violation
from septum.lang.excused import Excused
from septum.lang.frames import Frames, Point, Saved, States
from septum.lang.memory import StoreBuffers
from septum.lang.model import Thread
from septum.lang.paths import shown_path
from septum.lang.processes import MOST_CHOICES, Choose, Place, When, Witness, running
from septum.lang.replaced import meant
from septum.lang.struct import allocate

ENDED = 255
OUT_OF_RANGE = "range"
STEP_SECONDS = 10
TICK_SECONDS = 1.0


class Status(enum.Enum):
    """What a step came to."""

    DONE = 0
    BLOCKED = 1
    FAILED = 2


@dataclass(frozen=True)
class Failure:
    """An assertion that failed, with its message made from the values at that moment."""

    clause: str
    kind: str
    file: str
    line: int
    stack: tuple[tuple[str, str, int, str], ...] = ()
    thread: int = ENDED


@dataclass
class Running:
    """A thread: its program, the call it is in, and that call's generator."""

    thread: Thread
    call: int = 0
    generator: Generator[Any, Any, Any] | None = None
    request: When | Choose | None = None

    @property
    def ended(self) -> bool:
        return self.call == len(self.thread.calls)


class Engine:
    """One run of a model. The scope of the model must be active whenever a method is called.

    What is `excused` is not judged; `passed` are those of it that failed, and behind which the run went on.
    """

    def __init__(
        self, states: States, threads: Sequence[Thread], world: bytes | tuple[Any, memoryview], buffered: bytes = b""
    ) -> None:
        """`world` is what the run starts from: bytes to copy, or a world and a view of its memory to run in, however large.

        `buffered` says which places have their stores buffered (StoreBuffers), where the memory model has buffers.
        """
        self.states = states
        self.m, self._memory = world if isinstance(world, tuple) else _copied(states, world)
        self._base = ctypes.addressof(self.m)
        self.threads = [Running(thread) for thread in threads]
        self.excused = Excused()
        self.passed: set[Place] = set()
        self.failure: Failure | None = None
        self.reached: set[Witness] = set()
        self._points: dict[tuple[Frames, int], Point] = {}
        self._frames: dict[tuple[int, int], Frames] = {}
        self.buffers: StoreBuffers | None = None
        if states.stores:
            queues: list[list[tuple[int, int]]] = [[] for _ in self.threads]
            self.buffers = StoreBuffers(states.stores, buffered, self._memory, self._base, queues)

    def choices(self, thread: int) -> int:
        """How many ways the next step of a thread has; 0 if it has ended, and the memory has taken its stores.

        Where the thread has stores in a buffer, the last way is that the memory takes the oldest.
        """
        return self._own_choices(thread) + self.pending(thread)

    def pending(self, thread: int) -> bool:
        """Whether a thread has stores that the memory has not taken."""
        return self.buffers is not None and self.buffers.pending(thread)

    def stores(self, thread: int, choice: int) -> bool:
        """Whether a step is one of the memory, which takes the oldest store of a thread; a thread that waits has no other."""
        return self.pending(thread) and (choice == self._own_choices(thread) or not self._able(thread))

    def _own_choices(self, thread: int) -> int:
        request = self.threads[thread].request
        if self.threads[thread].ended:
            return 0
        running.thread = thread
        with self._buffered():
            count = int(request.count()) if isinstance(request, Choose) else 1
        return count if 1 <= count <= MOST_CHOICES else 1

    def step(self, thread: int, choice: int = 0) -> Status:
        """Runs a thread to its next scheduling point; after FAILED, `failure` says what failed and the run is over."""
        actor = self.threads[thread]
        running.thread, running.excused, running.passed, running.reached = thread, self.excused.places, self.passed, set()
        if self.buffers and self.stores(thread, choice):
            self.buffers.take(thread)
            return Status.DONE
        if not self._able(thread):
            return Status.BLOCKED
        try:
            with bounded_time(), self._buffered():
                self._advance(actor, choice)
        except (AssertionError, Violation) as error:
            self.failure = _failure(error, thread)
            return Status.FAILED
        except (OutOfRange, ZeroDivisionError) as error:
            self.failure = _out_of_range(error, thread)
            return Status.FAILED
        except (SeptumError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, NameError,
                SystemExit, RecursionError) as error:  # fmt: skip
            raise ModelError(f"{_place(error)}: {error}") from error
        self.reached |= running.reached
        return Status.DONE

    def can_step(self, thread: int) -> bool:
        """Whether a thread has a next step and does not wait, or the memory has yet to take a store of it."""
        return self.pending(thread) or self._able(thread)

    def _able(self, thread: int) -> bool:
        actor = self.threads[thread]
        running.thread = thread
        if actor.ended or not isinstance(actor.request, When):
            return not actor.ended
        with self._buffered():
            return actor.request.condition()

    @contextmanager
    def _buffered(self) -> Iterator[None]:
        """Inside, what is read and written goes through the store buffers."""
        running.buffers = self.buffers
        try:
            yield
        finally:
            running.buffers = None

    def assess(self, check: Callable[[Any], None]) -> Failure | None:
        """The clause of a property that the state violates, of those that are not excused."""
        running.excused, running.passed = self.excused.places, self.passed
        try:
            self.excused.of(check)(self.m)
        except (AssertionError, Violation) as error:
            return _failure(error)
        except (OutOfRange, ZeroDivisionError) as error:
            return _out_of_range(error)
        return None

    def _advance(self, actor: Running, choice: int) -> None:
        if actor.generator is None:
            call = actor.thread.calls[actor.call]
            actor.generator = meant(call.process)(self.m, *call.arguments)
            send = None
        else:
            send = choice if isinstance(actor.request, Choose) else None
            if isinstance(actor.request, Choose) and not 1 <= actor.request.count() <= MOST_CHOICES:
                actor.generator.throw(OutOfRange(f"a choice among none, or more than {MOST_CHOICES:,}"))
        try:
            request = actor.generator.send(send)
        except StopIteration:
            actor.generator, actor.request, actor.call = None, None, actor.call + 1
            return
        if request is not None and not isinstance(request, When | Choose):
            raise ModelError(f"{actor.thread.name}: yield gave {request!r}; yield nothing, when(...) or choose(...)")
        actor.request = request

    def state(self) -> bytes:
        """The bytes of the state, the same as in the C engine."""
        parts = [self.world(), *(self.frame(number) for number in range(len(self.threads)))]
        if self.buffers:
            parts = [b"".join(parts).ljust(self.states.buffers, b"\0"), self.buffers.state()]
        return b"".join(parts).ljust(self.states.state_size, b"\0")

    def world(self) -> bytes:
        """The bytes of the world alone."""
        return bytes(self._memory[: ctypes.sizeof(self.states.layout)]).ljust(self.states.world_size, b"\0")

    def frame(self, number: int) -> bytes:
        """The frame of a thread, projected from its suspended generators."""
        actor = self.threads[number]
        size = self.states.frame_size
        if actor.ended:
            return bytes([ENDED]).ljust(size, b"\0")
        frame = bytes([actor.call])
        for point, generator in self._suspended(number):
            frame += bytes([point.number]) + b"".join(self._saved(saved, generator) for saved in point.saved)
        return frame.ljust(size, b"\0")

    def _suspended(self, number: int) -> Iterator[tuple[Point, Any]]:
        generator: Any = self.threads[number].generator
        if generator is None:
            return
        frames: Frames | None = self._entered(number)
        while generator is not None:
            assert frames is not None
            point = self._point(frames, generator)
            yield point, generator
            generator, frames = generator.gi_yieldfrom, point.inner

    def _entered(self, number: int) -> Frames:
        """Those of the process that a thread's program has called."""
        key = (number, self.threads[number].call)
        if key not in self._frames:
            call = self.threads[number].thread.calls[key[1]]
            self._frames[key] = self.states.frames(call.process, len(call.arguments))
        return self._frames[key]

    def _point(self, frames: Frames, generator: Any) -> Point:
        key = (frames, generator.gi_frame.f_lasti)
        if key not in self._points:
            line, _, column, _ = list(generator.gi_code.co_positions())[key[1] // 2]
            self._points[key] = next(point for point in frames.points if (point.line, point.column) == (line, column))
        return self._points[key]

    def _saved(self, saved: Saved, generator: Any) -> bytes:
        value = generator.gi_frame.f_locals.get(saved.name, 0)
        number = (
            ctypes.addressof(value) - self._base if isinstance(value, ctypes.Structure | ctypes.Array) else operator.index(value)
        )
        if not 0 <= number < 1 << saved.bits:
            raise ModelError(f"{generator.gi_code.co_qualname}: {saved.name} = {number} does not fit its {saved.bits} bits")
        return number.to_bytes(saved.bits // 8, "little")

    def stack(self, number: int) -> list[tuple[str, str, int, str]]:
        """Where a thread stands: function, file, line and what comes next there, outermost first."""
        found = []
        for of, frame in self.calls(number):
            line = of.source.next_line(frame.f_lineno)
            found.append((of.source.name, of.source.file, line, of.source.text(line)))
        return found

    def calls(self, number: int) -> Iterator[tuple[Frames, FrameType]]:
        """The calls in which a thread is suspended, outermost first: what is known of each, and its Python frame."""
        of: Frames | None = None
        for point, generator in self._suspended(number):
            yield of or self._entered(number), generator.gi_frame
            of = point.inner

    def frames(self, number: int) -> Iterator[FrameType]:
        """The Python frames of a thread's suspended generators, outermost first."""
        generator: Any = self.threads[number].generator
        while generator is not None:
            yield generator.gi_frame
            generator = generator.gi_yieldfrom


def _copied(states: States, world: bytes) -> tuple[Any, memoryview]:
    m, memory = allocate(states.layout)
    memory[: len(world)] = world
    return m, memory


def _out_of_range(error: BaseException, thread: int = ENDED) -> Failure:
    """What is wrong in the model's own code, with the line."""
    stack = _model_frames(error)
    name, file, line, text = stack[-1]
    return Failure(f"asserts: {error}, in {name}(): {text}", OUT_OF_RANGE, file, line, stack, thread)


def _model_frames(error: BaseException) -> tuple[tuple[str, str, int, str], ...]:
    here = os.path.dirname(__file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if os.path.dirname(frame.filename) != here]
    return tuple((frame.name, shown_path(frame.filename), frame.lineno or 0, frame.line or "") for frame in frames)


def _failure(error: BaseException, thread: int = ENDED) -> Failure:
    stack = _model_frames(error)
    _, file, line, text = stack[-1]
    said = str(error)
    if _is_rewritten(error):
        said = f"\n{said}".partition("\nassert ")[0][1:]
    message = said or text.removeprefix("assert ")
    return Failure(message, error.kind if isinstance(error, Violation) else "assert", file, line, stack, thread)


def _is_rewritten(error: BaseException) -> bool:
    """Whether pytest loaded the code that raised it: there "assert ..." and what the values were follow the model's own words."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return not isinstance(error, Violation) and "@pytest_ar" in frames[-1].f_globals


def _place(error: BaseException) -> str:
    """The file and line of the model's innermost frame."""
    return next((f"{file}:{line}: {text}" for _, file, line, text in reversed(_model_frames(error))), "the model")


@contextmanager
def bounded_time() -> Iterator[None]:
    """A step that does not end is a ModelError; only the main thread can be interrupted.

    What counts is the CPU time that the step was seen to use, tick by tick: a machine that stood still for a while, or one
    long call of a library, is one tick.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ticks = 0

    def tick(_signal: int, frame: FrameType | None) -> None:
        nonlocal ticks
        ticks += 1
        if ticks * TICK_SECONDS >= STEP_SECONDS:
            where = f"{shown_path(frame.f_code.co_filename)}:{frame.f_lineno}" if frame else "the model"
            raise ModelError(f"{where}: the step does not end within {STEP_SECONDS} seconds")

    before = signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, TICK_SECONDS, TICK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
