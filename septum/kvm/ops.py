"""The operations that a design fills in, each declared once; `ops.name(...)` calls the one of the design that is bound.

The names are those of kvm_x86_ops from 6.16 to 7.1; 7.2 folds link, set and remove into one set_external_spte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from septum.lang.types import bound

Operation = Callable[..., Any]
OPERATIONS: dict[str, Operation] = {}


def operation(declaration: Operation) -> Operation:
    """Declares an operation: its parameters and what it has to do."""
    OPERATIONS[declaration.__name__] = declaration
    return declaration


class Operations:
    """`ops`: its attributes are the operations of the design that the current scope binds."""

    def __getattr__(self, name: str) -> Operation:
        if name not in OPERATIONS:
            raise AttributeError(f"no operation is called {name}; there are {', '.join(OPERATIONS)}")
        found = bound(OPERATIONS[name], None)
        if found is None:
            raise AttributeError(f"the design has no operation {name}")
        return found  # type: ignore[return-value]


ops = Operations()


@operation
def init_vcpu(m, vcpu) -> None:
    """Routine. What vCPU creation writes into the design's own state."""


@operation
def topup_external_cache(m, vcpu, tables) -> Any:
    """Process, Errno. vCPU context, no lock, may sleep: pages for a fault, with `tables` levels, the root's among them."""


@operation
def alloc_external_spt(m, vcpu) -> Any:
    """Process, Pfn in hand. mmu_lock held for read, in an RCU read section: the S-EPT page of a new table."""


@operation
def alloc_external_sp(m, spt) -> Any:
    """Process, Pfn in hand. May sleep: a backed S-EPT page for a table that a split needs, 0 without memory."""


@operation
def free_external_sp(m, spt) -> Any:
    """Process. Any context: puts and frees the S-EPT page of a table that is backed from its allocation to its free."""


@operation
def drain_external_cache(m, vcpu) -> Any:
    """Process. vCPU destruction: puts and frees the backed pages that wait in a cache."""


@operation
def phys_prepare(m, vcpu, page) -> Any:
    """Process, Errno. mmu_lock held for read, before the entry is frozen: `page` is about to be given to the module."""


@operation
def phys_cleanup(m, page) -> Any:
    """Process. mmu_lock held: `page` was not given to the module after all, or is back."""


@operation
def link_external_spt(m, vcpu, gfn, level, external) -> Any:
    """Process, Errno. mmu_lock held for read, mirror entry FROZEN: `external` becomes the table below `gfn` at `level`."""


@operation
def set_external_spte(m, vcpu, gfn, level, page) -> Any:
    """Process, Errno. mmu_lock held for read, mirror entry FROZEN: maps the guest page."""


@operation
def remove_external_spte(m, vm, gfn, level, page) -> Any:
    """Process, Errno. mmu_lock held for write, mirror entry not present any more: takes a guest page back."""


@operation
def free_external_spt(m, vm, spt) -> Any:
    """Process. mmu_lock held for write, HKID released: reclaims the S-EPT page of a mirror table that is gone."""


@operation
def free_external_cache(m, vcpu) -> None:
    """Routine. vCPU destruction: frees what waits in the design's pools."""


@operation
def check_accept_level(m, vcpu, gfn) -> Any:
    """Process, bool. A TD exit because the guest accepts 4K of a larger leaf: whether the guest may try again."""


@operation
def begin_split(m, vm, vcpu) -> Any:
    """Process. No lock held, before mmu_lock is taken by somebody who may split; `vcpu` is 0 where none runs."""


@operation
def need_topup_split(m, vm, vcpu) -> Any:
    """Routine, bool. mmu_lock held for write: whether pages for a split are still missing."""


@operation
def topup_split(m, vm, vcpu) -> Any:
    """Process, Errno. mmu_lock dropped, may sleep: pages for one split."""


@operation
def sp_from_pools(m, vm) -> Any:
    """Process, Pfn. mmu_lock held for write, no top-up needed: a table with its S-EPT page, out of the pools of the VM."""


@operation
def split_external_spte(m, vm, vcpu, gfn, page, external) -> Any:
    """Process, Errno. mmu_lock held for write: `external` becomes the table below the 2M leaf that maps `page` at `gfn`."""


@operation
def split_under_read_lock(m, vm, gfn) -> Any:
    """Process. No lock held: splits the leaf at `gfn` with mmu_lock held for read, for dirty logging."""


@operation
def end_split(m, vm, vcpu) -> None:
    """Routine. After mmu_lock was dropped: the end of what begin_split began."""


@operation
def free_split_cache(m, vm) -> None:
    """Routine. VM destruction: frees the pool for splits."""


@operation
def pair_pool(m, vcpu) -> Any:
    """Routine, a pool. Where pairs for the faults of a vCPU wait."""


@operation
def split_pool(m, vm) -> Any:
    """Routine, a pool. Where pairs for splits without a vCPU wait."""


@operation
def pamt_back(m, page, page0, page1) -> Any:
    """Process, Errno. A PAMT reference for `page`, with a pair in hand, which is used or freed."""


@operation
def pamt_put(m, page) -> Any:
    """Process. Drops the PAMT reference of `page`."""


@operation
def put_control_page(m, page) -> Any:
    """Process. A control page was reclaimed: its PAMT reference is dropped; the page itself is freed by the caller."""


@operation
def vcpu_pool_pages(m, vcpu) -> Any:
    """Routine, a number. How many pages wait in the design's pools of a vCPU, for the custody check."""


@operation
def vm_pool_pages(m, vm) -> Any:
    """Routine, a number. How many pages wait in the design's pools of a VM."""


@operation
def machine_pool_pages(m) -> Any:
    """Routine, a number. How many pages wait in the design's pools of the machine and of its CPUs."""
