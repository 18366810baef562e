"""The C of expressions: it computes the same value as Python does.

An operator is computed in a C type wide enough for its operands and its result, so that nothing wraps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from septum.lang.processes import Meter, Witness
from septum.lang.struct import Word
from septum.lang.values import U64, Kind, Nothing, Num, Ref, bits
from septum.translate import tree
from septum.translate.reader import bounds
from septum.translate.translation import Named, Translation


def c_type(lo: int, hi: int) -> str:
    """The C type in which a number between lo and hi is computed."""
    if lo >= -(1 << 63) and hi < 1 << 63:
        return "int64_t"
    return "uint64_t" if lo >= 0 and hi <= U64 else "__int128"


def c_of(unit: Translation, kind: Kind) -> str:
    """The C type of a variable of this kind."""
    if isinstance(kind, Nothing):
        return "void"
    if isinstance(kind, Ref):
        return f"{unit.c_name(kind.to)} *"
    return f"uint{bits(kind)}_t" if not isinstance(kind, Num) or kind.lo >= 0 else c_type(kind.lo, kind.hi)


def literal(number: int) -> str:
    """A C constant."""
    if -(1 << 31) < number < 1 << 31:
        return str(number)
    if 0 <= number <= U64:
        return f"{number:#x}ull"
    if -(1 << 63) < number < 0:
        return f"((int64_t){number})"
    return f"((__int128)({number >> 64}) * ((__int128)1 << 64) + {number & U64:#x}ull)"


def expression(unit: Translation, function: tree.Function, node: tree.Expression) -> str:
    """The C of an expression of a function."""
    return EXPRESSIONS[type(node)](unit, function, node)


def pointer(unit: Translation, function: tree.Function, node: tree.Expression) -> str:
    """The C of a reference."""
    return f"&{expression(unit, function, node)}"


def access(unit: Translation, function: tree.Function, how: str, node: tree.Load | tree.Store) -> str:
    """The scalar at a place as it is read ("READ") or written ("WRITE"), with the word that holds it, for who watches."""
    place = node.place
    code = expression(unit, function, place)
    word = code
    if isinstance(place, tree.Field) and isinstance(place.struct, type) and issubclass(place.struct, Word):
        word = expression(unit, function, place.base)
    name = unit.named.number(Named(node.place.at.file, node.place.at.line, function.source.name, node.text))
    return f"{how}({code}, {word}, {name})"


def invoke(
    unit: Translation, function: tree.Function, callee: tree.Function, arguments: tuple[tree.Expression, ...], *frame: str
) -> str:
    """The C of a call; for a process `frame` are the frames that it reads and writes."""
    given = [pointer(unit, function, argument) if isinstance(kind, Ref) else expression(unit, function, argument)
             for kind, argument in zip(callee.parameters.values(), arguments, strict=True) if not unit.is_world(kind)]  # fmt: skip
    return f"{callee.name}({', '.join(['c', 'w', *frame, *given])})"


def _local(unit: Translation, function: tree.Function, node: tree.Local) -> str:
    if not isinstance(node.kind, Ref):
        return f"v_{node.name}"
    return "(*w)" if unit.is_world(node.kind) else f"(*v_{node.name})"


def _field(unit: Translation, function: tree.Function, node: tree.Field) -> str:
    return f"{expression(unit, function, node.base)}.{node.name}"


def _element(unit: Translation, function: tree.Function, node: tree.Element) -> str:
    return f"{expression(unit, function, node.base)}.at[{expression(unit, function, node.index)}]"


def _outcome(unit: Translation, function: tree.Function, node: tree.Outcome) -> str:
    of = c_of(unit, node.kind)
    return f"(*({of})(uintptr_t)c->result)" if isinstance(node.kind, Ref) else f"({of})c->result"


def _unary(unit: Translation, function: tree.Function, node: tree.Unary) -> str:
    code = expression(unit, function, node.value)
    if node.operator == "only":
        return f"((uint{bits(node.kind)}_t)1 << {code})"
    return f"(!{code})" if node.operator == "not" else f"(uint32_t)((const uint8_t *)&{code} - (const uint8_t *)w)"


def _binary(unit: Translation, function: tree.Function, node: tree.Binary) -> str:
    x, y = expression(unit, function, node.left), expression(unit, function, node.right)
    if not isinstance(node.kind, Num):
        return f"({x} {node.operator} {y})"
    (a, b), (c, d) = bounds(node.left.kind), bounds(node.right.kind)
    if node.operator in ("min", "max"):
        of = c_type(min(a, c), max(b, d))
        x, y = f"({of})({x})", f"({of})({y})"
        return f"({x} {'<' if node.operator == 'min' else '>'} {y} ? {x} : {y})"
    if node.operator == ">>" and d > 63:
        return f"shifted_right((uint64_t)({x}), (uint64_t)({y}))"
    of = c_type(min(a, c, node.kind.lo), max(b, d, node.kind.hi))
    if node.operator == "&" and min(a, c) < 0:
        of = "uint64_t"
    return f"(({of})({x}) {node.operator} ({of})({y}))"


def _compare(unit: Translation, function: tree.Function, node: tree.Compare) -> str:
    a, b = node.left.kind, node.right.kind
    if isinstance(a, Ref):
        return f"({pointer(unit, function, node.left)} {node.operator} {pointer(unit, function, node.right)})"
    x, y = expression(unit, function, node.left), expression(unit, function, node.right)
    if isinstance(a, Num) and isinstance(b, Num):
        of = c_type(min(a.lo, b.lo), max(a.hi, b.hi))
        return f"(({of})({x}) {node.operator} ({of})({y}))"
    return f"({x} {node.operator} {y})"


def _junction(unit: Translation, function: tree.Function, node: tree.Junction) -> str:
    symbol = " && " if node.operator == "and" else " || "
    return "(" + symbol.join(expression(unit, function, part) for part in node.parts) + ")"


def _conditional(unit: Translation, function: tree.Function, node: tree.Conditional) -> str:
    test = expression(unit, function, node.test)
    if isinstance(node.kind, Ref):
        return f"(*({test} ? {pointer(unit, function, node.then)} : {pointer(unit, function, node.otherwise)}))"
    x, y = expression(unit, function, node.then), expression(unit, function, node.otherwise)
    if isinstance(node.kind, Num):
        of = c_type(node.kind.lo, node.kind.hi)
        return f"({test} ? ({of})({x}) : ({of})({y}))"
    return f"({test} ? {x} : {y})"


def _checked(unit: Translation, function: tree.Function, node: tree.Checked) -> str:
    code, site = expression(unit, function, node.value), unit.sites.number(node.site)
    if node.check == "shift":
        return f"shift_count(c, (__int128)({code}), {site})"
    if node.check == "nonzero":
        return f"nonzero(c, (uint64_t)({code}), {site})"
    if node.check == "index":
        return f"bounded(c, {code}, {node.limit}, {site})"
    lo, hi = bounds(node.value.kind)
    wide = "_wide" if c_type(lo, hi) == "__int128" or node.limit > U64 else ("" if lo >= 0 else "_signed")
    return f"fit{wide}(c, {code}, {literal(min(node.limit - 1, U64))}, {site})"


def _call(unit: Translation, function: tree.Function, node: tree.Call) -> str:
    code = invoke(unit, function, node.callee, node.arguments)
    if node.callee.piece:
        done = "_DONE" if isinstance(node.callee.returns, Nothing) else ""
        code = f"PIECE{done}({code}, {node.callee.piece.upper()})"
    return f"(*{code})" if isinstance(node.kind, Ref) else code


def _assertion(unit: Translation, function: tree.Function, node: tree.Assertion) -> str:
    code = expression(unit, function, node.test)
    return f"{'holds_not' if node.site.kind == 'warn_on' else 'holds'}(c, {code}, {unit.sites.number(node.site)})"


def _note(unit: Translation, function: tree.Function, node: tree.Note) -> str:
    if isinstance(node.what, Witness):
        return f"(void)(c->witnesses |= 1ull << {unit.witnesses.number(node.what)})"
    if isinstance(node.what, Meter) and node.value and unit.measuring:
        return f"observe(c, w, {unit.meters.number(node.what)}, (uint64_t)({expression(unit, function, node.value)}))"
    return "say_atomic()" if node.what == "atomic" and function.is_process else "(void)0"


EXPRESSIONS: Mapping[type[tree.Expression], Callable[[Translation, tree.Function, Any], str]] = {
    tree.Const: lambda unit, function, node: literal(node.number),
    tree.Local: _local, tree.Field: _field, tree.Element: _element, tree.Load: lambda unit, function, node: access(unit, function, "READ", node),
    tree.Register: lambda unit, function, node: f"c->{node.name}", tree.Outcome: _outcome, tree.Unary: _unary, tree.Binary: _binary, tree.Compare: _compare, tree.Junction: _junction, tree.Conditional: _conditional,
    tree.Convert: lambda unit, function, node: expression(unit, function, node.value), tree.Checked: _checked, tree.Call: _call,
    tree.Assertion: _assertion, tree.Note: _note,
}  # fmt: skip
