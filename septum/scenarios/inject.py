"""What may fail in a scenario: an allocation, or a call of a SEAMCALL leaf; by the scenario itself, or by `--inject`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from septum.lang import Size, UserError
from septum.tdx.injection import leaf_bit
from septum.tdx.leaves import Leaf

INJECT = Size("INJECT", 0)  # what `--inject` names: the number of one of FAILURES; 0: nothing

INSTALLS = (Leaf.MEM_SEPT_ADD, Leaf.MEM_PAGE_AUG, Leaf.PHYMEM_PAMT_ADD, Leaf.PHYMEM_PAMT_REMOVE)
REMOVES = (Leaf.MEM_RANGE_BLOCK, Leaf.MEM_TRACK, Leaf.MEM_PAGE_REMOVE)
TEARDOWN = (Leaf.MNG_VPFLUSHDONE, Leaf.PHYMEM_PAGE_RECLAIM)
BUILD = (
    Leaf.MNG_CREATE, Leaf.VP_CREATE, Leaf.VP_INIT, Leaf.VP_FLUSH, Leaf.MEM_PAGE_ADD, Leaf.MR_EXTEND, Leaf.MR_FINALIZE,
)  # fmt: skip
LEAVES = (*INSTALLS, *REMOVES, *TEARDOWN, *BUILD, Leaf.MEM_PAGE_DEMOTE)
BUSY = (*REMOVES, Leaf.MEM_SEPT_ADD, Leaf.MEM_PAGE_AUG, Leaf.MEM_PAGE_DEMOTE, Leaf.MEM_PAGE_ADD, Leaf.MR_FINALIZE)
"""The leaves whose callers have to live with TDX_OPERAND_BUSY."""

ALLOCATION, SEAMCALL = 1, 2
FAILURES = {"allocation": ALLOCATION, "SEAMCALL": SEAMCALL, **{leaf.name: 3 + leaf for leaf in LEAVES}}
"""What can be injected, by name."""


def may_fail(m: Any, leaves: Iterable[Leaf], busy: Iterable[Leaf] = BUSY) -> None:
    """One call of these leaves may fail; of those in `busy` it may be BUSY instead."""
    m.injection.left = 1
    m.injection.leaves = sum(leaf_bit(leaf) for leaf in leaves)
    m.injection.busy = sum(leaf_bit(leaf) for leaf in busy)


def inject(m: Any) -> None:
    """What `--inject` names may fail once in the world that a scenario has set up."""
    if INJECT.value == ALLOCATION:
        m.failures = 1
    elif INJECT.value == SEAMCALL:
        may_fail(m, LEAVES)
    elif INJECT.value:
        may_fail(m, [Leaf(INJECT.value - 3)])


def failure_number(name: str) -> int | None:
    """The number of what is to be injected; None for no name. UserError for a name that stands for nothing."""
    if name and name not in FAILURES:
        raise UserError(f"nothing that fails is called {name}; there are {', '.join(FAILURES)}")
    return FAILURES.get(name)
