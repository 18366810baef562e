"""The kernel's own assertions (kvm-mmu.md 7.1, A10 to A23) and its invariants (7.2), as far as direct trees go.

Each holds on the right model, and fails when one thing is wrong. That they hold in the model as it is, is what the scenarios of
the model `kvm` show, and mutations show that those would find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from septum.host.entry import FROZEN_SPTE
from septum.host.frames import Role
from septum.host.geometry import GFNS, LEVELS, Gfn, Level
from septum.kvm.machine import Machine
from septum.kvm.tdp.changed_spte import check_changed_spte, update_statistics
from septum.kvm.tdp.direct import (
    KVM_DIRECT_ROOTS,
    KVM_INVALID_ROOTS,
    KVM_MIRROR_ROOTS,
    KVM_VALID_ROOTS,
    read_direct,
    tdp_mmu_root_match,
)
from septum.kvm.tdp.roots import (
    get_valid_root,
    kvm_tdp_mmu_invalidate_roots,
    kvm_tdp_mmu_put_root,
    kvm_tdp_mmu_zap_invalidated_roots,
    tdp_mmu_zap_direct_root,
    uninit_direct_roots,
)
from septum.kvm.tdp.set_spte import tdp_mmu_set_direct_spte, tdp_mmu_set_direct_spte_atomic
from septum.kvm.tdp.spte import (
    EPT_SPTE_HOST_WRITABLE,
    MMIO_VALUE,
    PT_WRITABLE_MASK,
    is_mmio_spte,
    make_direct_spte,
    make_mmio_spte,
    make_nonleaf_spte,
)
from septum.kvm.tdp.tdp_mmu import Fault, map_direct_leaf, tdp_mmu_get_root_for_fault
from septum.kvm.tdp.walk import direct_table
from septum.properties.direct import accounting, roots, translation
from tests.kvm.section7 import EMPTY, VCPU, VM, Row, plain
from tests.kvm.test_assertions import name, of
from tests.machine import run

INVALID = KVM_DIRECT_ROOTS | KVM_INVALID_ROOTS


@contextmanager
def tree() -> Iterator[Machine]:
    """The machine alone of a plain VM with a direct root, for tests of what lies below KVM."""
    with plain() as one:
        yield one.m


def maps_leaf(w):
    assert run(map_direct_leaf(w.m, VCPU, w.spt, 0, 1, w.old, w.page)) in (Fault.FIXED, Fault.SPURIOUS)


def sets_shared(w):
    assert not run(tdp_mmu_set_direct_spte_atomic(w.m, VM, w.spt, 0, 1, w.old, w.new))


def sets(w):
    run(tdp_mmu_set_direct_spte(w.m, VM, w.spt, 0, 1, w.old, w.new))


def changes(w):
    check_changed_spte(w.m, VM, w.gfn, w.level, w.old, w.new)


def is_mirror(w):
    w.puts(w.m.sp[w.spt].direct, is_mirror=True)


def puts_root(w):
    run(kvm_tdp_mmu_put_root(w.m, VM, w.root))


def zaps_invalidated(w):
    run(kvm_tdp_mmu_zap_invalidated_roots(w.m, VM, True))


def is_invalid(w):
    w.puts(w.role, invalid=True, scheduled=True)


def without_references(w):
    w.puts(w.role, root_count=0)


def uninit(w):
    """The callbacks of RCU are not waited for: they were made."""
    process = uninit_direct_roots(w.m, VM)
    for request in process:
        if w.m.rcu.queued != 0 and request is not None and not request.condition():
            break


def leaving(w):
    """The last vCPU has put its reference."""
    w.puts(w.role, root_count=1)


def invalidates(w):
    kvm_tdp_mmu_invalidate_roots(w.m, VM, w.types)


def invalidating(w):
    w.for_write()
    w.sets(types=KVM_DIRECT_ROOTS)


def maps_host_page(w):
    w.word(w.leaf)


ROWS = (
    Row("A1 A14", "to be changed", sets_shared, lambda w: w.sets(old=FROZEN_SPTE), lambda w: w.for_read()),
    Row("A14", "set to FROZEN", sets_shared, lambda w: w.sets(new=FROZEN_SPTE), lambda w: w.for_read()),
    Row("A2", "mirror SPTE is changed", sets_shared, is_mirror, lambda w: w.for_read()),
    Row("A10", "FROZEN SPTE while mmu_lock is held for write", sets, lambda w: w.sets(old=FROZEN_SPTE), lambda w: w.for_write()),
    Row("A10", "FROZEN SPTE while mmu_lock is held for write", sets, lambda w: w.sets(new=FROZEN_SPTE), lambda w: w.for_write()),
    Row("A10", "mirror SPTE is made present", sets, is_mirror, lambda w: w.for_write()),
    Row("A10", "without mmu_lock held for write", sets, lambda w: w.puts(w.kvm.mmu_lock, writer=0), lambda w: w.for_write()),
    Row("A12", "without a valid root", lambda w: tdp_mmu_get_root_for_fault(w.m, VCPU), is_invalid),
    Row("A12", "without a valid root", lambda w: tdp_mmu_get_root_for_fault(w.m, VCPU),
        lambda w: w.puts(w.vcpu.direct, root=0)),
    Row("A13", "goal_level", maps_leaf, lambda w: w.sets(spt=w.table), lambda w: w.for_read()),
    Row("A13 I6", "another page mapped", maps_leaf, lambda w: w.sets(old=w.other),
        lambda w: (w.for_read(), w.sets(old=w.leaf))),
    Row("A15", "last reference of a valid root", puts_root, lambda w: w.puts(w.role, root_count=1)),
    Row("A16", "scheduled to be zapped, and is valid", zaps_invalidated, lambda w: w.puts(w.role, invalid=False), is_invalid),
    Row("A17", "without references is zapped", lambda w: run(tdp_mmu_zap_direct_root(w.m, VM, w.root, True)),
        without_references, lambda w: w.for_read()),
    Row("A18", "without the TDP MMU's reference", lambda w: get_valid_root(w.m, VM), without_references),
    Row("A19", "tdp_mmu_pages", uninit, lambda w: w.puts(w.kvm.direct, tdp_mmu_pages=3), leaving),
    Row("A19", "a root is left", uninit, lambda w: w.puts(w.role, root_count=2), leaving),
    Row("A20 I6", r"BUG\(\): .*another page", changes, lambda w: w.sets(new=w.other), lambda w: w.sets(old=w.leaf)),
    Row("A20", "a table is replaced by a table", changes, lambda w: w.sets(new=make_nonleaf_spte(w.table)),
        lambda w: w.sets(level=2, old=make_nonleaf_spte(w.spt), new=make_nonleaf_spte(w.spt))),
    Row("A20", "neither is MMIO", changes, lambda w: w.sets(new=FROZEN_SPTE + 1), lambda w: w.sets(new=FROZEN_SPTE)),
    Row("A20", "not host-writable", changes, lambda w: w.sets(new=w.leaf & ~EPT_SPTE_HOST_WRITABLE)),
    Row("A20", "not MMU-writable", changes, lambda w: w.sets(new=w.new | PT_WRITABLE_MASK),
        lambda w: w.sets(new=make_direct_spte(w.page, 1, False, False))),
    Row("A20", "not aligned to the level", changes, lambda w: w.sets(gfn=1),
        lambda w: w.sets(level=2, new=make_nonleaf_spte(w.spt))),
    Row("A21 A23", "does not fit Gfn", lambda w: Gfn(w.gfn), lambda w: w.sets(gfn=GFNS.value),
        lambda w: w.sets(gfn=GFNS.value - 1)),
    Row("A20 A23", "does not fit Level", lambda w: Level(w.level), lambda w: w.sets(level=LEVELS.value + 1)),
    Row("A22", "neither direct nor mirror", lambda w: tdp_mmu_root_match(w.m, w.root, w.types),
        lambda w: w.sets(types=KVM_INVALID_ROOTS), lambda w: w.sets(types=INVALID)),
    Row("A22", "invalid roots are to be invalidated", invalidates, lambda w: w.sets(types=INVALID), invalidating),
    Row("A23", "what is no root", lambda w: direct_table(w.m, VM, w.root, 0, Level(1)), lambda w: w.sets(root=w.table)),
    Row("A23", "what is no root", lambda w: direct_table(w.m, VM, w.root, 0, Level(1)), lambda w: w.sets(root=0)),
    Row("I10", "translation: ", of(translation), lambda w: w.word(w.other), maps_host_page),
    Row("I11", "roots: a vCPU has root", of(roots), without_references),
    Row("I11", "roots: root .* has no reference", of(roots), without_references, lambda w: w.puts(w.vcpu.direct, root=0)),
    Row("I12", "rcu: .* after its free", lambda w: read_direct(w.m, w.spt, 0),
        lambda w: w.puts(w.m.frame[w.spt], role=Role.FREE)),
    Row("I12", "rcu: .* after its free", sets_shared, lambda w: w.puts(w.m.frame[w.spt], role=Role.FREE),
        lambda w: w.for_read()),
    Row("I14", "accounting: .*leaves", of(accounting), lambda w: w.word(w.leaf)),
    Row("I14", "accounting: .*tables", of(accounting), lambda w: w.puts(w.kvm.direct, tdp_mmu_pages=1)),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_it_holds_on_the_right_model(row):
    row.holds(plain)


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_it_fails_when_one_thing_is_wrong(row):
    row.fails(plain)


def test_roots_by_type():
    with plain() as w:
        w.for_write()
        types = (KVM_DIRECT_ROOTS, KVM_MIRROR_ROOTS, KVM_VALID_ROOTS)
        assert [bool(tdp_mmu_root_match(w.m, w.root, one)) for one in types] == [True, False, True]
        kvm_tdp_mmu_invalidate_roots(w.m, VM, KVM_DIRECT_ROOTS)
        assert not tdp_mmu_root_match(w.m, w.root, KVM_VALID_ROOTS)
        assert tdp_mmu_root_match(w.m, w.root, INVALID)


def test_what_an_spte_may_become():
    with plain() as w:
        table, huge = make_nonleaf_spte(w.spt), make_direct_spte(2, 2, True, False)
        for level, old, new in (
            (1, EMPTY, w.leaf), (1, w.leaf, EMPTY), (2, table, huge), (1, make_mmio_spte(0, 2, MMIO_VALUE), EMPTY),
        ):  # fmt: skip
            check_changed_spte(w.m, VM, 0, level, old, new)


def test_statistics_count_leaves_by_level():
    with plain() as w:
        stat = w.kvm.direct.stat
        update_statistics(w.m, VM, 1, EMPTY, w.leaf)
        update_statistics(w.m, VM, 1, w.leaf, w.leaf & ~PT_WRITABLE_MASK)
        assert stat[1] == 1
        update_statistics(w.m, VM, 1, w.leaf, FROZEN_SPTE)
        assert [stat[level] for level in range(LEVELS.value + 1)] == [0] * (LEVELS.value + 1)


def test_a_table_of_zeros_is_full_of_mmio_in_a_td_and_empty_in_a_plain_vm():
    assert is_mmio_spte(0, 0)
    assert not is_mmio_spte(0, MMIO_VALUE)
    assert not any(is_mmio_spte(word, value) for word in (EMPTY, FROZEN_SPTE) for value in (0, MMIO_VALUE))
