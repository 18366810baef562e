"""What a scope decides: of `if DYNAMIC_PAMT:` only the side that is taken is read.

The other side is no part of the model then: it may name fields that the world does not have, and what it uses is not live.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from septum.lang.types import Size
from septum.translate.reader import Reader

COMPARISON: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
"""The operators that compare, and what each says of two numbers."""


def decided(r: Reader, node: ast.expr) -> int | None:
    """The number that an expression is under this scope, if it is made of sizes and constants alone."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return int(node.value)
    if isinstance(node, ast.Name) and node.id not in r.names:
        found = r.source.lookup(node.id)
        return int(found) if isinstance(found, int | Size) else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        value = decided(r, node.operand)
        return None if value is None else int(not value)
    if isinstance(node, ast.BoolOp):
        values, ends = [decided(r, part) for part in node.values], isinstance(node.op, ast.Or)
        if any(value is not None and bool(value) == ends for value in values):
            return int(ends)
        return None if None in values else int(not ends)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISON:
        left, right = decided(r, node.left), decided(r, node.comparators[0])
        return None if left is None or right is None else int(COMPARISONS[COMPARISON[type(node.ops[0])]](left, right))
    return None
