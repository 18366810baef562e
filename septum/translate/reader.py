"""What every part of the reader works with: the function that is read, the kinds of its locals so far, conversions between kinds.

The parts (read_*.py) are functions by the class of Python's node that they read; read.py puts them together in one table.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from septum.lang.answers import question
from septum.lang.errors import LanguageError
from septum.lang.source import Source
from septum.lang.struct import Struct
from septum.lang.types import Array, Boolean, EnumType, Index, Scalar, SetOf
from septum.lang.values import BOOL, U64, Kind, Nothing, Num, Of, Ref, is_bool, is_index, is_set, join
from septum.translate.sites import At, Site
from septum.translate.tree import Binary, Checked, Const, Convert, Expression, Function, Node, Statement, constant

written = functools.cache(ast.unparse)
"""An expression as text; Python's trees are kept as long as the program runs."""


Table = Mapping[type[ast.AST], Callable[["Reader", Any], Any]]
"""What reads each class of Python's nodes."""


@dataclass(frozen=True)
class Static:
    """An expression that stands for a Python object of the model: a module, a function, a type."""

    object: Any


@dataclass(frozen=True)
class Around:
    """What a function is read in: the world, the fields of structs under the scope, and the functions that it calls.

    `buffers`: the memory model has store buffers.
    """

    world: type[Struct]
    reference_bits: int
    measuring: bool
    buffers: bool
    fields: Callable[[Any], dict[str, object]]
    function: Callable[[Source, ast.AST, Callable[..., Any], Sequence[Expression]], Function]


@dataclass
class Reader:
    """One reading of a function. `kinds` are those of its locals so far, `fixed` those that are given; `stale`: one became wider
    that was `named` before.
    """

    around: Around
    source: Source
    table: Table
    names: frozenset[str]
    annotations: Mapping[str, object]
    is_process: bool
    kinds: dict[str, Kind]
    fixed: dict[str, Kind]
    widens: bool = False
    returns: Kind | None = None
    piece: str = ""
    pauses: int = 0
    loops: int = 0
    named: set[str] = field(default_factory=set)
    stale: bool = False

    def refuse(self, node: ast.AST, reason: str, instead: str = "") -> NoReturn:
        """LanguageError: the language does not have this."""
        self.source.refuse(node, reason, instead)

    def at(self, node: ast.AST) -> At:
        """Where a node of Python's tree stands."""
        return At(self.source.file, getattr(node, "lineno", self.source.tree.lineno), getattr(node, "col_offset", 0))

    def site(self, node: ast.AST, kind: str, message: str) -> Site:
        """A place that can fail."""
        at = self.at(node)
        return Site(kind, message, at.file, at.line, self.source.text(at.line), at.column)

    def expression(self, node: ast.expr) -> Expression | Static:
        """An expression, or the object of the model that it stands for."""
        read = self.table.get(type(node))
        if read is None:
            self.refuse(node, f"{type(node).__name__} is not in the language", "see docs/language.md for what is")
        return read(self, node)  # type: ignore[no-any-return]

    def value(self, node: ast.expr) -> Expression:
        """The value of an expression; a Static is refused."""
        found = self.expression(node)
        if isinstance(found, Static):
            self.refuse(node, f"{written(node)} is not a value of the state", "a number, an enum member or a place")
        return found

    def condition(self, node: ast.expr) -> Expression:
        """An expression as a truth value."""
        value = self.value(node)
        if not isinstance(value.kind, Num | Of):
            self.refuse(node, f"{value.kind} has no truth value", "a comparison")
        if is_bool(value.kind):
            return value
        known = constant(value)
        if known is not None and not is_index(value.kind):
            return Const(value.at, BOOL, int(known != 0))
        if isinstance(value.kind, Of) and isinstance(value.kind.scalar, Index) and not value.kind.scalar.none:
            value = plain(value)
        return Binary(value.at, BOOL, "!=", value, Const(value.at, Num(0, 0), 0))

    def number(self, node: ast.expr) -> Expression:
        """An expression as an operand of arithmetic."""
        return self.as_number(node, self.value(node))

    def as_number(self, node: ast.expr, value: Expression) -> Expression:
        """A value as an operand of arithmetic."""
        of = value.kind.scalar if isinstance(value.kind, Of) else None
        if isinstance(of, Boolean | SetOf) or (isinstance(of, Index) and not is_interchangeable(of)):
            return plain(value)
        if not isinstance(value.kind, Num):
            self.refuse(node, f"no arithmetic on {value.kind}", f"u64({written(node)}) if its number is meant")
        return value

    def block(self, body: Sequence[ast.stmt]) -> tuple[Statement, ...]:
        """The statements of a block that the scope leaves."""
        return self.table[ast.stmt](self, body)  # type: ignore[no-any-return]

    def apart(self, node: ast.AST, *values: Expression) -> None:
        """Refuses operands whose order C leaves open although one changes the state."""
        for value in values:
            if value.changes and any(other is not value and (other.changes or other.reads) for other in values):
                self.refuse(node, "a call that changes the state beside another read of it", "bind the call to a name first")

    # -- conversions

    def fitted(self, node: ast.AST, value: Expression, limit: int | Scalar, what: str) -> Expression:
        """A number with a check that it is in 0 .. limit-1, or that it is a value of a type, where that is not known."""
        certain = is_within(value.kind, limit)
        if certain:
            return value
        known = constant(value)
        if known is not None or certain is False:
            self.refuse(node, f"{value.kind if known is None else known} {what}", "a value in range")
        lo, hi = bounds(value.kind)
        most = min(hi, limit - 1) if isinstance(limit, int) else hi
        return Checked(value.at, Num(max(lo, 0), most), "fit", value, limit, self.site(node, "range", f"a value {what}"))

    def to_field(self, node: ast.AST, value: Expression, kind: Kind, of: Scalar, what: str) -> Expression:
        """A value as it is stored in a field of this type."""
        if isinstance(value.kind, Num) and value.kind.bits_of and isinstance(kind, Num) and not kind.packed:
            bits_of = value.kind.bits_of
            self.refuse(node, f"{what} would hold the bits of a {bits_of}", f"a field of type {bits_of} or of a packed type")
        if isinstance(kind, Num) and isinstance(value.kind, Num):
            return as_packed(self.fitted(node, value, of.limit, f"does not fit {what}, a {of}"), kind)
        return self.converted(node, value, kind, what)

    def converted(self, node: ast.AST, value: Expression, kind: Kind, what: str) -> Expression:
        """A value as a variable of `kind`; refuses what does not fit for certain."""
        known = constant(value)
        if value.kind == kind or (isinstance(kind, Ref) and isinstance(value.kind, Ref) and kind.to == value.kind.to):
            return value
        if known is not None and is_named_by(kind, value.kind, known):
            return Const(value.at, kind, known)
        if is_set(kind) and known == 0 and isinstance(value.kind, Num):
            return value
        if isinstance(kind, Num) and isinstance(value.kind, Num) and value.kind.lo >= 0:
            if value.kind.hi <= kind.hi:
                return value
            if kind.hi == U64:
                return self.fitted(node, value, U64 + 1, f"does not fit {what}, 64 bits")
        if isinstance(kind, Num) and isinstance(value.kind, Of):
            of = value.kind.scalar
            if isinstance(of, Boolean | EnumType) and of.limit - 1 <= kind.hi:
                return value
        advice = f"u8(...) or another type that says how it narrows: {what} is {kind}" if isinstance(kind, Num) else str(kind)
        if is_set(kind):
            advice = "only(x), the set that holds one value, or 0"
        if isinstance(kind, Of) and (isinstance(value.kind, Num) or (is_bool(kind) and is_set(value.kind))):
            advice = _instead(node, kind.scalar, known)
        self.refuse(node, f"{what} is {kind} and would get {value.kind}", advice)

    def joined(self, node: ast.AST, a: Expression, b: Expression) -> tuple[Kind, Expression, Expression]:
        """The kind of either value, and both; a constant none counts as the index type beside it."""
        if is_index(a.kind) and constant(b) is not None and not is_index(b.kind):
            return a.kind, a, Const(b.at, a.kind, constant(b) or 0)
        if is_index(b.kind) and constant(a) is not None and not is_index(a.kind):
            return b.kind, Const(a.at, b.kind, constant(a) or 0), b
        kind = join(a.kind, b.kind)
        if kind is None:
            self.refuse(node, f"{a.kind} on one path and {b.kind} on the other", "one type")
        return kind, a, b

    # -- locals

    def assigned(self, node: ast.AST, name: str, value: Expression) -> Expression:
        """A value as that of a local, whose kind it may widen."""
        if isinstance(value.kind, Nothing):
            self.refuse(node, "a call without a result is assigned", "a routine that returns on every path, or the call alone")
        if name not in self.fixed:
            if isinstance(value.kind, Num) and value.kind.lo < 0:
                said = written(node.value) if isinstance(node, ast.Assign) else "..."
                self.refuse(node, f"{name} may become negative", f"{name} = u8({said}), which checks its range")
            self._widen(node, name, value)
        return self.converted(node, value, self.kinds[name], name)

    def _widen(self, node: ast.AST, name: str, value: Expression) -> None:
        known, kind = self.kinds.get(name), value.kind
        if known and (is_index(known) or is_set(known)) and constant(value) is not None and isinstance(kind, Num):
            return
        if known and (is_index(kind) or is_set(kind)) and isinstance(known, Num) and known.hi == 0:
            known, self.stale = None, True
        joined = join(known, kind)
        if joined is None:
            self.refuse(node, f"{name} was {known} and would become {kind}", "another name")
        if isinstance(joined, Num):
            hi = U64 if self.widens and joined != known else min(joined.hi, U64)
            joined = Num(joined.lo, hi, joined.packed, joined.bits_of)
        self.stale = self.stale or (name in self.named and joined != known)
        self.kinds[name] = joined


def refuse_at(source: Source, node: Node, reason: str, instead: str = "") -> NoReturn:
    """LanguageError for a node of the typed tree."""
    raise LanguageError(source.file, node.at.line, source.text(node.at.line), reason, instead)


@question
def is_interchangeable(index: object) -> bool:
    """Whether some values of an index may be renamed."""
    return isinstance(index, Index) and index.fixed < index.limit


@question
def is_within(kind: Kind, limit: int | Scalar) -> bool | None:
    """Whether a number of this kind is in 0 .. limit-1, or a value of that type; None if it may be."""
    lo, hi = bounds(kind)
    most = (limit if isinstance(limit, int) else limit.limit) - 1
    return True if lo >= 0 and hi <= most else False if hi < 0 or lo > most else None


@question
def is_value(scalar: Scalar, number: int) -> bool:
    """Whether a number is a value of a type."""
    return 0 <= number < scalar.limit


@question
def is_named_by(kind: Kind, of: Kind, number: int) -> bool:
    """Whether a number stands for a value of an index type."""
    return isinstance(kind, Of) and isinstance(kind.scalar, Index) and not is_index(of) and 0 <= number < kind.scalar.fixed


def bounds(kind: Kind) -> tuple[int, int]:
    """The least and the greatest number of a kind."""
    if isinstance(kind, Of):
        return 0, kind.scalar.limit - 1
    assert isinstance(kind, Num)
    return kind.lo, kind.hi


def plain(value: Expression) -> Expression:
    """A truth value, a value of an index type or a set of them, as a number."""
    lo, hi = bounds(value.kind)
    if isinstance(value, Const) and is_bool(value.kind):
        return Const(value.at, Num(value.number, value.number), value.number)
    return Convert(value.at, Num(lo, hi), value)


def as_packed(value: Expression, kind: Kind) -> Expression:
    """A constant beside a packed word: one, too, so that it names what its bits say."""
    if isinstance(value, Const) and isinstance(value.kind, Num) and isinstance(kind, Num) and kind.packed:
        return Const(value.at, Num(value.number, value.number, kind.packed), value.number)
    return value


def element_type(array: Expression) -> Array | None:
    """The type of an array that a place is."""
    return array.kind.to if isinstance(array.kind, Ref) and isinstance(array.kind.to, Array) else None


def _instead(node: ast.AST, of: Scalar, known: int | None) -> str:
    """A number as a value of this type."""
    said = written(node.value) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value else "..."
    if isinstance(of, Boolean):
        return f"{said} != 0" if known is None else str(known != 0)
    if isinstance(of, EnumType):
        member = of.members._value2member_map_.get(known)
        return f"{of.name}.{member.name}" if member is not None else f"{of.name}({said})"
    if isinstance(of, SetOf):
        return "only(x), the set that holds one value, or 0"
    return f"{of.name}({said})"
