"""The flow of control inside a function: which locals are live at each yield, and what may run in the step from there."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(eq=False)
class Node:
    """A piece of a statement that runs as a whole: the expressions in `trees`. `point`: its step ends here.

    `turns`: control goes back from here to the head of a loop that yields.
    """

    uses: set[str] = field(default_factory=set)
    defines: set[str] = field(default_factory=set)
    after: list[Node] = field(default_factory=list)
    trees: tuple[ast.AST, ...] = ()
    point: ast.expr | None = None
    calls: ast.YieldFrom | None = None
    leaves: bool = False
    turns: bool = False
    live: set[str] = field(default_factory=set)


def yield_in(statement: ast.stmt) -> ast.Yield | ast.YieldFrom | None:
    """The yield of a simple statement, which is its whole right-hand side (checked by the translator)."""
    value = getattr(statement, "value", None)
    return value if isinstance(value, ast.Yield | ast.YieldFrom) else None


class Flow:
    """The graph of a function's statements; `locals` are the names that are variables of the function."""

    def __init__(self, body: list[ast.stmt], local_names: set[str]) -> None:
        self.locals = local_names
        self.nodes: list[Node] = []
        self.exit = self._node(leaves=True)
        self.entry = self._node()
        self.resumed: dict[ast.expr, Node] = {}
        self._loops: list[tuple[Node, Node]] = []
        self._link(self._block(body, [self.entry]), self.exit)
        self._solve()

    def live_at(self, point: ast.expr) -> set[str]:
        """The locals whose value is still needed when the process goes on after `point`."""
        return self.resumed[point].live

    def region(self, start: Node, passes: Callable[[ast.YieldFrom], bool]) -> Iterator[Node]:
        """The nodes that may run from `start` in one step: up to a yield, or a call that does not pass without one."""
        return self._from(start, lambda node: node.point is None or (node.calls is not None and passes(node.calls)))

    def future(self, start: Node) -> Iterator[Node]:
        """The nodes that may ever run from `start`."""
        return self._from(start, lambda _: True)

    def _from(self, start: Node, goes_on: Callable[[Node], bool]) -> Iterator[Node]:
        seen, todo = {start}, [start]
        while todo:
            node = todo.pop()
            yield node
            if goes_on(node):
                for successor in node.after:
                    if successor not in seen:
                        seen.add(successor)
                        todo.append(successor)

    def _node(self, **fields: object) -> Node:
        node = Node(**fields)  # type: ignore[arg-type]
        self.nodes.append(node)
        return node

    def _link(self, before: list[Node], node: Node) -> Node:
        for one in before:
            one.after.append(node)
        return node

    def _names(self, *trees: ast.AST | None) -> set[str]:
        return {
            name.id for tree in trees if tree for name in ast.walk(tree)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load) and name.id in self.locals
        }  # fmt: skip

    def _block(self, body: list[ast.stmt], before: list[Node]) -> list[Node]:
        for statement in body:
            before = self._statement(statement, before)
        return before

    def _statement(self, statement: ast.stmt, before: list[Node]) -> list[Node]:
        if isinstance(statement, ast.If):
            test = self._link(before, self._node(uses=self._names(statement.test), trees=(statement.test,)))
            return self._block(statement.body, [test]) + self._block(statement.orelse, [test])
        if isinstance(statement, ast.While):
            return self._while(statement, before)
        if isinstance(statement, ast.For):
            return self._for(statement, before)
        if isinstance(statement, ast.Break | ast.Continue):
            self._link(before, self._loops[-1][isinstance(statement, ast.Continue)])
            return []
        after = self._simple(statement, before)
        if isinstance(statement, ast.Return):
            self._link(after, self.exit)
            return []
        return after

    def _while(self, statement: ast.While, before: list[Node]) -> list[Node]:
        test = self._link(before, self._node(uses=self._names(statement.test), trees=(statement.test,)))
        done, turn = self._node(), self._node(turns=_yields(statement))
        turn.after.append(test)
        self._loops.append((done, turn))
        self._link(self._block(statement.body, [test]), turn)
        self._loops.pop()
        if not (isinstance(statement.test, ast.Constant) and statement.test.value):
            test.after.append(done)
        return [done]

    def _for(self, statement: ast.For, before: list[Node]) -> list[Node]:
        variable = {statement.target.id} if isinstance(statement.target, ast.Name) else set()
        start = self._node(uses=self._names(statement.iter), defines=variable, trees=(statement.iter,))
        self._link(before, start)
        head, done = self._node(), self._node()
        step = self._node(uses=variable, defines=variable, turns=_yields(statement))
        start.after.append(head)
        head.after.append(done)
        step.after.append(head)
        self._loops.append((done, step))
        self._link(self._block(statement.body, [head]), step)
        self._loops.pop()
        return [done]

    def _simple(self, statement: ast.stmt, before: list[Node]) -> list[Node]:
        target = getattr(statement, "target", None) or (statement.targets[0] if isinstance(statement, ast.Assign) else None)
        defines = {target.id} if isinstance(target, ast.Name) else set()
        uses = self._names(statement) | (defines if isinstance(statement, ast.AugAssign) else set())
        value = yield_in(statement)
        if value is None:
            return [self._link(before, self._node(uses=uses, defines=defines, trees=(statement,)))]
        point = self._node(uses=self._names(value), point=value)
        if isinstance(value, ast.YieldFrom):
            point.calls, point.trees = value, (value,)
        self._link(before, point)
        condition = value.value if isinstance(value, ast.Yield) else None
        waiting = self._node(uses=self._names(condition), trees=(condition,) if condition else ())
        finish = self._node(defines=defines)
        point.after.append(waiting)
        waiting.after.append(finish)
        self.resumed[value] = waiting
        return [finish]

    def _solve(self) -> None:
        changed = True
        while changed:
            changed = False
            for node in reversed(self.nodes):
                out: set[str] = set().union(*(successor.live for successor in node.after))
                live = node.uses | (out - node.defines)
                if live != node.live:
                    node.live, changed = live, True


def _yields(loop: ast.stmt) -> bool:
    return any(isinstance(part, ast.Yield | ast.YieldFrom) for part in ast.walk(loop))
