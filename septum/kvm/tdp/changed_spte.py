"""What follows a change of an SPTE of a direct tree: checks, statistics, and a table that is unlinked; kvm-mmu.md 4.8, 4.9."""

from septum.host.entry import FROZEN_SPTE, Entry
from septum.host.geometry import ENTRIES, LEVELS, Gfn, Level, Pfn, VmId, leaf_base, pages_per_leaf
from septum.host.rcu import call_rcu
from septum.kvm.machine import Machine
from septum.kvm.tdp.direct import HUGE_1G, read_direct
from septum.kvm.tdp.spte import (
    EPT_SPTE_HOST_WRITABLE,
    is_last_spte,
    is_mmio_spte,
    is_mmu_writable_spte,
    is_shadow_present_pte,
    is_writable_pte,
    spte_to_pfn,
)
from septum.lang import Size, Witness, atomic, commutes, process, reached, when, xchg

PROVE_MMU = Size("PROVE_MMU", 0)  # CONFIG_KVM_PROVE_MMU: zap_root has no passes over 4K and 2M, so 1G tables go with all below
UNLINKS_TABLES = Size("UNLINKS_TABLES", lambda: int(bool(PROVE_MMU.value or HUGE_1G.value)))  # tables go that link tables
ZAP_LEVEL = Size("ZAP_LEVEL", lambda: min(3, LEVELS.value) if PROVE_MMU.value else 1)  # of the first pass

tables_removed = Witness("tables_removed", "a table that linked tables was unlinked and taken apart")
table_removed = Witness("table_removed", "a table with entries was unlinked and taken apart")


@process
def handle_changed_spte(m: Machine, vm: VmId, gfn: Gfn, level: Level, old: Entry, new: Entry, shared: bool):
    """handle_changed_spte() [7.1], kvm-mmu.md 4.8: the entry is overwritten already, its children are dealt with now."""
    check_changed_spte(m, vm, gfn, level, old, new)
    update_statistics(m, vm, level, old, new)
    if is_table(old, level) and not is_table(new, level):
        yield from handle_removed_direct_pt(m, vm, spte_to_pfn(old), shared)


def is_table(spte: Entry, level: Level):
    """Present, and no leaf."""
    return is_shadow_present_pte(spte) and not is_last_spte(spte, level)


def is_leaf(spte: Entry, level: Level):
    """Present, and a leaf."""
    return is_shadow_present_pte(spte) and is_last_spte(spte, level)


def check_changed_spte(m: Machine, vm: VmId, gfn: Gfn, level: Level, old: Entry, new: Entry):
    """The BUG and the WARNs of handle_changed_spte() [7.1], kvm-mmu.md 7.1 A20."""
    assert leaf_base(gfn, level) == gfn, "asserts: WARN_ON: handle_changed_spte() with a GFN that is not aligned to the level"
    if is_leaf(old, level) and is_leaf(new, level):
        assert spte_to_pfn(old) == spte_to_pfn(new), "asserts: BUG(): a present leaf is replaced by a leaf of another page"
    if is_leaf(new, level):
        check_spte_writable_invariants(new)
    if not is_shadow_present_pte(old) and not is_shadow_present_pte(new) and old != new:
        value = m.vm[vm].direct.shadow_mmio_value
        known = is_mmio_spte(old, value) or is_mmio_spte(new, value) or new == FROZEN_SPTE
        assert known, "asserts: WARN_ON: an SPTE that is not present becomes another, and neither is MMIO"
    if is_table(old, level) and is_table(new, level):
        assert spte_to_pfn(old) == spte_to_pfn(new), "asserts: WARN_ON: a table is replaced by a table"


def check_spte_writable_invariants(spte: Entry):
    """check_spte_writable_invariants() [7.1], kvm-mmu.md 2.4."""
    if is_mmu_writable_spte(spte):
        assert spte & EPT_SPTE_HOST_WRITABLE != 0, "asserts: WARN_ONCE: MMU-writable, and not host-writable"
    else:
        assert not is_writable_pte(spte), "asserts: WARN_ONCE: writable, and not MMU-writable"


def update_statistics(m: Machine, vm: VmId, level: Level, old: Entry, new: Entry):
    """kvm_update_page_stats() [7.1]."""
    commutes("page statistics are atomic counters that nobody decides by")
    stat = m.vm[vm].direct.stat
    if is_leaf(old, level) and not is_leaf(new, level):
        stat[level] -= 1
    if is_leaf(new, level) and not is_leaf(old, level):
        stat[level] += 1


def tdp_account_mmu_page(m: Machine, vm: VmId):
    """tdp_account_mmu_page() [7.1]."""
    commutes("tdp_mmu_pages is an atomic counter that nobody decides by")
    m.vm[vm].direct.tdp_mmu_pages += 1


def tdp_unaccount_mmu_page(m: Machine, vm: VmId):
    """tdp_mmu_unlink_sp() [7.1]."""
    commutes("tdp_mmu_pages is an atomic counter that nobody decides by")
    m.vm[vm].direct.tdp_mmu_pages -= 1


@process
def handle_removed_direct_pt(m: Machine, vm: VmId, child: Pfn, shared: bool):
    """handle_removed_pt() [7.1] of a direct table, kvm-mmu.md 4.9: every entry becomes FROZEN, then the table waits for RCU.

    It may link tables with PROVE_MMU, or where a 1G leaf is recovered: else zap_root goes from the leaves up.
    """
    level = Level(m.sp[child].level)
    tdp_unaccount_mmu_page(m, vm)
    for i in range(ENTRIES):
        old = yield from freeze_removed(m, vm, child, i, shared)
        if UNLINKS_TABLES:
            if is_table(old, level):
                yield from handle_removed_leaf_table(m, vm, spte_to_pfn(old), shared)
                reached(tables_removed)
        else:
            assert not is_table(old, level), "scope: a table is unlinked that links tables"
    yield
    call_rcu(m, child)


@process
def handle_removed_leaf_table(m: Machine, vm: VmId, child: Pfn, shared: bool):
    """The same where the kernel recurses: nothing above 1G is unlinked that has entries, so this table has leaves at most."""
    tdp_unaccount_mmu_page(m, vm)
    for i in range(ENTRIES):
        old = yield from freeze_removed(m, vm, child, i, shared)
        assert not is_table(old, Level(m.sp[child].level)), "scope: tables of three levels are unlinked at once"
    yield
    call_rcu(m, child)


@process
def freeze_removed(m: Machine, vm: VmId, child: Pfn, i, shared: bool):
    """One entry of a table that is unlinked becomes FROZEN, with mmu_lock held for read when its owner is done with it."""
    level = Level(m.sp[child].level)
    base = Gfn(m.sp[child].gfn)
    yield when(lambda: not shared or m.table[child].word[i] != FROZEN_SPTE)
    atomic("an exchange; before it one looks only whether the entry is present, which nobody changes without mmu_lock")
    old = read_direct(m, child, i)
    if shared or is_shadow_present_pte(old):
        old = xchg(m.table[child].word[i], FROZEN_SPTE)
        gfn = Gfn(base + i * pages_per_leaf(level)) if is_shadow_present_pte(old) else base
        check_changed_spte(m, vm, gfn, level, old, Entry(FROZEN_SPTE))
        update_statistics(m, vm, level, old, Entry(FROZEN_SPTE))
        if is_shadow_present_pte(old):
            reached(table_removed)
    return old
