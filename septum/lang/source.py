"""The source of a function of a model: its tree, its names, and where it stands, for messages and for reports."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from septum.lang.answers import answered
from septum.lang.errors import LanguageError, UserError
from septum.lang.paths import shown_path
from septum.lang.words import HIDDEN, unfolded

MISSING = object()


@dataclass(frozen=True, eq=False)
class Source:
    """A function with its syntax tree, and the lines of its file."""

    function: Callable[..., Any]
    tree: ast.FunctionDef
    file: str
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.function.__name__

    def text(self, line: int) -> str:
        """The source line, stripped."""
        return self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""

    def segment(self, node: ast.expr) -> str:
        """An expression as it is written."""
        line = self.lines[node.lineno - 1] if node.lineno <= len(self.lines) else ""
        return (
            line[node.col_offset : node.end_col_offset]
            if node.lineno == node.end_lineno and line.isascii()
            else ast.unparse(node)
        )

    def next_line(self, line: int) -> int:
        """The line that says what happens at `line`: behind a bare `yield` the next one with code, and not one with a reason."""
        if self.text(line).split("#")[0].strip() != "yield":
            return line
        body = range(line + 1, (self.tree.end_lineno or line) + 1)
        after = (number for number in body if self.text(number) and not self.text(number).startswith(("#", "atomic(")))
        return next(after, line)

    def refuse(self, node: ast.AST, reason: str, instead: str = "") -> NoReturn:
        line = getattr(node, "lineno", self.tree.lineno)
        raise LanguageError(self.file, line, self.text(line), reason, instead)

    def annotations(self) -> dict[str, Any]:
        """The types of the parameters, which may be given as text."""
        try:
            return inspect.get_annotations(self.function, eval_str=True)
        except Exception as error:  # as text they are any Python
            self.refuse(self.tree, f"the type of a parameter of {self.name} cannot be read: {error}")

    def lookup(self, name: str) -> object:
        """What a global name stands for; MISSING if nothing."""
        closure = inspect.getclosurevars(self.function).nonlocals if self.function.__closure__ else {}
        tables = closure, self.function.__globals__, vars(builtins), HIDDEN
        found = next((names[name] for names in tables if name in names), MISSING)
        answered((id(self.function if closure else self.function.__globals__), name), self.lookup, (name,), found)
        return found


def attribute(of: object, name: str) -> object:
    """What an object of the model, a module say, has by this name; AttributeError if nothing."""
    found = getattr(of, name)
    answered((id(of), name), attribute, (of, name), found)
    return found


@functools.lru_cache(maxsize=4096)
def source_of(function: Callable[..., Any]) -> Source:
    """The Source of a plain or generator function; UserError where Python does not know it."""
    if not inspect.isfunction(function):
        raise UserError(f"{function!r} is no function of a file; a routine or process is a plain `def`")
    lines, tree = _read(function)
    file = shown_path(function.__code__.co_filename)
    return Source(function, unfolded(tree, function.__globals__, file, lines), file, lines)


def parsed(function: Callable[..., Any]) -> ast.FunctionDef:
    """The tree of a function as its file has it."""
    return _read(function)[1]


def _read(function: Callable[..., Any]) -> tuple[tuple[str, ...], ast.FunctionDef]:
    code = function.__code__
    lines, functions = _parsed(code.co_filename, tuple(linecache.getlines(code.co_filename, function.__globals__)))
    file, first = shown_path(code.co_filename), code.co_firstlineno
    if not lines:
        raise UserError(f"{function!r}: its source cannot be read; a model must be written in files")
    if first not in functions:
        raise LanguageError(file, first, lines[first - 1].strip(), "a routine or process is a plain `def`", "a named function")
    return lines, functions[first]


@functools.lru_cache(maxsize=256)
def _parsed(file: str, lines: tuple[str, ...]) -> tuple[tuple[str, ...], dict[int, ast.FunctionDef]]:
    """The functions of a file by the line on which they begin, decorators included; the file is parsed once."""
    nodes = _defined(ast.parse("".join(lines)))
    return lines, {min([node.lineno, *(part.lineno for part in node.decorator_list)]): node for node in nodes}


def _defined(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """The functions among the statements of a tree and of those within them; an expression has none."""
    for block in ("body", "orelse", "handlers", "finalbody", "cases"):
        for node in getattr(tree, block, ()):
            if isinstance(node, ast.FunctionDef):
                yield node
            yield from _defined(node)
