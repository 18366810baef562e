"""Assertions that are not judged, and routines of properties that go on behind them, as their translation to C does."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from septum.lang.paths import shown_path
from septum.lang.processes import Place, running
from septum.lang.source import parsed

NOTE = "__septum_passed__"
LANGUAGE = Path(__file__).parent


class Excused:
    """The places of the assertions that are not judged; `of` makes a routine that only notes where one of them fails."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self.places = frozenset(places)
        self._made: dict[Any, Callable[..., Any]] = {}

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The routine itself where nothing is excused of what it runs, and of what it calls by name."""
        if not self.places:
            return function
        if function not in self._made:
            self._made[function] = function
            if isinstance(function, FunctionType) and Path(function.__code__.co_filename).parent != LANGUAGE:
                self._made[function] = self._changed(function)
        return self._made[function]

    def _changed(self, function: FunctionType) -> Callable[..., Any]:
        names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
        called = {name: names[name] for name in _names(function.__code__) if isinstance(names.get(name), FunctionType)}
        instead = {name: made for name, one in called.items() if (made := self.of(one)) is not one}
        file = shown_path(function.__code__.co_filename)
        tree = copy.deepcopy(parsed(function))
        lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert) and (file, node.lineno) in self.places}
        if not instead and not lines:
            return function
        tree.decorator_list, tree.returns = [], None
        for argument in tree.args.args:
            argument.annotation = None  # what it says may not be known when the routine runs
        module = ast.fix_missing_locations(ast.Module([_Noting(lines).visit(tree)], []))
        names |= {**instead, NOTE: lambda line: running.passed.add((file, line))}
        exec(compile(module, function.__code__.co_filename, "exec"), names)
        return names[function.__name__]  # type: ignore[no-any-return]


def _names(code: CodeType) -> Iterator[str]:
    """Those that a function and the lambdas in it look up."""
    yield from (*code.co_names, *code.co_freevars)
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _names(one)


class _Noting(ast.NodeTransformer):
    """`assert test` on one of the lines becomes `if not test: note(line)`."""

    def __init__(self, lines: set[int]) -> None:
        self.lines = lines

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        if node.lineno not in self.lines:
            return node
        told = ast.Expr(ast.Call(ast.Name(NOTE, ast.Load()), [ast.Constant(node.lineno)], []))
        return ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), node.test), [told], []), node)
