"""Functions of a model that a scope replaces: bindings that give for a function the one that is meant instead of it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from septum.lang.types import bound

Function = Callable[..., Any]
_replaceable: list[Function] = []


def original(function: Function) -> Function:
    """The function itself, of one that stands in for it."""
    return getattr(function, "__septum_original__", function)


def meant(function: Function, caller: CodeType | None = None) -> Function:
    """What a call of `function` runs in the current scope. The function that replaces it still calls the one that it replaces."""
    function = original(function)
    instead: Any = bound(function, None)
    if instead is None or caller in (instead.__code__, *instead.__code__.co_consts):  # its lambdas are constants of its code
        return function
    return instead  # type: ignore[no-any-return]


def replaceable(function: Function) -> None:
    """From now on the calls of `function`, in whichever module, ask the scope what is meant."""
    if function in _replaceable:
        return  # whoever imported it since then has what stands in for it

    @functools.wraps(function)
    def stands_in(*arguments: Any) -> Any:
        return meant(function, sys._getframe(1).f_code)(*arguments)

    stands_in.__septum_original__ = function  # type: ignore[attr-defined]
    _replaceable.append(function)
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()) if isinstance(module, ModuleType) else ():
            if value is function:
                setattr(module, name, stands_in)
