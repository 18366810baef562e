"""The files that a user's file is made from: itself, and the modules beside it that it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from septum.check.versions import PACKAGE


def modules_beside(file: Path) -> tuple[Path, ...]:
    """The file, and what it may import of its own directory, also by way of others, whether it is there or not.

    Nothing runs, so the files may have mistakes in them. What septum has itself is left out.
    """
    found: dict[Path, None] = {}
    todo = [file.resolve()]
    while todo:
        path = todo.pop()
        if path not in found:
            found[path] = None
            todo += _imported(path, file.resolve().parent)
    return tuple(found)


def _imported(path: Path, directory: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # who reads the file tells it
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(directory, alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = Path(*path.parts[: -node.level]) if node.level else directory
            for alias in node.names:
                yield from _files(above, ".".join(filter(None, (node.module, alias.name))))


def _files(directory: Path, name: str) -> Iterator[Path]:
    """The packages and the module that a dotted name goes through."""
    for part in name.split("."):
        if (directory / part) != PACKAGE and directory.is_dir():
            yield directory / f"{part}.py"
            yield directory / part / "__init__.py"
            directory /= part
