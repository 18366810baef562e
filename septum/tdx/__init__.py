"""The TDX module: PAMT, Secure EPT, SEAMCALL and TDCALL leaves, TLB tracking; tdx-module.md.

`Module` runs it alone, behind its registers; docs/tdx.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from septum.tdx.bringup import Host, UnexpectedStatus
    from septum.tdx.leaves import GuestLeaf, Leaf
    from septum.tdx.module import Answer, Geometry, Module, ModuleStopped
    from septum.tdx.status import Status

WHERE = {
    "Answer": "module", "Geometry": "module", "GuestLeaf": "leaves", "Host": "bringup", "Leaf": "leaves", "Module": "module",
    "ModuleStopped": "module", "Status": "status", "UnexpectedStatus": "bringup",
}  # fmt: skip
__all__ = ["Answer", "Geometry", "GuestLeaf", "Host", "Leaf", "Module", "ModuleStopped", "Status", "UnexpectedStatus"]


def __getattr__(name: str) -> object:
    """Imports a name when it is asked for: rooms of the model that need a part of this package do not load the whole module."""
    if name not in WHERE:
        raise AttributeError(f"module 'septum.tdx' has no attribute {name!r}")
    return getattr(import_module(f"septum.tdx.{WHERE[name]}"), name)
