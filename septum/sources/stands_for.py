"""From a kernel function to the model: the functions that stand for it, and the operations of a design that come to them."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from septum.kvm.design import Design
from septum.kvm.ops import OPERATIONS
from septum.sources.citations import PACKAGE, citations, model_functions

Place = tuple[str, str]
"""A function of the model: its file in the package, its name."""

_FIRST = re.compile(r"[\"']*([A-Za-z_]\w+)\(")


@functools.cache
def places() -> dict[str, tuple[Place, ...]]:
    """The model's functions that stand for a kernel function, by its name: by docstring or by the same name."""
    found: dict[str, dict[Place, None]] = {}
    for one in citations():
        found.setdefault(one.name, {})[(one.file, one.function)] = None
    for file, node in model_functions():
        first = _FIRST.match(ast.get_docstring(node) or "")
        for name in {node.name, *([first[1]] if first else [])}:
            found.setdefault(name, {})[(file, node.name)] = None
    return {name: tuple(several) for name, several in found.items()}


def place_of(function: Callable[..., Any]) -> Place:
    """Where a function of the model is; one of a user's file has the file's whole path."""
    path = Path(function.__code__.co_filename)
    return (str(path.relative_to(PACKAGE)) if path.is_relative_to(PACKAGE) else str(path), function.__name__)


def line_of(place: Place) -> int:
    """The line in which it begins."""
    return next(node.lineno for file, node in model_functions() if (file, node.name) == place)


def called(function: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions of the model that a function names, each with the name that it has there."""
    names = vars(inspect.getmodule(function))
    for name in function.__code__.co_names:
        one = names.get(name)
        if isinstance(one, FunctionType) and one.__module__.startswith("septum.") and one is not function:
            yield name, one


def operations_called(function: Callable[..., Any]) -> set[str]:
    """The operations, `ops.name`, that a function calls."""
    return set(function.__code__.co_names) & OPERATIONS.keys() if "ops" in function.__code__.co_names else set()


def way(function: Callable[..., Any], wanted: frozenset[Place]) -> str | None:
    """How a function comes to one of these: "" if it is one, the name of what it calls on the way there, None if it does not."""
    if place_of(function) in wanted:
        return ""
    return next((name for name, one in called(function) if _comes_to(one, wanted, set())), None)


def _comes_to(function: Callable[..., Any], wanted: frozenset[Place], seen: set[Any]) -> bool:
    if function in seen:
        return False
    seen.add(function)
    return place_of(function) in wanted or any(_comes_to(one, wanted, seen) for _, one in called(function))


def operations(design: Design, wanted: frozenset[Place]) -> dict[str, str]:
    """The operations of a design that come to one of these functions, each with its way."""
    ways = {name: way(design.function(name), wanted) for name in sorted(design.operations)}
    return {name: found for name, found in ways.items() if found is not None}


def function_at(place: Place) -> Callable[..., Any] | None:
    """The function itself."""
    module = place[0].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    found = getattr(__import__(f"septum.{module}", fromlist=["_"]), place[1], None)
    return found if isinstance(found, FunctionType) else None
