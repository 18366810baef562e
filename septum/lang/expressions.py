"""Expressions: their kind, and the C that computes the same value as Python does.

Every operator is computed in a C type wide enough for its result, so that nothing wraps; what Python would do
differently is refused. Routine calls that change the state must not share an expression with other reads of it, since
C leaves their order open.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from septum.lang import processes
from septum.lang.source import MISSING, Source
from septum.lang.struct import resolve
from septum.lang.types import Array, Boolean, EnumType, Index, Scalar, Size, type_name, u8
from septum.lang.values import BOOL, NOTHING, U64, Kind, Nothing, Num, Of, Ref, is_bool, is_enum, is_index, join, kind_of

if TYPE_CHECKING:
    from septum.lang.functions import Instance
    from septum.lang.translate import Translation


@dataclass(frozen=True)
class Value:
    """An expression: its kind, its C, its constant value if it has one, and whether it reads or changes the state."""

    kind: Kind
    code: str
    constant: int | None = None
    reads: bool = False
    changes: bool = False


@dataclass(frozen=True)
class Static:
    """An expression that stands for a Python object of the model: a module, a function, a type."""

    object: Any


ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[int, int], int]]] = {
    ast.Add: ("+", lambda a, b: a + b), ast.Sub: ("-", lambda a, b: a - b), ast.Mult: ("*", lambda a, b: a * b),
    ast.FloorDiv: ("/", lambda a, b: a // b), ast.Mod: ("%", lambda a, b: a % b),
    ast.BitAnd: ("&", lambda a, b: a & b), ast.BitOr: ("|", lambda a, b: a | b), ast.BitXor: ("^", lambda a, b: a ^ b),
    ast.LShift: ("<<", lambda a, b: a << b), ast.RShift: (">>", lambda a, b: a >> b),
}  # fmt: skip
COMPARISON: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip


def c_type(lo: int, hi: int) -> str:
    """The C type in which a number between lo and hi is computed."""
    if lo >= -(1 << 63) and hi < 1 << 63:
        return "int64_t"
    return "uint64_t" if lo >= 0 and hi <= U64 else "__int128"


def literal(number: int) -> str:
    """A C constant."""
    if -(1 << 31) < number < 1 << 31:
        return str(number)
    return f"{number:#x}u" + "ll" if 0 <= number <= U64 else f"(({c_type(number, number)}){number})"


def number(value: int) -> Value:
    return Value(Num(value, value), literal(value), value)


class Expressions:
    """Translates the expressions of one function; `kinds` are the kinds of its locals as known so far."""

    source: Source
    unit: Translation
    kinds: dict[str, Kind]

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
        return value if is_bool(value.kind) else replace(value, kind=BOOL, code=f"({value.code} != 0)", constant=None)

    def expression(self, node: ast.expr) -> Value | Static:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            self.source.refuse(node, f"{type(node).__name__} is not in the language", "see docs/language.md for what is")
        return method(node)  # type: ignore[no-any-return]

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, bool):
            return Value(BOOL, str(int(node.value)), int(node.value))
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
            return Value(kind, "(*w)" if kind.to is self.unit.world else f"(*v_{name})")
        return Value(kind, f"v_{name}")

    def static(self, node: ast.expr, found: object) -> Value | Static:
        """A Python object as a value if it is a constant."""
        if isinstance(found, enum.IntEnum):
            return Value(Of(EnumType(type(found))), str(int(found)), int(found))
        if isinstance(found, bool):
            return Value(BOOL, str(int(found)), int(found))
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
        if node.attr not in types:
            self.source.refuse(node, f"{type_name(base.kind.to)} has no field {node.attr}", f"one of {', '.join(types)}")
        return self._place(types[node.attr], f"{base.code}.{node.attr}", base)

    def _place(self, of: object, code: str, *inside: Value) -> Value:
        changes = any(value.changes for value in inside)
        if isinstance(of, Scalar):
            return Value(kind_of(of), code, reads=True, changes=changes)
        return Value(Ref(of), code, changes=changes, reads=any(value.reads for value in inside))

    def _subscript(self, node: ast.Subscript) -> Value | Static:
        base = self.expression(node.value)
        if isinstance(base, Static):
            self.source.refuse(node, "only arrays of the state are indexed", "an array field")
        if not isinstance(base.kind, Ref) or not isinstance(base.kind.to, Array):
            self.source.refuse(node, f"{base.kind} cannot be indexed", "an array")
        of, place = base.kind.to, self.value(node.slice)
        self.apart(node, base, place)
        return self._place(of.element, f"{base.code}.at[{self._bounded(node, of, place)}]", base, place)

    def _bounded(self, node: ast.Subscript, of: Array, place: Value) -> str:
        if of.index:
            if is_index(place.kind) and place.kind.scalar is of.index:  # type: ignore[union-attr]
                return place.code
            if place.constant is None or not 0 <= place.constant < of.index.fixed:
                self.source.refuse(
                    node, f"{of} is indexed by {of.index}, not by {place.kind}", f"{of.index}({ast.unparse(node.slice)})"
                )
            return place.code
        if isinstance(place.kind, Num) and place.kind.lo >= 0 and place.kind.hi < of.length:
            return place.code
        if not isinstance(place.kind, Num | Of) or (is_index(place.kind) and place.kind.scalar.fixed < place.kind.scalar.limit):  # type: ignore[union-attr]
            self.source.refuse(node, f"{of} cannot be indexed by {place.kind}", "a number")
        if is_index(place.kind) and place.kind.scalar.limit <= of.length:  # type: ignore[union-attr]
            return place.code
        if place.constant is not None or (isinstance(place.kind, Num) and (place.kind.hi < 0 or place.kind.lo >= of.length)):
            self.source.refuse(node, f"the index {ast.unparse(node.slice)} is outside of {of}", f"0 .. {of.length - 1}")
        return f"bounded(c, {place.code}, {of.length}, {self.unit.site(self.source, node, 'index', f'the index is outside of {of}')})"

    def _binop(self, node: ast.BinOp) -> Value:
        if type(node.op) not in ARITHMETIC:
            self.source.refuse(node, f"the operator {type(node.op).__name__} is not in the language", "// for division")
        left, right = self._operand(node.left), self._operand(node.right)
        self.apart(node, left, right)
        symbol, compute = ARITHMETIC[type(node.op)]
        a, b = left.kind, right.kind
        assert isinstance(a, Num) and isinstance(b, Num)
        if left.constant is not None and right.constant is not None:
            if isinstance(node.op, ast.LShift | ast.RShift) and not 0 <= right.constant <= 64:
                self.source.refuse(node, f"a shift by {right.constant}", "a shift by 0 to 64")
            if isinstance(node.op, ast.FloorDiv | ast.Mod) and right.constant == 0:
                self.source.refuse(node, "division by zero")
            return number(compute(left.constant, right.constant))
        if isinstance(node.op, ast.LShift | ast.RShift) and not 0 <= b.lo <= b.hi <= 63:
            if b.hi > 63 and (isinstance(node.op, ast.LShift) or a.hi > U64):
                self.source.refuse(node, f"a shift by up to {b.hi} may need more than 64 bits", "a narrower count, or a mask")
            site = self.unit.site(self.source, node, "range", "a shift by less than 0")
            b = Num(max(b.lo, 0), min(b.hi, 64))
            right = replace(right, kind=b, code=f"shift_count(c, (__int128)({right.code}), {site})")
        kind = self._bounds(node, a, b, compute, right.constant, left.constant)
        code = self._compute(node, symbol, left, right, kind)
        return Value(kind, code, reads=left.reads or right.reads, changes=left.changes or right.changes)

    def _operand(self, node: ast.expr) -> Value:
        value = self.value(node)
        if is_bool(value.kind):
            return replace(value, kind=Num(0, 1))
        if (
            isinstance(value.kind, Of)
            and isinstance(value.kind.scalar, Index)
            and value.kind.scalar.fixed == value.kind.scalar.limit
        ):
            return replace(value, kind=Num(0, value.kind.scalar.limit - 1))
        if not isinstance(value.kind, Num):
            self.source.refuse(node, f"no arithmetic on {value.kind}", f"u64({ast.unparse(node)}) if its number is meant")
        return value

    def _bounds(
        self, node: ast.BinOp, a: Num, b: Num, compute: Callable[[int, int], int], right: int | None, left: int | None
    ) -> Num:
        operator, about = node.op, self._bits_left(node.op, a, b, left, right)
        if isinstance(operator, ast.BitAnd | ast.BitOr | ast.BitXor):
            for value, constant in ((a, left), (b, right)):
                if value.lo < 0 and (constant is None or not isinstance(operator, ast.BitAnd)):
                    self.source.refuse(node, "bits of a number that may be negative", "an unsigned number")
            if isinstance(operator, ast.BitAnd):
                return Num(0, min(value.hi for value in (a, b) if value.lo >= 0), bits_of=about)
            return Num(0, (1 << max(a.hi.bit_length(), b.hi.bit_length())) - 1, bits_of=about)
        if isinstance(operator, ast.FloorDiv | ast.Mod | ast.LShift | ast.RShift) and (a.lo < 0 or b.lo < 0):
            self.source.refuse(node, "this operator on a number that may be negative differs in C", "unsigned numbers")
        if isinstance(operator, ast.FloorDiv):
            return Num(0, a.hi // max(b.lo, 1), bits_of=about)
        if isinstance(operator, ast.Mod):
            return Num(0, min(a.hi, max(b.hi - 1, 0)), bits_of=about)
        corners = [compute(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
        if max(corners) >= 1 << 100 or min(corners) < -(1 << 100):
            self.source.refuse(node, "the result may need more than 100 bits", "narrow the operands: u32(...)")
        return Num(min(corners), max(corners), bits_of=about)

    def _bits_left(self, operator: ast.operator, a: Num, b: Num, left: int | None, right: int | None) -> Index | None:
        """The index whose bits the result still holds: masks that leave none of them end it."""
        for value, mask in ((a, right), (b, left)):
            if isinstance(operator, ast.BitAnd) and mask is not None and value.packed:
                window = (1 << value.packed.high) - (1 << value.packed.low)
                return value.packed.index if mask & window else None
        about = [value.bits_of or (value.packed.index if value.packed else None) for value in (a, b)]
        return next((index for index in about if index), None)

    def _compute(self, node: ast.BinOp, symbol: str, left: Value, right: Value, kind: Num) -> str:
        assert isinstance(left.kind, Num) and isinstance(right.kind, Num)
        of = c_type(min(left.kind.lo, right.kind.lo, kind.lo), max(left.kind.hi, right.kind.hi, kind.hi))
        if isinstance(node.op, ast.BitAnd) and min(left.kind.lo, right.kind.lo) < 0:
            of = "uint64_t"
        if isinstance(node.op, ast.RShift) and right.kind.hi > 63:
            return f"shifted_right((uint64_t)({left.code}), (uint64_t)({right.code}))"
        if isinstance(node.op, ast.FloorDiv | ast.Mod) and right.kind.lo <= 0:
            site = self.unit.site(self.source, node, "division", "division by zero")
            return f"(({of})({left.code}) {symbol} ({of})nonzero(c, (uint64_t)({right.code}), {site}))"
        return f"(({of})({left.code}) {symbol} ({of})({right.code}))"

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            value = self.condition(node.operand)
            return replace(value, code=f"(!{value.code})", constant=None if value.constant is None else 1 - value.constant)
        value = self._operand(node.operand)
        if value.constant is None:
            self.source.refuse(node, f"{ast.unparse(node)} is negative in Python", "x & ~MASK with a constant mask, or b - a")
        return number(-value.constant if isinstance(node.op, ast.USub) else ~value.constant)

    def _boolop(self, node: ast.BoolOp) -> Value:
        parts = [self.condition(part) for part in node.values]
        symbol = " && " if isinstance(node.op, ast.And) else " || "
        code = "(" + symbol.join(part.code for part in parts) + ")"
        return Value(BOOL, code, reads=any(part.reads for part in parts), changes=any(part.changes for part in parts))

    def _compare(self, node: ast.Compare) -> Value:
        operands = [node.left, *node.comparators]
        if len(node.ops) > 1 and any(isinstance(operand, ast.Call) for operand in operands[1:-1]):
            self.source.refuse(node, "a call in the middle of a chained comparison", "two comparisons joined by and")
        pairs = [self._comparison(node, *pair) for pair in zip(node.ops, operands, operands[1:], strict=False)]
        if len(pairs) == 1:
            return pairs[0]
        code = "(" + " && ".join(pair.code for pair in pairs) + ")"
        return Value(BOOL, code, reads=any(p.reads for p in pairs), changes=any(p.changes for p in pairs))

    def _comparison(self, node: ast.Compare, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> Value:
        if isinstance(operator, ast.In | ast.NotIn):
            return self._membership(node, operator, left, right)
        if type(operator) not in COMPARISON:
            self.source.refuse(node, f"{type(operator).__name__} compares objects", "== or !=")
        a, b = self.value(left), self.value(right)
        self.apart(node, a, b)
        self._comparable(node, operator, a, b)
        code_a, code_b = a.code, b.code
        if isinstance(a.kind, Ref):
            code_a, code_b = f"&{a.code}", f"&{b.code}"
        elif isinstance(a.kind, Num) and isinstance(b.kind, Num):
            of = c_type(min(a.kind.lo, b.kind.lo), max(a.kind.hi, b.kind.hi))
            code_a, code_b = f"({of})({a.code})", f"({of})({b.code})"
        return Value(
            BOOL, f"({code_a} {COMPARISON[type(operator)]} {code_b})", reads=a.reads or b.reads, changes=a.changes or b.changes
        )

    def _comparable(self, node: ast.Compare, operator: ast.cmpop, a: Value, b: Value) -> None:
        equality = isinstance(operator, ast.Eq | ast.NotEq)
        for one, other in ((a, b), (b, a)):
            if isinstance(one.kind, Of) and isinstance(one.kind.scalar, Index):
                index = one.kind.scalar
                if index.fixed < index.limit and not equality:
                    self.source.refuse(node, f"the values of {index} have no order", "== or !=")
                if other.constant is not None and not is_index(other.kind) and 0 <= other.constant < index.fixed:
                    return
                if index.fixed == index.limit and isinstance(other.kind, Num):
                    return
            if isinstance(one.kind, Num) and is_bool(other.kind):
                return
            if isinstance(one.kind, Num) and is_enum(other.kind) and one.constant is not None:
                return
            if isinstance(one.kind, Num) and (one.kind.bits_of or one.kind.packed) and not equality:
                self.source.refuse(
                    node, f"{ast.unparse(node)} orders words that hold a page number", "== or !=, or mask the bits first"
                )
        if type(a.kind) is not type(b.kind) or (isinstance(a.kind, Of | Ref) and a.kind != b.kind) or isinstance(a.kind, Nothing):
            self.source.refuse(node, f"{a.kind} is compared with {b.kind}", "two values of one type")
        if not equality and not isinstance(a.kind, Num) and not is_enum(a.kind) and not is_index(a.kind):
            self.source.refuse(node, f"{a.kind} has no order", "== or !=")

    def _membership(self, node: ast.Compare, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> Value:
        if not isinstance(right, ast.Tuple):
            self.source.refuse(node, "`in` wants a tuple written out", "x in (A, B)")
        if self.value(left).changes:
            self.source.refuse(node, "`in` of a call that changes the state", "bind it to a name first")
        each = [self._comparison(node, ast.Eq(), left, member) for member in right.elts]
        code = "(" + " || ".join(value.code for value in each) + ")"
        code = f"(!{code})" if isinstance(operator, ast.NotIn) else code
        return Value(BOOL, code, reads=any(value.reads for value in each))

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

    def _call(self, node: ast.Call) -> Value:
        found = self.expression(node.func)
        if not isinstance(found, Static):
            self.source.refuse(node, f"{ast.unparse(node.func)} is not a function", "a routine of the model")
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            self.source.refuse(node, "keyword and starred arguments are not in the language", "plain arguments in order")
        target = found.object
        if target in BUILTINS:
            return BUILTINS[target](self, node)
        if isinstance(target, Scalar) or (isinstance(target, type) and issubclass(target, enum.IntEnum | bool)):
            return self._cast(node, target)
        return self._routine(node, target)

    def _routine(self, node: ast.Call, target: Any) -> Value:
        if processes.is_process(target):
            self.source.refuse(node, f"{target.__name__} is a process", f"yield from {ast.unparse(node)}")
        if not callable(target) or not hasattr(target, "__code__"):
            self.source.refuse(node, f"{ast.unparse(node.func)} cannot be called in a model", "a routine of the model")
        arguments = self.arguments(node)
        callee = self.unit.instance(self.source, node, target, arguments)
        changes = callee.changes or any(argument.changes for argument in arguments)
        code = callee.invoke(arguments)
        if isinstance(callee.returns, Ref):
            return Value(callee.returns, f"(*{code})", reads=True, changes=changes)
        return Value(callee.returns, code, reads=callee.reads or any(argument.reads for argument in arguments), changes=changes)

    def arguments(self, node: ast.Call) -> list[Value]:
        values = [self.value(argument) for argument in node.args]
        self.apart(node, *values)
        return values

    def _cast(self, node: ast.Call, target: Any) -> Value:
        scalar = resolve(target)
        assert isinstance(scalar, Scalar)
        value = self._argument(node)
        if not isinstance(value.kind, Num | Of):
            self.source.refuse(node, f"{value.kind} cannot be converted to {scalar}", "a number")
        if isinstance(scalar, Boolean):
            return self.condition(node.args[0])
        kind = kind_of(scalar)
        if isinstance(kind, Num) and isinstance(value.kind, Of) and isinstance(value.kind.scalar, Index):
            index = value.kind.scalar
            kind = Num(0, min(kind.hi, index.limit - 1), kind.packed, index if index.fixed < index.limit else None)
        elif isinstance(kind, Num) and isinstance(value.kind, Num):
            kind = replace(
                kind,
                lo=max(0, min(value.kind.lo, kind.hi)),
                hi=min(kind.hi, max(value.kind.hi, 0)),
                bits_of=None if kind.packed else value.kind.bits_of,
            )
        code = self.fitted(node, value, scalar.limit, f"does not fit {scalar}")
        return replace(value, kind=kind, code=code)

    def fitted(self, node: ast.AST, value: Value, limit: int, what: str) -> str:
        """The C of a number with a check that it is in 0 .. limit-1, where that is not known."""
        kind = value.kind
        if isinstance(kind, Of):
            lo, hi = 0, kind.scalar.limit - 1
        else:
            assert isinstance(kind, Num)
            lo, hi = kind.lo, kind.hi
        if lo >= 0 and hi < limit:
            return value.code
        if value.constant is not None or hi < 0 or lo >= limit:
            self.source.refuse(node, f"{value.constant if value.constant is not None else kind} {what}", "a value in range")
        site = self.unit.site(self.source, node, "range", f"a value {what} (0 .. {limit - 1})")
        wide = "_wide" if c_type(lo, hi) == "__int128" or limit > U64 else ("" if lo >= 0 else "_signed")
        return f"fit{wide}(c, {value.code}, {literal(min(limit - 1, U64))}, {site})"

    def _argument(self, node: ast.Call) -> Value:
        if len(node.args) != 1:
            self.source.refuse(node, f"{ast.unparse(node.func)} takes one argument")
        return self.value(node.args[0])

    def apart(self, node: ast.AST, *values: Value) -> None:
        """Refuses operands whose order C leaves open although one changes the state."""
        for value in values:
            if value.changes and any(other is not value and (other.changes or other.reads) for other in values):
                self.source.refuse(
                    node, "a call that changes the state beside another read of it", "bind the call to a name first"
                )

    def instance_of(self, node: ast.Call) -> Instance:
        """The process that `yield from` calls."""
        found = self.expression(node.func)
        if not isinstance(found, Static) or not processes.is_process(found.object):
            self.source.refuse(node, f"{ast.unparse(node.func)} is not a process", "@process before its def, or a plain call")
        return self.unit.instance(self.source, node, found.object, self.arguments(node))


def _extreme(symbol: str, bound: Callable[..., int]) -> Callable[[Expressions, ast.Call], Value]:
    def translate(self: Expressions, node: ast.Call) -> Value:
        values = [self._operand(argument) for argument in node.args]
        if len(values) != 2:
            self.source.refuse(node, "min and max take two numbers here")
        self.apart(node, *values)
        a, b = (value.kind for value in values)
        assert isinstance(a, Num) and isinstance(b, Num)
        kind = Num(bound(a.lo, b.lo), bound(a.hi, b.hi), bits_of=a.bits_of or b.bits_of)
        of = c_type(min(a.lo, b.lo), max(a.hi, b.hi))
        x, y = (f"({of})({value.code})" for value in values)
        return Value(
            kind, f"({x} {symbol} {y} ? {x} : {y})", reads=any(v.reads for v in values), changes=any(v.changes for v in values)
        )

    return translate


def _current(self: Expressions, node: ast.Call) -> Value:
    return Value(Num(0, u8.limit - 1), "c->thread")


def _reached(self: Expressions, node: ast.Call) -> Value:
    found = self.expression(node.args[0]) if len(node.args) == 1 else None
    if not isinstance(found, Static) or not isinstance(found.object, processes.Witness):
        self.source.refuse(node, "reached() takes a Witness")
    return Value(NOTHING, f"(void)(c->witnesses |= 1ull << {self.unit.witness(found.object)})", changes=True)


def _length(self: Expressions, node: ast.Call) -> Value:
    value = self._argument(node)
    if not isinstance(value.kind, Ref) or not isinstance(value.kind.to, Array):
        self.source.refuse(node, "len() of something that is no array")
    return number(value.kind.to.length)


def _kernel_assertion(kind: str) -> Callable[[Expressions, ast.Call], Value]:
    def translate(self: Expressions, node: ast.Call) -> Value:
        if not 1 <= len(node.args) <= 2:
            self.source.refuse(node, f"{kind} takes a condition and a message")
        value = self.condition(node.args[0])
        site = self.unit.site(self.source, node, kind, message_of(node.args[1] if len(node.args) == 2 else None))
        result = BOOL if kind == "warn_on" else NOTHING
        return Value(result, f"holds_not(c, {value.code}, {site})", reads=value.reads, changes=value.changes)

    return translate


def message_of(node: ast.expr | None) -> str:
    """The text of a message, with the expressions of an f-string as they are written."""
    if node is None:
        return ""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}" for part in node.values
                       if isinstance(part, ast.Constant | ast.FormattedValue))  # fmt: skip
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _misplaced(self: Expressions, node: ast.Call) -> Value:
    self.source.refuse(
        node, f"{ast.unparse(node.func)}() may not stand here", "yield when(...), yield choose(...), for x in range(...)"
    )


BUILTINS: dict[Any, Callable[[Expressions, ast.Call], Value]] = {
    min: _extreme("<", min), max: _extreme(">", max), len: _length, processes.current: _current, processes.reached: _reached,
    processes.warn_on: _kernel_assertion("warn_on"), processes.bug_on: _kernel_assertion("bug_on"),
    processes.when: _misplaced, processes.choose: _misplaced, processes.each: _misplaced, range: _misplaced,
}  # fmt: skip
