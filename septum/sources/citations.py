"""What the model says of the kernel: the functions that its docstrings name, each with a release.

    tdp_mmu_alloc_sp(), kvm_mmu_alloc_external_spt(), tdp_mmu_init_child_sp() [7.1], kvm-mmu.md 3.3.

The release in brackets is that of all names before it in the sentence; `until 6.18 name()` names one that was there until then.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ROOMS = ("host", "tdx", "kvm", "designs")
"""Where functions stand for functions of the kernel."""

_NAME = r"[A-Za-z_]\w+(?=\()"
_WORD = re.compile(
    rf"\[(?P<release>\d\.\d+)[^\]]*\]|[Uu]ntil (?P<until>\d\.\d+) (?P<old>{_NAME})|(?P<name>{_NAME})|(?P<end>[.;:](?=\s|$))"
)


@dataclass(frozen=True, order=True)
class Citation:
    """A function of the model and one of the kernel that it stands for; `over`: it was there until that release."""

    name: str
    release: str
    file: str
    function: str
    line: int
    over: bool = False


@functools.cache
def citations() -> tuple[Citation, ...]:
    """Every kernel function that the model names with a release, in the order of files and lines."""
    return tuple(
        citation
        for file, node in model_functions()
        for name, release, over in named(ast.get_docstring(node) or "")
        for citation in (Citation(name, release, file, node.name, node.lineno, over),)
    )


@functools.cache
def model_functions() -> tuple[tuple[str, ast.FunctionDef], ...]:
    """Every function of the model with its file, as a path in the package."""
    return tuple(
        (str(path.relative_to(PACKAGE)), node)
        for room in ROOMS
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    )


def named(docstring: str) -> Iterator[tuple[str, str, bool]]:
    """The kernel functions that a docstring's first paragraph names with a release: name, release, whether only until then."""
    waiting: list[str] = []
    for word in _WORD.finditer(docstring.partition("\n\n")[0]):
        if word["release"]:
            yield from ((name, word["release"], False) for name in dict.fromkeys(waiting))
            waiting = []
        elif word["until"]:
            yield word["old"], word["until"], True
        elif word["name"]:
            waiting.append(word["name"])
        else:
            waiting = []


@functools.cache
def known() -> frozenset[str]:
    """The names that the model knows: those that its docstrings name with parentheses, and those of its own functions."""
    names: set[str] = set()
    for _, node in model_functions():
        names |= {node.name, *re.findall(_NAME, ast.get_docstring(node) or "")}
    return frozenset(names)
