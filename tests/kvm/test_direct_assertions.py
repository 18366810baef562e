"""The kernel's own assertions on direct trees (kvm-mmu.md 7.1, A10 to A23): each fails where it is broken, here one at a time.

That they hold in the model as it is, is what the scenarios of the model `kvm` show, and mutations show that those would find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from septum.designs import upstream
from septum.host.entry import FROZEN_SPTE, SHADOW_NONPRESENT_VALUE
from septum.host.frames import Role
from septum.host.geometry import GFNS, LEVELS, Gfn
from septum.kvm.changed_spte import check_changed_spte, update_statistics
from septum.kvm.direct import KVM_DIRECT_ROOTS, KVM_INVALID_ROOTS, KVM_MIRROR_ROOTS, KVM_VALID_ROOTS, tdp_mmu_root_match
from septum.kvm.machine import Machine
from septum.kvm.roots import (
    add_root,
    get_valid_root,
    kvm_tdp_mmu_invalidate_roots,
    kvm_tdp_mmu_put_root,
    kvm_tdp_mmu_zap_invalidated_roots,
    tdp_mmu_zap_direct_root,
    uninit_direct_roots,
)
from septum.kvm.set_spte import tdp_mmu_set_direct_spte, tdp_mmu_set_direct_spte_atomic
from septum.kvm.spte import (
    EPT_SPTE_HOST_WRITABLE,
    MMIO_VALUE,
    PT_WRITABLE_MASK,
    is_mmio_spte,
    make_direct_spte,
    make_mmio_spte,
    make_nonleaf_spte,
)
from septum.kvm.tdp_mmu import Fault, map_direct_leaf
from septum.kvm.walk import direct_table
from septum.lang import ModelError, Setup, Violation, scope
from septum.lang.processes import running
from septum.lang.struct import allocate, realise
from septum.scenarios.direct import notifier, plain_vm
from septum.scenarios.world import World
from tests.machine import run

VM, VCPU, ROOT, TABLE, LEAVES, PAGE = 1, 1, 10, 11, 12, 1
BROKEN = (AssertionError, Violation)


@contextmanager
def tree() -> Iterator[Machine]:
    """A plain VM with a vCPU, a direct root of three levels, and nothing mapped at GFN 0; thread 0 runs."""
    with scope({**upstream.bindings(), **notifier.bindings}):
        m, _ = allocate(realise(Machine, {}))
        running.thread = 0
        world = World(Setup(m))
        list(plain_vm(world).vcpus(1))
        m.frame[ROOT].role = Role.HAND
        add_root(m, VM, ROOT)
        for spt, level in ((TABLE, 2), (LEAVES, 1)):
            m.frame[spt].role, m.sp[spt].level = Role.SPT, level
        for spt in (ROOT, TABLE, LEAVES):
            world.fill(spt, SHADOW_NONPRESENT_VALUE)
        m.table[ROOT].word[0], m.table[TABLE].word[0] = make_nonleaf_spte(TABLE), make_nonleaf_spte(LEAVES)
        m.vm[VM].direct.tdp_mmu_pages = 2
        m.vcpu[VCPU].direct.root, m.vcpu[VCPU].direct.fault.slot = ROOT, 1
        m.vcpu[VCPU].direct.fault.is_direct = m.vcpu[VCPU].direct.fault.map_writable = True
        yield m


def for_read(m):
    m.vm[VM].mmu_lock.readers = 1


def for_write(m):
    m.vm[VM].mmu_lock.writer = 1


def test_a_fault_maps_at_its_goal_level_and_no_other():
    with tree() as m:
        for_read(m)
        assert run(map_direct_leaf(m, VCPU, LEAVES, 0, 1, SHADOW_NONPRESENT_VALUE, PAGE)) == Fault.FIXED
        with pytest.raises(BROKEN, match="goal_level"):
            run(map_direct_leaf(m, VCPU, TABLE, 0, 1, SHADOW_NONPRESENT_VALUE, PAGE))


def test_a_spurious_fault_finds_its_own_page():
    with tree() as m:
        for_read(m)
        assert run(map_direct_leaf(m, VCPU, LEAVES, 0, 1, make_direct_spte(PAGE, 1, True, False), PAGE)) == Fault.SPURIOUS
        with pytest.raises(BROKEN, match="another page mapped"):
            run(map_direct_leaf(m, VCPU, LEAVES, 0, 1, make_direct_spte(2, 1, True, False), PAGE))


def test_no_spte_is_set_to_frozen_or_from_it():
    leaf = 0
    with tree() as m:
        leaf = make_direct_spte(PAGE, 1, True, False)
        for_read(m)
        for old, new, what in ((SHADOW_NONPRESENT_VALUE, FROZEN_SPTE, "set to FROZEN"), (FROZEN_SPTE, leaf, "to be changed")):
            with pytest.raises(BROKEN, match=what):
                run(tdp_mmu_set_direct_spte_atomic(m, VM, LEAVES, 0, 1, old, new))
        m.vm[VM].mmu_lock.readers = 0
        for_write(m)
        for old, new in ((SHADOW_NONPRESENT_VALUE, FROZEN_SPTE), (FROZEN_SPTE, leaf)):
            with pytest.raises(BROKEN, match="FROZEN SPTE while mmu_lock is held for write"):
                run(tdp_mmu_set_direct_spte(m, VM, LEAVES, 0, 1, old, new))


def test_exclusive_changes_want_mmu_lock_for_write():
    with tree() as m, pytest.raises(BROKEN, match="without mmu_lock held for write"):
        run(tdp_mmu_set_direct_spte(m, VM, LEAVES, 0, 1, SHADOW_NONPRESENT_VALUE, make_direct_spte(PAGE, 1, True, False)))


def test_a_mirror_spte_is_never_changed_as_a_direct_one():
    with tree() as m:
        for_read(m)
        m.sp[LEAVES].direct.is_mirror = True
        with pytest.raises(BROKEN, match="mirror SPTE is changed"):
            run(tdp_mmu_set_direct_spte_atomic(m, VM, LEAVES, 0, 1, SHADOW_NONPRESENT_VALUE, SHADOW_NONPRESENT_VALUE))


def test_the_last_reference_of_a_valid_root_is_not_put():
    with tree() as m:
        m.sp[ROOT].direct.root_count = 1
        with pytest.raises(BROKEN, match="last reference of a valid root"):
            run(kvm_tdp_mmu_put_root(m, VM, ROOT))


def test_a_root_that_is_scheduled_is_invalid():
    with tree() as m:
        m.sp[ROOT].direct.scheduled = True
        with pytest.raises(BROKEN, match="scheduled to be zapped, and is valid"):
            run(kvm_tdp_mmu_zap_invalidated_roots(m, VM, True))


def test_a_root_without_references_is_neither_zapped_nor_found():
    with tree() as m:
        assert get_valid_root(m, VM) == ROOT
        m.sp[ROOT].direct.root_count = 0
        with pytest.raises(BROKEN, match="without references is zapped"):
            run(tdp_mmu_zap_direct_root(m, VM, ROOT, True))
        with pytest.raises(BROKEN, match="without the TDP MMU's reference"):
            get_valid_root(m, VM)


def test_nothing_is_left_when_the_vm_is_destroyed():
    with tree() as m:
        m.sp[ROOT].direct.root_count, m.vm[VM].direct.tdp_mmu_pages = 1, 3
        with pytest.raises(BROKEN, match="tdp_mmu_pages"):
            run(uninit_direct_roots(m, VM))
    with tree() as m, pytest.raises(BROKEN, match="a root is left"):
        run(uninit_direct_roots(m, VM))


def test_root_types_name_direct_or_mirror_roots():
    with tree() as m:
        for_write(m)
        assert [tdp_mmu_root_match(m, ROOT, types) for types in (KVM_DIRECT_ROOTS, KVM_MIRROR_ROOTS, KVM_VALID_ROOTS)] == [
            1,
            0,
            1,
        ]
        with pytest.raises(BROKEN, match="neither direct nor mirror"):
            tdp_mmu_root_match(m, ROOT, KVM_INVALID_ROOTS)
        with pytest.raises(BROKEN, match="invalid roots are to be invalidated"):
            kvm_tdp_mmu_invalidate_roots(m, VM, KVM_DIRECT_ROOTS | KVM_INVALID_ROOTS)
        kvm_tdp_mmu_invalidate_roots(m, VM, KVM_DIRECT_ROOTS)
        assert not tdp_mmu_root_match(m, ROOT, KVM_VALID_ROOTS)
        assert tdp_mmu_root_match(m, ROOT, KVM_DIRECT_ROOTS | KVM_INVALID_ROOTS)


def test_a_walk_begins_at_a_root_and_a_gfn_has_no_shared_bit():
    with tree() as m:
        assert direct_table(m, VM, ROOT, 0, 1) == LEAVES
        for wrong in (0, TABLE):
            with pytest.raises(BROKEN, match="what is no root"):
                direct_table(m, VM, wrong, 0, 1)
        with pytest.raises(ModelError, match="does not fit Gfn"):
            Gfn(GFNS.value)


def changes(m):
    """Old and new entry at a level, and what is wrong with that: all that handle_changed_spte() looks at."""
    leaf, other = make_direct_spte(PAGE, 1, True, False), make_direct_spte(2, 1, True, False)
    huge, table, another = make_direct_spte(2, 2, True, False), make_nonleaf_spte(LEAVES), make_nonleaf_spte(TABLE)
    no_host = leaf & ~EPT_SPTE_HOST_WRITABLE
    no_mmu = make_direct_spte(PAGE, 1, False, False) | PT_WRITABLE_MASK
    empty = SHADOW_NONPRESENT_VALUE
    yield from (
        (1, leaf, other, "a leaf of another page"), (2, table, another, "a table is replaced by a table"),
        (1, empty, FROZEN_SPTE + 1, "neither is MMIO"), (1, empty, no_host, "not host-writable"),
        (1, empty, no_mmu, "not MMU-writable"), (1, empty, leaf, ""), (1, leaf, empty, ""), (2, table, huge, ""),
        (1, empty, FROZEN_SPTE, ""), (1, make_mmio_spte(0, 2, MMIO_VALUE), empty, ""), (2, table, table, ""),
    )  # fmt: skip


def test_what_an_spte_may_become():
    with tree() as m:
        for level, old, new, wrong in changes(m):
            if wrong:
                with pytest.raises(BROKEN, match=wrong):
                    check_changed_spte(m, VM, 0, level, old, new)
            else:
                check_changed_spte(m, VM, 0, level, old, new)
        with pytest.raises(BROKEN, match="not aligned to the level"):
            check_changed_spte(m, VM, 1, 2, SHADOW_NONPRESENT_VALUE, make_nonleaf_spte(LEAVES))


def test_statistics_count_leaves_by_level():
    with tree() as m:
        leaf, stat = make_direct_spte(PAGE, 1, True, False), m.vm[VM].direct.stat
        update_statistics(m, VM, 1, SHADOW_NONPRESENT_VALUE, leaf)
        update_statistics(m, VM, 1, leaf, leaf & ~PT_WRITABLE_MASK)
        assert stat[1] == 1
        update_statistics(m, VM, 1, leaf, FROZEN_SPTE)
        assert [stat[level] for level in range(LEVELS.value + 1)] == [0] * (LEVELS.value + 1)


def test_a_table_of_zeros_is_full_of_mmio_in_a_td_and_empty_in_a_plain_vm():
    assert is_mmio_spte(0, 0)
    assert not is_mmio_spte(0, MMIO_VALUE)
    assert not any(is_mmio_spte(word, value) for word in (SHADOW_NONPRESENT_VALUE, FROZEN_SPTE) for value in (0, MMIO_VALUE))
