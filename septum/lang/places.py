"""Places of a world by name: what changed between two states, and which structs of a kind there are."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from septum.lang.answers import FoundAgain
from septum.lang.struct import Struct, fields, realise
from septum.lang.types import Array, Scalar


@dataclass(frozen=True)
class Difference:
    """A scalar at `path` that is `old` in one state and `new` in the other."""

    path: str
    of: Scalar
    old: int
    new: int


class Places:
    """Names the bytes of a world; `realised` is the cache of the scope in which the world was laid out."""

    def __init__(self, world: type[Struct], realised: dict[object, Any]) -> None:
        self.world, self._realised = world, realised
        self._known: dict[type[Struct], FoundAgain[dict[str, object]]] = {}

    def differences(self, before: bytes, after: bytes) -> list[Difference]:
        """Every scalar in which two worlds differ, in order of place."""
        return list(self._differences(self.world, "", 0, before, after))

    def path(self, offset: int) -> tuple[str | int, ...]:
        """The fields and indexes that lead to the scalar at `offset`."""
        of: Any = self.world
        path: tuple[str | int, ...] = ()
        while isinstance(of, Array) or (isinstance(of, type) and issubclass(of, Struct)):
            if isinstance(of, Array):
                step: str | int = offset // self.size(of.element)
                of, offset = of.element, offset % self.size(of.element)
            else:
                step, of, offset = self._field(of, offset)
            path = (*path, step)
        return path

    def scalar(self, offset: int) -> tuple[str, Scalar]:
        """The scalar at `offset`: its name, as `vm[1].mmu_lock.writer`, and its type."""
        of: Any = self.world
        for step in self.path(offset):
            of = of.element if isinstance(step, int) else self.fields(of)[step]
        shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path(offset))
        return shown.removeprefix("."), of

    def offsets(self, path: Sequence[str | int | None]) -> Iterator[int]:
        """Where the scalars lie to which these fields and indexes lead; None is any index."""
        of: Any = self.world
        start, ways = 0, list[range]()
        for step in path:
            if isinstance(step, str):
                start += getattr(realise(of, self._realised), step).offset
                of = self.fields(of)[step]
            else:
                size = self.size(of.element)
                start += size * (step or 0)
                ways += [range(0, size * of.length, size)] if step is None else []
                of = of.element
        return (start + sum(way) for way in product(*ways))

    def _field(self, struct: type[Struct], offset: int) -> tuple[str, object, int]:
        layout, types = realise(struct, self._realised), self.fields(struct)
        places = {name: getattr(layout, name) for name in types}
        name = next(name for name, place in places.items() if place.offset <= offset < place.offset + place.size)
        return name, types[name], offset - places[name].offset

    def structs(self, of: type[Struct]) -> Iterator[tuple[str, int, type[Struct]]]:
        """Path, offset and class of every struct of class `of` in the world."""
        yield from self._structs(self.world, "", 0, of)

    def fields(self, struct: type[Struct]) -> dict[str, object]:
        """Name and type of every field of a struct, which are the same as long as the scope is."""
        return self._known.setdefault(struct, FoundAgain()).get(lambda: fields(struct))

    def size(self, of: object) -> int:
        return ctypes.sizeof(realise(of, self._realised))

    def parts(self, of: object, path: str = "", offset: int = 0) -> Iterator[tuple[object, str, int]]:
        """The fields of a struct, or the elements of an array: type, path, offset."""
        if isinstance(of, Array):
            stride = self.size(of.element)
            for number in range(of.length):
                yield of.element, f"{path}[{number}]", offset + number * stride
        elif isinstance(of, type) and issubclass(of, Struct):
            layout = realise(of, self._realised)
            for name, field_type in self.fields(of).items():
                yield field_type, f"{path}.{name}" if path else name, offset + getattr(layout, name).offset

    def _differences(self, of: object, path: str, offset: int, before: bytes, after: bytes) -> Iterator[Difference]:
        end = offset + self.size(of)
        if before[offset:end] == after[offset:end]:
            return
        if isinstance(of, Scalar):
            yield Difference(path, of, int.from_bytes(before[offset:end], "little"), int.from_bytes(after[offset:end], "little"))
            return
        for part, part_path, part_offset in self.parts(of, path, offset):
            yield from self._differences(part, part_path, part_offset, before, after)

    def _structs(self, of: object, path: str, offset: int, wanted: type[Struct]) -> Iterator[tuple[str, int, type[Struct]]]:
        if isinstance(of, type) and issubclass(of, wanted):
            yield path, offset, of
        elif not isinstance(of, Scalar) and self._may_hold(of, wanted):
            for part, part_path, part_offset in self.parts(of, path, offset):
                yield from self._structs(part, part_path, part_offset, wanted)

    def _may_hold(self, of: object, wanted: type[Struct]) -> bool:
        if isinstance(of, Array):
            return self._may_hold(of.element, wanted)
        if isinstance(of, type) and issubclass(of, Struct):
            return issubclass(of, wanted) or any(self._may_hold(part, wanted) for part in self.fields(of).values())
        return False
