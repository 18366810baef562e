"""One-line changes of a design, made by rule: a statement left out, a condition turned round; and how many break a property."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from septum.check.check import check
from septum.check.result import Verdict
from septum.kvm.design import Design
from septum.kvm.ops import OPERATIONS
from septum.lang.errors import SeptumError
from septum.lang.model import Model
from septum.scenarios import kvm_model


@dataclass(frozen=True)
class Mutant:
    """A design with one line changed: which one, and how it reads now."""

    design: Design
    operation: str
    line: int
    change: str


def mutants(design: Design) -> Iterator[Mutant]:
    """A mutant for every statement and condition of the design's operations, those of its parts among them."""
    for name in sorted(design.operations):
        yield from _of_function(design, name, design.function(name))


def _of_function(design: Design, name: str, function: Callable[..., Any]) -> Iterator[Mutant]:
    lines, first = inspect.getsourcelines(function)
    source = "".join(lines[next(number for number, line in enumerate(lines) if line.startswith("def ")) :])
    for number, _ in enumerate(_places(ast.parse(source))):
        tree = ast.parse(source)
        node, parent, index = list(_places(tree))[number]
        if isinstance(node, ast.If):
            change = f"if not ({ast.unparse(node.test)})"
            node.test = ast.UnaryOp(ast.Not(), node.test)
        else:
            change = f"without: {ast.unparse(node)}"
            parent[index] = ast.copy_location(ast.Pass(), node)
        made = _defined(function, name, ast.unparse(ast.fix_missing_locations(tree)), number)
        changed = Design(f"{design.name}_mutant", base=design)
        changed._own[OPERATIONS[name]] = made
        yield Mutant(changed, name, first + node.lineno, change)


def _places(tree: ast.AST) -> Iterator[tuple[Any, list[Any], int]]:
    """Statements that can be left out - calls, and assignments to the state - and conditions: node, block, index in it."""
    for outer in ast.walk(tree):
        for block in (getattr(outer, name, None) for name in ("body", "orelse")):
            for index, node in enumerate(block if isinstance(block, list) else ()):
                is_call = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Yield)
                is_store = isinstance(node, ast.Assign | ast.AugAssign) and not _binds_a_name(node)
                if is_call or is_store or isinstance(node, ast.If):
                    yield node, block, index  # type: ignore[misc]


def _binds_a_name(node: ast.Assign | ast.AugAssign) -> bool:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return isinstance(target, ast.Name)


def _defined(function: Callable[..., Any], name: str, source: str, number: int) -> Callable[..., Any]:
    """The function that the source defines, in the names of the original's module; its lines can be shown."""
    file = f"{function.__code__.co_filename}.{name}.{number}.mutant"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = dict(vars(inspect.getmodule(function)))
    exec(compile(source, file, "exec"), names)
    made: Callable[..., Any] = names[name]
    if inspect.isgeneratorfunction(function):
        made.__septum_process__ = True  # type: ignore[attr-defined]
    return made


def alone(model: Model, scenario: str) -> Model:
    """The model with one scenario, compiled in a hurry: for a check that is made once."""
    return replace(model, scenarios=tuple(replace(one, few_states=True) for one in model.scenarios if one.name == scenario))


def breaking(design: Design, property: str, scenarios: Sequence[str]) -> tuple[list[Mutant], int]:
    """The mutants that violate a property in one of the scenarios, and how many there are that the language accepts."""
    broken, tried = [], 0
    for mutant in mutants(design):
        try:
            model = kvm_model(mutant.design)
            verdicts = (check(alone(model, name), name, property=property).verdict for name in scenarios)
            violates = any(verdict is Verdict.VIOLATED for verdict in verdicts)
        except SeptumError:
            continue
        tried += 1
        broken += [mutant] if violates else []
    return broken, tried
