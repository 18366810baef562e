"""A schedule with the fewest context switches: the same steps of every thread, in an order in which the threads change least."""

from __future__ import annotations

import ctypes
import itertools
from collections import deque
from collections.abc import Iterator

from septum.explore.build import Build

Schedule = tuple[tuple[int, int], ...]
Node = tuple[bytes, tuple[int, ...], int]  # a state, how far each thread has come, and which one ran last
MOST_NODES = 200_000
DONE, FAILED = 0, 2


class _Step(ctypes.Structure):
    """step_t of runtime.h."""

    _fields_ = [("choice", ctypes.c_uint32), ("failure", ctypes.c_int32), ("witnesses", ctypes.c_uint64)]


def fewest_switches(build: Build, schedule: Schedule) -> Schedule:
    """The schedule, or one of the same steps that ends in the same failure with fewer switches between threads.

    Each thread keeps its steps and choices; what is searched is every order of them, by the number of switches, so no such order
    has fewer. Where there are too many orders, the schedule stays as it is.
    """
    return _Orders(build, schedule).best() or schedule


class _Orders:
    def __init__(self, build: Build, schedule: Schedule) -> None:
        self.library, self.initial = build.library(), build.initial
        self.everyone, self.daemons = len(build.threads), build.daemons
        self.threads = tuple(sorted({thread for thread, _ in schedule}))
        self.choices = {thread: [choice for one, choice in schedule if one == thread] for thread in self.threads}
        self.length = len(schedule)
        self.most = sum(one != other for (one, _), (other, _) in itertools.pairwise(schedule))
        state, failure = self.initial, -1
        for thread, choice in schedule:
            state, failure = self._step(state, thread, choice)
        self.ending = failure if failure >= 0 else self._end_of(state)

    def best(self) -> Schedule | None:
        """A breadth-first search in which a thread goes on for nothing, another costs a switch, and the first of equals wins."""
        start = (self.initial, (0,) * len(self.threads), -1)
        todo: deque[Node] = deque([start])
        came: dict[Node, tuple[Node, tuple[int, int]] | None] = {start: None}
        cost = {start: 0}
        settled = set()
        while todo and len(came) < MOST_NODES:
            node = todo.popleft()
            if node in settled:
                continue
            settled.add(node)
            state, at, last = node
            if sum(at) == self.length:
                if last < 0 or self._end_of(state) == self.ending:
                    return self._path(came, node)
                continue
            free: list[Node] = []
            dearer: list[Node] = []
            for number, thread, choice in self._next(at):
                following, failure = self._step(state, thread, choice)
                moved = (*at[:number], at[number] + 1, *at[number + 1 :])
                if failure == DISABLED or (failure >= 0 and (failure != self.ending or sum(moved) != self.length)):
                    continue
                switched = last not in (-1, number)
                price = cost[node] + switched
                if failure >= 0:
                    end = (following, moved, -2 - number)
                else:
                    end = (following, moved, number)
                if price + self._others(moved, number) <= self.most and price < cost.get(end, self.length):
                    cost[end], came[end] = price, (node, (thread, choice))
                    (dearer if switched else free).append(end)
            todo.extendleft(reversed(free))
            todo.extend(dearer)
        return None

    def _others(self, at: tuple[int, ...], last: int) -> int:
        """How many threads have steps left beside the one that ran last: at least so many switches are to come."""
        left = (at[number] < len(self.choices[thread]) for number, thread in enumerate(self.threads) if number != last)
        return sum(left)

    def _next(self, at: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
        for number, thread in enumerate(self.threads):
            if at[number] < len(self.choices[thread]):
                yield number, thread, self.choices[thread][at[number]]

    def _step(self, state: bytes, thread: int, choice: int) -> tuple[bytes, int]:
        """The state after a step, and the site that failed, -1 for none, DISABLED where the thread cannot make it."""
        if choice and choice >= self.library.septum_choices(state, thread):
            return state, DISABLED
        memory = ctypes.create_string_buffer(state, len(state))
        step = _Step(choice, -1, 0)
        done = self.library.septum_step(memory, thread, ctypes.byref(step))
        if done == FAILED:
            return state, int(step.failure)
        return (memory.raw, -1) if done == DONE else (state, DISABLED)

    def _end_of(self, state: bytes) -> int:
        """What a state between two steps ends in: the site of a property, DEADLOCKED, or nothing, where a thread can go on."""
        found = int(self.library.septum_check_state(state, 0))
        if found >= 0 or any(self._step(state, thread, 0)[1] != DISABLED for thread in range(self.everyone)):
            return found
        left = [thread for thread in range(self.everyone) if self.library.septum_choices(state, thread)]
        rests = all(self.daemons >> thread & 1 for thread in left)
        return int(self.library.septum_check_state(state, 1)) if rests else DEADLOCKED

    def _path(self, came: dict, node: tuple) -> Schedule:  # type: ignore[type-arg]
        steps = []
        while came[node] is not None:
            node, step = came[node]
            steps.append(step)
        return tuple(reversed(steps))


DISABLED, DEADLOCKED = -3, -4
