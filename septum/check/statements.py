"""The statements of a file of a model: which names each reads and gives, with which arguments it calls, what decides about it."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

EXITS = (ast.Return, ast.Break, ast.Continue)
BRANCHES = (ast.If, ast.While, ast.For)
Position = tuple[int, int]


@dataclass(frozen=True)
class Span:
    """Where a piece of text lies in a file."""

    begin: Position
    end: Position

    def holds(self, other: Span) -> bool:
        return self.begin <= other.begin and other.end <= self.end


@dataclass(frozen=True)
class Names:
    """The names that an expression reads: those whose value it has, and those that only say of which place."""

    values: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Argument:
    """An argument of the call that a statement consists of."""

    span: Span
    names: Names


@dataclass(frozen=True, eq=False)
class Statement:
    """A simple statement, or the head of a compound one.

    `names` are those that it reads, but for those in `arguments`; `gives` are the locals that it sets; `indexes` are where the
    indexes stand in it; `deciders` are the branches around it, and those before it that may have left the function or the loop.
    """

    node: ast.stmt
    names: Names
    gives: frozenset[str]
    arguments: tuple[Argument, ...]
    indexes: tuple[Span, ...]
    deciders: tuple[Statement, ...]

    @property
    def returns(self) -> bool:
        return isinstance(self.node, ast.Return)

    @property
    def drops_results(self) -> bool:
        """What its call returns is of no use to it."""
        return isinstance(self.node, ast.Expr)


def statements(file: str) -> dict[int, Statement]:
    """The innermost statement of each line of a file."""
    return _statements(file, tuple(linecache.getlines(file)))


@functools.lru_cache(maxsize=64)
def _statements(_file: str, lines: tuple[str, ...]) -> dict[int, Statement]:
    found: dict[int, Statement] = {}
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.FunctionDef):
            _block(node.body, (), found)
    return found


def _block(body: Sequence[ast.stmt], around: tuple[Statement, ...], found: dict[int, Statement]) -> None:
    for node in body:
        made = _statement(node, around)
        for line in range(node.lineno, (_head(node)[-1].end_lineno or node.lineno) + 1):
            found[line] = made
        if isinstance(node, BRANCHES):
            _block(node.body, (*around, made), found)
            _block(node.orelse, (*around, made), found)
            around = (*around, *_leaving(node, found))


def _leaving(node: ast.stmt, found: dict[int, Statement]) -> Iterator[Statement]:
    """The branches of a statement that may leave it for good."""
    for inner in ast.walk(node):
        if isinstance(inner, BRANCHES) and any(isinstance(one, EXITS) for one in ast.walk(inner)):
            yield found[inner.lineno]


def _head(node: ast.stmt) -> list[ast.expr | ast.stmt]:
    """What of a statement runs as one: of a compound one its head."""
    if isinstance(node, ast.If | ast.While):
        return [node.test]
    if isinstance(node, ast.For):
        return [node.target, node.iter]
    return [node]


def _statement(node: ast.stmt, around: tuple[Statement, ...]) -> Statement:
    call = _call(node)
    arguments = tuple(Argument(_span(one), _names([one])) for one in (call.args if call else ()))
    rest = [call.func, *_targets(node)] if call else _head(node)
    inner = [one.slice for part in _head(node) for one in ast.walk(part) if isinstance(one, ast.Subscript)]
    return Statement(node, _names(rest), _given(node), arguments, tuple(map(_span, inner)), around)


def _call(node: ast.stmt) -> ast.Call | None:
    """`x = f(...)`, `x = yield from f(...)`, `return f(...)`: the call that the statement consists of."""
    value = getattr(node, "value", None)
    while isinstance(value, ast.YieldFrom | ast.Yield):
        value = value.value
    return value if isinstance(value, ast.Call) and not isinstance(node, ast.AugAssign) else None


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return list(node.targets)
    return [node.target] if isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For) else []


def _given(node: ast.stmt) -> frozenset[str]:
    return frozenset(one.id for one in _targets(node) if isinstance(one, ast.Name))


def _span(node: ast.expr) -> Span:
    return Span((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))


def _names(nodes: Sequence[ast.AST]) -> Names:
    """An augmented assignment to a name reads it too."""
    addresses: set[str] = set()
    for part in (one for node in nodes for one in ast.walk(node)):
        if isinstance(part, ast.Attribute | ast.Subscript):
            places = [part.value, *([part.slice] if isinstance(part, ast.Subscript) else [])]
            addresses |= {one.id for place in places for one in ast.walk(place) if isinstance(one, ast.Name)}
    named = [one for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)]
    values = {one.id for one in named} - addresses
    values |= {node.target.id for node in nodes if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)}
    return Names(frozenset(values), frozenset(addresses))
