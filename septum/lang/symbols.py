"""What the translator knows of an expression beside its kind: which place it names, so that footprints can be derived.

A symbol is written in the names of one function; footprint.py gives it a meaning for the arguments of a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from septum.lang.functions import Instance
    from septum.lang.types import Array


@dataclass(frozen=True)
class Known:
    """A constant."""

    number: int


@dataclass(frozen=True)
class World:
    """The root of the state."""


@dataclass(frozen=True)
class Current:
    """The number of the thread that runs the step."""


@dataclass(frozen=True)
class Local:
    """A parameter or a local of the function."""

    name: str


@dataclass(frozen=True)
class Field:
    """A field of the struct at `base`, and what is read there."""

    base: Symbol | None
    struct: object
    name: str
    scalar: bool


@dataclass(frozen=True)
class Element:
    """An element of the array at `base`."""

    base: Symbol | None
    array: Array
    index: Symbol | None
    scalar: bool


@dataclass(frozen=True)
class Either:
    """One of two places."""

    one: Symbol | None
    other: Symbol | None


@dataclass(frozen=True)
class Result:
    """What a call gives."""

    of: Instance
    arguments: tuple[Symbol | None, ...]


Symbol = Known | World | Current | Local | Field | Element | Either | Result
Place = Field | Element
