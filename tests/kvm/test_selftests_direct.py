"""What the kernel's selftests do to memslots and dirty logs, step by step, with the outcomes that the kernel gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from septum.designs import upstream
from septum.host.geometry import ENTRIES, LEVELS
from septum.host.pools import EEXIST, EINVAL, OK
from septum.kvm.machine import Machine
from septum.kvm.memslots import MEMSLOTS, SLOT_IDS
from septum.kvm.tdp.direct import read_direct
from septum.kvm.tdp.dirty_log import copy_all, get_dirty_log
from septum.kvm.tdp.manual_log import kvm_clear_dirty_log_protect, kvm_vm_ioctl_get_dirty_log
from septum.kvm.tdp.spte import is_accessed_spte
from septum.kvm.tdp.tlb import Acc
from septum.kvm.tdp.walk import direct_table
from septum.kvm.virt.aging import kvm_age_hva
from septum.kvm.virt.memory_region import kvm_set_memory_region
from septum.kvm.virt.notifier import host_write, madvise_dontneed, write_protect_hva
from septum.kvm.x86.direct_run import access, mmio_emulated
from septum.lang import Setup, scope
from septum.lang.processes import running
from septum.lang.struct import allocate, realise
from septum.scenarios.direct import age_alias, aliased, copy_on_write, notifier_range, plain_vm
from septum.scenarios.dirty_log import PAGES_1G, log_1g, log_eager, log_initially_set, log_lazy, log_manual, log_set_lazy
from septum.scenarios.slots import slot_stress
from septum.scenarios.views import both_views, views_log
from septum.scenarios.world import World
from tests.machine import run

VM, VCPU = 1, 1
LOG, GMEM = 1, 2


@contextmanager
def machine(like, start, levels=3) -> Iterator[Machine]:
    """The machine of a scenario with what `start` makes in it, and one vCPU that has not run."""
    with scope({**upstream.bindings(), **like.bindings, LEVELS: levels}):
        m, _ = allocate(realise(Machine, {}))
        running.thread = 0
        running.reached = set()
        list(start(World(Setup(m), 0)).vcpus(1))
        yield m


def region(m, number, npages, gfn=0, hva=0, flags=0):
    return run(kvm_set_memory_region(m, VM, number, npages, gfn, hva, flags))


def is_mmio(m, gfn):
    """Whether an access of the guest is emulated."""
    running.reached = set()
    run(access(m, VCPU, gfn, Acc.WRITE))
    return mmio_emulated in running.reached


def test_set_memory_region_moves_a_slot_under_the_guest():
    """test_move_memory_region: the guest finds MMIO at the old place and its data at the new one."""
    with machine(slot_stress, plain_vm) as m:
        assert not is_mmio(m, 0)
        page = m.vm[VM].direct.mm.page[0]
        assert region(m, 0, 2, gfn=2) == OK
        assert is_mmio(m, 0)
        assert not is_mmio(m, 2)
        assert m.vm[VM].direct.mm.page[0] == page


def test_set_memory_region_deletes_a_slot_under_the_guest():
    """test_delete_memory_region: afterwards the guest's accesses are MMIO, and the slot can be made again."""
    with machine(slot_stress, plain_vm) as m:
        assert not is_mmio(m, 0)
        assert region(m, 0, 0) == OK
        assert is_mmio(m, 0)
        assert region(m, 0, 2) == OK
        assert not is_mmio(m, 0)


def test_set_memory_region_without_any_slot():
    """test_zero_memory_regions: a guest without memory has only MMIO; a slot that is not there cannot be deleted."""
    with machine(slot_stress, plain_vm) as m:
        assert region(m, 0, 0) == OK
        assert is_mmio(m, 0)
        assert region(m, 0, 0) == EINVAL


def test_set_memory_region_refuses_overlaps_and_other_sizes():
    with machine(slot_stress, plain_vm) as m:
        assert region(m, 1, 2, gfn=1) == EEXIST
        assert region(m, 1, 2, gfn=2) == OK
        assert region(m, 1, 2, gfn=1) == EEXIST
        assert region(m, 1, 1, gfn=2) == EINVAL
        assert region(m, 1, 2, gfn=2, hva=1) == EINVAL
        assert region(m, 1, 2, gfn=3) == EINVAL
        assert region(m, 1, 2, gfn=2) == OK


@pytest.mark.parametrize(("npages", "gfn", "flags"), [(2, 2, 0), (2, 0, LOG), (2, 0, GMEM), (1, 0, 0)])
def test_a_slot_of_guest_memfd_can_only_be_deleted(npages, gfn, flags):
    """test_add_private_memory_region, and the flags that such a slot does not take."""
    with machine(views_log, both_views) as m:
        assert region(m, 0, npages, gfn=gfn, flags=flags) == EINVAL
        assert region(m, 0, 0) == OK


def leaves(m):
    """Direct leaves of 4K and of 2M."""
    return m.vm[VM].direct.stat[1], m.vm[VM].direct.stat[2]


def huge_vm(world):
    return plain_vm(world, pages=2, folio=ENTRIES.value)


def test_dirty_log_page_splitting_eagerly():
    """All 2M leaves are split when logging begins, and are 2M again when it has ended, as many as before."""
    with machine(log_eager, huge_vm) as m:
        run(access(m, VCPU, 0, Acc.WRITE))
        assert leaves(m) == (0, 1)
        assert region(m, 0, 2, flags=LOG) == OK
        assert leaves(m) == (2, 0)
        run(access(m, VCPU, 1, Acc.WRITE))
        run(get_dirty_log(m, VM, 0))
        assert leaves(m) == (2, 0)
        assert region(m, 0, 2) == OK
        run(access(m, VCPU, 0, Acc.WRITE))
        assert leaves(m) == (0, 1)


def test_dirty_log_page_splitting_of_1g():
    """A 1G leaf is split to 4K when logging begins, over two levels, and is one leaf again when it has ended."""
    with machine(log_1g, lambda world: plain_vm(world, PAGES_1G.value, PAGES_1G.value), levels=4) as m:
        run(access(m, VCPU, 1, Acc.WRITE))
        assert m.vm[VM].direct.stat[3] == 1
        assert region(m, 0, 4, flags=LOG) == OK
        assert leaves(m) == (4, 0)
        assert region(m, 0, 4) == OK
        assert (leaves(m), m.vm[VM].direct.stat[3]) == ((0, 0), 1)


def test_dirty_log_page_splitting_in_faults():
    """Without eager splitting a 2M leaf stays until the guest writes."""
    with machine(log_lazy, huge_vm) as m:
        run(access(m, VCPU, 0, Acc.WRITE))
        assert region(m, 0, 2, flags=LOG) == OK
        run(access(m, VCPU, 1, Acc.READ))
        assert leaves(m) == (0, 1)
        run(access(m, VCPU, 1, Acc.WRITE))
        assert leaves(m) == (2, 0)


def test_a_page_is_reported_once_for_each_round_in_which_it_was_written():
    with machine(log_eager, huge_vm) as m:
        assert region(m, 0, 2, flags=LOG) == OK
        run(copy_all(m, VM))
        logged = m.vm[VM].direct.dirty_bitmap
        run(access(m, VCPU, 1, Acc.WRITE))
        assert [bool(logged[gfn]) for gfn in (0, 1)] == [False, True]
        run(get_dirty_log(m, VM, 0))
        assert not logged[1]
        run(access(m, VCPU, 1, Acc.WRITE))
        assert logged[1]


def test_the_log_is_cleared_by_another_ioctl():
    """clear_dirty_log_test: reading it changes nothing; what is cleared is reported again after the next write."""
    with machine(log_manual, plain_vm) as m:
        assert region(m, 0, 2, flags=LOG) == OK
        run(access(m, VCPU, 0, Acc.WRITE))
        assert [run(kvm_vm_ioctl_get_dirty_log(m, VM, 0)) for _ in range(2)] == [1, 1]
        run(kvm_clear_dirty_log_protect(m, VM, 0, 2))
        assert run(kvm_vm_ioctl_get_dirty_log(m, VM, 0)) == 1
        run(kvm_clear_dirty_log_protect(m, VM, 0, 1))
        assert run(kvm_vm_ioctl_get_dirty_log(m, VM, 0)) == 0
        run(access(m, VCPU, 0, Acc.WRITE))
        assert run(kvm_vm_ioctl_get_dirty_log(m, VM, 0)) == 1


@pytest.mark.parametrize(("like", "cleared"), [(log_initially_set, (2, 0)), (log_set_lazy, (0, 1))])
def test_dirty_log_page_splitting_with_all_pages_dirty_at_first(like, cleared):
    """2M leaves stay when logging begins; they are split when their pages are cleared, or in the fault after that."""
    with machine(like, huge_vm) as m:
        run(access(m, VCPU, 0, Acc.WRITE))
        assert region(m, 0, 2, flags=LOG) == OK
        assert leaves(m) == (0, 1)
        assert run(kvm_vm_ioctl_get_dirty_log(m, VM, 0)) == 3
        run(kvm_clear_dirty_log_protect(m, VM, 0, 3))
        assert leaves(m) == cleared
        run(access(m, VCPU, 1, Acc.WRITE))
        assert leaves(m)[1] == 0
        assert run(kvm_vm_ioctl_get_dirty_log(m, VM, 0)) == 2


def test_memslot_modification_stress():
    """Adding and deleting another slot, again and again, is nothing that the guest could notice."""
    with machine(slot_stress, plain_vm) as m:
        for _ in range(2):
            assert not is_mmio(m, 0)
            assert region(m, 1, 1, gfn=2, hva=1) == OK
            assert not is_mmio(m, 2)
            assert region(m, 1, 0) == OK
            assert is_mmio(m, 2)


def test_a_page_that_the_host_took_away_comes_back_as_another():
    with machine(slot_stress, plain_vm) as m:
        run(access(m, VCPU, 0, Acc.WRITE))
        before = m.vm[VM].direct.mm.page[0]
        run(madvise_dontneed(m, VM, 0, 0))
        assert leaves(m) == (0, 0)
        assert m.vm[VM].direct.mm.page[0] == 0
        run(access(m, VCPU, 0, Acc.WRITE))
        assert leaves(m) == (1, 0)
        assert m.frame[m.vm[VM].direct.mm.page[0]].refcount == 1
        assert before != 0
        assert (MEMSLOTS.value, SLOT_IDS.value) == (4, 2)


def leaf_at(m, gfn):
    """The 4K leaf of a GFN."""
    return read_direct(m, direct_table(m, VM, m.vcpu[VCPU].direct.root, gfn, 1), gfn % 2)


def test_a_page_is_aged_at_every_gfn_that_slots_give_it():
    with machine(age_alias, aliased) as m:
        for gfn in (0, 2):
            run(access(m, VCPU, gfn, Acc.WRITE))
        assert is_accessed_spte(leaf_at(m, 0))
        assert is_accessed_spte(leaf_at(m, 2))
        run(kvm_age_hva(m, VM, 0))
        assert not is_accessed_spte(leaf_at(m, 0))
        assert not is_accessed_spte(leaf_at(m, 2))


def test_a_range_is_unmapped_where_a_slot_has_it():
    with machine(notifier_range, lambda world: plain_vm(world, pages=2)) as m:
        for gfn in (0, 1):
            run(access(m, VCPU, gfn, Acc.WRITE))
        run(madvise_dontneed(m, VM, 1, 1))
        assert leaves(m) == (1, 0)
        run(access(m, VCPU, 1, Acc.WRITE))
        run(madvise_dontneed(m, VM, 0, 1))
        assert leaves(m) == (0, 0)


def test_a_shared_page_is_copied_for_who_writes():
    with machine(copy_on_write, plain_vm) as m:
        run(access(m, VCPU, 0, Acc.WRITE))
        before = m.vm[VM].direct.mm.page[0]
        run(write_protect_hva(m, VM, 0))
        run(access(m, VCPU, 0, Acc.READ))
        assert (m.vm[VM].direct.mm.page[0], leaves(m)) == (before, (1, 0))
        run(access(m, VCPU, 0, Acc.WRITE))
        assert m.vm[VM].direct.mm.page[0] != before
        run(write_protect_hva(m, VM, 0))
        run(host_write(m, VM, 0))
        assert leaves(m) == (0, 0)
        assert m.frame[m.vm[VM].direct.mm.page[0]].refcount == 1
