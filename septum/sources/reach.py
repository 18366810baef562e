"""The functions that the model does not stand for, by how many calls they are from one that it stands for."""

from __future__ import annotations

from collections.abc import Iterable

from septum.sources.reader import Function
from septum.sources.tree import Tree


def beyond(tree: Tree, modelled: Iterable[str], known: frozenset[str]) -> list[list[Function]]:
    """Functions by depth: first those that a modelled function calls, or hands on to be called, then what those call, ...

    A call through a field reaches every function that a file assigns to a field of that name. Macros are gone through and not
    listed, nor are functions that the model knows by name.
    """
    seen = set(modelled)
    front = seen & set(tree.functions)
    depths: list[list[Function]] = []
    while front:
        reached = _through(tree, front, seen)
        seen |= reached
        unknown = sorted(reached - known)
        depths.append([found for name in unknown if (found := tree.function(name)) is not None])
        front = reached
    return depths[: next((n for n in range(len(depths), 0, -1) if depths[n - 1]), 0)]


def _through(tree: Tree, front: Iterable[str], seen: set[str]) -> set[str]:
    """The functions that these name, those behind macros among them."""
    found: set[str] = set()
    waiting = list(front)
    macros: set[str] = set()
    while waiting:
        for name in _names(tree, waiting.pop()) - seen - found - macros:
            if all(function.macro for function in tree.functions[name]):
                macros.add(name)
                waiting.append(name)
            else:
                found.add(name)
    return found


def _names(tree: Tree, name: str) -> set[str]:
    """The functions of the tree that a function names: itself, or as an operation."""
    said = {one for function in tree.functions[name] for one in function.names}
    said |= {value for one in said if one in tree.fields for value in tree.fields[one]}
    return said & tree.functions.keys()
