"""A world that tells who touches it: the same bytes as any other of its scope, but each read and write of a scalar is noted."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any
from weakref import WeakMethod

from septum.lang.struct import Realised, Struct, fields, realise
from septum.lang.types import Array, Scalar

Note = Callable[[int, int, bool], None]
"""Is told the address of a scalar, its size in bytes, and whether it was written."""


def noted(world: type[Struct], told: Note) -> type[Realised]:
    """The layout of a world under the current scope, whose scalars call `told`, a method, before each read and after each write.

    It is called as long as its object is kept elsewhere.
    """
    cache: dict[object, Any] = {}
    layout: type[Realised] = realise(world, cache)
    note = Noting(told)
    for of, made in cache.items():
        made.__repr__ = note.silent(made.__repr__)
        if isinstance(of, Array):
            _note_elements(of, made, note)
        else:
            for name, field in fields(of).items():  # type: ignore[arg-type]
                if isinstance(field, Scalar):
                    setattr(made, name, _NotedField(getattr(made, name), note))
    return layout


class Noting:
    """Tells `note` of what a model touches. What a message shows was not touched: that it is shown is not the model's doing.

    The method is not kept: Python's collector does not see that an array type of ctypes refers to the type of its elements, so
    what these types keep is never freed.
    """

    def __init__(self, note: Note) -> None:
        self._note, self._showing = WeakMethod(note), 0

    def __call__(self, address: int, size: int, written: bool) -> None:
        note = self._note()
        if note and not self._showing:
            note(address, size, written)

    def silent(self, shown: Callable[[Any], str]) -> Callable[[Any], str]:
        """`shown`, of whose reads nobody is told."""

        def show(one: Any) -> str:
            self._showing += 1
            try:
                return shown(one)
            finally:
                self._showing -= 1

        return show


class _NotedField:
    """A field of a struct, as a descriptor around that of ctypes."""

    def __init__(self, field: Any, note: Note) -> None:
        self._field, self._note, self.offset, self.size = field, note, field.offset, field.size

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        self._note(ctypes.addressof(instance) + self.offset, self.size, False)
        return self._field.__get__(instance, owner)

    def __set__(self, instance: Any, value: int) -> None:
        self._field.__set__(instance, value)
        self._note(ctypes.addressof(instance) + self.offset, self.size, True)


def _note_elements(of: Array, made: Any, note: Note) -> None:
    if not isinstance(of.element, Scalar):
        return
    size = of.element.bits // 8
    read, write = made.__getitem__, made.__setitem__

    def noted_read(self: Any, index: Any) -> Any:
        note(ctypes.addressof(self) + self._place(index) * size, size, False)
        return read(self, index)

    def noted_write(self: Any, index: Any, value: Any) -> None:
        write(self, index, value)
        note(ctypes.addressof(self) + self._place(index) * size, size, True)

    made.__getitem__, made.__setitem__ = noted_read, noted_write
