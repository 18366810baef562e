"""The types of the modelling language: unsigned integers, enums, sizes, index types, packed words and arrays.

A type is an ordinary object that stands in an annotation (`nobjs: u8`, `page: PageFrame[Pfn]`) and, called, converts
a value and checks its range. Sizes are constants of a scope: the source names them, a scope gives the numbers.
"""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from septum.lang.answers import answered, so_far
from septum.lang.errors import OutOfRange, UserError

_scopes: list[Mapping[object, object]] = []


@contextmanager
def scope(bindings: Mapping[object, object]) -> Iterator[None]:
    """Inside, every Size has the number and every Slot the struct that `bindings` gives (or else its default)."""
    _scopes.append(bindings)
    so_far.append({})
    try:
        yield
    finally:
        _scopes.pop()
        so_far.pop()


def bound(key: object, default: object) -> object:
    """What the innermost scope says of `key`."""
    said = _scopes[-1].get(key, default) if _scopes else default
    answered(key, bound, (key, default), said)
    return said


class Asked(dict[object, object]):
    """Bindings that note which sizes with a name were asked for, in that order."""

    def __init__(self, bindings: Mapping[object, object]) -> None:
        super().__init__(bindings)
        self.sizes: dict[Size, None] = {}

    def get(self, key: object, default: object = None) -> object:
        if isinstance(key, Size) and key.name.isidentifier():
            self.sizes[key] = None
        return super().get(key, default)


class Size:
    """A constant that the scope chooses: `ENTRIES = Size("ENTRIES", 2)`. In a running model it behaves as an int.

    Arithmetic outside of any scope (in an annotation, at import) stays symbolic.
    """

    def __init__(self, name: str, default: int | Callable[[], int]) -> None:
        self.name, self.default = name, default

    @property
    def value(self) -> int:
        value = bound(self, self.default)
        return operator.index(value() if callable(value) else value)  # type: ignore[arg-type]

    def __index__(self) -> int:
        return self.value

    __int__ = __index__

    def __repr__(self) -> str:
        return self.name

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return self.value != 0

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, int | Size) and self.value == operator.index(other))


def _binary(symbol: str, function: Callable[[int, int], Any]) -> None:
    def forward(self: Size, other: object) -> Any:
        return _apply(symbol, function, self, other)

    def backward(self: Size, other: object) -> Any:
        return _apply(symbol, function, other, self)

    setattr(Size, f"__{function.__name__.rstrip('_')}__", forward)
    setattr(Size, f"__r{function.__name__.rstrip('_')}__", backward)


def _apply(symbol: str, function: Callable[[int, int], Any], left: object, right: object) -> Any:
    if not isinstance(left, int | Size) or not isinstance(right, int | Size):
        return NotImplemented
    if _scopes:
        return function(operator.index(left), operator.index(right))
    return Size(f"({left} {symbol} {right})", lambda: function(operator.index(left), operator.index(right)))


def _comparison(function: Callable[[int, int], bool]) -> None:
    def compare(self: Size, other: object) -> Any:
        return function(self.value, operator.index(other)) if isinstance(other, int | Size) else NotImplemented

    setattr(Size, f"__{function.__name__}__", compare)


for _symbol, _function in (("+", operator.add), ("-", operator.sub), ("*", operator.mul), ("//", operator.floordiv),
                           ("%", operator.mod), ("<<", operator.lshift), (">>", operator.rshift), ("**", operator.pow),
                           ("&", operator.and_), ("|", operator.or_), ("^", operator.xor)):  # fmt: skip
    _binary(_symbol, _function)
for _compare in (operator.lt, operator.le, operator.gt, operator.ge):
    _comparison(_compare)


class Enum(enum.IntEnum):
    """An IntEnum whose members show their names, in messages too."""

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec)


class Type:
    """What may stand in an annotation of a field, a parameter or a local."""

    name: str

    def __getitem__(self, count: object) -> Array:
        return Array(self, count)

    def __repr__(self) -> str:
        return self.name


class Scalar(Type):
    """A type whose values are numbers 0 .. limit-1, stored in 1, 2, 4 or 8 bytes."""

    @property
    def limit(self) -> int:
        raise NotImplementedError

    @property
    def bits(self) -> int:
        return storage_bits(self.limit)

    def __call__(self, value: object) -> int:
        """`value` as a value of this type; OutOfRange if it does not fit."""
        number = operator.index(value)  # type: ignore[arg-type]
        if not 0 <= number < self.limit:
            raise OutOfRange(f"{number} does not fit {self.name} (0 .. {self.limit - 1})")
        return number

    def show(self, value: int) -> str:
        """`value` as a reader of a counterexample wants to see it."""
        return str(value)


def storage_bits(limit: int) -> int:
    """The bits of the smallest unsigned integer that holds 0 .. limit-1."""
    return next((bits for bits in (8, 16, 32) if limit <= 1 << bits), 64)


@dataclass(frozen=True, repr=False)
class Unsigned(Scalar):
    """u8, u16, u32, u64; with a Size for its width, a number that is as wide as the scope says."""

    name: str
    width: int | Size

    @property
    def limit(self) -> int:
        return 1 << operator.index(self.width)

    def show(self, value: int) -> str:
        return str(value) if value < 4096 else hex(value)


@dataclass(frozen=True, repr=False)
class Boolean(Scalar):
    """A truth value, one byte."""

    name: str = "boolean"

    @property
    def limit(self) -> int:
        return 2

    def __call__(self, value: object) -> bool:
        return bool(value)


@dataclass(frozen=True, repr=False)
class EnumType(Scalar):
    """The members of an IntEnum, in the smallest integer that holds them."""

    members: type[enum.IntEnum]

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.members.__name__

    @property
    def limit(self) -> int:
        return max(self.members) + 1

    def show(self, value: int) -> str:
        return self.members(value).name if value in self.members._value2member_map_ else str(value)


@dataclass(frozen=True, repr=False, eq=False)
class Index(Scalar):
    """The numbers of things: pages, vCPUs, VMs. An array indexed by an Index is written `Element[Pfn]`.

    With `none`, 0 means no thing. A `scalarset` has interchangeable values from `first` on: the values below are fixed,
    the others may be renamed, so a model may compare them for equality and nothing else.
    """

    name: str
    size: object
    none: bool = False
    scalarset: bool = False
    first: object = 1

    @property
    def limit(self) -> int:
        return operator.index(self.size)  # type: ignore[arg-type]

    @property
    def fixed(self) -> int:
        """How many of the lowest values are not interchangeable."""
        return operator.index(self.first) if self.scalarset else self.limit  # type: ignore[arg-type]

    def show(self, value: int) -> str:
        return "none" if self.none and value == 0 else f"{self.name.lower()} {value}"


@dataclass(frozen=True, repr=False, eq=False)
class Packed(Scalar):
    """A 64-bit word with the number of a thing in its bits low .. high-1 (0: none): a page-table entry."""

    name: str
    index: Index
    low: int
    high: int
    describe: Callable[[int], str] | None = None

    @property
    def limit(self) -> int:
        return 1 << 64

    def show(self, value: int) -> str:
        return self.describe(value) if self.describe else hex(value)


@dataclass(frozen=True, repr=False)
class SetOf(Scalar):
    """A set of values of an index type, a bit each: `Cpus = SetOf(ThreadId)`. `only(x)` is the set of x alone."""

    index: Index

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"set of {self.index.name}"

    @property
    def limit(self) -> int:
        if self.index.limit > 64:
            raise UserError(f"a {self.name} has {self.index.limit} values, and 64 have room: an array of bool instead")
        if self.index.fixed < self.index.limit:
            raise UserError(f"a {self.name}: a bit is a number, which values of a scalarset have not; an array of bool instead")
        return 1 << self.index.limit

    def show(self, value: int) -> str:
        """`{vcpuid 1, vcpuid 2}`."""
        return f"{{{', '.join(self.index.show(bit) for bit in range(value.bit_length()) if value >> bit & 1)}}}"


@dataclass(frozen=True, repr=False)
class Array(Type):
    """`element[count]`; count is a number, a Size, or the Index whose values alone may index it."""

    element: object
    count: object

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{type_name(self.element)}[{self.index.name if self.index else self.length}]"

    @property
    def index(self) -> Index | None:
        return self.count if isinstance(self.count, Index) else None

    @property
    def length(self) -> int:
        if self.index:
            return self.index.limit
        if not isinstance(self.count, int | Size) or operator.index(self.count) < 1:
            raise UserError(f"an array of {self.count} elements: a count is a positive number, a Size or an index type")
        return operator.index(self.count)


class Slot:
    """A place in a struct whose own struct a design gives: `design: VCPU_DESIGN`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def type_name(of: object) -> str:
    return of.__name__ if isinstance(of, type) else str(of)


def array(element: object, count: object) -> Array:
    """An array of any element type; for enums, which cannot be subscripted: `array(Role, 4)`."""
    return Array(element, count)


# Any, as a type checker cannot know that `u8` and `boolean[2]` are types: they are objects.
u8: Any = Unsigned("u8", 8)
u16: Any = Unsigned("u16", 16)
u32: Any = Unsigned("u32", 32)
u64: Any = Unsigned("u64", 64)
boolean: Any = Boolean()
