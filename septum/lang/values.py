"""The static types of expressions, finer than the types of fields: numbers with bounds, references, things of an index type."""

from __future__ import annotations

from dataclasses import dataclass

from septum.lang.answers import question
from septum.lang.types import Boolean, EnumType, Index, Packed, Scalar, SetOf, Unsigned, boolean, storage_bits, type_name

U64 = (1 << 64) - 1


@dataclass(frozen=True)
class Num:
    """A number between lo and hi. `packed` says that it is a whole packed word; `bits_of` that it holds bits of an index."""

    lo: int
    hi: int
    packed: Packed | None = None
    bits_of: Index | None = None

    def __str__(self) -> str:
        if self.packed:
            return self.packed.name
        return f"the number {self.lo}" if self.lo == self.hi else f"a number {self.lo} .. {self.hi}"


@dataclass(frozen=True)
class Of:
    """A truth value, a member of an enum, or a value of an index type."""

    scalar: Scalar

    def __str__(self) -> str:
        return self.scalar.name


@dataclass(frozen=True)
class Ref:
    """A place in the state: a struct or an array."""

    to: object

    def __str__(self) -> str:
        return f"a reference to {type_name(self.to)}"


@dataclass(frozen=True)
class Nothing:
    """What a routine without a result returns."""

    def __str__(self) -> str:
        return "nothing"


Kind = Num | Of | Ref | Nothing
BOOL = Of(boolean)
NOTHING = Nothing()


def kind_of(scalar: Scalar) -> Kind:
    """The kind of a value read from a place of this type."""
    if isinstance(scalar, Packed):
        return Num(0, U64, scalar, None)
    return Num(0, scalar.limit - 1) if isinstance(scalar, Unsigned) else Of(scalar)


def stored(kind: Kind) -> Kind:
    """The kind widened to what its storage holds, so that callers with different bounds share one translation."""
    if isinstance(kind, Num) and not kind.packed:
        return Num(0, (1 << storage_bits(kind.hi + 1)) - 1, None, kind.bits_of)
    return kind


def join(one: Kind | None, other: Kind) -> Kind | None:
    """The kind of a variable that may hold either; None if there is none."""
    if one is None or one == other:
        return other
    if isinstance(one, Num) and isinstance(other, Num):
        packed = one.packed or other.packed
        return Num(min(one.lo, other.lo), max(one.hi, other.hi), packed, one.bits_of or other.bits_of)
    return None


@question
def bits(kind: Kind) -> int:
    """How many bits a variable of this kind takes in a frame; references are offsets of 32."""
    if isinstance(kind, Num):
        return 64 if kind.packed else storage_bits(kind.hi + 1)
    if isinstance(kind, Of):
        return kind.scalar.bits
    return 32


def is_bool(kind: Kind) -> bool:
    return isinstance(kind, Of) and isinstance(kind.scalar, Boolean)


def is_enum(kind: Kind) -> bool:
    return isinstance(kind, Of) and isinstance(kind.scalar, EnumType)


def is_index(kind: Kind) -> bool:
    return isinstance(kind, Of) and isinstance(kind.scalar, Index)


def is_set(kind: Kind) -> bool:
    return isinstance(kind, Of) and isinstance(kind.scalar, SetOf)
