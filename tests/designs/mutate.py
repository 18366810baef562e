"""Puts a mutated function in place of the real one, everywhere, for a while."""

from __future__ import annotations

import ast
import importlib
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import septum
from septum.designs import BUILT_IN
from septum.explore import build
from tests.designs.mutations import Mutation

ROOT = Path(septum.__file__).parent


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """Inside, the model has the mutation; the function stands in a file of its own name, so that its lines can be shown."""
    module = importlib.import_module("septum." + mutation.file.removesuffix(".py").replace("/", "."))
    text = mutation.apply((ROOT / mutation.file).read_text())
    original = getattr(module, mutation.function)
    owned = [(design, key) for design in BUILT_IN for key, value in design._own.items() if value is original]
    replacement = _defined(module, mutation.function, text)
    places = [(other, name) for other in _modules() for name, value in vars(other).items() if value is original]
    for other, name in places:
        setattr(other, name, replacement)
    setattr(module, mutation.function, replacement)
    for design, key in owned:
        design._own[key] = replacement
    build._recent.clear()
    try:
        yield
    finally:
        build._recent.clear()
        for other, name in places:
            setattr(other, name, original)
        setattr(module, mutation.function, original)
        for design, key in owned:
            design._own[key] = original


def _modules() -> list[Any]:
    return [module for name, module in sys.modules.items() if name.startswith("septum.") and module is not None]


def _defined(module: Any, name: str, text: str) -> Any:
    """The function as the mutated text defines it, in the names of the real module."""
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    file = f"{module.__file__}.mutated"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    real = getattr(module, name)
    exec(compile(tree, file, "exec"), vars(module))
    made = vars(module)[name]
    setattr(module, name, real)
    return made
