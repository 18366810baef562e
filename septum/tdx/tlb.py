"""What a logical processor caches of a TD's translations, and uses as long as nobody invalidates it; tdx-module.md 8."""

from septum.host.cpu import me
from septum.host.geometry import Gfn, Level, Pfn, VmId, leaf_base
from septum.tdx.geometry import TLB_ENTRIES


def cached(m, vm: VmId, gfn: Gfn):
    """The place of a cached translation of `gfn`, plus one; 0 if there is none."""
    lp = m.lp[me()]
    for i in range(TLB_ENTRIES):
        entry = lp.tlb[i]
        if entry.vm == vm and entry.level != 0 and entry.gfn == leaf_base(gfn, entry.level):
            return i + 1
    return 0


def cache(m, vm: VmId, gfn: Gfn, level: Level, page: Pfn):
    """Remembers a translation in place of the oldest."""
    lp = m.lp[me()]
    entry = lp.tlb[lp.tlb_next % TLB_ENTRIES]
    entry.vm = vm
    entry.gfn = leaf_base(gfn, level)
    entry.level = level
    entry.page = page
    lp.tlb_next = (lp.tlb_next + 1) % TLB_ENTRIES


def invept(m, vm: VmId):
    """INVEPT of all Secure EPTs of a TD on this LP."""
    lp = m.lp[me()]
    for i in range(TLB_ENTRIES):
        if lp.tlb[i].vm == vm:
            lp.tlb[i].vm = 0
            lp.tlb[i].level = 0
            lp.tlb[i].gfn = 0
            lp.tlb[i].page = 0


def cached_page(m, place, gfn: Gfn):
    """The page of a cached translation, given as `cached` gives it."""
    entry = m.lp[me()].tlb[place - 1]
    return Pfn(entry.page + (gfn - leaf_base(gfn, entry.level)))
