"""Reads yields: where a process stands between two steps, and what it waits for there."""

from __future__ import annotations

import ast

from septum.lang import processes
from septum.lang.processes import MOST_CHOICES
from septum.lang.values import Nothing, Num
from septum.translate.read_calls import called
from septum.translate.reader import Reader, Static, written
from septum.translate.tree import Choose, Expression, Invoke, Outcome, Pause, Register, Wait, Yield, constant


def pause(r: Reader, node: ast.Yield | ast.YieldFrom) -> tuple[Pause, Expression | None]:
    """A yield that stands alone, and what it gives."""
    if not r.is_process:
        r.refuse(node, f"a yield in the routine {r.source.name}", "@process before its def")
    if isinstance(node, ast.YieldFrom):
        return _invoke(r, node)
    if node.value is None:
        return Yield(r.at(node), _next(r)), None
    condition = node.value
    found = r.expression(condition.func) if isinstance(condition, ast.Call) else None
    of = found.object if isinstance(found, Static) else None
    if not isinstance(condition, ast.Call) or of not in (processes.when, processes.choose) or len(condition.args) != 1:
        r.refuse(node, "a yield gives nothing, when(...) or choose(...)", "yield when(lambda: condition)")
    argument = condition.args[0]
    if isinstance(argument, ast.Lambda) and argument.args.args:
        r.refuse(node, "the lambda takes no arguments", "lambda: condition")
    if of is processes.choose:
        return _choose(r, node, argument)
    if not isinstance(argument, ast.Lambda):
        r.refuse(node, "when() takes a condition to be read again", "when(lambda: condition)")
    test = _pure(r, argument.body, r.condition(argument.body))
    return Wait(r.at(node), _next(r), test), None


def _next(r: Reader) -> int:
    r.pauses += 1
    if r.pauses > 254:
        r.refuse(r.source.tree, f"more than {r.pauses - 1} yields in one process", "several processes")
    return r.pauses


def _pure(r: Reader, node: ast.expr, value: Expression) -> Expression:
    if value.changes:
        r.refuse(node, "this condition changes the state", "a condition that only reads")
    return value


def _choose(r: Reader, node: ast.Yield, argument: ast.expr) -> tuple[Pause, Expression]:
    count = _pure(r, argument, r.number(argument.body if isinstance(argument, ast.Lambda) else argument))
    if not isinstance(argument, ast.Lambda) and constant(count) is None:
        advice = f"choose(lambda: {written(argument)})"
        r.refuse(node, "a count that depends on the state is read when the step is taken", advice)
    assert isinstance(count.kind, Num)
    if count.kind.hi < 1:
        r.refuse(node, "a choice among none", "choose(n) with n of at least 1")
    if (constant(count) or 0) > MOST_CHOICES:
        r.refuse(node, f"a choice among {constant(count):,}; at most {MOST_CHOICES:,} can be told apart", "several choices")
    between = count.kind.lo >= 1 and count.kind.hi <= MOST_CHOICES
    site = None if between else r.site(node, "choice", f"a choice among none, or more than {MOST_CHOICES:,}")
    chosen = Register(r.at(node), Num(0, min(count.kind.hi, MOST_CHOICES) - 1), "choice")
    return Choose(r.at(node), _next(r), count, site), chosen


def _invoke(r: Reader, node: ast.YieldFrom) -> tuple[Pause, Expression | None]:
    if not isinstance(node.value, ast.Call):
        r.refuse(node, "yield from calls a process", "yield from process(m, ...)")
    found = r.expression(node.value.func)
    if not isinstance(found, Static) or not processes.is_process(found.object):
        r.refuse(node, f"{written(node.value.func)} is not a process", "@process before its def, or a plain call")
    callee, arguments = called(r, node.value, found.object)
    invoked = Invoke(r.at(node), _next(r), callee, arguments)
    return invoked, None if isinstance(callee.returns, Nothing) else Outcome(invoked.at, callee.returns, invoked)
