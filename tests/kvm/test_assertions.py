"""The kernel's own assertions (kvm-mmu.md 7.1) and the invariants that it does not assert (7.2), each on a world that breaks it.

That none is reachable in the right model is what the scenarios say: tests/kvm/test_sides.py, tests/scenarios/test_verdicts.py.
"""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from septum.host.entry import FROZEN_SPTE, SHADOW_NONPRESENT_VALUE
from septum.host.frames import PageType, Role
from septum.host.geometry import Level
from septum.host.locks import lock_exclusively, lock_shared
from septum.kvm.life import TdState
from septum.kvm.mirror_root import kvm_mmu_reload
from septum.kvm.mmu import kvm_tdp_mmu_page_fault
from septum.kvm.populate import tdx_gmem_post_populate
from septum.kvm.spte import make_nonleaf_spte, make_spte
from septum.kvm.tdp_mmu import (
    handle_removed_pt,
    kvm_tdp_mmu_map,
    set_external_spte,
    tdp_mmu_set_spte_atomic,
    tdp_mmu_zap_leaf,
)
from septum.kvm.tdx import (
    check_translations,
    map_before_finalize,
    tdx_mem_page_aug,
    tdx_sept_free_private_spt,
    tdx_sept_remove_leaf_spte,
    tdx_track,
)
from septum.kvm.versions import KERNEL, V6_18
from septum.kvm.vm import tdx_mmu_release_hkid, tdx_vcpu_free
from septum.lang import scope
from septum.lang.errors import Violation
from septum.lang.types import _scopes
from septum.properties.agreement import agreement
from septum.properties.direct import invalidation
from septum.properties.protocol import protocol
from septum.tdx.leaves import OpState
from septum.tdx.sept import SeptState, entry_of, sept_state
from tests.machine import run, world

BROKEN = (AssertionError, Violation)
LEAF, EMPTY = Level(1), SHADOW_NONPRESENT_VALUE


@contextmanager
def td(like="neighbours", folios=0):
    """A TD with a vCPU and the table of its first GFNs, mmu_lock held for read: the world, its VM, the table."""
    with world(like=like, fixed=20, folios=folios) as made:
        one = made.td()
        made.vcpu(one.vm)
        one.link(0, 2)
        spt, _ = one.link(0, 1)
        lock_shared(made.m.vm[one.vm].mmu_lock)
        yield made, one.vm, spt


def broken(clause):
    return pytest.raises(BROKEN, match=clause)


def guest_page(made):
    page = made.page(Role.GUEST)
    made.m.frame[page].refcount = 1
    return page


def write_locked(made, vm):
    lock = made.m.vm[vm].mmu_lock
    lock.readers = 0
    lock_exclusively(lock)


def building(made, vm):
    """The TD is not finalized yet."""
    made.m.vm[vm].life.state, made.m.td[vm].build.op_state = TdState.INITIALIZED, OpState.INITIALIZED
    made.m.vm[vm].life.pre_fault_allowed = False


class TestMirrorChecks:
    """A1 to A11."""

    @pytest.mark.parametrize(
        ("old", "new", "clause"),
        [
            (FROZEN_SPTE, make_spte(9, LEAF), "FROZEN"),
            (EMPTY, EMPTY, "zapped with mmu_lock held for read"),
            (make_spte(8, LEAF), make_spte(8, LEAF), "was_present"),
        ],
    )
    def test_a1_to_a3_what_a_fault_may_change(self, old, new, clause):
        with td() as (made, _, spt), broken(clause):
            run(tdp_mmu_set_spte_atomic(made.m, 1, spt, 0, LEAF, old, new))

    @pytest.mark.parametrize(
        ("break_it", "clause"),
        [
            (lambda sp: setattr(sp, "external_spt", 0), "external_spt"),
            (lambda sp: setattr(sp, "level", 2), "level"),
            (lambda sp: setattr(sp, "gfn", 2), "gfn"),
        ],
    )
    def test_a4_a5_the_child_fits_its_entry(self, break_it, clause):
        with td() as (made, _, spt):
            break_it(made.m.sp[spt])
            with broken(clause):
                run(set_external_spte(made.m, 1, 0, Level(2), make_nonleaf_spte(spt)))

    def test_a6_mmu_lock_is_held(self):
        with td() as (made, vm, _):
            made.m.vm[vm].mmu_lock.readers = 0
            with broken("context: .* without mmu_lock"):
                run(set_external_spte(made.m, 1, 0, LEAF, make_spte(9, LEAF)))

    def test_a7_a8_removal_is_exclusive(self):
        with td() as (made, vm, spt):
            with broken("context: .* without mmu_lock held for write"):
                run(tdx_sept_remove_leaf_spte(made.m, vm, 0, LEAF, guest_page(made)))
            with broken("KVM_BUG_ON\\(shared\\)"):
                run(handle_removed_pt(made.m, vm, spt))

    def test_a9_b7_no_table_is_reclaimed_while_the_hkid_is_assigned(self):
        with td() as (made, vm, spt), broken("is_hkid_assigned"):
            run(tdx_sept_free_private_spt(made.m, vm, spt))

    def test_a10_nothing_is_frozen_under_the_write_lock(self):
        with td() as (made, vm, spt):
            write_locked(made, vm)
            made.m.table[spt].word[0] = FROZEN_SPTE
            with broken("FROZEN while mmu_lock is held for write"):
                run(tdp_mmu_zap_leaf(made.m, vm, 0))

    def test_a11_a_fault_splits_no_mirror_leaf(self):
        with td() as (made, vm, _):
            parent = made.m.vm[vm].mirror_root
            made.m.table[parent].word[0] = make_spte(8, Level(3))
            with broken("huge leaf above its goal"):
                run(kvm_tdp_mmu_map(made.m, 1, 0, LEAF, 9))


class TestTdxChecks:
    """B1 to B13."""

    def test_b1_leaves_are_4k(self):
        with td() as (made, vm, _), broken("PG_LEVEL_4K"):
            run(tdx_mem_page_aug(made.m, vm, 0, Level(2), 9))

    def test_b2_leaves_are_rwx(self):
        with td() as (made, _, _), broken("not RWX"):
            run(set_external_spte(made.m, 1, 0, LEAF, make_spte(9, LEAF) & ~2))

    @pytest.mark.parametrize(
        ("allowed", "source", "clause"),
        [(True, True, "pre_fault_allowed"), (False, False, "page_add_src"), (False, True, "slots_lock")],
    )
    def test_b3_b4_what_is_added_before_the_td_is_finalized(self, allowed, source, clause):
        with td("life") as (made, vm, _):
            building(made, vm)
            made.m.vm[vm].life.pre_fault_allowed, made.m.vm[vm].life.page_add_src = allowed, source
            with broken(clause):
                run(map_before_finalize(made.m, vm, 0, LEAF, guest_page(made)))

    def test_b4_one_source_page_at_a_time(self):
        with td("life") as (made, vm, _):
            building(made, vm)
            lock_exclusively(made.m.vm[vm].slots_lock)
            made.m.vm[vm].life.page_add_src = True
            with broken("page_add_src"):
                run(tdx_gmem_post_populate(made.m, 1, 0, guest_page(made), False))

    def test_b5_the_hkid_is_assigned(self):
        with td() as (made, vm, _):
            write_locked(made, vm)
            made.m.td[vm].lifecycle = 3
            with broken("is_hkid_assigned"):
                run(tdx_sept_remove_leaf_spte(made.m, vm, 0, LEAF, guest_page(made)))

    def test_b6_premapped_pages_are_counted(self):
        with td("life") as (made, vm, _), scope({**_scopes[-1], KERNEL: V6_18}):
            building(made, vm)
            write_locked(made, vm)
            with broken("nr_premapped"):
                run(tdx_sept_remove_leaf_spte(made.m, vm, 0, LEAF, guest_page(made)))

    def test_b8_tracking_is_exclusive(self):
        with td() as (made, vm, _), broken("context: tdx_track"):
            run(tdx_track(made.m, vm))

    def test_b9_an_error_that_is_not_busy(self):
        with td() as (made, vm, _):
            page = guest_page(made)
            made.m.frame[page].type = PageType.REG
            with broken("KVM_BUG_ON"):
                run(tdx_mem_page_aug(made.m, vm, 0, LEAF, page))

    def test_b10_the_shared_bit_is_where_the_vm_has_it(self):
        with td("life") as (made, vm, _):
            made.m.vm[vm].mmu_lock.readers = 0
            made.m.vm[vm].life.direct_bits = made.m.vcpu[1].life.has_root = False
            lock_exclusively(made.m.vcpu[1].life.mutex)
            with broken("shared bit"):
                run(kvm_mmu_reload(made.m, 1))

    def test_b12_no_vcpu_is_freed_that_is_associated(self):
        with td("life") as (made, vm, _):
            made.m.vm[vm].mmu_lock.readers = 0
            made.m.vcpu[1].life.associated = True
            with broken("associated with a CPU"):
                run(tdx_vcpu_free(made.m, 1))

    def test_b13_a_page_that_cannot_be_measured(self):
        with td("life") as (made, vm, _):
            building(made, vm)
            made.m.vm[vm].mmu_lock.readers = 0
            lock_exclusively(made.m.vm[vm].slots_lock)
            lock_exclusively(made.m.vcpu[1].life.mutex)
            with broken("KVM_BUG_ON"):
                for _ in tdx_gmem_post_populate(made.m, 1, 0, guest_page(made), True):
                    if sept_state(entry_of(made.m, vm, 0, LEAF)) == SeptState.MAPPED:
                        made.m.td[vm].tdr_lock.readers = 1


class TestInvariants:
    """Of 7.2, those on whole states."""

    def test_i1_frozen_only_while_somebody_changes_it(self):
        with td() as (made, vm, spt):
            made.m.table[spt].word[0] = FROZEN_SPTE
            agreement(made.m)
            made.m.vm[vm].mmu_lock.readers = 0
            with broken("I1"):
                agreement(made.m)

    def test_i2_no_frozen_leftovers_under_the_write_lock(self):
        with td() as (made, vm, spt):
            write_locked(made, vm)
            agreement(made.m)
            made.m.table[spt].word[0] = FROZEN_SPTE
            with broken("I2"):
                agreement(made.m)

    def test_i3_i4_mirror_and_s_ept_say_the_same(self):
        with td() as (made, _, spt):
            agreement(made.m)
            made.m.table[spt].word[0] = make_spte(9, LEAF)
            with broken("the mirror maps"):
                agreement(made.m)

    def test_i7_no_vcpu_has_a_translation_of_a_page_that_is_the_hosts(self):
        with td() as (made, vm, _):
            made.m.tdvps[1].epoch = 2
            check_translations(made.m, vm, 1)
            with broken("tlb: "):
                check_translations(made.m, vm, 2)

    def test_i13_caches_belong_to_who_holds_the_mutex(self):
        with td("life") as (made, vm, _):
            made.m.vm[vm].mmu_lock.readers = 0
            with broken("context: the caches of a vCPU"):
                run(kvm_tdp_mmu_page_fault(made.m, 1, 0))

    def test_i16_vcpus_are_kept_out_only_under_the_write_lock(self):
        with td() as (made, vm, _):
            made.m.vm[vm].wait_for_sept_zap = True
            with broken("I16"):
                protocol(made.m)
            write_locked(made, vm)
            protocol(made.m)

    def test_i17_prefaults_only_of_a_td_that_runs(self):
        with td("life") as (made, vm, _):
            protocol(made.m)
            made.m.vm[vm].life.state = TdState.INITIALIZED
            with broken("I17"):
                protocol(made.m)

    def test_i18_no_private_leaf_is_left_when_the_hkid_goes(self):
        with td("life") as (made, vm, spt):
            made.m.table[spt].word[0] = make_spte(9, LEAF)
            with broken("I18"):
                run(tdx_mmu_release_hkid(made.m, vm))

    def test_i19_premapped_leaves_are_counted(self):
        with td("life") as (made, vm, spt), scope({**_scopes[-1], KERNEL: V6_18}):
            building(made, vm)
            made.m.table[spt].word[0] = make_spte(9, LEAF)
            with broken("I19"):
                protocol(made.m)
            made.m.vm[vm].life.nr_premapped = 1
            protocol(made.m)

    def test_i20_invalidations_are_balanced(self):
        with td() as (made, vm, _):
            invalidation(made.m)
            made.m.vm[vm].mmu_invalidate_in_progress = 1
            with broken("invalidation: "):
                invalidation(made.m)
