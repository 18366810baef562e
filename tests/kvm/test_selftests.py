"""What the kernel's selftests do to private memory, step by step, and what comes of it.

pre_fault_memory_test, private_mem_conversions_test, private_mem_kvm_exits_test and guest_memfd_test.
"""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from septum.host.frames import Role
from septum.host.geometry import Level
from septum.host.locks import lock_exclusively
from septum.host.pools import EAGAIN, EEXIST, EFAULT, EHWPOISON, EINVAL, ENOENT, OK
from septum.kvm.exits import Exit
from septum.kvm.mmu.prefault import kvm_vcpu_pre_fault_memory
from septum.kvm.mmu.reload import reload_direct_root
from septum.kvm.virt.attributes import has_private_leaf, kvm_vm_ioctl_set_mem_attributes
from septum.kvm.virt.gmem import kvm_gmem_error_folio, kvm_gmem_punch_hole
from septum.kvm.virt.gmem_file import kvm_gmem_bind, kvm_gmem_unbind
from septum.kvm.virt.gmem_files import kvm_gmem_punch_hole_in
from septum.kvm.virt.memory_region import kvm_set_memory_region
from septum.kvm.vmx.vcpu import touch
from septum.kvm.x86.guest import balloon, insist, map_gpa, release
from septum.kvm.x86.vm import close_gmem
from septum.scenarios.files import two_files
from septum.scenarios.views import both_views
from septum.tdx.sept import SeptState, entry_of, sept_state
from tests.machine import run, world

GMEM, VCPU, SHARED, PRIVATE = 2, 1, True, False


class Vm:
    """A TD whose slot 0 has guest_memfd for GFNs 0 and 1, and one vCPU; ioctls are called one after another."""

    def __init__(self, made, vm):
        self.m, self.vm = made.m, vm

    def state(self, gfn):
        """What the S-EPT says; the mirror must agree."""
        found = sept_state(entry_of(self.m, self.vm, gfn, Level(1))) if self.has_table() else SeptState.FREE
        assert has_private_leaf(self.m, self.vm, gfn) == (found != SeptState.FREE)
        return found

    def has_table(self):
        return sept_state(entry_of(self.m, self.vm, 0, Level(3))) != SeptState.FREE

    def page(self, gfn):
        return self.m.vm[self.vm].gmem[gfn]

    def set_attributes(self, gfn, shared):
        return run(kvm_vm_ioctl_set_mem_attributes(self.m, self.vm, gfn, gfn, shared))

    def set_slot(self, npages, base=0, flags=GMEM):
        return run(kvm_set_memory_region(self.m, self.vm, 0, npages, base, 0, flags))

    def punch_hole(self, first, last):
        run(kvm_gmem_punch_hole(self.m, self.vm, first, last))

    def pre_fault(self, first, npages):
        return run(kvm_vcpu_pre_fault_memory(self.m, VCPU, first, npages))

    def guest_has(self, gfn):
        return run(touch(self.m, VCPU, gfn))

    def exit(self):
        """What kvm_run says."""
        of = self.m.vcpu[VCPU].run
        return of.reason, of.error, of.gfn, bool(of.private)


@contextmanager
def selftest(like="prefault_delete"):
    with world(like=like) as made:
        td = made.td()
        made.vcpu(td.vm)
        slots = made.m.vm[td.vm].memslots
        slots.memslot[1].npages, slots.memslot[1].gmem, slots.active.slot[0] = 2, True, 1
        yield Vm(made, td.vm)


class TestPreFaultMemory:
    def test_a_slot_is_mapped_page_by_page(self):
        with selftest() as vm:
            assert vm.pre_fault(0, 2) == OK
            assert (vm.state(0), vm.state(1)) == (SeptState.PENDING, SeptState.PENDING)

    def test_what_is_mapped_already_is_fine(self):
        with selftest() as vm:
            vm.guest_has(0)
            before = vm.page(0)
            assert vm.pre_fault(0, 2) == OK
            assert (vm.page(0), vm.state(0)) == (before, SeptState.MAPPED)

    def test_the_end_of_the_slot_leaves_the_rest(self):
        with selftest() as vm:
            assert vm.pre_fault(1, 2) == OK
            assert vm.pre_fault(2, 1) == EFAULT

    def test_shared_memory_without_a_slot_is_not_there(self):
        with world(like="views_faults") as made:
            td = both_views(made)
            made.vcpu(td.vm)
            run(kvm_set_memory_region(made.m, td.vm, 0, 0, 0, 0, GMEM))
            run(reload_direct_root(made.m, VCPU))
            assert run(kvm_vcpu_pre_fault_memory(made.m, VCPU, 1, 1)) == ENOENT

    def test_a_slot_that_is_being_deleted_is_eagain(self):
        with selftest() as vm:
            vm.m.vm[vm.vm].memslots.memslot[1].invalid = True
            assert vm.pre_fault(0, 1) == EAGAIN


class TestPrivateMemConversions:
    def test_explicit_conversion_to_shared_and_back(self):
        """The page stays in guest_memfd; the guest's view of it goes, and has to be accepted again."""
        with selftest() as vm:
            assert vm.guest_has(0)
            page = vm.page(0)
            run(map_gpa(vm.m, VCPU, 0, 0, SHARED))
            assert (vm.state(0), vm.page(0)) == (SeptState.FREE, page)
            run(map_gpa(vm.m, VCPU, 0, 0, PRIVATE))
            assert vm.state(0) == SeptState.FREE
            assert vm.guest_has(0)
            assert (vm.state(0), vm.page(0)) == (SeptState.MAPPED, page)

    def test_a_neighbour_keeps_its_data(self):
        with selftest() as vm:
            assert vm.guest_has(0)
            assert vm.guest_has(1)
            vm.set_attributes(0, SHARED)
            assert (vm.state(0), vm.state(1)) == (SeptState.FREE, SeptState.MAPPED)

    def test_implicit_conversion(self):
        """The guest's access makes the exit, and userspace converts."""
        with selftest() as vm:
            vm.set_attributes(0, SHARED)
            run(insist(vm.m, VCPU, 0))
            assert vm.state(0) == SeptState.MAPPED
            assert not vm.m.vm[vm.vm].shared[0]

    def test_a_hole_takes_the_page(self):
        with selftest() as vm:
            assert vm.guest_has(0)
            run(release(vm.m, VCPU, 0, 0))
            assert (vm.state(0), vm.page(0)) == (SeptState.FREE, 0)
            vm.set_attributes(0, PRIVATE)
            assert vm.guest_has(0)
            run(balloon(vm.m, VCPU, 0, 0))
            assert (vm.state(0), vm.page(0)) == (SeptState.FREE, 0)

    def test_the_same_attribute_again_changes_nothing(self):
        with selftest() as vm:
            assert vm.guest_has(0)
            seq = vm.m.vm[vm.vm].mmu_invalidate_seq
            assert vm.set_attributes(0, PRIVATE) == OK
            assert (vm.state(0), vm.m.vm[vm.vm].mmu_invalidate_seq) == (SeptState.MAPPED, seq)


class TestPrivateMemKvmExits:
    def test_access_after_the_memslot_was_deleted(self):
        with selftest() as vm:
            assert vm.guest_has(0)
            assert vm.set_slot(0) == OK
            assert vm.state(0) == SeptState.FREE
            assert not vm.guest_has(0)
            assert vm.exit() == (Exit.MEMORY_FAULT, EFAULT, 0, True)

    def test_access_to_a_memslot_without_guest_memfd(self):
        with selftest() as vm:
            assert vm.set_slot(0) == OK
            assert vm.set_slot(2, flags=0) == OK
            assert not vm.guest_has(1)
            assert vm.exit() == (Exit.MEMORY_FAULT, EFAULT, 1, True)

    def test_access_to_shared_memory(self):
        with selftest() as vm:
            vm.set_attributes(1, SHARED)
            assert not vm.guest_has(1)
            assert vm.exit() == (Exit.MEMORY_FAULT, EFAULT, 1, True)


class TestGuestMemfd:
    def test_a_hole_where_nothing_is(self):
        with selftest() as vm:
            vm.punch_hole(0, 1)
            assert (vm.page(0), vm.page(1)) == (0, 0)

    def test_a_hole_in_a_mapped_range(self):
        with selftest() as vm:
            assert vm.guest_has(0)
            assert vm.guest_has(1)
            vm.punch_hole(1, 1)
            assert (vm.state(0), vm.state(1), vm.page(1)) == (SeptState.MAPPED, SeptState.FREE, 0)

    @pytest.mark.parametrize(("npages", "base"), [(2, 1), (1, 0)], ids=["moved", "resized"])
    def test_a_slot_of_guest_memfd_cannot_be_changed(self, npages, base):
        with selftest() as vm:
            assert vm.set_slot(npages, base) == EINVAL

    def test_pages_outlive_their_slot(self):
        with selftest() as vm:
            assert vm.guest_has(0)
            page = vm.page(0)
            assert vm.set_slot(0) == OK
            assert vm.m.frame[page].role == Role.GUEST
            assert vm.set_slot(2) == OK
            assert vm.guest_has(0)
            assert vm.page(0) == page

    def test_an_offset_is_bound_once(self):
        with selftest() as vm:
            other = vm.m.vm[vm.vm].memslots.memslot[2]
            other.npages, other.base_gfn, other.gmem = 1, 1, True
            assert run(kvm_gmem_bind(vm.m, vm.vm, 1)) == OK
            assert run(kvm_gmem_bind(vm.m, vm.vm, 2)) == EEXIST
            lock_exclusively(vm.m.vm[vm.vm].slots_lock)
            run(kvm_gmem_unbind(vm.m, vm.vm, 1))
            assert run(kvm_gmem_bind(vm.m, vm.vm, 2)) == OK

    def test_a_file_that_is_closed_gives_nothing(self):
        with selftest() as vm:
            assert vm.guest_has(0)
            run(close_gmem(vm.m, vm.vm))
            assert (vm.state(0), vm.page(0)) == (SeptState.FREE, 0)
            assert not vm.guest_has(0)
            assert vm.exit() == (Exit.MEMORY_FAULT, EFAULT, 0, True)

    def test_a_page_whose_memory_failed(self):
        """It goes from the guest, stays in the file, and is an exit of its own until a hole was punched there."""
        with world(like="memory_failure") as made:
            vm = Vm(made, made.td().vm)
            made.vcpu(vm.vm)
            assert vm.guest_has(0)
            assert vm.guest_has(1)
            run(kvm_gmem_error_folio(vm.m, vm.vm, 0))
            assert (vm.state(0), vm.state(1), bool(vm.page(0))) == (SeptState.FREE, SeptState.MAPPED, True)
            assert not vm.guest_has(0)
            assert vm.exit() == (Exit.MEMORY_FAULT, EHWPOISON, 0, True)
            vm.punch_hole(0, 0)
            assert vm.guest_has(0)


@contextmanager
def two_slots(made_of):
    """A TD with two slots of two pages; `made_of`: the file of each and its offset there."""
    with world(like="files_holes", fixed=8) as made:
        td = two_files(made)
        made.vcpu(td.vm)
        of = made.m.vm[td.vm]
        for number, (file, pgoff) in enumerate(made_of):
            slot = of.memslots.memslot[number + 1]
            for index in range(2):
                of.files.file[slot.at.file].bindings[index] = 0
            slot.at.file, slot.at.pgoff = file, pgoff
        for number, (file, pgoff) in enumerate(made_of):
            for index in range(2):
                of.files.file[file].bindings[pgoff + index] = number + 1
        yield Vm(made, td.vm)


class TestGuestMemfdOffsets:
    """private_mem_conversions_test with several memslots: each at its offset of a file."""

    @pytest.mark.parametrize(
        ("made_of", "hole", "gone"),
        [
            (((1, 0), (2, 0)), (1, 0, 1), (0, 1)), (((1, 0), (2, 0)), (2, 1, 1), (3,)), (((1, 0), (1, 2)), (1, 1, 2), (1, 2)),
            (((1, 2), (1, 0)), (1, 0, 2), (2, 3, 0)), (((1, 0), (1, 2)), (2, 0, 3), ()), (((1, 0), (2, 1)), (2, 2, 3), (3,)),
        ],
    )  # fmt: skip
    def test_a_hole_is_punched_where_slots_have_it(self, made_of, hole, gone):
        with two_slots(made_of) as vm:
            assert all(vm.guest_has(gfn) for gfn in range(4))
            file, first, last = hole
            run(kvm_gmem_punch_hole_in(vm.m, vm.vm, file, first, last))
            assert tuple(gfn for gfn in range(4) if vm.state(gfn) == SeptState.FREE) == tuple(sorted(gone))
            assert vm.m.vm[vm.vm].mmu_invalidate_in_progress == 0
            assert all(vm.guest_has(gfn) for gfn in range(4))

    def test_a_slot_that_is_not_bound_gives_nothing(self):
        with two_slots(((1, 0), (2, 0))) as vm:
            vm.m.vm[vm.vm].files.file[2].bindings[0] = 0
            assert not vm.guest_has(2)
            assert vm.exit() == (Exit.MEMORY_FAULT, EFAULT, 2, True)
