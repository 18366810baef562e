"""Calls: routines of the model, conversions, and the few functions that the language knows."""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from septum.lang import processes
from septum.lang.expressions import Static, Value, c_type, literal, number
from septum.lang.measure import PLACES
from septum.lang.operators import Operators
from septum.lang.struct import resolve
from septum.lang.symbols import Current, Result
from septum.lang.types import Array, Boolean, Index, Scalar, SetOf, u8
from septum.lang.values import BOOL, NOTHING, U64, Kind, Nothing, Num, Of, Ref, kind_of

if TYPE_CHECKING:
    from septum.lang.functions import Instance


class Calls(Operators):
    """Translates calls; `invoked` collects those of routines and processes."""

    invoked: dict[ast.AST, Result]
    is_process: bool
    piece: str = ""

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

    def convert(self, node: ast.AST, value: Value, kind: Kind, what: str) -> str:
        raise NotImplementedError

    def _routine(self, node: ast.Call, target: Any) -> Value:
        if processes.is_process(target):
            self.source.refuse(node, f"{target.__name__} is a process", f"yield from {ast.unparse(node)}")
        if not callable(target) or not hasattr(target, "__code__"):
            self.source.refuse(node, f"{ast.unparse(node.func)} cannot be called in a model", "a routine of the model")
        arguments = self.arguments(node)
        callee = self.unit.instance(self.source, node, target, arguments)
        result = self.invoked[node] = Result(callee, tuple(argument.symbol for argument in arguments))
        changes = callee.changes or any(argument.changes for argument in arguments)
        code = callee.invoke(self, node, arguments)
        if callee.piece:
            code = f"PIECE{'_DONE' if isinstance(callee.returns, Nothing) else ''}({code}, {callee.piece})"
        if isinstance(callee.returns, Ref):
            return Value(callee.returns, f"(*{code})", reads=True, changes=changes, symbol=result)
        reads = callee.reads or any(argument.reads for argument in arguments)
        return Value(callee.returns, code, reads=reads, changes=changes, symbol=result)

    def arguments(self, node: ast.Call) -> list[Value]:
        values = [self.value(argument) for argument in node.args]
        self.apart(node, *values)
        return values

    def _cast(self, node: ast.Call, target: Any) -> Value:
        scalar = resolve(target)
        assert isinstance(scalar, Scalar)
        if isinstance(scalar, Index) and self._is_current(node):
            self.unit.thread_types.add(scalar)
            value = Value(Num(0, u8.limit - 1), "c->thread", symbol=Current())
        else:
            value = self._argument(node)
            self._check_alike(node, scalar, value)
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

    def _is_current(self, node: ast.Call) -> bool:
        """Whether a conversion is that of the number of the thread: `ThreadId(current())`."""
        argument = node.args[0] if len(node.args) == 1 else None
        found = self.expression(argument.func) if isinstance(argument, ast.Call) else None
        return isinstance(found, Static) and found.object is processes.current

    def _check_alike(self, node: ast.Call, scalar: Scalar, value: Value) -> None:
        """Notes a conversion between values that may be alike and numbers, which are not."""
        to = kind_of(scalar)
        if value.kind == to:
            return
        self.as_number(node, value)
        if isinstance(scalar, SetOf) and value.constant != 0:
            self.tells_apart(node, scalar.index, f"a number becomes a {scalar}")
        about = isinstance(value.kind, Num) and (value.kind.bits_of or (value.kind.packed and value.kind.packed.index))
        if isinstance(scalar, Index) and value.constant is None and about is not scalar:
            self.tells_apart(node, scalar, f"a number becomes a {scalar}")
        elif value.constant is not None:
            self.names_constant(node, to, value.constant)

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

    def instance_of(self, node: ast.Call) -> Instance:
        """The process that `yield from` calls."""
        found = self.expression(node.func)
        if not isinstance(found, Static) or not processes.is_process(found.object):
            self.source.refuse(node, f"{ast.unparse(node.func)} is not a process", "@process before its def, or a plain call")
        return self.unit.instance(self.source, node, found.object, self.arguments(node))


def _extreme(symbol: str, bound: Callable[..., int]) -> Callable[[Calls, ast.Call], Value]:
    def translate(self: Calls, node: ast.Call) -> Value:
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


def _current(self: Calls, node: ast.Call) -> Value:
    self.tells_apart(node, None, "the number of a thread is used as a number")
    return Value(Num(0, u8.limit - 1), "c->thread", symbol=Current())


def _reached(self: Calls, node: ast.Call) -> Value:
    found = self.expression(node.args[0]) if len(node.args) == 1 else None
    if not isinstance(found, Static) or not isinstance(found.object, processes.Witness):
        self.source.refuse(node, "reached() takes a Witness")
    return Value(NOTHING, f"(void)(c->witnesses |= 1ull << {self.unit.witness(found.object)})", changes=True)


def _observe(self: Calls, node: ast.Call) -> Value:
    found = self.expression(node.args[0]) if len(node.args) == 2 else None
    if not isinstance(found, Static) or not isinstance(found.object, processes.Meter):
        self.source.refuse(node, "observe() takes a Meter and a number")
    value = self._operand(node.args[1])
    if not self.unit.measuring:
        return Value(NOTHING, "(void)0")
    assert isinstance(value.kind, Num)
    code = f"observe(c, w, {self.unit.meter(found.object)}, (uint64_t)({value.code}))"
    return Value(NOTHING, code, reads=True)


def _origin(self: Calls, node: ast.Call) -> Value:
    return Value(Num(0, PLACES - 1), "c->place") if self.unit.measuring else number(0)


def _address(self: Calls, node: ast.Call) -> Value:
    value = self._argument(node)
    if not isinstance(value.kind, Ref):
        self.source.refuse(node, "address() of something that is no struct or array")
    if not self.unit.measuring:
        return number(0)
    return Value(Num(0, self.unit.world_size), f"(uint32_t)((const uint8_t *)&{value.code} - (const uint8_t *)w)")


def _only(self: Calls, node: ast.Call) -> Value:
    value = self._argument(node)
    if not isinstance(value.kind, Of) or not isinstance(value.kind.scalar, Index):
        self.source.refuse(node, f"only() of {value.kind}", "a value of an index type: only(me())")
    of = SetOf(value.kind.scalar)
    return replace(value, kind=Of(of), code=f"((uint{of.bits}_t)1 << {value.code})", constant=None, symbol=None)


def _check_reason(self: Calls, node: ast.Call, example: str) -> None:
    if len(node.args) != 1 or not isinstance(node.args[0], ast.Constant) or not isinstance(node.args[0].value, str):
        self.source.refuse(node, f"{ast.unparse(node.func)}() takes the reason, as text", example)


def _alike(self: Calls, node: ast.Call) -> Value:
    _check_reason(self, node, 'alike("free pages are alike")')
    return Value(NOTHING, "(void)0")


def _atomic(self: Calls, node: ast.Call) -> Value:
    _check_reason(self, node, 'atomic("one word in the kernel")')
    self.piece = "ATOMIC"
    return Value(NOTHING, "say_atomic()" if self.is_process else "(void)0")


def _commutes(self: Calls, node: ast.Call) -> Value:
    _check_reason(self, node, 'commutes("an unlock can only let others go on sooner")')
    if self.is_process:
        self.source.refuse(node, "commutes() in a process", "a routine of its own, or atomic(...)")
    self.piece = "COMMUTES"
    return Value(NOTHING, "(void)0")


def _piece(code: str) -> Callable[[Calls, ast.Call], Value]:
    return lambda self, node: Value(NOTHING, code)


def _length(self: Calls, node: ast.Call) -> Value:
    value = self._argument(node)
    if not isinstance(value.kind, Ref) or not isinstance(value.kind.to, Array):
        self.source.refuse(node, "len() of something that is no array")
    return number(value.kind.to.length)


def _kernel_assertion(kind: str) -> Callable[[Calls, ast.Call], Value]:
    def translate(self: Calls, node: ast.Call) -> Value:
        if not 1 <= len(node.args) <= 2:
            self.source.refuse(node, f"{kind} takes a condition and a message")
        value = self.condition(node.args[0])
        site = self.unit.site(self.source, node, kind, message_of(node.args[1] if len(node.args) == 2 else None))
        if kind == "warn_on":
            return Value(BOOL, f"holds_not(c, {value.code}, {site})", reads=value.reads, changes=value.changes)
        return Value(NOTHING, f"holds(c, !{value.code}, {site})", reads=value.reads, changes=value.changes)

    return translate


def message_of(node: ast.expr | None) -> str:
    """The text of a message, with the expressions of an f-string as they are written."""
    if node is None:
        return ""
    if isinstance(node, ast.JoinedStr):
        parts = [part for part in node.values if isinstance(part, ast.Constant | ast.FormattedValue)]
        return "".join(str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}" for part in parts)
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _misplaced(self: Calls, node: ast.Call) -> Value:
    self.source.refuse(
        node, f"{ast.unparse(node.func)}() may not stand here", "yield when(...), yield choose(...), for x in range(...)"
    )


BUILTINS: dict[Any, Callable[[Calls, ast.Call], Value]] = {
    min: _extreme("<", min), max: _extreme(">", max), len: _length, processes.current: _current, processes.reached: _reached,
    processes.alike: _alike, processes.atomic: _atomic, processes.commutes: _commutes,
    processes.observe: _observe, processes.origin: _origin, processes.address: _address,
    processes.only: _only, processes.piece_begins: _piece("one_piece()"), processes.piece_ends: _piece("no_piece()"),
    processes.warn_on: _kernel_assertion("warn_on"), processes.bug_on: _kernel_assertion("bug_on"),
    processes.when: _misplaced, processes.choose: _misplaced, processes.each: _misplaced, range: _misplaced,
}  # fmt: skip
