"""Where a process can stand between two steps, and what of it is then part of the state: what one who runs it needs to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from septum.lang.source import Source
from septum.lang.struct import Realised
from septum.lang.values import Kind


@dataclass(frozen=True)
class Saved:
    """A live local in the frame of a yield: `bits` at `offset`."""

    name: str
    kind: Kind
    offset: int
    bits: int


@dataclass(frozen=True, eq=False)
class Point:
    """A yield, by its number from 1 and its place in the source; its frame is `saved`, up to `end`, and then that of `inner`."""

    number: int
    line: int
    column: int
    saved: tuple[Saved, ...]
    end: int
    inner: Frames | None


@dataclass(frozen=True, eq=False)
class Frames:
    """A process: its parameters, and its yields in order."""

    source: Source
    parameters: dict[str, Kind]
    points: tuple[Point, ...]

    @property
    def size(self) -> int:
        """Bytes of the largest frame, with those of the processes called."""
        return max((point.end + (point.inner.size if point.inner else 0) for point in self.points), default=1)


class States(Protocol):
    """How the states of a model are laid out, in bytes: the world, a frame for each thread, at `buffers` one for its `stores`."""

    layout: type[Realised]
    world_size: int
    frame_size: int
    state_size: int
    stores: int
    buffers: int

    def frames(self, process: Callable[..., Any], arguments: int) -> Frames:
        """Those of a process that a thread calls with so many numbers."""
