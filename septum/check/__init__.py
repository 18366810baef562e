"""Explorer, counterexamples, verdicts. The package itself can be called: `septum.check("dpamt_merged", "same_gfn")`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from septum.check.result import Result


class _Callable(ModuleType):
    """The house has a room `check` and the API a verb `check`: one name, so the module is the verb too."""

    def __call__(self, *arguments: Any, **options: Any) -> Result:
        from septum.check.check import check

        return check(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
