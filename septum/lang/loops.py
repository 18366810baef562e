"""Loops: over numbers, over the values of an index, and while a condition holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from septum.lang import processes
from septum.lang.expressions import Static, Value, is_interchangeable
from septum.lang.flow import yield_in
from septum.lang.order import depends_on_order
from septum.lang.statements import Statements, bracketed, c_of
from septum.lang.types import Index
from septum.lang.values import Kind, Num, Of


class Loops(Statements):
    """Translates `for` and `while`."""

    def _while_statement(self, node: ast.While) -> None:
        if node.orelse:
            self.source.refuse(node, "else after a loop is not in the language", "a name that says how the loop ended")
        test = self._note(self.condition(node.test))
        self._loops.append(None)
        with self._braces(f"while {bracketed(test.code)}"):
            self.out(f"fuel(c, {self.unit.site(self.source, node, 'endless', 'the loop does not end within one step')});")
            self._block(node.body)
        self._loops.pop()

    def _for_statement(self, node: ast.For) -> None:
        if node.orelse or not isinstance(node.target, ast.Name):
            self.source.refuse(node, "a loop has one variable and no else", "for i in range(n)")
        variable = node.target.id
        if any(
            isinstance(name, ast.Name) and name.id == variable and isinstance(name.ctx, ast.Store)
            for part in node.body
            for name in ast.walk(part)
        ):
            self.source.refuse(node, f"the loop variable {variable} is assigned in the body", "another name, or while")
        first, last, step, kind, constant = self._range(node)
        if not constant and any(isinstance(part, ast.Yield | ast.YieldFrom) for inside in node.body for part in ast.walk(inside)):
            self.source.refuse(node, "a yield inside of a loop whose bounds are not constant", "while, with a counter")
        self._assign(node, variable, Value(kind, ""), emit=False)
        number, self._loop_number = self._loop_number, self._loop_number + 1
        if not constant:
            self.out(f"n_{number} = {last};")
        bound = last if constant else f"n_{number}"
        self._loops.append((str(number), variable))
        with self._braces(f"for (i_{number} = {first}; i_{number} {'<' if step > 0 else '>'} {bound}; i_{number} += {step})"):
            self.out(f"v_{variable} = ({c_of(self.unit, self.kinds[variable])})i_{number};")
            self._block(node.body)
        self._loops.pop()
        if isinstance(kind, Of) and isinstance(kind.scalar, Index):
            self._check_order(node, variable, kind.scalar)

    def _check_order(self, node: ast.For, variable: str, index: Index) -> None:
        """Values of a scalarset have no order, so a loop over them must not depend on it; of other types it is noted."""
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Call):
            found = self.expression(first.value.func)
            if isinstance(found, Static) and found.object is processes.alike:
                return
        if not is_interchangeable(index):
            inside = {part for statement in node.body for part in ast.walk(statement)}
            called = [result.of for call, result in self.invoked.items() if call in inside]
            if depends_on_order(node, self.source.tree, bool(called), any(callee.changes for callee in called)):
                self.tells_apart(node, index, f"a loop goes through {index} in order")
            return
        for part in order_dependent(node.body, variable):
            what = f"{type(part).__name__.lower()} in a loop over a scalarset, whose values have no order"
            self.source.refuse(part, what, 'alike("why it does not matter which comes first") as the first line of the loop')

    def _range(self, node: ast.For) -> tuple[str, str, int, Kind, bool]:
        loop = node.iter
        if (
            not isinstance(loop, ast.Call)
            or not isinstance(found := self.expression(loop.func), Static)
            or found.object not in (range, processes.each)
        ):
            self.source.refuse(node, "a loop runs over range(...) or each(Index)", "for i in range(n)")
        if found.object is processes.each:
            over = self.expression(loop.args[0]) if len(loop.args) == 1 else None
            if not isinstance(over, Static) or not isinstance(over.object, Index):
                self.source.refuse(node, "each() takes an index type", "each(Pfn)")
            return str(int(over.object.none)), str(over.object.limit), 1, Of(over.object), True
        values = [self._note(self._operand(argument)) for argument in loop.args]
        if not 1 <= len(values) <= 3 or any(value.changes for value in values):
            self.source.refuse(node, "range() takes one to three numbers")
        first = values[0] if len(values) > 1 else Value(Num(0, 0), "0", 0)
        last, step = values[min(1, len(values) - 1)], values[2].constant if len(values) == 3 else 1
        if step is None or step == 0:
            self.source.refuse(node, "the step of a range is a constant", "range(a, b, 1)")
        return self._range_kind(first, last, step)

    def _range_kind(self, first: Value, last: Value, step: int) -> tuple[str, str, int, Kind, bool]:
        a, b = first.kind, last.kind
        assert isinstance(a, Num) and isinstance(b, Num)
        lo, hi = (a.lo, max(b.hi - 1, a.lo, 0)) if step > 0 else (min(b.lo + 1, a.hi), a.hi)
        constant = first.constant is not None and last.constant is not None
        return f"(int64_t)({first.code})", f"(int64_t)({last.code})", step, Num(max(lo, 0), max(hi, 0)), constant


def order_dependent(body: list[ast.stmt], variable: str, inner: bool = False) -> Iterator[ast.AST]:
    """What makes a loop over `variable` depend on its order: leaving it early, yielding, or keeping the variable itself."""
    for node in body:
        if isinstance(node, ast.Return) or (isinstance(node, ast.Break) and not inner):
            yield node
        elif isinstance(node, ast.If):
            yield from order_dependent([*node.body, *node.orelse], variable, inner)
        elif isinstance(node, ast.While | ast.For):
            yield from order_dependent(node.body, variable, True)
        elif yield_in(node) or (isinstance(node, ast.Assign | ast.AnnAssign) and node.value and _is_value(node.value, variable)):
            yield node


def _is_value(tree: ast.AST, variable: str) -> bool:
    """Whether the variable itself, and not only a place that it indexes, is part of a value."""
    if isinstance(tree, ast.Name):
        return tree.id == variable
    if isinstance(tree, ast.Subscript):
        return _is_value(tree.value, variable)
    return not isinstance(tree, ast.Compare) and any(_is_value(child, variable) for child in ast.iter_child_nodes(tree))
