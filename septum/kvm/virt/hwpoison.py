"""Memory of guest_memfd that fails, where it does (HWPOISON): the page stays in its file, and nobody maps it; kvm-mmu.md 6.4."""

from septum.host.geometry import Gfn, VmId
from septum.kvm.machine import Machine
from septum.lang import Size, Struct, Witness, boolean

HWPOISON = Size("HWPOISON", 0)
memory_failed = Witness("memory_failed", "a page of guest_memfd failed")
met_hwpoison = Witness("met_hwpoison", "a fault found that its page had failed")


class Poison(Struct):
    """PG_hwpoison of the pages of the file."""

    page: boolean[Gfn]


def is_poisoned(m: Machine, vm: VmId, gfn: Gfn):
    """folio_test_hwpoison() of the folio that guest_memfd has for `gfn`."""
    if HWPOISON:
        return m.vm[vm].poison.page[gfn]
    return False
