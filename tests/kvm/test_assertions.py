"""The kernel's own assertions (kvm-mmu.md 7.1) and the invariants that it does not assert (7.2), as far as mirror trees go.

Each holds on the right model, and fails when one thing is wrong. That none is reachable otherwise is what the scenarios say.
"""

from __future__ import annotations

import contextlib

import pytest

from septum.host.entry import FROZEN_SPTE
from septum.host.frames import PageType
from septum.kvm.invalidation import kvm_mmu_invalidate_end, kvm_mmu_invalidate_start
from septum.kvm.mmu.mirror_root import kvm_mmu_reload
from septum.kvm.mmu.mmu import kvm_tdp_mmu_page_fault, mmu_topup_memory_caches
from septum.kvm.tdp.mirror_zap import handle_removed_pt, tdp_mmu_zap_leaf
from septum.kvm.tdp.spte import make_nonleaf_spte, make_spte
from septum.kvm.tdp.tdp_mmu import (
    Fault,
    kvm_tdp_mmu_map,
    set_external_spte,
    tdp_mmu_alloc_sp,
    tdp_mmu_set_spte_atomic,
)
from septum.kvm.tdp.tlb import Acc
from septum.kvm.virt.attributes import check_old_view
from septum.kvm.virt.gmem import truncate
from septum.kvm.vmx.populate import tdx_gmem_post_populate
from septum.kvm.vmx.tdx import (
    check_translations,
    map_before_finalize,
    tdx_mem_page_aug,
    tdx_sept_free_private_spt,
    tdx_sept_remove_leaf_spte,
    tdx_track,
)
from septum.kvm.x86.direct_run import check_fetch
from septum.kvm.x86.vm import tdx_mmu_release_hkid, tdx_vcpu_free
from septum.properties.agreement import agreement
from septum.properties.direct import invalidation
from septum.properties.protocol import protocol
from septum.tdx.leaves import OpState
from septum.tdx.sept import SeptState, entry_of, sept_state
from septum.tdx.td import Lifecycle
from tests.kvm.section7 import EMPTY, LEAF, TABLE, VCPU, VM, Row, erratum, living, premapping, td, views
from tests.machine import run


def sets_entry(w):
    run(tdp_mmu_set_spte_atomic(w.m, VCPU, w.spt, 0, LEAF, w.old, w.new))


def links_child(w):
    assert not run(set_external_spte(w.m, VCPU, 2, TABLE, make_nonleaf_spte(w.child)))


def sets_leaf(w):
    assert not run(set_external_spte(w.m, VCPU, 0, LEAF, w.new))


def removes_leaf(w):
    assert not run(tdx_sept_remove_leaf_spte(w.m, VM, 0, w.level, w.page))


def zaps_leaf(w):
    run(tdp_mmu_zap_leaf(w.m, VM, 0))


def removes_table(w):
    run(handle_removed_pt(w.m, VM, w.spt))


def maps(w):
    assert run(kvm_tdp_mmu_map(w.m, VCPU, 0, LEAF, w.page)) in (Fault.FIXED, Fault.SPURIOUS)


def augments(w):
    assert not run(tdx_mem_page_aug(w.m, VM, 0, w.level, w.page))


def adds(w):
    assert not run(map_before_finalize(w.m, VM, 0, LEAF, w.page))


def populates(w):
    """While MR.EXTEND runs, `w.measure` says whether it finds the TDR unlocked."""
    process = tdx_gmem_post_populate(w.m, VCPU, 0, w.page, True)
    with contextlib.suppress(StopIteration):
        process.send(None)
        while True:
            if sept_state(entry_of(w.m, VM, 0, LEAF)) == SeptState.MAPPED and not w.measure:
                w.td.tdr_lock.readers = 1
            process.send(0)


def populating(w):
    w.builds()
    w.unlock()
    w.kvm.life.page_add_src = False


def tracks(w):
    assert not run(tdx_track(w.m, VM))


def loads(w):
    assert not run(kvm_mmu_reload(w.m, VCPU))


def loading(w):
    w.unlock()
    w.vcpu.life.mutex.writer, w.vcpu.life.has_root = 1, False


def of(check):
    """A check of whole states."""
    return lambda w: check(w.m)


def busy_epoch(w):
    """A vCPU is inside since the epoch before."""
    w.td.refcount[(w.td.epoch + 1) % 2] = 1


def in_guest_memfd(w):
    w.kvm.gmem[0] = w.page


def is_external(w, **fields):
    w.puts(w.m.frame[w.sp.external_spt], **fields)


ROWS = (
    Row("A1", "FROZEN SPTE is to be changed", sets_entry, lambda w: w.sets(old=FROZEN_SPTE)),
    Row("A2", "zapped with mmu_lock held for read", sets_entry, lambda w: w.sets(new=EMPTY)),
    Row("A3", "was_present", sets_entry, lambda w: w.sets(old=make_spte(8, LEAF))),
    Row("A4", "!sp->external_spt", links_child, lambda w: w.puts(w.of_child, external_spt=0)),
    Row("A5", "sp->role.level", links_child, lambda w: w.puts(w.of_child, level=2)),
    Row("A5", "sp->gfn != gfn", links_child, lambda w: w.puts(w.of_child, gfn=0)),
    Row("A6", "context: .* without mmu_lock", links_child, lambda w: w.unlock()),
    Row("A7 B5", "context: .* held for write", removes_leaf, lambda w: w.for_read(), lambda w: w.maps_for_write()),
    Row("A7 B5 I3", "a SEAMCALL answers", zaps_leaf, lambda w: w.word(w.new), lambda w: w.for_write()),
    Row("A8", r"KVM_BUG_ON\(shared\)", removes_table, lambda w: w.for_read(), lambda w: w.torn_down()),
    Row("A9", "a SEAMCALL answers", removes_table, lambda w: is_external(w, type=PageType.NDA), lambda w: w.torn_down()),
    Row("A10", "FROZEN while mmu_lock is held for write", zaps_leaf, lambda w: w.word(FROZEN_SPTE), lambda w: w.maps_for_write()),
    Row("A11", "huge leaf above its goal", maps, lambda w: w.root_word(make_spte(8, 3))),
    Row("A12", "without a mirror root", maps, lambda w: w.puts(w.kvm, mirror_root=0)),
    Row("A13 I6", "a present leaf maps another page", maps, lambda w: w.word(make_spte(w.guest_page(), LEAF))),
    Row("B1", "PG_LEVEL_4K", augments, lambda w: w.sets(level=TABLE)),
    Row("B2", "not RWX", sets_leaf, lambda w: w.sets(new=w.new & ~2)),
    Row("B3", "pre_fault_allowed", adds, lambda w: w.puts(w.kvm.life, pre_fault_allowed=True), lambda w: w.builds(), living),
    Row("B3", "pre_fault_allowed", adds, lambda w: w.puts(w.kvm.life, pre_fault_allowed=True), lambda w: w.builds(), premapping),
    Row("B4", "!page_add_src", adds, lambda w: w.puts(w.kvm.life, page_add_src=False), lambda w: w.builds(), living),
    Row("B4", "context: .*slots_lock", adds, lambda w: w.puts(w.kvm.slots_lock, writer=0), lambda w: w.builds(), living),
    Row("B4", "page_add_src", populates, lambda w: w.puts(w.kvm.life, page_add_src=True), populating, living),
    Row("B4", "context: .*slots_lock", populates, lambda w: w.puts(w.kvm.slots_lock, writer=0), populating, living),
    Row("B5", "!is_hkid_assigned", removes_leaf, lambda w: w.puts(w.td, lifecycle=Lifecycle.TEARDOWN),
        lambda w: w.maps_for_write()),
    Row("B5", "PG_LEVEL_4K", removes_leaf, lambda w: w.sets(level=TABLE), lambda w: w.maps_for_write()),
    Row("B6", "!nr_premapped", removes_leaf, lambda w: w.puts(w.kvm.life, nr_premapped=0),
        lambda w: (w.builds(), w.maps_for_write()), premapping),
    Row("B7 I18", r"KVM_BUG_ON\(is_hkid_assigned", lambda w: run(tdx_sept_free_private_spt(w.m, VM, w.spt)),
        lambda w: w.puts(w.td, lifecycle=Lifecycle.KEYS_CONFIGURED), lambda w: w.torn_down()),
    Row("B8 I15", "context: tdx_track", tracks, lambda w: w.for_read(), lambda w: w.for_write()),
    Row("B9", "a SEAMCALL answers", augments, lambda w: w.puts(w.td.build, op_state=OpState.INITIALIZED), world=living),
    Row("B9", "a SEAMCALL answers", adds, lambda w: w.puts(w.td.build, op_state=OpState.RUNNABLE), lambda w: w.builds(), living),
    Row("B9", "a SEAMCALL answers", links_child, lambda w: w.forgets_table()),
    Row("B10", "shared bit", loads, lambda w: w.puts(w.kvm.life, direct_bits=False), loading, living),
    Row("B11", "fetch from shared", lambda w: check_fetch(w.m, VCPU, w.acc), lambda w: w.sets(acc=Acc.INSTR), world=views),
    Row("B12", "associated with a CPU", lambda w: run(tdx_vcpu_free(w.m, VCPU)),
        lambda w: w.puts(w.vcpu.life, associated=True), lambda w: w.unlock(), living),
    Row("B13", "a SEAMCALL answers", populates, lambda w: w.sets(measure=False), populating, living),
    Row("I1", "I1", of(agreement), lambda w: w.unlock(), lambda w: w.word(FROZEN_SPTE)),
    Row("I2", "I2", of(agreement), lambda w: w.word(FROZEN_SPTE), lambda w: w.maps_for_write()),
    Row("I3", "the mirror maps", of(agreement), lambda w: w.word(make_spte(8, LEAF)), lambda w: w.maps()),
    Row("I3", "the mirror has nothing", of(agreement), lambda w: w.word(EMPTY), lambda w: w.maps()),
    Row("I4", "the mirror links", of(agreement), lambda w: w.forgets_table()),
    Row("I4", "a SEAMCALL answers", augments, lambda w: w.forgets_table()),
    Row("I4", "removed before its entries", removes_table, lambda w: w.word(w.new), lambda w: w.torn_down()),
    Row("I5", "I5", of(agreement), lambda w: w.puts(w.sp, gfn=2)),
    Row("I5", "I5", of(agreement), lambda w: w.puts(w.sp, level=2)),
    Row("I5", "the mirror links", of(agreement), lambda w: w.puts(w.sp, external_spt=w.of_child.external_spt)),
    Row("I7", "tlb: ", lambda w: check_translations(w.m, VM, 1), lambda w: w.puts(w.m.tdvps[VCPU], epoch=1),
        lambda w: w.puts(w.m.tdvps[VCPU], epoch=2)),
    Row("I8", "freed while the TDX module holds it", lambda w: truncate(w.m, VM, 0, 0),
        lambda w: w.puts(w.m.frame[w.page], type=PageType.REG), in_guest_memfd),
    Row("I8", "lines of a private key", lambda w: truncate(w.m, VM, 0, 0),
        lambda w: w.puts(w.m.frame[w.page].cache, private=True), in_guest_memfd, living),
    Row("I8", "as the TDX module wrote it", lambda w: truncate(w.m, VM, 0, 0),
        lambda w: w.puts(w.m.frame[w.page].memory, private=True), in_guest_memfd, erratum),
    Row("I9", "I9", lambda w: check_old_view(w.m, VM, 0, 1, True), lambda w: w.word(w.new), lambda w: w.for_write()),
    Row("I13", "context: the caches of a vCPU", lambda w: run(kvm_tdp_mmu_page_fault(w.m, VCPU, 0)),
        lambda w: w.puts(w.vcpu.life.mutex, writer=0), lambda w: (w.unlock(), w.puts(w.vcpu.life.mutex, writer=1)), living),
    Row("I13", "provision: .*empty", lambda w: run(tdp_mmu_alloc_sp(w.m, VCPU, 2, LEAF)),
        lambda w: w.puts(w.vcpu.mmu_shadow_page_cache, nobjs=0), lambda w: run(mmu_topup_memory_caches(w.m, VCPU))),
    Row("I15", "a SEAMCALL answers", tracks, busy_epoch, lambda w: w.for_write()),
    Row("I16", "I16", of(protocol), lambda w: w.for_read(), lambda w: (w.for_write(), w.puts(w.kvm, wait_for_sept_zap=True))),
    Row("I17", "I17", of(protocol), lambda w: w.puts(w.kvm.life, pre_fault_allowed=True), lambda w: w.builds(), living),
    Row("I17", "a SEAMCALL answers", augments, lambda w: w.puts(w.td.build, op_state=OpState.INITIALIZED), world=living),
    Row("I17", "a SEAMCALL answers", adds, lambda w: w.puts(w.td.build, op_state=OpState.RUNNABLE), lambda w: w.builds(), living),
    Row("I18", "I18", lambda w: run(tdx_mmu_release_hkid(w.m, VM)), lambda w: w.word(w.new), lambda w: w.unlock(), living),
    Row("I19", "I19", of(protocol), lambda w: w.puts(w.kvm.life, nr_premapped=1),
        lambda w: (w.builds(), w.puts(w.kvm.slots_lock, writer=0), w.unlock()), premapping),
    Row("I20", "invalidation: ", of(invalidation), lambda w: w.puts(w.kvm, mmu_invalidate_in_progress=1)),
    Row("I20", "in_progress < 0", lambda w: kvm_mmu_invalidate_end(w.m, VM), lambda w: kvm_mmu_invalidate_end(w.m, VM),
        lambda w: (w.for_write(), kvm_mmu_invalidate_start(w.m, VM, 0, 0))),
    Row("I21", "initial value: .*reads 0", maps, lambda w: w.made.fill(w.spt, 0)),
)  # fmt: skip


def name(row):
    return f"{row.ids}: {row.clause}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_it_holds_on_the_right_model(row):
    row.holds(td)


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_it_fails_when_one_thing_is_wrong(row):
    row.fails(td)
