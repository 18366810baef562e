"""Puts a mutated function in place of the real one, everywhere, for a while."""

from __future__ import annotations

import ast
import importlib
import linecache
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import septum
from septum.designs import BUILT_IN
from septum.explore import build
from tests.designs.mutations import Mutation

ROOT = Path(septum.__file__).parent


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """Inside, the model has the mutation; its functions stand in a file of its own name, so that their lines can be shown."""
    module = importlib.import_module("septum." + mutation.file.removesuffix(".py").replace("/", "."))
    text = mutation.apply((ROOT / mutation.file).read_text())
    build._recent.clear()
    with ExitStack() as stack:
        stack.callback(build._recent.clear)
        for name in mutation.functions:
            stack.enter_context(_changed(module, name, text))
        yield


@contextmanager
def _changed(module: Any, name: str, text: str) -> Iterator[None]:
    """Whatever module or design has the function, has inside the one that the text defines."""
    original = getattr(module, name)
    places = [(vars(one), key) for one in _modules() for key, value in vars(one).items() if value is original]
    places += [(one._own, key) for one in BUILT_IN for key, value in one._own.items() if value is original]
    replacement = _defined(module, name, text)  # its decorator has given it to its design by now
    for names, key in places:
        names[key] = replacement
    try:
        yield
    finally:
        for names, key in places:
            names[key] = original


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
