"""Reads calls: routines of the model, conversions, and the few functions that the language knows."""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from septum.lang import processes, words
from septum.lang.measure import PLACES
from septum.lang.struct import resolve
from septum.lang.types import Boolean, Index, Scalar, SetOf, type_name, u8
from septum.lang.values import BOOL, NOTHING, Num, Of, Ref, is_set, kind_of
from septum.translate import tree
from septum.translate.read_expressions import number
from septum.translate.reader import Reader, Static, Table, element_type, is_interchangeable, is_value, written

LOOP = "a loop over range(...) or each(...)"
THREAD = Num(0, u8.limit - 1)
LOOKING = (print, breakpoint)
"""What shows a reader more in a replay, and is no part of the model."""

IDLE = {"smp_mb", *words.HIDDEN, *(idle.__name__ for idle in (*words.BARRIERS, *LOOKING))}


def _call(r: Reader, node: ast.Call) -> tree.Expression:
    _refuse_method(r, node)
    found = r.expression(node.func)
    if not isinstance(found, Static) or not callable(found.object):
        r.refuse(node, f"{written(node.func)} is not a function", "a routine of the model")
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        r.refuse(node, "keyword and starred arguments are not in the language", "plain arguments in order")
    target = found.object
    if target in BUILTINS:
        return BUILTINS[target](r, node)
    if isinstance(target, Scalar) or (isinstance(target, type) and issubclass(target, enum.IntEnum | bool)):
        scalar = resolve(target)
        assert isinstance(scalar, Scalar)
        return _cast(r, node, scalar)
    return _routine(r, node, target)


def _refuse_method(r: Reader, node: ast.Call) -> None:
    """`m.bump()`: what looks like a method of a place of the state."""
    function = node.func
    if isinstance(function, ast.Attribute) and not isinstance(base := r.expression(function.value), Static):
        of = type_name(base.kind.to) if isinstance(base.kind, Ref) else str(base.kind)
        place, *given = map(written, [function.value, *node.args])
        x = f"only({', '.join(given)})"
        of_sets = {"add": f"{place} |= {x}"} | dict.fromkeys(("remove", "discard"), f"if {place} & {x} != 0: {place} ^= {x}")
        call = f"{function.attr}({', '.join([place, *given])})"
        r.refuse(node, f"a {of} has no methods here", of_sets.get(function.attr, call) if is_set(base.kind) else call)


def _routine(r: Reader, node: ast.Call, target: Any) -> tree.Expression:
    if processes.is_process(target):
        r.refuse(node, f"{target.__name__} is a process", f"yield from {written(node)}")
    if not callable(target) or not hasattr(target, "__code__"):
        advice = {any: LOOP, all: LOOP, sum: LOOP}
        instead = advice.get(target, "a routine of the model") if callable(target) else "a routine of the model"
        r.refuse(node, f"{written(node.func)} cannot be called in a model", instead)
    callee, arguments = called(r, node, target)
    return tree.Call(r.at(node), callee.returns, callee, arguments)


def called(r: Reader, node: ast.Call, target: Any) -> tuple[tree.Function, tuple[tree.Expression, ...]]:
    """The function that is called, and what it is given, as its parameters are."""
    values = [r.value(argument) for argument in node.args]
    r.apart(node, *values)
    callee = r.around.function(r.source, node, target, values)
    given = zip(callee.parameters.items(), values, strict=True)
    return callee, tuple(
        value if isinstance(kind, Ref) else r.converted(node, value, kind, f"parameter {name}") for (name, kind), value in given
    )


def _cast(r: Reader, node: ast.Call, scalar: Scalar) -> tree.Expression:
    kind = kind_of(scalar)
    if isinstance(scalar, Index) and _is_current(r, node):
        thread = r.fitted(node, tree.Register(r.at(node), THREAD, "thread"), scalar, f"does not fit {scalar}")
        return tree.Convert(r.at(node), kind, thread)
    value = _argument(r, node)
    if not isinstance(value.kind, Num | Of):
        r.refuse(node, f"{value.kind} cannot be converted to {scalar}", "a number")
    if isinstance(scalar, Boolean):
        return r.condition(node.args[0])
    if isinstance(kind, Num) and isinstance(value.kind, Of) and isinstance(value.kind.scalar, Index):
        index = value.kind.scalar
        kind = Num(0, min(kind.hi, index.limit - 1), kind.packed, index if is_interchangeable(index) else None)
    elif isinstance(kind, Num) and isinstance(value.kind, Num):
        lo, hi = max(0, min(value.kind.lo, kind.hi)), min(kind.hi, max(value.kind.hi, 0))
        kind = replace(kind, lo=lo, hi=hi, bits_of=None if kind.packed else value.kind.bits_of)
    known = tree.constant(value)
    is_number = not (isinstance(value.kind, Of) and isinstance(value.kind.scalar, Index | SetOf))
    if known is not None and is_number and is_value(scalar, known):
        return tree.Const(r.at(node), kind, known)
    fitted = r.fitted(node, value, scalar if isinstance(scalar, Index) else scalar.limit, f"does not fit {scalar}")
    return fitted if fitted.kind == kind else tree.Convert(r.at(node), kind, fitted)


def _is_current(r: Reader, node: ast.Call) -> bool:
    """Whether a conversion is that of the number of the thread: `ThreadId(current())`."""
    argument = node.args[0] if len(node.args) == 1 else None
    found = r.expression(argument.func) if isinstance(argument, ast.Call) else None
    return isinstance(found, Static) and found.object is processes.current


def _argument(r: Reader, node: ast.Call) -> tree.Expression:
    if len(node.args) != 1:
        r.refuse(node, f"{written(node.func)} takes one argument")
    return r.value(node.args[0])


def _extreme(symbol: str, bound: Callable[..., int]) -> Callable[[Reader, ast.Call], tree.Expression]:
    def read(r: Reader, node: ast.Call) -> tree.Expression:
        values = [r.number(argument) for argument in node.args]
        if len(values) != 2:
            r.refuse(node, "min and max take two numbers here")
        r.apart(node, *values)
        a, b = (value.kind for value in values)
        assert isinstance(a, Num) and isinstance(b, Num)
        return tree.Binary(
            r.at(node), Num(bound(a.lo, b.lo), bound(a.hi, b.hi), bits_of=a.bits_of or b.bits_of), symbol, values[0], values[1]
        )

    return read


def _current(r: Reader, node: ast.Call) -> tree.Expression:
    return tree.Register(r.at(node), THREAD, "thread")


def _named(r: Reader, node: ast.Call, of: type, count: int, advice: str) -> Any:
    """The object of the model that is the first of `count` arguments."""
    found = r.expression(node.args[0]) if len(node.args) == count else None
    if not isinstance(found, Static) or not isinstance(found.object, of):
        r.refuse(node, advice)
    return found.object


def _reached(r: Reader, node: ast.Call) -> tree.Expression:
    return tree.Note(r.at(node), NOTHING, _named(r, node, processes.Witness, 1, "reached() takes a Witness"))


def _observe(r: Reader, node: ast.Call) -> tree.Expression:
    meter = _named(r, node, processes.Meter, 2, "observe() takes a Meter and a number")
    return tree.Note(r.at(node), NOTHING, meter, r.number(node.args[1]))


def _origin(r: Reader, node: ast.Call) -> tree.Expression:
    return tree.Register(r.at(node), Num(0, PLACES - 1), "place") if r.around.measuring else number(r, node, 0)


def _address(r: Reader, node: ast.Call) -> tree.Expression:
    value = _argument(r, node)
    if not isinstance(value.kind, Ref):
        r.refuse(node, "address() of something that is no struct or array")
    return tree.Unary(r.at(node), Num(0, (1 << 32) - 1), "address", value) if r.around.measuring else number(r, node, 0)


def _only(r: Reader, node: ast.Call) -> tree.Expression:
    value = _argument(r, node)
    if not isinstance(value.kind, Of) or not isinstance(value.kind.scalar, Index):
        known = tree.constant(value)
        advice = f"only(Of({known})), where Of is the index type of the set" if known is not None else "a value of an index type"
        r.refuse(node, f"only() of {value.kind}", advice)
    return tree.Unary(r.at(node), Of(SetOf(value.kind.scalar)), "only", value)


def _reason(says: str, example: str) -> Callable[[Reader, ast.Call], tree.Expression]:
    """A call that says why something may be as it is."""

    def read(r: Reader, node: ast.Call) -> tree.Expression:
        if len(node.args) != 1 or not isinstance(node.args[0], ast.Constant) or not isinstance(node.args[0].value, str):
            r.refuse(node, f"{written(node.func)}() takes the reason, as text", example)
        if says == "commutes" and r.is_process:
            r.refuse(node, "commutes() in a process", "a routine of its own, or atomic(...)")
        r.piece = says if says != "alike" else r.piece
        return tree.Note(r.at(node), NOTHING, says)

    return read


def _marked(says: str) -> Callable[[Reader, ast.Call], tree.Expression]:
    return lambda r, node: tree.Note(r.at(node), NOTHING, says)


def _barrier(r: Reader, node: ast.Call) -> tree.Expression:
    if node.args:
        r.refuse(node, f"{written(node.func)}() takes no arguments", f"{written(node.func)}()")
    return tree.Drain(r.at(node), NOTHING)


def is_idle(r: Reader, node: ast.expr) -> bool:
    """Whether a statement is a call that does nothing in C: of a barrier, here or under this memory model, or of what looks."""
    if not isinstance(node, ast.Call) or written(node.func).rpartition(".")[2] not in IDLE:
        return False
    found = r.expression(node.func)
    if not isinstance(found, Static):
        return False
    return found.object in (*words.BARRIERS, *LOOKING) or (found.object is words.smp_mb and not r.around.buffers)


def _length(r: Reader, node: ast.Call) -> tree.Expression:
    array = element_type(_argument(r, node))
    if array is None:
        r.refuse(node, "len() of something that is no array", "a loop over each(...) that counts, for a set")
    return number(r, node, array.length)


def _kernel_assertion(kind: str) -> Callable[[Reader, ast.Call], tree.Expression]:
    def read(r: Reader, node: ast.Call) -> tree.Expression:
        if not 1 <= len(node.args) <= 2:
            r.refuse(node, f"{kind} takes a condition and a message")
        test = r.condition(node.args[0])
        message = node.args[1] if len(node.args) == 2 else None
        site, gives = r.site(node, kind, message_of(message)), BOOL if kind == "warn_on" else NOTHING
        return tree.Assertion(r.at(node), gives, tree.Unary(test.at, BOOL, "not", test), site, shown_by(r, message))

    return read


def message_of(node: ast.expr | None) -> str:
    """The text of a message, with the expressions of an f-string as they are written."""
    if node is None:
        return ""
    if isinstance(node, ast.JoinedStr):
        parts = [part for part in node.values if isinstance(part, ast.Constant | ast.FormattedValue)]
        return "".join(str(part.value) if isinstance(part, ast.Constant) else f"{{{written(part.value)}}}" for part in parts)
    return str(node.value) if isinstance(node, ast.Constant) else written(node)


def shown_by(r: Reader, message: ast.expr | None) -> frozenset[str]:
    """The locals that a message shows; not what it names itself, in a comprehension."""
    names = [part for part in ast.walk(message) if isinstance(part, ast.Name)] if message else []
    own = {one.id for one in names if isinstance(one.ctx, ast.Store)}
    return frozenset(one.id for one in names if one.id in r.names and one.id not in own)


def _misplaced(r: Reader, node: ast.Call) -> tree.Expression:
    instead = "yield when(...), yield choose(...), for x in range(...)"
    r.refuse(node, f"{written(node.func)}() may not stand here", instead)


BUILTINS: Mapping[Any, Callable[[Reader, ast.Call], tree.Expression]] = {
    min: _extreme("min", min), max: _extreme("max", max), len: _length, processes.current: _current, processes.only: _only,
    processes.reached: _reached, processes.observe: _observe, processes.origin: _origin, processes.address: _address,
    processes.alike: _reason("alike", 'alike("free pages are alike")'),
    processes.atomic: _reason("atomic", 'atomic("one word in the kernel")'),
    processes.commutes: _reason("commutes", 'commutes("an unlock can only let others go on sooner")'),
    words.smp_mb: _barrier,
    processes.piece_begins: _marked("one_piece"), processes.piece_ends: _marked("no_piece"),
    processes.warn_on: _kernel_assertion("warn_on"), processes.bug_on: _kernel_assertion("bug_on"),
    processes.when: _misplaced, processes.choose: _misplaced, processes.each: _misplaced, range: _misplaced,
}  # fmt: skip
CALLS: Table = {ast.Call: _call}
