"""The source of a function of a model: its tree, its names, and where it stands, for messages and for reports."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from septum.lang.errors import LanguageError, UserError

MISSING = object()


@dataclass(frozen=True, eq=False)
class Source:
    """A function with its syntax tree, whose line numbers are those of the file."""

    function: Callable[..., Any]
    tree: ast.FunctionDef
    file: str
    lines: tuple[str, ...]
    first_line: int
    indent: int = 0

    @property
    def name(self) -> str:
        return self.function.__name__

    def text(self, line: int) -> str:
        """The source line, stripped."""
        place = line - self.first_line
        return self.lines[place].strip() if 0 <= place < len(self.lines) else ""

    def next_line(self, line: int) -> int:
        """The line that says what happens at `line`: behind a bare `yield` the next one with code."""
        if self.text(line).split("#")[0].strip() != "yield":
            return line
        after = (
            n for n in range(line + 1, self.first_line + len(self.lines)) if self.text(n) and not self.text(n).startswith("#")
        )
        return next(after, line)

    def refuse(self, node: ast.AST, reason: str, instead: str = "") -> NoReturn:
        line = getattr(node, "lineno", self.tree.lineno)
        raise LanguageError(self.file, line, self.text(line), reason, instead)

    def lookup(self, name: str) -> object:
        """What a global name stands for; MISSING if nothing."""
        closure = inspect.getclosurevars(self.function).nonlocals if self.function.__closure__ else {}
        for names in (closure, self.function.__globals__, vars(builtins)):
            if name in names:
                return names[name]
        return MISSING


def shown_path(file: str) -> str:
    """A path as a reader wants it: relative to the working directory where it lies below, or to the package's parent."""
    relative = os.path.relpath(file)
    if not relative.startswith(".."):
        return relative
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    relative = os.path.relpath(file, package_parent)
    return file if relative.startswith("..") else relative


@functools.lru_cache(maxsize=4096)
def source_of(function: Callable[..., Any]) -> Source:
    """The Source of a plain or generator function; UserError where Python does not know it."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise UserError(f"{function!r}: its source cannot be read ({error}); a model must be written in files") from None
    tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    file = shown_path(function.__code__.co_filename)
    if not isinstance(tree, ast.FunctionDef):
        raise LanguageError(file, first, lines[0].strip(), "a routine or process is a plain `def`", "a named function")
    ast.increment_lineno(tree, first - 1)
    indent = len(lines[0]) - len(lines[0].lstrip())
    return Source(function, tree, file, tuple(lines), first, indent)
