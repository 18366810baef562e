"""The states of a schedule, drawn: before its first step, and after each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from septum.check.result import Standing
from septum.check.trace import Replay, lock_view
from septum.explore.build import Build
from septum.host.geometry import Pfn
from septum.host.locks import Lock
from septum.kvm.machine import Machine
from septum.lang.types import scope
from septum.lang.values import Of
from septum.page.fields import Fields, Group
from septum.page.machine import Frame, Picture, Pool, RangeRow, Tree, held

Schedule = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class LockRow:
    """A lock: who holds it, for itself or with others, and who waits; of a lock of the TDX module, how many hold it."""

    place: str
    writer: tuple[str, ...]
    readers: tuple[str, ...]
    waits: tuple[str, ...]
    module: str = ""


@dataclass(frozen=True)
class Buffer:
    """The stores of a thread that the memory has yet to take, the oldest first: places and values."""

    thread: str
    stores: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scene:
    """A state: where every thread stands, the locks, what is drawn of KVM's machine (of another model nothing), all fields.

    Under x86-tso each thread has a buffer, under sc there is none.
    """

    threads: tuple[Standing, ...]
    buffers: tuple[Buffer, ...]
    locks: tuple[LockRow, ...]
    trees: tuple[Tree, ...]
    frames: tuple[Frame, ...]
    free: int
    ranges: tuple[RangeRow, ...]
    pools: tuple[Pool, ...]
    fields: tuple[Group, ...]


def scenes(build: Build, schedule: Schedule) -> list[Scene]:
    """One more than there are steps."""
    with scope(build.bindings):
        replay, painter = Replay(build), Painter(build)
        found = [painter.scene(replay)]
        for thread, choice in schedule:
            replay.step(thread, choice)
            found.append(painter.scene(replay))
        return found


class Painter:
    """Draws where a replay of a build stands; the scope of the build must be active."""

    def __init__(self, build: Build) -> None:
        self.build, self.fields = build, Fields(build.model.world, build.translation)
        self.picture = Picture(self.fields) if build.model.world is Machine else None
        self._locks = [(path, offset) for path, offset, _ in self.fields.places.structs(Lock) if "[0]" not in path]

    def scene(self, replay: Replay) -> Scene:
        """The state in which it stands."""
        world, threads = replay.engine.world(), tuple(replay.standing(number) for number in range(len(self.build.threads)))
        buffers = tuple(self._buffers(replay))
        locks, fields = tuple(self._lock_rows(world, threads)), tuple(self.fields.groups(world))
        if self.picture is None:
            return Scene(threads, buffers, locks, (), (), 0, (), (), fields)
        m, in_hand = self.fields.view(world), self._in_hand(replay)
        return Scene(
            threads, buffers, locks, tuple(self.picture.trees(m)), tuple(self.picture.frames(m, world, in_hand)),
            self.picture.free(m), tuple(self.picture.ranges(m, world)), tuple(self.picture.pools(world)), fields,
        )  # fmt: skip

    def _in_hand(self, replay: Replay) -> dict[int, str]:
        """Which local of which thread names a page, the innermost call first; one that failed has none any more."""
        found: dict[int, str] = {}
        failure = replay.engine.failure
        for number, thread in enumerate(self.build.threads):
            if failure and failure.thread == number:
                continue
            for of, frame in reversed([*replay.engine.calls(number)]):
                kinds = {one.name: one.kind for point in of.points for one in point.saved}
                for name in (name for name, kind in kinds.items() if isinstance(kind, Of) and kind.scalar is Pfn):
                    found.setdefault(int(frame.f_locals.get(name, 0)), f"{name} of {of.source.name}(), {thread.name}")
        return found

    def _buffers(self, replay: Replay) -> Iterator[Buffer]:
        queues = replay.engine.buffers.queues if replay.engine.buffers else []
        for thread, queue in zip(self.build.threads, queues, strict=False):
            stores = ((*self.fields.places.scalar(offset), value) for offset, value in queue)
            yield Buffer(thread.name, tuple((path, of.show(value)) for path, of, value in stores))

    def _lock_rows(self, world: bytes, threads: Sequence[Standing]) -> Iterator[LockRow]:
        for path, offset in self._locks:
            lock = lock_view(world, offset, self.fields.places)
            waits = tuple(one.thread for one in threads if one.waits_for.partition(",")[0] == path)
            yield LockRow(path, self._names(lock.writer), self._names(lock.readers), waits)
        for one in self.fields.try_locks:
            module = held(one.readers.value(world), bool(one.exclusive.value(world)))
            if module:
                yield LockRow(one.path, (), (), (), module)

    def _names(self, threads: int) -> tuple[str, ...]:
        return tuple(one.name for number, one in enumerate(self.build.threads) if threads >> number & 1)
