"""2M ranges of GFNs that are partly private and partly shared (MIXED): no 2M leaf maps one; kvm-mmu.md 6.3.

Where a scenario has no such flags a fault looks at the attributes themselves.
"""

from septum.host.geometry import ENTRIES, Gfn, Level, VmId, table_base
from septum.kvm.machine import Machine
from septum.lang import Size, Struct, Witness, atomic, boolean, reached

MIXED = Size("MIXED", 0)
mixed_range = Witness("mixed_range", "a fault got 4K of a 2M page, since a part of its range is of the other view")


class LpageInfo(Struct):
    """slot->arch.lpage_info."""

    mixed: boolean[Gfn]  # KVM_LPAGE_MIXED_FLAG of the 2M range that begins here


def hugepage_test_mixed(m: Machine, vm: VmId, gfn: Gfn):
    """hugepage_test_mixed() [7.1] of the 2M range of `gfn`."""
    return m.vm[vm].lpage_info.mixed[table_base(gfn, Level(1))]


def is_disallowed(m: Machine, vm: VmId, gfn: Gfn):
    """lpage_info->disallow_lpage, as a fault looks at it under mmu_lock."""
    if MIXED:
        if hugepage_test_mixed(m, vm, gfn):
            reached(mixed_range)
            return True
    return False


def kvm_arch_post_set_memory_attributes(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """kvm_arch_post_set_memory_attributes() [7.1]: the flags of every 2M range that was touched; mmu_lock held for write."""
    atomic("slots_lock keeps who stores attributes out, and mmu_lock who reads the flags")
    for gfn in range(table_base(first, Level(1)), last + 1):
        base = table_base(Gfn(gfn), Level(1))
        m.vm[vm].lpage_info.mixed[base] = not has_same_attributes(m, vm, base)


def has_same_attributes(m: Machine, vm: VmId, base: Gfn):
    """hugepage_has_attrs() [7.1]: the whole 2M range is private, or the whole of it is shared."""
    for i in range(ENTRIES):
        if m.vm[vm].shared[Gfn(base + i)] != m.vm[vm].shared[base]:
            return False
    return True
