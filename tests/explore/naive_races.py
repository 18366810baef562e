"""The reference for races: every step of every state, taken apart at every access, with nothing clever in it.

`python -m tests.explore.naive_races N [SEED]` compares N random programs with the explorer and its reductions.
"""

from __future__ import annotations

import ctypes
import random
import sys
import tempfile
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

from septum.explore.build import Build, build
from septum.explore.explore import explore
from septum.explore.watching import Watching
from septum.lang.types import scope
from tests.explore.naive import STEP_BLOCKED, STEP_FAILED, STEP_PRUNED, Step
from tests.explore.random_models import model, module
from tests.reduce.watched import Accesses

COMMUTING, AWAITED, MOST_FOLLOWED = 2**32 - 1, 2**32 - 2, 8
BETWEEN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)


@dataclass
class Touch:
    """One access: which bytes, whether it writes, and which piece it belongs to; `word` where that has several fields."""

    first: int
    end: int
    written: bool
    piece: int
    word: int | None
    at: int

    def meets(self, other: Touch) -> bool:
        apart = self.end <= other.first or other.end <= self.first
        return not apart and (self.written or other.written) and COMMUTING not in (self.piece, other.piece)


class Apart:
    """The steps of one scenario, access by access."""

    def __init__(self, built: Build) -> None:
        self.library, self.threads = built.reducible(watched=True), range(len(built.threads))
        self.initial, self.world = built.initial, built.translation.world_size

    def step(self, state, thread, choice, between=None):
        """How a step ended, what it touched, whether it says why it is one; it changes `state`."""
        accesses = Accesses()
        kept = BETWEEN(between) if between else None
        accesses.between = ctypes.cast(kept, ctypes.c_void_p) if kept else None
        step = Step(choice if choice < self.library.septum_choices(state, thread) else 0)
        came = self.library.septum_watch_step(state, thread, ctypes.byref(step), ctypes.byref(accesses))
        touched = [
            Touch(a.offset, a.offset + a.size, bool(a.written), a.piece, a.word if a.joined else None, a.word)
            for a in accesses.at[: accesses.count]
        ]
        return came, touched, bool(accesses.atomic), accesses.pieces

    def has_race(self, most_states) -> bool | None:
        """None if there are more states."""
        seen, todo = {self.initial}, [self.initial]
        while todo:
            state = todo.pop()
            for thread in self.threads:
                for choice in range(self.library.septum_choices(state, thread)):
                    if self.races(state, thread, choice):
                        return True
                    after = ctypes.create_string_buffer(state, len(state))
                    if (
                        self.step(after, thread, choice)[0] not in (STEP_BLOCKED, STEP_FAILED, STEP_PRUNED)
                        and after.raw not in seen
                    ):
                        seen.add(after.raw)
                        todo.append(after.raw)
            if len(seen) > most_states:
                return None
        return False

    def races(self, state, thread, choice) -> bool:
        """Whether another thread may come into this step."""
        worlds: list[bytes] = []
        buffer = ctypes.create_string_buffer(state, len(state))
        _, touched, atomic, pieces = self.step(
            buffer, thread, choice, lambda _of, _count, world: worlds.append(ctypes.string_at(world, self.world))
        )
        if atomic:
            return False
        waited = {one.at for one in touched if one.piece == AWAITED}
        first = self.first_stores(touched, [*worlds, buffer.raw[: self.world]], waited)
        for point in range(1, len(touched)):
            before, after = touched[point - 1].piece, touched[point].piece
            if before and before == after and (before == COMMUTING or before <= pieces):
                continue
            for other in self.threads:
                for theirs in range(self.library.septum_choices(state, other)) if other != thread else ():
                    if self.comes(state, (thread, choice), touched, (other, theirs), point, worlds[point], first):
                        return True
        return False

    @staticmethod
    def first_stores(touched, worlds, waited):
        """For each place that the step waited for, and stores to: what it stores first, and until which access that stays."""
        found = {}
        for number, one in enumerate(touched):
            places = {two.first for two in touched[:number] if two.piece == AWAITED}
            if one.written and one.first in places and one.first not in found:
                later = (k for k in range(number + 1, len(touched)) if touched[k].written and touched[k].first == one.first)
                until = next(later, len(touched))
                found[one.first] = (worlds[until][one.first : one.end], until)
        return found

    def comes(self, state, mine, touched, theirs, point, world, first) -> bool:
        middle = ctypes.create_string_buffer(world + state[self.world :], len(state))
        self.patch(middle, point, first)
        logs, met = [], {}
        while len(logs) < MOST_FOLLOWED:
            came, log, _, _ = self.step(middle, theirs[0], 0 if logs else theirs[1])
            if came == STEP_BLOCKED or (logs and not self.library.septum_choices(middle, theirs[0]) and not log):
                break
            logs.append(log)
            for number, one in enumerate(touched):
                if self.plain(one) and any(one.meets(two) for two in log):
                    met.setdefault(number, [len(logs), 0])[1] = len(logs)
            if not met:
                return False
        for i in [number for number in met if number < point]:
            for k in [number for number in met if number >= point]:
                if met[k][1] >= met[i][0] and not self.same(touched, i, touched, k):
                    if self.goes_on(state, mine, touched, i, theirs, point, first, logs, met[i][0]):
                        return True
                    break
        return False

    def goes_on(self, state, mine, touched, i, theirs, point, first, logs, since) -> bool:
        """Whether the rest of the step, after what the other thread did, still meets that, or fails."""
        real = ctypes.create_string_buffer(state, len(state))

        def between(_of, count, _world):
            if count == point:
                self.patch(real, point, first)
                for number in range(len(logs)):
                    self.step(real, theirs[0], 0 if number else theirs[1])

        came, sequel, _, _ = self.step(real, *mine, between)
        if came == STEP_FAILED:
            return True
        rest = [one for log in logs[since - 1 :] for one in log]
        return any(
            self.plain(one) and not self.same(touched, i, sequel, k) and any(one.meets(two) for two in rest)
            for k, one in enumerate(sequel)
            if k >= point
        )

    @staticmethod
    def patch(state, point, first):
        for place, (value, until) in first.items():
            if point <= until:
                ctypes.memmove(ctypes.byref(state, place), value, len(value))

    @staticmethod
    def plain(one: Touch) -> bool:
        return one.piece < AWAITED

    @staticmethod
    def same(touched, i, others, k) -> bool:
        """Whether two accesses of a step are one piece."""

        def piece(log, number):
            one = log[number]
            waited = [n for n, two in enumerate(log[:number]) if two.piece == AWAITED and two.at == one.at]
            return ("waited", waited[-1]) if waited and one.piece < AWAITED else ("piece", one.piece) if one.piece else None

        one, two = touched[i], others[k]
        mine = piece(touched, i)
        return (mine is not None and mine == piece(others, k)) or (one.word is not None and one.word == two.word)


def disagreement(built: Build, most_states: int) -> bool | None:
    """Whether the explorer says another thing of a scenario than the reference; None if it is too large."""
    with scope(built.bindings):
        wanted = Apart(built).has_race(most_states)
        if wanted is None:
            return None
        found = explore(
            built.reducible(watched=True), built.initial, len(built.threads), daemons=built.daemons, symmetry=True,
            fusion=True, partial=True, watching=Watching.TO_THE_END,
        )  # fmt: skip
    broken = found.outcome.name in ("VIOLATED", "DEADLOCK")
    return None if broken else wanted != (found.race is not None)


PROCESSES, MOST_STATES = 10, 150


def compare(seed: int, path: Path, most: int) -> tuple[int, list[str]]:
    """Scenarios of one random file: how many were compared, and where the two disagree."""
    dice = random.Random(seed)
    pairs = dice.sample(list(combinations_with_replacement(range(PROCESSES), 2)), 40)
    made = model(module(dice, PROCESSES), path, pairs)
    compared, wrong = 0, []
    for one in made.scenarios:
        if compared == most:
            break
        found = disagreement(build(made, one), MOST_STATES)
        compared += found is not None
        if found:
            wrong.append(f"{seed}: {one.name}")
    return compared, wrong


def main(wanted: int, seed: int = 0) -> int:
    compared = 0
    with tempfile.TemporaryDirectory() as path:
        while compared < wanted:
            more, wrong = compare(seed, Path(path), wanted - compared)
            compared, seed = compared + more, seed + 1
            print(f"{compared} compared{''.join(f', disagree on {one}' for one in wrong)}", flush=True)
            if wrong:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
