"""Runs one random schedule in both engines and compares the state byte for byte after every step."""

from __future__ import annotations

import ctypes
import random

from septum.explore.build import Build
from septum.lang.engine import Status
from septum.lang.errors import ModelError
from septum.lang.types import scope


class Step(ctypes.Structure):
    """step_t of runtime.h."""

    _fields_ = [("choice", ctypes.c_uint32), ("failure", ctypes.c_int32), ("witnesses", ctypes.c_uint64)]


def assert_same(build: Build, seed: int, most_steps: int = 400) -> int:
    """The number of steps of a random schedule in which both engines agreed on everything; AssertionError where they do not."""
    dice = random.Random(seed)
    with scope(build.bindings):
        library, engine = build.library(), build.engine()
        state = ctypes.create_string_buffer(build.initial, len(build.initial))
        for taken in range(most_steps):
            ready = [n for n in range(len(build.threads)) if engine.can_step(n)]
            assert_same_threads(build, library, state, engine)
            if not ready:
                return taken
            thread = dice.choice(ready)
            choice = dice.randrange(engine.choices(thread))
            step = Step(choice, -1, 0)
            outcome = library.septum_step(state, thread, ctypes.byref(step))
            try:
                status = engine.step(thread, choice)
            except ModelError:
                assert outcome == 2 and not build.translation.sites[step.failure].is_assertion
                return taken + 1
            if status is Status.FAILED:
                assert outcome == 2, f"C does not fail: {engine.failure}"
                site = build.translation.sites[step.failure]
                assert engine.failure and (site.file, site.line) == (engine.failure.file, engine.failure.line)
                return taken + 1
            assert (outcome, status) == (0, Status.DONE), (
                outcome,
                status,
                build.translation.sites[step.failure] if outcome == 2 else "",
            )
            assert state.raw == engine.state(), f"after {taken + 1} steps, thread {thread}"
            reached = {w for n, w in enumerate(build.translation.witnesses) if step.witnesses >> n & 1}
            assert reached == engine.reached
            engine.reached.clear()
        return most_steps


def assert_same_threads(build: Build, library: ctypes.CDLL, state: ctypes.Array[ctypes.c_char], engine: object) -> None:
    """Who can step, and in how many ways."""
    for number in range(len(build.threads)):
        can = engine.can_step(number)  # type: ignore[attr-defined]
        assert library.septum_choices(state, number) == engine.choices(number)  # type: ignore[attr-defined]
        copy = ctypes.create_string_buffer(state.raw, len(state.raw))
        step = Step(0, -1, 0)
        assert (library.septum_step(copy, number, ctypes.byref(step)) != 1) == can
        if not can:
            assert copy.raw == state.raw
