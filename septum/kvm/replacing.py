"""What a design may put in the place of a function of the core, and what it may not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from septum.kvm.ops import OPERATIONS
from septum.lang import UserError
from septum.lang.paths import shown_path
from septum.lang.processes import is_process
from septum.lang.replaced import original, replaceable

CORE = ("septum.host.", "septum.tdx.", "septum.kvm.")

Function = Callable[..., Any]


def replacement(old: Function, new: Function, place: str) -> tuple[Function, Function]:
    """`old`, a function of the core, and `new`, which a scope may bind in its place; UserError at `place` where it may not."""
    old = original(old)
    name = getattr(old, "__qualname__", repr(old))
    if not isinstance(old, FunctionType) or not old.__module__.startswith(CORE):
        raise UserError(f"{place}: {name} is no function of septum.host, septum.tdx or septum.kvm: nothing else can be replaced")
    if OPERATIONS.get(name) is old:
        raise UserError(f"{place}: {name} is an operation: write @design.process or @design.routine before it")
    if not isinstance(new, FunctionType):
        raise UserError(f"{place}: {new!r} is no function, and stands in the place of {name}")
    taken, given = (list(inspect.signature(function).parameters) for function in (old, new))
    if len(taken) != len(given):
        raise UserError(f"{place}: {new.__name__} takes ({', '.join(given)}), and {name} is called with ({', '.join(taken)})")
    if is_process(new) != is_process(old):
        raise UserError(f"{place}: {name} is a {kind_of(old)}, and {new.__name__} a {kind_of(new)}")
    replaceable(old)
    return old, new


def kind_of(function: Function) -> str:
    return "process" if is_process(function) else "routine"


def place_of(function: Any) -> str:
    """File and line of a function."""
    code = getattr(function, "__code__", None)
    return f"{shown_path(code.co_filename)}:{code.co_firstlineno}" if code else repr(function)


def replaced(bindings: Any) -> dict[Function, Function]:
    """By the functions that bindings put in the place of others of the core: those others."""
    return {
        new: old for old, new in bindings.items() if isinstance(old, FunctionType) and OPERATIONS.get(old.__name__) is not old
    }
