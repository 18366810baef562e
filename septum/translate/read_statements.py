"""Reads statements: control flow as it stands, less what the scope rules out; assignments with their checks."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from septum.lang import processes
from septum.lang.processes import MOST_ROUNDS
from septum.lang.source import MISSING
from septum.lang.struct import resolve
from septum.lang.types import Array, Index, Scalar, SetOf, type_name
from septum.lang.values import NOTHING, U64, Kind, Nothing, Num, Of, Ref, kind_of, stored
from septum.translate import tree
from septum.translate.fold import COMPARISONS, decided
from septum.translate.read_calls import is_idle, message_of, shown_by
from septum.translate.read_operators import binary
from septum.translate.read_yields import pause
from septum.translate.reader import Reader, Static, Table, is_interchangeable, refuse_at, written


def _block(r: Reader, body: Sequence[ast.stmt]) -> tuple[tree.Statement, ...]:
    done: list[tree.Statement] = []
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            continue
        read = r.table.get(type(node))
        if read is None or not isinstance(node, ast.stmt):
            r.refuse(node, f"{type(node).__name__} is not in the language", "see docs/language.md for what is")
        done += read(r, node)
        if isinstance(node, ast.If) and done and isinstance(done[-1], tree.Return) and decided(r, node.test):
            break
    return tuple(done) or (tree.Evaluate(r.at(body[0]), None),)


def _if(r: Reader, node: ast.If) -> Iterator[tree.Statement]:
    known = decided(r, node.test)
    if known is not None:
        yield from r.block(node.body if known else node.orelse) if known or node.orelse else ()
        return
    test = r.condition(node.test)
    if tree.constant(test) is not None:
        yield tree.Evaluate(r.at(node), None)
        yield from r.block(node.body if tree.constant(test) else node.orelse) if tree.constant(test) or node.orelse else ()
        return
    yield tree.If(r.at(node), test, r.block(node.body), r.block(node.orelse) if node.orelse else ())


def _expr(r: Reader, node: ast.Expr) -> Iterator[tree.Statement]:
    if isinstance(node.value, ast.Yield | ast.YieldFrom):
        yield pause(r, node.value)[0]
        return
    if not isinstance(node.value, ast.Call):
        r.refuse(node, "an expression that does nothing", "an assignment or a call")
    if not is_idle(r, node.value):
        yield tree.Evaluate(r.at(node), r.value(node.value))


def _assert(r: Reader, node: ast.Assert) -> Iterator[tree.Statement]:
    test = r.condition(node.test)
    site = r.site(node, "assert", message_of(node.msg) or written(node.test))
    yield tree.Evaluate(r.at(node), tree.Assertion(r.at(node), NOTHING, test, site, shown_by(r, node.msg)))


def _annassign(r: Reader, node: ast.AnnAssign) -> Iterator[tree.Statement]:
    if not isinstance(node.target, ast.Name) or node.value is None:
        r.refuse(node, "an annotation stands with a name and a value", "n: u8 = 0")
    found = r.expression(_read(r, node.annotation))
    if not isinstance(found, Static):
        r.refuse(node, f"{written(node.annotation)} is no type", "u8, bool, an enum or an index type")
    r.fixed.setdefault(node.target.id, declared(r, node, found.object))
    r.kinds.setdefault(node.target.id, r.fixed[node.target.id])
    yield from _given(r, node, node.target, node.value)


def _read(r: Reader, annotation: ast.expr) -> ast.expr:
    """An annotation; one that is text (`n: "u8" = 0`) is read."""
    if not isinstance(annotation, ast.Constant) or not isinstance(annotation.value, str):
        return annotation
    try:
        inner = ast.parse(annotation.value, mode="eval").body
    except SyntaxError:
        r.refuse(annotation, f"{annotation.value!r} is no type", "u8, bool, an enum or an index type")
    if isinstance(inner, ast.Name) and r.source.lookup(inner.id) is MISSING:
        r.refuse(annotation, f"no type is called {inner.id}", "u8, bool, an enum or an index type")
    return ast.copy_location(inner, annotation)


def declared(r: Reader, node: ast.AST, annotation: object) -> Kind:
    """The kind that an annotation stands for."""
    of = resolve(annotation, f"{r.source.file}:{getattr(node, 'lineno', 0)}")
    return kind_of(of) if isinstance(of, Scalar) else Ref(of)


def _assign(r: Reader, node: ast.Assign) -> Iterator[tree.Statement]:
    if len(node.targets) != 1 or isinstance(node.targets[0], ast.Tuple | ast.List):
        r.refuse(node, "one target for one value", "a line for each")
    yield from _given(r, node, node.targets[0], node.value)


def _given(r: Reader, node: ast.AST, target: ast.expr, value: ast.expr) -> Iterator[tree.Statement]:
    """`target = value`."""
    if not isinstance(value, ast.Yield | ast.YieldFrom):
        yield _bound(r, node, target, r.value(value))
        return
    paused, result = pause(r, value)
    if result is None:
        _refuse_nothing(r, node, value)
    if not isinstance(target, ast.Name):
        r.refuse(node, "the result of a yield goes to a name", "x = yield ..., then assign x")
    yield paused
    yield tree.Assign(r.at(node), target.id, r.assigned(node, target.id, result))


def _refuse_nothing(r: Reader, node: ast.AST, value: ast.Yield | ast.YieldFrom) -> NoReturn:
    """`x = yield when(...)` and the like: there is no result."""
    if isinstance(value, ast.YieldFrom):
        r.refuse(node, "a process without a result is assigned", "a process that returns on every path, or the call alone")
    said = written(value).strip("()") if value.value is None else f"yield {written(value.value)}"
    what = "when() gives nothing" if isinstance(value.value, ast.Call) else "a bare yield gives nothing"
    r.refuse(node, what, f"{said} alone, or x = yield choose(n)")


def _whole(r: Reader, of: object, name: str) -> tuple[str, str, str]:
    """What a place is that cannot be assigned as a whole, what it consists of, and how to assign the first part."""
    if isinstance(of, Array):
        return f"array {of}", "elements", f"{name}[0] = ..."
    first = next(iter(r.around.fields(of)), "field")
    return type_name(of), "fields", f"{name}.{first} = ..."


def _augassign(r: Reader, node: ast.AugAssign) -> Iterator[tree.Statement]:
    bound = _bound(r, node, node.target, binary(r, node, node.target, node.op, node.value))
    if isinstance(bound, tree.Store) and bound.place.changes:
        r.refuse(
            node,
            f"{written(node.target)} is read and written, and a call in it changes the state",
            "i = ... on a line of its own",
        )
    yield bound


def _bound(r: Reader, node: ast.AST, target: ast.expr, value: tree.Expression) -> tree.Statement:
    """A name, or a place, with its new value."""
    if isinstance(target, ast.Name):
        return tree.Assign(r.at(node), target.id, r.assigned(node, target.id, value))
    if not isinstance(target, ast.Attribute | ast.Subscript):
        r.refuse(target, "this cannot be assigned to", "a name, a field or an element")
    load = r.value(target)
    if not isinstance(load, tree.Load) and isinstance(load.kind, Ref):
        what, parts, example = _whole(r, load.kind.to, written(target))
        r.refuse(node, f"{written(target)} is a whole {what}; what is assigned is a number", f"{example}, and so for its {parts}")
    if not isinstance(load, tree.Load):
        r.refuse(target, "this cannot be assigned to", "a field of the state")
    place = load.place
    of = place.array.element if isinstance(place, tree.Element) else r.around.fields(place.struct)[place.name]
    assert isinstance(of, Scalar)
    return tree.Store(r.at(node), place, r.to_field(node, value, place.kind, of, written(target)), load.text)


def _return(r: Reader, node: ast.Return) -> Iterator[tree.Statement]:
    value: tree.Expression | None
    if isinstance(node.value, ast.Yield | ast.YieldFrom):
        paused, value = pause(r, node.value)
        yield paused
    else:
        value = r.value(node.value) if node.value else None
    yield tree.Return(r.at(node), _returned(r, node, value))


def _returned(r: Reader, node: ast.Return, value: tree.Expression | None) -> tree.Expression | None:
    """What is returned, as the function's result is."""
    kind: Kind = value.kind if value else NOTHING
    annotation = r.annotations.get("return")
    if annotation is None and "return" in r.annotations and node.value:
        r.refuse(node, f"{r.source.name} is annotated to return None and returns {kind}", "its type, or no annotation")
    if annotation is not None:
        r.returns = declared(r, node, annotation)
        return r.converted(node, value or tree.Const(r.at(node), NOTHING, 0), r.returns, "the result")
    if isinstance(kind, Num) and kind.lo < 0:
        r.refuse(node, "a negative result", "an IntEnum for errors")
    if r.returns is not None:
        before = tree.Local(r.at(node), r.returns, "")
        kind, _, value = r.joined(node, before, value or tree.Const(r.at(node), NOTHING, 0))
    r.returns = stored(kind)
    return None if isinstance(kind, Nothing) else value


def _while(r: Reader, node: ast.While) -> Iterator[tree.Statement]:
    if node.orelse:
        r.refuse(node, "else after a loop is not in the language", "a name that says how the loop ended")
    test = r.condition(node.test)
    for_ever = isinstance(node.test, ast.Constant) and bool(node.test.value)
    yield tree.While(
        r.at(node), test, r.block(node.body), r.site(node, "endless", "the loop does not end within one step"), for_ever
    )


@dataclass(frozen=True)
class _Range:
    """What a loop runs over: from `first` to before `last`."""

    first: tree.Expression
    last: tree.Expression
    step: int
    kind: Kind
    index: Index | None = None

    @property
    def is_constant(self) -> bool:
        return bool(self.index) or (tree.constant(self.first) is not None and tree.constant(self.last) is not None)


def _for(r: Reader, node: ast.For) -> Iterator[tree.Statement]:
    if node.orelse or not isinstance(node.target, ast.Name):
        r.refuse(node, "a loop has one variable and no else", "for i in range(n)")
    name, over, number, pauses = node.target.id, _range(r, node), r.loops, r.pauses
    r.loops += 1
    r.assigned(node, name, tree.Local(r.at(node), over.kind, name))
    body = r.block(node.body)
    if any(isinstance(part, tree.Assign | tree.For) and part.name == name for part in tree.walk(body)):
        r.refuse(node, f"the loop variable {name} is assigned in the body", "another name, or while")
    if not over.is_constant and r.pauses > pauses:
        r.refuse(node, "a yield inside of a loop whose bounds are not constant", "while, with a counter")
    rounds = _rounds(over)
    site = None
    most = MOST_ROUNDS.value
    if rounds > most and over.is_constant:
        r.refuse(node, f"a loop of {rounds:,} rounds; at most {most:,} can be taken in a step", "a smaller range")
    if rounds > most:
        site = r.site(node, "endless", "the loop does not end within one step")
    first = body[0].value if isinstance(body[0], tree.Evaluate) else None
    alike = isinstance(first, tree.Note) and first.what == "alike"
    if is_interchangeable(over.index) and not alike:
        for part, what in order_dependent(body, name):
            advice = 'alike("why it does not matter which comes first") as the first line of the loop'
            refuse_at(r.source, part, f"{what} in a loop over a scalarset, whose values have no order", advice)
    yield tree.For(r.at(node), name, over.first, over.last, over.step, over.index, alike, body, number, site)


def _rounds(over: _Range) -> int:
    """How often a loop over the range is gone round at most; 0 of one over the values of an index."""
    if over.index:
        return 0
    a, b = over.first.kind, over.last.kind
    assert isinstance(a, Num) and isinstance(b, Num)
    most = b.hi - a.lo if over.step > 0 else a.hi - b.lo
    return max(0, -(-most // abs(over.step)))


def _instead_of(r: Reader, node: ast.For) -> str:
    """What to write for a loop over what is no range."""
    kind, x = r.value(node.iter).kind, written(node.target)
    if isinstance(kind, Of) and isinstance(kind.scalar, SetOf):
        return f"for {x} in each({kind.scalar.index.name}), and in it if {written(node.iter)} & only({x}) != 0"
    return "for i in range(n)"


def _range(r: Reader, node: ast.For) -> _Range:
    loop = node.iter
    found = r.expression(loop.func) if isinstance(loop, ast.Call) else None
    if not isinstance(loop, ast.Call) or not isinstance(found, Static) or found.object not in (range, processes.each):
        r.refuse(node, "a loop runs over range(...) or each(Index)", _instead_of(r, node))
    if found.object is processes.each:
        of = r.expression(loop.args[0]) if len(loop.args) == 1 else None
        if not isinstance(of, Static) or not isinstance(of.object, Index):
            r.refuse(node, "each() takes an index type", "each(Pfn)")
        index = of.object
        least = tree.Const(r.at(node), Num(int(index.none), int(index.none)), int(index.none))
        return _Range(least, tree.Limit(r.at(node), Num(0, U64), index), 1, Of(index), index)
    values = [r.number(argument) for argument in loop.args]
    if not 1 <= len(values) <= 3 or any(value.changes for value in values):
        r.refuse(node, "range() takes one to three numbers")
    first = values[0] if len(values) > 1 else tree.Const(r.at(node), Num(0, 0), 0)
    last, step = values[min(1, len(values) - 1)], tree.constant(values[2]) if len(values) == 3 else 1
    if step is None or step == 0:
        r.refuse(node, "the step of a range is a constant", "range(a, b, 1)")
    a, b = first.kind, last.kind
    assert isinstance(a, Num) and isinstance(b, Num)
    lo, hi = (a.lo, max(b.hi - 1, a.lo, 0)) if step > 0 else (min(b.lo + 1, a.hi), a.hi)
    return _Range(first, last, step, Num(max(lo, 0), max(hi, 0)))


def order_dependent(body: Sequence[tree.Node], variable: str, inner: bool = False) -> Iterator[tuple[tree.Node, str]]:
    """What makes a loop over `variable` depend on its order: leaving it early, yielding, or keeping the variable itself."""
    for node in body:
        if isinstance(node, tree.Return) or (isinstance(node, tree.Jump) and node.to == "break" and not inner):
            yield node, "return" if isinstance(node, tree.Return) else node.to
        elif isinstance(node, tree.If):
            yield from order_dependent([*node.body, *node.otherwise], variable, inner)
        elif isinstance(node, tree.While | tree.For):
            yield from order_dependent(node.body, variable, True)
        elif isinstance(node, tree.Pause) or (isinstance(node, tree.Assign | tree.Store) and _is_value(node.value, variable)):
            yield node, "a yield" if isinstance(node, tree.Pause) else "an assignment"


def _is_value(node: tree.Node, variable: str) -> bool:
    """Whether the variable itself, and not only a place that it indexes, is part of a value."""
    if isinstance(node, tree.Local):
        return node.name == variable
    if isinstance(node, tree.Element):
        return _is_value(node.base, variable)
    compares = isinstance(node, tree.Binary) and node.operator in COMPARISONS
    return not compares and any(_is_value(part, variable) for part in tree.parts(node))


def _jump(to: str) -> Callable[[Reader, ast.stmt], list[tree.Statement]]:
    return lambda r, node: [tree.Jump(r.at(node), to)]


STATEMENTS: Table = {
    ast.stmt: _block, ast.If: _if, ast.Expr: _expr, ast.Assert: _assert, ast.AnnAssign: _annassign, ast.Assign: _assign,
    ast.AugAssign: _augassign, ast.Return: _return, ast.While: _while, ast.For: _for, ast.Break: _jump("break"),
    ast.Continue: _jump("continue"), ast.Pass: lambda r, node: [tree.Evaluate(r.at(node), None)],
}  # fmt: skip
