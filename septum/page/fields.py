"""The bytes of a world as a list of what can be read in it: scalars by name, locks, pools of pages."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from septum.host.geometry import Pfn
from septum.lang.places import Places
from septum.lang.struct import Struct, allocate
from septum.lang.types import Array, Index, Packed, Scalar
from septum.translate.translation import Translation

COUNTS = ("nobjs", "cnt")
"""How a pool names the number of pages in it."""

FEW = 120
"""Of a world with at most so many scalars all are shown, of a larger one those that are not zero."""


@dataclass(frozen=True)
class Field:
    """A scalar of the world: its name, its type, and where its bytes lie."""

    path: str
    of: Scalar
    offset: int
    size: int

    def value(self, world: bytes) -> int:
        return int.from_bytes(world[self.offset : self.offset + self.size], "little")

    def shown(self, world: bytes) -> str:
        return self.of.show(self.value(world))

    def page(self, world: bytes) -> int:
        """The page that it names, or 0."""
        value = self.value(world)
        return value >> self.of.low & (1 << self.of.high - self.of.low) - 1 if isinstance(self.of, Packed) else value

    @property
    def names_pages(self) -> bool:
        return self.of is Pfn or (isinstance(self.of, Packed) and self.of.index is Pfn)


@dataclass(frozen=True)
class PoolPlace:
    """A struct in which pages wait: their number, what they hold if it says so, and its slots in order."""

    path: str
    count: Field
    content: Field | None
    slots: tuple[Field, ...]


@dataclass(frozen=True)
class TryLockPlace:
    """A lock of the TDX module."""

    path: str
    readers: Field
    exclusive: Field


class Fields:
    """All of a world by name. The first element of an array whose index may be none is no thing, and is left out."""

    def __init__(self, world: type[Struct], translation: Translation) -> None:
        self.places = Places(world, translation.realised)
        self._layout = translation.layout
        self.pools: list[PoolPlace] = []
        self.try_locks: list[TryLockPlace] = []
        self.all = tuple(self._scalars(world, "", 0))
        self.naming = tuple(one for one in self.all if one.names_pages)
        self.few = len(self.all) <= FEW

    def view(self, world: bytes) -> Any:
        """A world to read as a model does; of it the routines of a model may be asked."""
        m, memory = allocate(self._layout)
        memory[:] = world[: ctypes.sizeof(self._layout)]
        return m

    def groups(self, world: bytes) -> list[Group]:
        """What is not zero, or all of a small world, by element of the arrays of the world."""
        found: dict[str, list[tuple[str, str]]] = {}
        for one in self.all:
            if self.few or one.value(world):
                head, rest = _split(one.path)
                found.setdefault(head, []).append((rest, one.shown(world)))
        return [Group(head, tuple(cells)) for head, cells in found.items()]

    def _scalars(self, of: object, path: str, offset: int) -> Iterator[Field]:
        if isinstance(of, Scalar):
            yield Field(path, of, offset, of.bits // 8)
            return
        parts = list(self.places.parts(of, path, offset))
        if isinstance(of, Array) and isinstance(of.count, Index) and of.count.none:
            parts = parts[1:]
        elif not isinstance(of, Array):
            self._note(cast(type[Struct], of), path, {part.rpartition(".")[2]: (kind, part, at) for kind, part, at in parts})
        for part, part_path, part_offset in parts:
            yield from self._scalars(part, part_path, part_offset)

    def _note(self, of: type[Struct], path: str, parts: dict[str, tuple[Any, str, int]]) -> None:
        """Notes a struct that is a pool or a lock of the module, by its fields."""

        def field(name: str) -> Field:
            kind, at, offset = parts[name]
            return Field(at, kind, offset, kind.bits // 8)

        if {"readers", "exclusive"} <= parts.keys():
            self.try_locks.append(TryLockPlace(path, field("readers"), field("exclusive")))
        count = next((name for name in COUNTS if name in parts), None)
        pages = next((name for name, (kind, _, _) in parts.items() if isinstance(kind, Array) and kind.element is Pfn), None)
        if count and pages:
            kind, at, offset = parts[pages]
            slots = tuple(Field(place, Pfn, where, Pfn.bits // 8) for _, place, where in self.places.parts(kind, at, offset))
            self.pools.append(PoolPlace(path, field(count), field("content") if "content" in parts else None, slots))


@dataclass(frozen=True)
class Group:
    """An element or a field of the world, and what of it there is to say: names and values."""

    name: str
    cells: tuple[tuple[str, str], ...]


def _split(path: str) -> tuple[str, str]:
    """`vm[1].mmu_lock.writer` as `vm[1]` and `mmu_lock.writer`; `taken[0]` as `taken` and `[0]`; `nobjs` alone."""
    head, dot, rest = path.partition(".")
    if dot:
        return head, rest
    name, bracket, index = path.partition("[")
    return name, bracket + index
