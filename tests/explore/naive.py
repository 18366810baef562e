"""The reference: breadth-first search over whole states in a set, with nothing clever in it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

STEP_BLOCKED, STEP_FAILED, STEP_PRUNED = 1, 2, 3


class Step(ctypes.Structure):
    _fields_ = [("choice", ctypes.c_uint32), ("failure", ctypes.c_int32), ("witnesses", ctypes.c_uint64)]


@dataclass(frozen=True)
class Naive:
    """Of a model that holds, how large it is; of another one, the length of a shortest schedule that finds something."""

    states: int
    transitions: int
    depth: int
    witnesses: int
    shortest: int | None = None


class Explorer:
    """The steps of one scenario, from the compiled model."""

    def __init__(self, built):
        self.library, self.initial, self.threads = built.library(), built.initial, range(len(built.threads))
        self.daemons, self.witnesses = built.daemons, 0

    def moves(self, state) -> Iterator[tuple[int, bytes]]:
        """What every step that does not block comes to, and the state after it."""
        for thread in self.threads:
            for choice in range(self.library.septum_choices(state, thread)):
                buffer = ctypes.create_string_buffer(state, len(state))
                step = Step(choice)
                came = self.library.septum_step(buffer, thread, ctypes.byref(step))
                self.witnesses |= step.witnesses
                if came != STEP_BLOCKED:
                    yield came, buffer.raw

    def is_wrong(self, state, moved) -> bool:
        """A property is violated; or nobody can move, and somebody waits or a property of the rest is violated."""
        if self.library.septum_check_state(state, 0) != -1:
            return True
        if moved:
            return False
        waiting = [n for n in self.threads if self.library.septum_choices(state, n) and not self.daemons >> n & 1]
        return bool(waiting) or self.library.septum_check_state(state, 1) != -1

    def explored(self, most_states) -> Naive | None:
        """None if there are more states."""
        seen, level, transitions, depth = {self.initial}, [self.initial], 0, 0
        while True:
            following, broken, failed = [], False, False
            for state in level:
                moves = list(self.moves(state))
                broken |= self.is_wrong(state, moves)
                failed |= any(came == STEP_FAILED for came, _ in moves)
                for after in (after for came, after in moves if came not in (STEP_FAILED, STEP_PRUNED)):
                    transitions += 1
                    if after not in seen:
                        seen.add(after)
                        following.append(after)
            if len(seen) > most_states:
                return None
            if broken or failed:
                return Naive(len(seen), transitions, depth, self.witnesses, depth if broken else depth + 1)
            if not following:
                return Naive(len(seen), transitions, depth, self.witnesses)
            level, depth = following, depth + 1
