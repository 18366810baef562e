"""Expressions: their kind, and the C that computes the same value as Python does.

Every operator is computed in a C type wide enough for its result, so that nothing wraps; what Python would do
differently is refused. Routine calls that change the state must not share an expression with other reads of it, since
C leaves their order open.
"""

from __future__ import annotations

import ast
import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from septum.lang.source import MISSING, Source
from septum.lang.struct import Word, constants
from septum.lang.symbols import Either, Element, Field, Known, Local, Place, Symbol, World
from septum.lang.types import Array, EnumType, Index, Scalar, SetOf, Size, type_name
from septum.lang.values import BOOL, U64, Kind, Num, Of, Ref, is_bool, is_index, join, kind_of

if TYPE_CHECKING:
    from septum.lang.translate import Translation


@dataclass(frozen=True)
class Value:
    """An expression: its kind, its C, its constant value if it has one, whether it reads or changes the state, what it names."""

    kind: Kind
    code: str
    constant: int | None = None
    reads: bool = False
    changes: bool = False
    symbol: Symbol | None = None


@dataclass(frozen=True)
class Distinction:
    """Where a function tells the values of an index type apart, or (None) threads by their number: they are not alike for it."""

    index: Index | None
    file: str
    line: int
    why: str


@dataclass(frozen=True)
class Static:
    """An expression that stands for a Python object of the model: a module, a function, a type."""

    object: Any


def c_type(lo: int, hi: int) -> str:
    """The C type in which a number between lo and hi is computed."""
    if lo >= -(1 << 63) and hi < 1 << 63:
        return "int64_t"
    return "uint64_t" if lo >= 0 and hi <= U64 else "__int128"


def literal(number: int) -> str:
    """A C constant."""
    if -(1 << 31) < number < 1 << 31:
        return str(number)
    if 0 <= number <= U64:
        return f"{number:#x}ull"
    if -(1 << 63) < number < 0:
        return f"((int64_t){number})"
    return f"((__int128)({number >> 64}) * ((__int128)1 << 64) + {number & U64:#x}ull)"


def number(value: int) -> Value:
    return Value(Num(value, value), literal(value), value, symbol=Known(value))


def _constant(kind: Kind, value: int) -> Value:
    return Value(kind, str(value), value, symbol=Known(value))


def is_interchangeable(index: Scalar) -> bool:
    """Whether some values of an index may be renamed."""
    return isinstance(index, Index) and index.fixed < index.limit


class Expressions:
    """Translates the expressions of one function; `kinds` are the kinds of its locals as known so far.

    `places` collects the scalars of the state that it reads or writes, by the expression that names them.
    """

    source: Source
    unit: Translation
    kinds: dict[str, Kind]
    places: dict[ast.AST, Place]
    distinctions: list[Distinction]

    def tells_apart(self, node: ast.AST, index: Index | None, why: str) -> None:
        """Notes that the values of an index type are not alike for this function."""
        line = getattr(node, "lineno", self.source.tree.lineno)
        self.distinctions.append(Distinction(index, self.source.file, line, why))

    def names_constant(self, node: ast.AST, kind: Kind, constant: int) -> None:
        """A constant as a value of an index type: all may name the one that means none."""
        if isinstance(kind, Of) and isinstance(kind.scalar, Index) and not (constant == 0 and kind.scalar.none):
            self.tells_apart(node, kind.scalar, f"{constant} is named")
        if (
            isinstance(kind, Num)
            and kind.packed
            and constant >> kind.packed.low & ((1 << kind.packed.high - kind.packed.low) - 1)
        ):
            self.tells_apart(node, kind.packed.index, f"{constant:#x} names one")

    def as_number(self, node: ast.AST, value: Value) -> None:
        """A value of an index type, or a set of them, is used as a number."""
        if (
            isinstance(value.kind, Of)
            and isinstance(value.kind.scalar, Index | SetOf)
            and not is_interchangeable(value.kind.scalar)
        ):
            of = value.kind.scalar
            self.tells_apart(node, of.index if isinstance(of, SetOf) else of, f"a {of} is used as a number")

    def value(self, node: ast.expr) -> Value:
        """The value of an expression; a Static is refused."""
        found = self.expression(node)
        if isinstance(found, Static):
            self.source.refuse(node, f"{ast.unparse(node)} is not a value of the state", "a number, an enum member or a place")
        return found

    def condition(self, node: ast.expr) -> Value:
        """An expression as a C truth value."""
        value = self.value(node)
        if not isinstance(value.kind, Num | Of):
            self.source.refuse(node, f"{value.kind} has no truth value", "a comparison")
        if is_bool(value.kind):
            return value
        if is_index(value.kind) and not value.kind.scalar.none:  # type: ignore[union-attr]
            self.as_number(node, value)
        constant = None if value.constant is None else int(value.constant != 0)
        return replace(value, kind=BOOL, code=f"({value.code} != 0)", constant=constant, symbol=None)

    def expression(self, node: ast.expr) -> Value | Static:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            self.source.refuse(node, f"{type(node).__name__} is not in the language", "see docs/language.md for what is")
        return method(node)  # type: ignore[no-any-return]

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, bool):
            return _constant(BOOL, int(node.value))
        if isinstance(node.value, int):
            return number(node.value)
        self.source.refuse(
            node, f"{node.value!r} is no number", "a number, a truth value or an enum member (0 is none for pages)"
        )

    def _name(self, node: ast.Name) -> Value | Static:
        if node.id in self.kinds:
            return self._local(node.id)
        if self.is_local(node.id):
            self.source.refuse(node, f"{node.id} is read before anything is assigned to it", f"{node.id} = ... before")
        found = self.source.lookup(node.id)
        if found is MISSING:
            self.source.refuse(node, f"{node.id} is not defined", "a local, a parameter or a constant of the module")
        return self.static(node, found)

    def is_local(self, name: str) -> bool:
        raise NotImplementedError

    def _local(self, name: str) -> Value:
        kind = self.kinds[name]
        if isinstance(kind, Ref):
            is_world = kind.to is self.unit.world
            return Value(kind, "(*w)" if is_world else f"(*v_{name})", symbol=World() if is_world else Local(name))
        return Value(kind, f"v_{name}", symbol=Local(name))

    def static(self, node: ast.expr, found: object) -> Value | Static:
        """A Python object as a value if it is a constant."""
        if isinstance(found, enum.IntEnum):
            return _constant(Of(EnumType(type(found))), int(found))
        if isinstance(found, bool):
            return _constant(BOOL, int(found))
        if isinstance(found, int | Size):
            return number(int(found))
        if isinstance(found, float | str | bytes | list | dict | set | tuple):
            self.source.refuse(node, f"{ast.unparse(node)} is a {type(found).__name__}", "a number, an enum member or a Size")
        return Static(found)

    def _attribute(self, node: ast.Attribute) -> Value | Static:
        base = self.expression(node.value)
        if isinstance(base, Static):
            try:
                return self.static(node, getattr(base.object, node.attr))
            except AttributeError as error:
                self.source.refuse(node, str(error), "a name that is there")
        if not isinstance(base.kind, Ref) or isinstance(base.kind.to, Array):
            self.source.refuse(node, f"{base.kind} has no fields", "a struct")
        types = self.unit.fields(base.kind.to)
        if node.attr not in types and isinstance(base.kind.to, type) and node.attr in constants(base.kind.to):
            return number(constants(base.kind.to)[node.attr])
        if node.attr not in types:
            self.source.refuse(node, f"{type_name(base.kind.to)} has no field {node.attr}", f"one of {', '.join(types)}")
        of = types[node.attr]
        place = Field(base.symbol, base.kind.to, node.attr, isinstance(of, Scalar))
        word = base.code if isinstance(base.kind.to, type) and issubclass(base.kind.to, Word) else f"{base.code}.{node.attr}"
        return self._place(node, of, f"{base.code}.{node.attr}", word, place, base)

    def _place(self, node: ast.expr, of: object, code: str, word: str, place: Place, *inside: Value) -> Value:
        changes = any(value.changes for value in inside)
        if isinstance(of, Scalar):
            self.places[node] = place
            return Value(
                kind_of(of),
                f"READ({code}, {word}, {self.unit.name(self.source, node)})",
                reads=True,
                changes=changes,
                symbol=place,
            )
        return Value(Ref(of), code, changes=changes, reads=any(value.reads for value in inside), symbol=place)

    def _subscript(self, node: ast.Subscript) -> Value | Static:
        base = self.expression(node.value)
        if isinstance(base, Static):
            self.source.refuse(node, "only arrays of the state are indexed", "an array field")
        if not isinstance(base.kind, Ref) or not isinstance(base.kind.to, Array):
            self.source.refuse(node, f"{base.kind} cannot be indexed", "an array")
        of, place = base.kind.to, self.value(node.slice)
        self.apart(node, base, place)
        element = Element(base.symbol, of, place.symbol, isinstance(of.element, Scalar))
        code = f"{base.code}.at[{self._bounded(node, of, place)}]"
        return self._place(node, of.element, code, code, element, base, place)

    def _bounded(self, node: ast.Subscript, of: Array, place: Value) -> str:
        if of.index:
            if is_index(place.kind) and place.kind.scalar is of.index:  # type: ignore[union-attr]
                return place.code
            if place.constant is None or not 0 <= place.constant < of.index.fixed:
                self.source.refuse(
                    node, f"{of} is indexed by {of.index}, not by {place.kind}", f"{of.index}({ast.unparse(node.slice)})"
                )
            self.names_constant(node, Of(of.index), place.constant)
            return place.code
        if isinstance(place.kind, Num) and place.kind.lo >= 0 and place.kind.hi < of.length:
            return place.code
        if not isinstance(place.kind, Num | Of) or (is_index(place.kind) and place.kind.scalar.fixed < place.kind.scalar.limit):  # type: ignore[union-attr]
            self.source.refuse(node, f"{of} cannot be indexed by {place.kind}", "a number")
        self.as_number(node, place)
        if is_index(place.kind) and place.kind.scalar.limit <= of.length:  # type: ignore[union-attr]
            return place.code
        if place.constant is not None or (isinstance(place.kind, Num) and (place.kind.hi < 0 or place.kind.lo >= of.length)):
            self.source.refuse(node, f"the index {ast.unparse(node.slice)} is outside of {of}", f"0 .. {of.length - 1}")
        site = self.unit.site(self.source, node, "index", f"the index is outside of {of}")
        return f"bounded(c, {place.code}, {of.length}, {site})"

    def _ifexp(self, node: ast.IfExp) -> Value:
        test, a, b = self.condition(node.test), self.value(node.body), self.value(node.orelse)
        kind = self.joined(node, a, b)
        if test.constant is not None:
            return replace(a if test.constant else b, kind=kind)
        if isinstance(kind, Ref):
            return Value(
                kind,
                f"(*({test.code} ? &{a.code} : &{b.code}))",
                reads=test.reads,
                changes=test.changes or a.changes or b.changes,
                symbol=Either(a.symbol, b.symbol),
            )
        code = f"({test.code} ? {a.code} : {b.code})"
        if isinstance(kind, Num):
            of = c_type(kind.lo, kind.hi)
            code = f"({test.code} ? ({of})({a.code}) : ({of})({b.code}))"
        return Value(kind, code, reads=test.reads or a.reads or b.reads, changes=test.changes or a.changes or b.changes)

    def joined(self, node: ast.AST, a: Value, b: Value) -> Kind:
        """The kind of either value; a constant none counts as the index type beside it."""
        for one, other in ((a, b), (b, a)):
            if is_index(one.kind) and other.constant is not None and not is_index(other.kind):
                self.names_constant(node, one.kind, other.constant)
                return one.kind
        kind = join(a.kind, b.kind)
        if kind is None:
            self.source.refuse(node, f"{a.kind} on one path and {b.kind} on the other", "one type")
        return kind

    def _tuple(self, node: ast.Tuple) -> Value:
        self.source.refuse(node, "a tuple is no value of the language", "one name at a time")

    def _joinedstr(self, node: ast.JoinedStr) -> Value:
        self.source.refuse(node, "text is no value of the language", "text only as the message of an assert, warn_on or bug_on")

    def _yield(self, node: ast.Yield) -> Value:
        self.source.refuse(node, "a yield may not stand inside an expression", "x = yield ... on a line of its own")

    def _yieldfrom(self, node: ast.YieldFrom) -> Value:
        self.source.refuse(node, "a yield from may not stand inside an expression", "x = yield from ... on a line of its own")

    def _lambda(self, node: ast.Lambda) -> Value:
        self.source.refuse(node, "a lambda may stand only in when() and choose()", "a routine")

    def apart(self, node: ast.AST, *values: Value) -> None:
        """Refuses operands whose order C leaves open although one changes the state."""
        for value in values:
            if value.changes and any(other is not value and (other.changes or other.reads) for other in values):
                self.source.refuse(
                    node, "a call that changes the state beside another read of it", "bind the call to a name first"
                )
