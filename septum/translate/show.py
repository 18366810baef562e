"""Trees as text, for a reader: each statement with its line, each local with its kind, each yield with what is kept there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from septum.lang.processes import Meter, Witness
from septum.lang.values import Nothing, Of
from septum.translate import tree


def said(node: tree.Node) -> str:
    """An expression in one line: places as the source writes them, what is checked in ⟨ ⟩."""
    if type(node) in SAID:
        return SAID[type(node)](node)
    return f"{type(node).__name__.lower()}({', '.join(map(said, tree.parts(node)))})"


def shown(function: tree.Function) -> str:
    """A function: its head, its locals, its statements."""
    given = ", ".join(f"{name}: {kind}" for name, kind in function.parameters.items())
    result = "" if isinstance(function.returns, Nothing) else f" -> {function.returns}"
    what = "process" if function.is_process else "routine"
    lines = [
        f"{what} {function.source.name}({given}){result}",
        f"  {function.source.file}:{function.source.tree.lineno}, {_effects(function)}",
    ]
    lines += [f"  local {name}: {kind}" for name, kind in function.kinds.items() if name not in function.parameters]
    return "\n".join([*lines, *_block(function, function.body, 1), ""])


def _effects(function: tree.Function) -> str:
    did = [word for word, does in (("reads", function.reads), ("changes", function.changes)) if does]
    return " and ".join([*did, *([function.piece] if function.piece else [])]) or "touches nothing"


def _block(function: tree.Function, body: Iterable[tree.Statement], depth: int) -> Iterator[str]:
    for node in body:
        head, inner = _statement(function, node)
        yield f"{node.at.line:6}{'    ' * depth}{head}"
        yield from _block(function, inner, depth + 1)
        if isinstance(node, tree.If) and node.otherwise:
            yield f"{'':6}{'    ' * depth}else"
            yield from _block(function, node.otherwise, depth + 1)


def _statement(function: tree.Function, node: tree.Statement) -> tuple[str, tuple[tree.Statement, ...]]:
    match node:
        case tree.Assign(name=name, value=value):
            return f"{name} = {said(value)}", ()
        case tree.Store(place=place, value=value):
            return f"store {said(place)} = {said(value)}", ()
        case tree.Evaluate(value=value):
            return said(value) if value else "pass", ()
        case tree.If(test=test, body=body):
            return f"if {said(test)}", body
        case tree.While(test=test, body=body):
            return f"while {said(test)}", body
        case tree.For(name=name, first=first, last=last, step=step, over=over, body=body):
            return f"for {name} in {over or f'{said(first)} .. {said(last)} by {step}'}", body
        case tree.Return(value=value):
            return f"return {said(value)}" if value else "return", ()
        case tree.Jump(to=to):
            return to, ()
    assert isinstance(node, tree.Pause)
    return f"{_pause(node)}{_kept(function, node)}", ()


def _pause(node: tree.Pause) -> str:
    match node:
        case tree.Wait(test=test):
            return f"yield {node.number}, wait for {said(test)}"
        case tree.Choose(count=count):
            return f"yield {node.number}, choose one of {said(count)}"
        case tree.Invoke(callee=callee, arguments=arguments):
            return f"yield {node.number}, from {_called(callee, arguments)}"
    assert isinstance(node, tree.Yield)
    return f"yield {node.number}"


def _kept(function: tree.Function, node: tree.Pause) -> str:
    saved = function.frames.points[node.number - 1].saved if function.frames else ()
    return f"   keeps {', '.join(one.name for one in saved)}" if saved else ""


def _called(callee: tree.Function, arguments: tuple[tree.Expression, ...]) -> str:
    return f"{callee.source.name}({', '.join(map(said, arguments))})"


def _const(node: tree.Const) -> str:
    return node.kind.scalar.show(node.number) if isinstance(node.kind, Of) else str(node.number)


def _note(node: tree.Note) -> str:
    if isinstance(node.what, Witness):
        return f"reached {node.what.name}"
    return f"observe {node.what.name} {said(node.value)}" if isinstance(node.what, Meter) and node.value else str(node.what)


def _infix(node: tree.Binary) -> str:
    return f"({said(node.left)} {node.operator} {said(node.right)})"


SAID: Mapping[type[tree.Node], Callable[[Any], str]] = {
    tree.Field: lambda node: f"{said(node.base)}.{node.name}",
    tree.Element: lambda node: f"{said(node.base)}[{said(node.index)}]",
    tree.Const: _const, tree.Local: lambda node: node.name, tree.Load: lambda node: said(node.place), tree.Note: _note,
    tree.Register: lambda node: f"the {node.name}", tree.Outcome: lambda node: f"what {node.of.callee.source.name} gave",
    tree.Unary: lambda node: f"{node.operator} {said(node.value)}", tree.Binary: _infix,
    tree.Junction: lambda node: f"({f' {node.operator} '.join(map(said, node.parts))})",
    tree.Conditional: lambda node: f"({said(node.then)} if {said(node.test)} else {said(node.otherwise)})",
    tree.Convert: lambda node: f"({said(node.value)} as {node.kind})",
    tree.Limit: lambda node: f"all of {node.of}",
    tree.Checked: lambda node: f"⟨{node.check} {said(node.value)}{f' < {node.most + 1}' if node.limit else ''}⟩",
    tree.Call: lambda node: _called(node.callee, node.arguments),
    tree.Assertion: lambda node: f"{node.site.kind}: {said(node.test)}",
}  # fmt: skip
