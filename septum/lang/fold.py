"""Branches that a scope decides: of `if DYNAMIC_PAMT:` only the side that is taken is translated.

The other side is no part of the model then: it may name fields that the world does not have, and what it uses is not live.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from septum.lang.source import Source
from septum.lang.types import Size

Node = TypeVar("Node", bound=ast.AST)
COMPARED: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip


def folded(source: Source) -> Source:
    """The function without the branches that the current scope rules out."""
    local = _locals_of_a_branching(source.tree)
    if local is None:
        return source
    fold = _Fold(source, local)
    body = fold.block(source.tree.body)
    return replace(source, tree=_with(source.tree, body=body)) if fold.decided else source


@functools.cache
def _locals_of_a_branching(tree: ast.FunctionDef) -> frozenset[str] | None:
    """The names that a function binds, if it has a branch at all; it is asked for in every scope."""
    nodes = list(ast.walk(tree))
    if not any(isinstance(node, ast.If | ast.IfExp | ast.BoolOp) for node in nodes):
        return None
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return frozenset(stored | {argument.arg for argument in tree.args.args})


class _Fold:
    """Rebuilds what holds a decided branch; every other node stays the object that it was."""

    def __init__(self, source: Source, local: frozenset[str]) -> None:
        self.source, self.local, self.decided = source, local, False

    def known(self, node: ast.expr) -> int | None:
        """The number that an expression is under this scope, if it is made of sizes and constants alone."""
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return int(node.value)
        if isinstance(node, ast.Name) and node.id not in self.local:
            found = self.source.lookup(node.id)
            return int(found) if isinstance(found, int | Size) else None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            value = self.known(node.operand)
            return None if value is None else int(not value)
        if isinstance(node, ast.BoolOp):
            values, ends = [self.known(part) for part in node.values], isinstance(node.op, ast.Or)
            if any(value is not None and bool(value) == ends for value in values):
                return int(ends)
            return None if None in values else int(not ends)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
            left, right = self.known(node.left), self.known(node.comparators[0])
            return None if left is None or right is None else int(COMPARED[type(node.ops[0])](left, right))
        return None

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements that are left."""
        done: list[ast.stmt] = []
        for statement in body:
            done += self._statement(statement)
            if isinstance(statement, ast.If) and done and isinstance(done[-1], ast.Return) and self.known(statement.test):
                break
        return done or [ast.copy_location(ast.Pass(), body[0])]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.If):
            value = self.known(node.test)
            if value is not None:
                self.decided = True
                chosen = node.body if value else node.orelse
                return self.block(chosen) if chosen else []
            return [_with(node, test=self.expression(node.test), body=self.block(node.body),
                          orelse=self.block(node.orelse) if node.orelse else [])]  # fmt: skip
        if isinstance(node, ast.While):
            return [_with(node, test=self.expression(node.test), body=self.block(node.body))]
        if isinstance(node, ast.For):
            return [_with(node, body=self.block(node.body))]
        if isinstance(node, ast.Return | ast.Assign | ast.Expr) and node.value is not None:
            return [_with(node, value=self.expression(node.value))]
        return [node]

    def expression(self, node: ast.expr) -> ast.expr:
        """A conditional expression or a condition without what is decided in it."""
        if isinstance(node, ast.IfExp):
            value = self.known(node.test)
            if value is not None:
                self.decided = True
                return self.expression(node.body if value else node.orelse)
        if isinstance(node, ast.BoolOp):
            value = self.known(node)
            left = [part for part in node.values if self.known(part) is None]
            if value is not None and len(left) != len(node.values):
                self.decided = True
                return ast.copy_location(ast.Constant(bool(value)), node)
            if left and len(left) < len(node.values):
                self.decided = True
                return left[0] if len(left) == 1 else _with(node, values=left)
        return node


def _with(node: Node, **fields: object) -> Node:
    """A copy of a node with other fields; the node itself if they are the same."""
    if all(_same(getattr(node, name), value) for name, value in fields.items()):
        return node
    copy = type(node)(**{**dict(ast.iter_fields(node)), **fields})
    return ast.copy_location(copy, node)


def _same(old: object, new: object) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(a is b for a, b in zip(old, new, strict=True))
    return old is new
