"""Yields: where a process stands between two steps, the frame that it needs there, and how it goes on."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from septum.lang import processes
from septum.lang.expressions import Static, Value
from septum.lang.flow import Flow
from septum.lang.loops import Loops
from septum.lang.statements import c_of
from septum.lang.symbols import Result
from septum.lang.values import NOTHING, Kind, Nothing, Num, Ref

if TYPE_CHECKING:
    from septum.lang.functions import Instance


@dataclass(frozen=True)
class Saved:
    """A live local in the frame of a yield: `bits` at `offset`."""

    name: str
    kind: Kind
    offset: int
    bits: int


@dataclass(eq=False)
class Point:
    """A yield: where a process stands between two steps, and what of it is part of the state."""

    number: int
    node: ast.Yield | ast.YieldFrom
    column: int
    kind: str
    saved: tuple[Saved, ...] = ()
    end: int = 1
    callee: Instance | None = None
    loops: list[tuple[str, str]] = field(default_factory=list)


class Yields(Loops):
    """Translates the yields of a process."""

    points: list[Point]
    _fresh: list[Point]
    calls: dict[ast.YieldFrom, Instance]
    flow: Flow | None = None

    def _load(self, saved: Saved) -> str:
        if isinstance(saved.kind, Ref):
            return (
                f"v_{saved.name} = ({c_of(self.unit, saved.kind)})(void *)((uint8_t *)w + load{saved.bits}(in + {saved.offset}));"
            )
        return f"v_{saved.name} = load{saved.bits}(in + {saved.offset});"

    def _save(self, point: Point) -> str:
        stores = []
        for saved in point.saved:
            value = f"v_{saved.name}"
            if isinstance(saved.kind, Ref):
                value = f"(uint{saved.bits}_t)((uint8_t *)v_{saved.name} - (uint8_t *)w)"
            stores.append(f"store{saved.bits}(out + {saved.offset}, {value});")
        return " ".join([f"out[0] = {point.number};", *stores])

    def _point(self, node: ast.Yield | ast.YieldFrom, kind: str) -> Point:
        known = {point.node: point for point in self.points}
        point = known.get(node) or Point(0, node, node.col_offset, kind)
        self._fresh.append(point)
        point.number, point.loops = len(self._fresh), [loop for loop in self._loops if loop]
        return point

    def _yield_point(self, node: ast.Yield | ast.YieldFrom, target: ast.Name | None, returned: bool = False) -> Value:
        if not self.is_process:
            self.source.refuse(node, f"a yield in the routine {self.source.name}", "@process before its def")
        if isinstance(node, ast.YieldFrom):
            return self._call_process(node, target)
        if node.value is None:
            self._suspend(self._point(node, "plain"), "1")
            result = Value(NOTHING, "")
        else:
            result = self._wait_or_choose(node)
        if target is not None:
            self._assign(node, target.id, result)
        return result

    def _wait_or_choose(self, node: ast.Yield) -> Value:
        condition = node.value
        found = self.expression(condition.func) if isinstance(condition, ast.Call) else None
        if (
            not isinstance(condition, ast.Call)
            or not isinstance(found, Static)
            or found.object not in (processes.when, processes.choose)
            or len(condition.args) != 1
        ):
            self.source.refuse(node, "a yield gives nothing, when(...) or choose(...)", "yield when(lambda: condition)")
        argument = condition.args[0]
        if isinstance(argument, ast.Lambda) and argument.args.args:
            self.source.refuse(node, "the lambda takes no arguments", "lambda: condition")
        if found.object is processes.when:
            if not isinstance(argument, ast.Lambda):
                self.source.refuse(node, "when() takes a condition to be read again", "when(lambda: condition)")
            test = self._pure(argument.body, self.condition(argument.body))
            self._suspend(self._point(node, "when"), "1")
            self.out(f"if (!PIECE({test.code}, WAITS)) return STEP_BLOCKED;")
            return Value(NOTHING, "")
        return self._choose(node, argument)

    def _choose(self, node: ast.Yield, argument: ast.expr) -> Value:
        count = self._pure(argument, self._operand(argument.body if isinstance(argument, ast.Lambda) else argument))
        if not isinstance(argument, ast.Lambda) and count.constant is None:
            self.source.refuse(
                node,
                "a count that depends on the state is read when the step is taken",
                f"choose(lambda: {ast.unparse(argument)})",
            )
        assert isinstance(count.kind, Num)
        if count.kind.hi < 1:
            self.source.refuse(node, "a choice among none", "choose(n) with n of at least 1")
        none = count.kind.lo < 1
        choices = f"({count.code}) > 0 ? (uint32_t)({count.code}) : 1" if none else f"(uint32_t)({count.code})"
        self._suspend(self._point(node, "choose"), choices)
        if none:
            site = self.unit.site(self.source, node, "choice", "a choice among none")
            self.out(f"if (({count.code}) < 1) fail(c, {site});")
        return Value(Num(0, min(count.kind.hi, 1 << 16) - 1), "c->choice")

    def _pure(self, node: ast.expr, value: Value) -> Value:
        if value.changes:
            self.source.refuse(node, "this condition changes the state", "a condition that only reads")
        return self._note(value)

    def _suspend(self, point: Point, choices: str) -> None:
        self.out(f"{self._save(point)} return STEP_DONE;")
        self._depth -= 1
        self.out(f"L{point.number}:")
        self._depth += 1
        self.out(f"if (c->probe) {{ c->choices = {choices}; return STEP_BLOCKED; }}")

    def _call_process(self, node: ast.YieldFrom, target: ast.Name | None) -> Value:
        if not isinstance(node.value, ast.Call):
            self.source.refuse(node, "yield from calls a process", "yield from process(m, ...)")
        arguments = self.arguments(node.value)
        callee = self.instance_of(node.value)
        called = self.invoked[node] = Result(callee, tuple(argument.symbol for argument in arguments))
        self.calls[node] = callee
        point = self._point(node, "call")
        point.callee = callee
        inner = f"out + {point.end}"
        self.out(f"rc = {callee.invoke(self, node, arguments, 'NULL', inner)};")
        self.out(f"goto R{point.number};")
        self._depth -= 1
        self.out(f"L{point.number}:")
        self._depth += 1
        self._note_place(node.lineno)
        self.out(f"rc = {callee.resume(f'in + {point.end}', inner)};")
        self.out("if (c->probe) return STEP_BLOCKED;")
        self._depth -= 1
        self.out(f"R{point.number}:")
        self._depth += 1
        self.out(f"if (rc == STEP_DONE) {{ {self._save(point)} return STEP_DONE; }}")
        self.out("if (rc == STEP_BLOCKED) return STEP_BLOCKED;")
        result = self._result(called)
        if target is not None:
            self._assign(node, target.id, result)
        return result

    def _result(self, called: Result) -> Value:
        kind = called.of.returns
        if isinstance(kind, Nothing):
            return Value(kind, "")
        if isinstance(kind, Ref):
            return Value(kind, f"(*({c_of(self.unit, kind)})(uintptr_t)c->result)", symbol=called)
        return Value(kind, f"({c_of(self.unit, kind)})c->result", symbol=called)
