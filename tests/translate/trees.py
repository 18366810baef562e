"""Functions from text, as typed trees."""

from __future__ import annotations

import itertools
import linecache
import textwrap
from typing import Any

from septum import lang
from septum.lang.types import scope
from septum.lang.values import Ref
from septum.translate.translation import Translation
from septum.translate.tree import Function

_numbers = itertools.count()


def module_of(text: str) -> dict[str, Any]:
    """The names of a module with this text, beside those of the language."""
    file = f"<text {next(_numbers)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    names: dict[str, Any] = {name: getattr(lang, name) for name in lang.__all__}
    exec(compile(text, file, "exec", dont_inherit=True), names)
    return names


def function_of(world: str, body: str, parameters: str = "m") -> Function:
    """The tree of `f(m)`, a process if its body has a yield."""
    head = ["@process"] if "yield" in body else []
    text = "\n".join([world, *head, f"def f({parameters}):", textwrap.indent(body, "    ")]) + "\n"
    names = module_of(text)
    with scope({}):
        return Translation(names["World"], 1).function(names["f"], [Ref(names["World"])])
