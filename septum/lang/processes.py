"""Processes, and what their code may say beside ordinary Python: when, choose, warn_on, bug_on, reached, observe, each, current.

A process is a generator: each `yield` is a scheduling point, where another CPU may run. A routine is a plain function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from septum.lang.errors import Violation
from septum.lang.paths import shown_path
from septum.lang.types import Index, Size

Function = TypeVar("Function", bound=Callable[..., Any])
Process = Generator["When | Choose | None", int, Any]
Place = tuple[str, int]
"""A file, as shown_path gives it, and a line."""


@dataclass(frozen=True)
class When:
    """A scheduling point that waits until `condition` holds; the condition and what follows are one step."""

    condition: Callable[[], bool]


MOST_CHOICES = 1 << 16
"""Ways that a choice can go."""

MOST_ROUNDS = Size("MOST_ROUNDS", 1 << 20)
"""Rounds of a loop in one step."""


@dataclass(frozen=True)
class Choose:
    """A scheduling point that goes on in `count()` ways."""

    count: Callable[[], int]


@dataclass(frozen=True)
class Witness:
    """An event that a scenario wants to see reached, lest its verdict be vacuous."""

    name: str
    title: str


@dataclass(frozen=True)
class Meter:
    """A quantity that a measurement notes wherever the model says observe(meter, value)."""

    name: str
    title: str


MEASURING = Size("MEASURING", 0)
"""1 in a build that measures; what only serves to measure stands below `if MEASURING`, and costs nothing elsewhere."""


@dataclass
class Running:
    """What the Python engine knows of the step it executes; `excused` are the assertions that are not judged, `passed` those of
    them that failed.

    `buffers` are the store buffers (memory.py) while a thread runs, where the memory model has them.
    """

    thread: int = 0
    excused: frozenset[Place] = frozenset()
    passed: set[Place] = field(default_factory=set)
    reached: set[Witness] = field(default_factory=set)
    buffers: Any = None


running = Running()


def process(function: Function) -> Function:
    """Marks a generator function as a process: `@process`."""
    function.__septum_process__ = True  # type: ignore[attr-defined]
    return function


def is_process(function: object) -> bool:
    return getattr(function, "__septum_process__", False)


def when(condition: Callable[[], bool]) -> When:
    """`yield when(lambda: lock.writer == 0)`: wait for a condition that reads the state and changes nothing."""
    return When(condition)


def choose(count: int | Size | Callable[[], int]) -> Choose:
    """`x = yield choose(n)`: go on with every x in 0 .. n-1. A count that depends on the state is a lambda, read late."""
    return Choose(count if callable(count) else lambda: int(count))


def property_of(message: str) -> str:
    """ "custody: page 7 is freed twice" belongs to custody; a message without such a word to asserts."""
    word, colon, _ = message.partition(":")
    return word if colon and word and word.replace(" ", "").isalpha() and len(word) <= 20 else "asserts"


def warn_on(condition: object, message: str = "") -> bool:
    """WARN_ON(): a violation if `condition` holds. Where that is not judged, the kernel goes on with its value."""
    if condition:
        caller = sys._getframe(1)
        place = shown_path(caller.f_code.co_filename), caller.f_lineno
        if place not in running.excused:
            raise Violation(message, "warn_on")
        running.passed.add(place)
    return bool(condition)


def bug_on(condition: object, message: str = "") -> None:
    """BUG_ON(): a violation if `condition` holds."""
    if condition:
        raise Violation(message, "bug_on")


def reached(witness: Witness) -> None:
    """Notes that an event happened in this step."""
    running.reached.add(witness)


def observe(meter: Meter, value: int) -> None:
    """Notes a value, the line of the model that led here and the locks held; in a build of the C engine that measures."""


def origin() -> int:
    """The number of the line of the model that led here, in a build that measures; else 0."""
    return 0


def address(of: object) -> int:
    """Where a struct lies in the world, in bytes, in a build that measures; else 0."""
    return 0


def each(index: Index) -> Iterator[int]:
    """Every value of an index type, without the one that means none."""
    return iter(range(1 if index.none else 0, index.limit))


def only(value: int) -> int:
    """The set that holds one value of an index type: `lock.readers |= only(me())`, of a field whose type is SetOf."""
    return 1 << value


def alike(reason: str) -> None:
    """At the head of a loop over a scalarset that takes the first that fits: why nobody can tell in which order it goes."""


def atomic(reason: str) -> None:
    """Why a routine, or the step of a process that says it, may touch several places that other threads touch meanwhile."""


def commutes(reason: str) -> None:
    """Why what a routine touches may join any step: it commutes with what others may do there meanwhile."""


def piece_begins() -> None:
    """What the step touches from here to `piece_ends` is one access; words.py says it, and no model."""


def piece_ends() -> None:
    """See `piece_begins`."""


def current() -> int:
    """The number of the thread that runs this step."""
    return running.thread
