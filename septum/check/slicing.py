"""A slice of a counterexample: the steps on which the failed clause depends, backwards through data and locks."""

from __future__ import annotations

import ctypes
import linecache
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from septum.check.dependence import BEFORE, Access, Node, Recorder
from septum.check.result import Touch
from septum.explore.build import Build
from septum.lang.engine import Engine, Status
from septum.lang.noted import noted
from septum.lang.paths import shown_path
from septum.lang.places import Places
from septum.lang.processes import Choose
from septum.lang.struct import allocate
from septum.lang.types import Scalar, Unsigned

DOUBTS, VALUES, REACH = -1, 0, 1


class Watched:
    """A run of a build in a world that tells who touches it; the scope of the build must be active."""

    def __init__(self, build: Build) -> None:
        files = {one.source.function.__code__.co_filename for one in build.translation.functions}
        self.recorder = Recorder(frozenset(files), str(build.model.file or ""))
        self.places = Places(build.model.world, build.translation.realised)
        m, memory = allocate(noted(build.model.world, self.recorder.note))
        memory[: len(build.world)] = build.world[: len(memory)]
        self.engine = Engine(build.translation, build.threads, (m, memory), build.buffered)
        self.engine.excused = build.excused
        self.recorder.memory, self.recorder.base = memory, ctypes.addressof(m)
        self.threads: list[int] = []
        self.asked: list[Node] = []  # what each step waited for; of how many ways it has, none
        self._shown: dict[int, tuple[str, Scalar]] = {}

    def step(self, thread: int, choice: int) -> Status:
        """The next step of a thread, which is noted."""
        number = len(self.threads)
        chooses = isinstance(self.engine.threads[thread].request, Choose)
        if chooses:
            self.recorder.chose(list(self.engine.frames(thread))[-1])
        self.threads.append(thread)
        with self.recorder.watching(number) as asked:
            status = self.engine.step(thread, choice)
        self.asked.append(Node(number) if chooses else asked)
        return status

    def asks(self, thread: int) -> Node:
        """What the condition reads for which a thread waits now."""
        with self.recorder.watching(len(self.threads)) as asked:
            self.engine.can_step(thread)
        return asked

    def scalar(self, offset: int) -> tuple[str, Scalar]:
        """Name and type of the scalar at an offset."""
        if offset not in self._shown:
            self._shown[offset] = self.places.scalar(offset)
        return self._shown[offset]

    def thread(self, step: int) -> int:
        """Who took a step; BEFORE for what no thread did."""
        return self.threads[step] if 0 <= step < len(self.threads) else BEFORE

    def touch(self, access: Access) -> Touch:
        place, of = self.scalar(access.offset)
        function, file, line = access.at or ("", "", 0)
        text = linecache.getline(file, line).strip() if file else ""
        return Touch(place, of.show(access.value), access.written, function, shown_path(file) if file else "", line, text)

    def begins(self, step: int, function: str) -> tuple[Touch, ...]:
        """What the first line of a step that touches anything reads, if it is one of the function's own."""
        accesses = self.recorder.accesses.get(step, [])
        first = accesses[0].at if accesses else None
        if first is None or first[0] != function:
            return ()
        reads = [one for one in accesses if one.at == first and not one.written]
        return tuple(dict.fromkeys(self.touch(one) for one in reads))


class Slice:
    """Goes back from what failed: with REACH through all that the clause says, with VALUES through what gave a value, with DOUBTS
    through what gave an address, of which only that counts which somebody else changed meanwhile, or counts.

    `parts` has, by the number of its step, the accesses of it that are found.
    """

    def __init__(self, watched: Watched, locks: Sequence[Sequence[str]]) -> None:
        """`locks` are those that the thread of each step holds after it."""
        self.watched, self.recorder, self.locks = watched, watched.recorder, locks
        self.parts: dict[int, set[Access]] = {}
        self._reached: dict[Node, int] = {}

    def touches(self, step: int) -> dict[int, Touch]:
        """What of a step is found, by its place in the order of the run."""
        return {access.number: self.watched.touch(access) for access in self.parts.get(step, ())}

    def of_failure(self) -> Slice:
        """From the statement that failed, and the branches around it."""
        failed = self.recorder.failed
        return self.follow([failed, *failed.branches] if failed else [])

    def of_waits(self, threads: Iterable[int]) -> Slice:
        """From what the threads wait for."""
        return self.follow(self.watched.asks(number) for number in threads)

    def of_loop(self, first: int, threads: Iterable[int]) -> Slice:
        """From all that runs in the steps from the first of a loop on, and from what these threads wait for meanwhile.

        What the loop writes it comes back to, so it depends on who wrote that before it.
        """
        for number in range(first, len(self.watched.threads)):
            self.parts.setdefault(number, set())
        self._follow([*self.recorder.nodes(first), *self.watched.asked[first:]], REACH)
        self._follow((one for access in list(self.recorder.made(first)) for one in self._read(access)), REACH)
        return self.of_waits(threads)

    def of_accesses(self, first: int, wanted: Collection[tuple[int, bool]]) -> Slice:
        """From where accesses of the steps from `first` on go, and from what decided that they are made; not from the values.

        `wanted` are their offsets, each with whether it is written.
        """
        for number in range(first, len(self.watched.threads)):
            self.parts[number] = set()
        for access in self.recorder.made(first):
            if (access.offset, access.written) in wanted:
                self._follow(access.by.branches, REACH)
                for node in (access.by, *access.by.arguments):
                    self._follow(node.addresses, VALUES)
                    self._follow((one for index in node.reads if index.index for one in self._read(index)), VALUES)
        self._handovers()
        return self

    def follow(self, seeds: Iterable[Node], reach: int = REACH) -> Slice:
        self._follow(seeds, reach)
        self._handovers()
        return self

    def _follow(self, seeds: Iterable[Node], reach: int) -> None:
        waiting = [(node, reach) for node in seeds]
        while waiting:
            node, reach = waiting.pop()
            if self._reached.get(node, DOUBTS - 1) < reach:
                self._reached[node] = reach
                waiting += self._causes(node, reach)

    def _causes(self, node: Node, reach: int) -> Iterator[tuple[Node, int]]:
        if node.chosen and reach >= VALUES:
            self.parts.setdefault(node.step, set())
        yield from ((one, reach) for one in node.sources())
        if reach > DOUBTS:
            yield from ((one, reach - 1) for one in node.addresses)
        if reach == REACH:
            yield from ((one, VALUES) for one in node.deciders())
        for access in node.reads:
            left = reach - access.index
            if left >= VALUES or self._doubtful(access, node):
                yield from ((one, max(left, VALUES)) for one in self._read(access))
            elif access.writer and access.writer.step == access.step:
                yield access.writer, DOUBTS

    def _doubtful(self, access: Access, user: Node) -> bool:
        """Another thread wrote the place after it was read and before the value was used; or before, and it is a number."""
        thread = self.watched.thread
        here = thread(access.step)
        if access.writer and thread(access.writer.step) not in (here, BEFORE):
            return isinstance(self.watched.scalar(access.offset)[1], Unsigned)
        later = (step for step in self.recorder.writes.get(access.offset, ()) if access.step < step <= user.step)
        return any(thread(step) != here for step in later)

    def _read(self, access: Access) -> Iterator[Node]:
        """A read whose value matters stands in its step, and its writer in that of its own. What never changes is no news."""
        if access.offset not in self.recorder.writes:
            return
        if access.step < len(self.watched.threads):
            self.parts.setdefault(access.step, set()).add(access)
        if access.writer is not None:
            self.parts.setdefault(access.writer.step, set()).add(access.writer.writes[access.offset])
            yield access.writer

    def _handovers(self) -> None:
        """What a step of the slice waited for and another thread brought about: a lock's release, if that thread did under it
        what is in the slice."""
        for number in sorted(one for one in self.parts if one < len(self.watched.asked)):
            for access in self.watched.asked[number].read_at_once():
                if access.writer and self.watched.thread(access.writer.step) != self.watched.thread(number):
                    lock = self.watched.scalar(access.offset)[0].rpartition(".")[0]
                    if not self._locks(lock) or self._locks(lock, self.watched.thread(access.writer.step), access.writer.step):
                        self._follow(self._read(access), VALUES)

    def _locks(self, lock: str, thread: int | None = None, before: int = 0) -> bool:
        """Whether this is a lock that a thread holds in the schedule; or this thread, in a step of the slice before another."""
        steps: Any = range(len(self.locks))
        if thread is not None:
            steps = [one for one in self.parts if one < before and self.watched.thread(one) == thread]
        return any(held.startswith(f"{lock} (") for one in steps for held in self.locks[one])
