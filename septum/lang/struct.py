"""Structs: a class with typed fields, of which a scope makes a ctypes.Structure.

The same bytes are a Python object here and a C struct in the other engine. Every store is checked for its range, every
index for its bounds; whole structs are not assigned.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import gc
import inspect
import mmap
import operator
import re
import sys
from collections.abc import Callable
from typing import Any, ClassVar, cast

from septum.lang.errors import ModelError, OutOfRange, UserError
from septum.lang.memory import kept, loaded, stores
from septum.lang.paths import shown_path
from septum.lang.types import Array, Boolean, EnumType, Scalar, SetOf, Size, Slot, Type, boolean, bound, type_name

_UNSIGNED = {8: ctypes.c_uint8, 16: ctypes.c_uint16, 32: ctypes.c_uint32, 64: ctypes.c_uint64}


class Struct:
    """The root of every struct of a model. Subclasses only annotate fields; instances are made by `realise`."""

    def __class_getitem__(cls, count: object) -> Array:
        return Array(cls, count)


class Word(Struct):
    """A struct that the machine reads and writes as one word, as a lock: its fields are one place."""


class Ghost(Struct):
    """A struct that stands for no memory, as what a CPU may do just now: its stores are there at once, in every memory model."""


class Nothing(Struct):
    """The struct of a design that keeps no state of its own."""


def resolve(annotation: object, where: str = "") -> object:
    """The type that an annotation stands for: a Scalar, an Array or a Struct subclass."""
    if annotation is bool:
        return boolean
    if isinstance(annotation, Slot):
        return bound(annotation, Nothing)
    if isinstance(annotation, type) and issubclass(annotation, enum.IntEnum):
        return EnumType(annotation)
    if isinstance(annotation, Array):
        return Array(resolve(annotation.element, where), annotation.count)
    if isinstance(annotation, Type) or (isinstance(annotation, type) and issubclass(annotation, Struct)):
        return annotation
    place = f"{where}: " if where else ""
    raise UserError(
        f"{place}{annotation!r} is no type of the language; use u8 to u64, bool, an IntEnum, an index type or a Struct"
    )


def fields(struct: type[Struct]) -> dict[str, object]:
    """Name and type of every field, in order of declaration; UserError, with file and line, for what is no type."""
    found: dict[str, object] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, Struct):
            for name, annotation in _annotations(base).items():
                try:
                    found[name] = resolve(annotation)
                except UserError as error:
                    raise UserError(f"{_place(base, name)}: {base.__name__}.{name}: {error}") from None
    return found


def _annotations(struct: type[Struct]) -> dict[str, Any]:
    """The annotations of a class, those that are text (`x: "u8"`) read in its module."""
    untyped = [name for name, value in vars(struct).items() if _is_number(value) and not name.isupper() and name[0] != "_"]
    if untyped:
        raise UserError(
            f"{_place(struct, untyped[0])}: {struct.__name__}.{untyped[0]} has no type: write `{untyped[0]}: u8`; a number of "
            f"the class, the same for all, is written in capitals; everything starts at zero"
        )
    found: dict[str, Any] = {}
    module = sys.modules.get(struct.__module__)
    known = vars(module) if module else {}
    for name, annotation in inspect.get_annotations(struct).items():
        try:
            found[name] = eval(annotation, known, dict(vars(struct))) if isinstance(annotation, str) else annotation
        except NameError as error:
            raise UserError(f"{_place(struct, name)}: {struct.__name__}.{name}: no type is called {error.name}") from None
        except Exception as error:
            raise UserError(f"{_place(struct, name)}: {struct.__name__}.{name}: {annotation!r} is no type: {error}") from None
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | Size)


def _place(struct: type[Struct], name: str) -> str:
    """File and line of a field of a class."""
    try:
        lines, first = inspect.getsourcelines(struct)
        file = inspect.getsourcefile(struct) or struct.__module__
    except (OSError, TypeError):
        return struct.__module__
    at = next((n for n, line in enumerate(lines) if re.match(rf"\s+{re.escape(name)}\s*[:=]", line)), 0)
    return f"{shown_path(file)}:{first + at}"


def constants(struct: type[Struct]) -> dict[str, int]:
    """The numbers that a struct's class has beside its fields: the same for each of its places, and no part of a state."""
    bases = [base for base in reversed(struct.__mro__) if issubclass(base, Struct)]
    return {name: value for base in bases for name, value in vars(base).items() if isinstance(value, int) and name.isupper()}


class Realised(ctypes.Structure):
    """A struct with the sizes of a scope: memory with checked fields."""

    _struct: ClassVar[type[Struct]]
    _types: ClassVar[dict[str, object]]

    def __setattr__(self, name: str, value: Any) -> None:
        of = self._types.get(name)
        if of is None:
            raise ModelError(f"{self._struct.__name__} has no field {name}; it has {', '.join(self._types)}")
        super().__setattr__(name, _checked(of, value, f"{self._struct.__name__}.{name}"))

    def __repr__(self) -> str:
        """As a message shows it: `Pool(nobjs=2, objects=[pfn 4, none])`; of structs in it, and of their arrays, the kind."""
        shown = (f"{name}={_shown(of, getattr(self, name))}" for name, of in self._types.items())
        return f"{self._struct.__name__}({', '.join(shown)})"


class RealisedArray:
    """What every array type adds to ctypes: bounds, ranges, and no counting from the end."""

    _element: ClassVar[object]
    _length_: ClassVar[int]

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(self._place(index))  # type: ignore[misc]

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(self._place(index), _checked(self._element, value, f"[{index}]"))  # type: ignore[misc]

    def __repr__(self) -> str:
        """As a message shows it: `[0, 1, 0]`."""
        if not isinstance(self._element, Scalar):
            return f"[{self._length_} of {_kind(self._element)}]"
        return f"[{', '.join(self._element.show(int(self[index])) for index in range(self._length_))}]"

    def _place(self, index: Any) -> int:
        place = operator.index(index)
        if not 0 <= place < self._length_:
            raise OutOfRange(f"index {place} is outside of an array of {self._length_}")
        return place


def _shown(of: object, value: Any) -> str:
    """A field of a struct. A world would be thousands of lines, and whoever formats a message reads all of it."""
    if isinstance(of, Scalar):
        return of.show(int(value))
    return repr(value) if isinstance(of, Array) else f"{_kind(of)}(...)"


def _kind(of: object) -> str:
    return "array" if isinstance(of, Array) else type_name(of)


def _checked(of: object, value: Any, place: str) -> int:
    if not isinstance(of, Scalar):
        what, parts = ("array", "elements") if isinstance(of, Array) else (type_name(of), "fields")
        raise ModelError(f"{place} is a whole {what}: assign its {parts} one by one")
    try:
        number = operator.index(value)
    except TypeError:
        raise ModelError(f"{place} = {value!r} is no number, and no {of.name}") from None
    if isinstance(of, Boolean) and number not in (0, 1):
        raise OutOfRange(f"{place} = {number}: a truth value is 0 or 1")
    if not 0 <= number < (1 << of.bits if isinstance(of, EnumType) else of.limit):
        raise OutOfRange(f"{place} = {number} does not fit {of.name} (0 .. {of.limit - 1})")
    return number


def size_of(of: object) -> int:
    """The bytes of a language type with the sizes of the current scope, without their alignment, however many."""
    if isinstance(of, Scalar):
        return of.bits // 8
    return of.length * size_of(of.element) if isinstance(of, Array) else sum(map(size_of, fields(cast(Any, of)).values()))


def realise(of: object, cache: dict[object, Any]) -> Any:
    """The ctypes type of a language type with the sizes of the current scope; `cache` belongs to that scope."""
    if isinstance(of, Scalar):
        return _UNSIGNED[of.bits]
    if of not in cache:
        cache[of] = _realise_array(of, cache) if isinstance(of, Array) else _realise_struct(of, cache)
    return cache[of]


def _realise_array(of: Array, cache: dict[object, Any]) -> Any:
    base = realise(of.element, cache) * of.length
    made: Any = type(base.__name__, (RealisedArray, base), {"_element": of.element, "_type_": base._type_, "_length_": of.length})
    if isinstance(of.element, EnumType | SetOf):
        read, as_shown = RealisedArray.__getitem__, _as_shown(of.element)
        made.__getitem__ = lambda self, index: as_shown(read(self, index))
    if isinstance(of.element, Scalar) and stores():
        _buffer_elements(of.element, made)
    return made


def _realise_struct(of: Any, cache: dict[object, Any]) -> Any:
    types = fields(of)
    members = [(name, realise(field, cache)) for name, field in types.items()]
    made = type(of.__name__, (Realised,), {**constants(of), "_struct": of, "_types": types, "_fields_": members})
    for name, field in types.items():
        if isinstance(field, EnumType | SetOf):
            setattr(made, name, _ShownField(getattr(made, name), _as_shown(field)))
        if isinstance(field, Scalar) and stores():
            setattr(made, name, _BufferedField(getattr(made, name), _read_as(field)))
    return made


def _buffer_elements(of: Scalar, made: Any) -> None:
    """Under a memory model with store buffers: of an array type, that its elements are read and written through them."""
    read, write, size, read_as = made.__getitem__, made.__setitem__, of.bits // 8, _read_as(of)

    def buffered_read(self: Any, index: Any) -> Any:
        found = loaded(ctypes.addressof(self) + self._place(index) * size)
        return read(self, index) if found is None else read_as(found)

    def buffered_write(self: Any, index: Any, value: Any) -> None:
        if not kept(ctypes.addressof(self) + self._place(index) * size, _checked(of, value, f"[{index}]")):
            write(self, index, value)

    made.__getitem__, made.__setitem__ = buffered_read, buffered_write


class _BufferedField:
    """A field that is read and written through the store buffer of the thread that runs, as a descriptor around another."""

    def __init__(self, field: Any, read_as: Callable[[int], int]) -> None:
        self._field, self._read_as, self.offset, self.size = field, read_as, field.offset, field.size

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        found = loaded(ctypes.addressof(instance) + self.offset)
        return self._field.__get__(instance, owner) if found is None else self._read_as(found)

    def __set__(self, instance: Any, value: int) -> None:
        if not kept(ctypes.addressof(instance) + self.offset, value):
            self._field.__set__(instance, value)


def _read_as(of: Scalar) -> Callable[[int], int]:
    """Makes a number what a read of a place of this type gives."""
    return _as_shown(of) if isinstance(of, EnumType | SetOf) else int


class _ShownField:
    """A field that reads as a member of its enum, or as a set, so that messages show it as one."""

    def __init__(self, field: Any, as_shown: Callable[[int], int]) -> None:
        self._field, self._as_shown, self.offset, self.size = field, as_shown, field.offset, field.size

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self._as_shown(self._field.__get__(instance, owner))

    def __set__(self, instance: Any, value: int) -> None:
        self._field.__set__(instance, value)


def _as_shown(of: EnumType | SetOf) -> Callable[[int], int]:
    """Makes a number of the type what a message shows by name; whatever is calculated with it is as with the number."""
    if isinstance(of, EnumType):
        members: dict[Any, Any] = of.members._value2member_map_
        return lambda number: members.get(number, number)
    shown = type(of.name, (_Set,), {"of": of})
    return functools.cache(shown)


class _Set(int):
    """A set of values of an index type, a bit each."""

    of: ClassVar[SetOf]

    def __str__(self) -> str:
        return self.of.show(int(self))

    def __format__(self, spec: str) -> str:
        return format(int(self), spec) if spec else str(self)

    __repr__ = __str__


def allocate(realised: type[Realised], extra: int = 0) -> tuple[Any, memoryview]:
    """A zeroed struct, lazily backed however large, and a view of its bytes with `extra` bytes behind it."""
    size = max(ctypes.sizeof(realised) + extra, 1)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
    try:
        memory = mmap.mmap(-1, size, flags=flags)
    except OSError:  # of addresses, of which the collector knows nothing, a few large structs that wait for it take all
        gc.collect()
        memory = mmap.mmap(-1, size, flags=flags)
    return realised.from_buffer(memory), memoryview(memory)
