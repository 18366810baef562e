"""What each ioctl refuses before it does anything, and how far one came that a signal interrupted."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from septum.check.check import check
from septum.designs import upstream
from septum.host.pools import EBUSY, EINTR, EINVAL, EIO, ENOMEM, EOPNOTSUPP, OK
from septum.kvm.exits import Exit
from septum.kvm.machine import Machine, TdState
from septum.kvm.mmu.mmu import kvm_tdp_mmu_page_fault
from septum.kvm.tdp.tdp_mmu import Fault, table_at
from septum.kvm.versions import KERNEL, NEXT, V7_2, V7_3
from septum.kvm.virt.gmem import kvm_gmem_get_pfn
from septum.kvm.vmx.life import KILLABLE, tdx_acquire_vm_state_locks
from septum.kvm.vmx.populate import kvm_tdp_mmu_map_private_pfn
from septum.kvm.x86.ioctls import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    KVM_MEM_GUEST_MEMFD,
    KVM_MEM_LOG_DIRTY_PAGES,
    KVM_MEMORY_ATTRIBUTE_PRIVATE,
    KVM_TDX_MEASURE_MEMORY_REGION,
    PAGE_SIZE,
    kvm_gmem_fallocate,
    kvm_tdx_init_mem_region,
    kvm_vcpu_ioctl_pre_fault_memory,
    kvm_vm_ioctl_set_memory_attributes,
    kvm_vm_ioctl_set_memory_region,
)
from septum.lang import Model, Setup, call, scope
from septum.lang.processes import running
from septum.lang.struct import allocate, realise
from septum.lang.types import _scopes
from septum.properties import KVM_PROPERTIES
from septum.scenarios.direct import plain_vm
from septum.scenarios.prefault import SLOTTED, with_slot
from septum.scenarios.slots import slot_stress
from septum.scenarios.world import World, scenario
from septum.tdx.leaves import OpState
from tests.machine import run, world

VM, VCPU = 1, 1
PAGE, END, SHARED_GPA = PAGE_SIZE, 1 << 64, 4 * PAGE_SIZE  # of a VM with four GFNs
PUNCH = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
PRIVATE, GMEM, LOG = KVM_MEMORY_ATTRIBUTE_PRIVATE, KVM_MEM_GUEST_MEMFD, KVM_MEM_LOG_DIRTY_PAGES
SIGNAL = 1


@contextmanager
def td(like="prefault_signals", finalized=True):
    """A TD that runs or is being built, with a vCPU; a signal may come."""
    with world(like=like, fixed=8) as made:
        made.m.signals = 1
        one = made.td()
        made.vcpu(one.vm)
        if not finalized:
            life = made.m.vm[VM].life
            life.state, made.m.td[VM].build.op_state = TdState.INITIALIZED, OpState.INITIALIZED
            life.pre_fault_allowed = False
        yield made.m


def building():
    return td("populate_signals", finalized=False)


@contextmanager
def slots():
    """A plain VM that may have two slots, of which there is none."""
    with scope({**upstream.bindings(), **slot_stress.bindings}):
        m, _ = allocate(realise(Machine, {}))
        running.thread = 0
        plain_vm(World(Setup(m), 0))
        m.vm[VM].memslots.memslot[1].npages = m.vm[VM].memslots.active.slot[0] = 0
        yield m


def pages(m):
    return [bool(m.vm[VM].gmem[gfn]) for gfn in range(4)]


@pytest.mark.parametrize(
    ("gpa", "size", "flags", "error"),
    [
        (0, 2 * PAGE, 0, OK), (PAGE, PAGE, 0, OK),
        (0, 0, 0, EINVAL), (0, PAGE, 1, EINVAL), (1, PAGE, 0, EINVAL), (0, PAGE + 1, 0, EINVAL), (0, PAGE - 1, 0, EINVAL),
        (PAGE, END - PAGE, 0, EINVAL), (END - PAGE, 2 * PAGE, 0, EINVAL), (SHARED_GPA, PAGE, 0, EINVAL),
    ],
)  # fmt: skip
def test_pre_fault_memory(gpa, size, flags, error):
    with td() as m:
        assert run(kvm_vcpu_ioctl_pre_fault_memory(m, VCPU, gpa, size, flags)) == error
        assert any(pages(m)) == (error == OK)


def test_pre_fault_memory_does_what_it_can():
    """The range reaches beyond what is private; and one whose first page cannot be had is an error."""
    with td() as m:
        assert run(kvm_vcpu_ioctl_pre_fault_memory(m, VCPU, 2 * PAGE, 3 * PAGE, 0)) == OK
        assert (pages(m), m.vcpu[VCPU].range.left) == ([False, False, True, True], 1)


@pytest.mark.parametrize(("choices", "error", "left"), [([SIGNAL], EINTR, 2), ([0, SIGNAL], OK, 1), ([0, 0], OK, 0)])
def test_a_signal_ends_a_prefault_with_an_error_only_if_nothing_was_done(choices, error, left):
    with td() as m:
        assert run(kvm_vcpu_ioctl_pre_fault_memory(m, VCPU, 0, 2 * PAGE, 0), choices) == error
        assert (sum(pages(m)), m.vcpu[VCPU].range.left) == (2 - left, left)


@pytest.mark.parametrize(
    ("source", "gpa", "nr_pages", "flags", "error"),
    [
        (PAGE, 0, 2, 0, OK), (PAGE, PAGE, 1, KVM_TDX_MEASURE_MEMORY_REGION, OK),
        (PAGE, 0, 1, 2, EINVAL), (0, 0, 1, 0, EINVAL), (PAGE + 1, 0, 1, 0, EINVAL), (PAGE, 1, 1, 0, EINVAL),
        (PAGE, 0, 0, 0, EINVAL), (PAGE, PAGE, (END - PAGE) // PAGE, 0, EINVAL), (PAGE, 0, END // PAGE, 0, EINVAL),
        (PAGE, SHARED_GPA, 1, 0, EINVAL), (PAGE, SHARED_GPA - PAGE, 2, 0, EINVAL),
    ],
)  # fmt: skip
def test_init_mem_region(source, gpa, nr_pages, flags, error):
    with building() as m:
        assert run(kvm_tdx_init_mem_region(m, VCPU, source, gpa, nr_pages, flags)) == error
        assert sum(pages(m)) == (nr_pages if error == OK else 0)
        assert not m.vm[VM].slots_lock.writer


def test_init_mem_region_wants_a_vcpu_and_a_td_that_is_not_finalized():
    with building() as m:
        m.vcpu[VCPU].life.state = TdState.UNINITIALIZED
        assert run(kvm_tdx_init_mem_region(m, VCPU, PAGE, 0, 1, 0)) == EINVAL
    with td("populate_signals") as m:
        assert run(kvm_tdx_init_mem_region(m, VCPU, PAGE, 0, 1, 0)) == EINVAL


def test_init_mem_region_is_busy_while_a_vcpu_is_created():
    """Until 7.2, where KVM_CREATE_VCPU drops kvm->lock; it is, whatever else is wrong with the arguments."""
    with building() as m, scope({**_scopes[-1], KERNEL: V7_2}):
        m.vm[VM].life.created_vcpus = 1
        assert run(kvm_tdx_init_mem_region(m, VCPU, PAGE + 1, 0, 1, 0)) == EBUSY


@pytest.mark.parametrize(("looks", "mapped"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_a_signal_ends_a_population_and_the_rest_is_written_back(looks, mapped):
    """Between pages, and in a page before it is added: then nothing of it is left behind."""
    with building() as m:
        assert run(kvm_tdx_init_mem_region(m, VCPU, PAGE, 0, 2, 0), [0] * looks + [SIGNAL]) == EINTR
        assert m.vcpu[VCPU].range.left == 2 - mapped
        assert not m.vm[VM].life.page_add_src
        assert bool(table_at(m, VM, 0, 1)) == bool(mapped)
        assert run(kvm_tdx_init_mem_region(m, VCPU, PAGE, mapped * PAGE, 2 - mapped, 0)) == OK


def test_a_fatal_signal_gives_back_the_locks_that_were_taken():
    with building() as m, scope({**_scopes[-1], KILLABLE: 1}):
        assert run(kvm_tdx_init_mem_region(m, VCPU, PAGE, 0, 1, 0), [SIGNAL]) == EINTR
        assert not m.vm[VM].life.lock.writer
        assert not m.vcpu[VCPU].life.mutex.writer
        assert not m.vm[VM].slots_lock.writer


@pytest.mark.parametrize(
    ("address", "size", "attributes", "flags", "error"),
    [
        (0, PAGE, 0, 0, OK), (PAGE, 3 * PAGE, PRIVATE, 0, OK),
        (0, PAGE, 0, 1, EINVAL), (0, PAGE, 1, 0, EINVAL), (0, PAGE, PRIVATE | 1, 0, EINVAL), (0, 0, 0, 0, EINVAL),
        (1, PAGE, 0, 0, EINVAL), (0, PAGE + 1, 0, 0, EINVAL), (PAGE, END - PAGE, 0, 0, EINVAL),
        (END - PAGE, 2 * PAGE, 0, 0, EINVAL),
    ],
)  # fmt: skip
def test_set_memory_attributes(address, size, attributes, flags, error):
    with td() as m:
        assert run(kvm_vm_ioctl_set_memory_attributes(m, VM, address, size, attributes, flags)) == error
        assert any(m.vm[VM].shared[gfn] for gfn in range(4)) == (error == OK and attributes == 0)


@pytest.mark.parametrize(
    ("mode", "offset", "length", "error", "left"),
    [
        (PUNCH, 0, 4 * PAGE, OK, 0), (PUNCH, PAGE, PAGE, OK, 3), (PUNCH, 4 * PAGE, PAGE, OK, 4),
        (PUNCH, 3 * PAGE, 2 * PAGE, OK, 3),
        (FALLOC_FL_KEEP_SIZE, 0, PAGE, OK, 4), (FALLOC_FL_KEEP_SIZE, 4 * PAGE, PAGE, EINVAL, 4),
        (FALLOC_FL_KEEP_SIZE, 3 * PAGE, 2 * PAGE, EINVAL, 4), (0, 0, PAGE, EOPNOTSUPP, 4),
        (FALLOC_FL_PUNCH_HOLE, 0, PAGE, EOPNOTSUPP, 4), (PUNCH | 8, 0, PAGE, EOPNOTSUPP, 4), (PUNCH, 0, 0, EINVAL, 4),
        (PUNCH, 1, PAGE, EINVAL, 4), (PUNCH, 0, PAGE - 1, EINVAL, 4),
    ],
)  # fmt: skip
def test_fallocate(mode, offset, length, error, left):
    """As guest_memfd_test has it: every page of the file is there before."""
    with td() as m:
        assert run(kvm_gmem_fallocate(m, VM, FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE)) == OK
        assert run(kvm_gmem_fallocate(m, VM, mode, offset, length)) == error
        assert sum(pages(m)) == left


def test_a_signal_ends_an_allocation():
    with td() as m:
        assert run(kvm_gmem_fallocate(m, VM, FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE), [0, SIGNAL]) == EINTR
        assert sum(pages(m)) == 1


@pytest.mark.parametrize(
    ("slot", "flags", "gpa", "size", "hva", "offset", "error"),
    [
        (0, 0, 0, 2 * PAGE, 0, 0, OK), (1, LOG, 2 * PAGE, PAGE, PAGE, 0, OK), (1, GMEM, 0, 2 * PAGE, 0, PAGE, OK),
        (2, 0, 0, PAGE, 0, 0, EINVAL), (0, 8, 0, PAGE, 0, 0, EINVAL), (0, GMEM | LOG, 0, PAGE, 0, 0, EINVAL),
        (0, 0, 1, PAGE, 0, 0, EINVAL), (0, 0, 0, PAGE + 1, 0, 0, EINVAL), (0, 0, 0, PAGE, 1, 0, EINVAL),
        (0, 0, END - PAGE, PAGE, 0, 0, EINVAL), (0, 0, PAGE, END - PAGE, 0, 0, EINVAL), (0, GMEM, 0, PAGE, 0, 1, EINVAL),
        (0, GMEM, 0, PAGE, 0, END - PAGE, EINVAL), (0, 0, 3 * PAGE, 2 * PAGE, 0, 0, EINVAL), (0, 0, 0, 0, 0, 0, EINVAL),
    ],
)  # fmt: skip
def test_set_user_memory_region(slot, flags, gpa, size, hva, offset, error):
    with slots() as m:
        assert run(kvm_vm_ioctl_set_memory_region(m, VM, slot, flags, gpa, size, hva, offset)) == error
        assert any(m.vm[VM].memslots.active.slot[number] for number in range(2)) == (error == OK)


def test_a_prefault_before_the_td_is_finalized():
    with building() as m:
        assert run(kvm_vcpu_ioctl_pre_fault_memory(m, VCPU, 0, PAGE, 0)) == EOPNOTSUPP


def test_every_ioctl_of_a_dead_vm_is_eio_and_its_file_is_a_file_still():
    with building() as m:
        m.vm[VM].bugged = True
        assert run(kvm_vcpu_ioctl_pre_fault_memory(m, VCPU, 0, PAGE, 0)) == EIO
        assert run(kvm_tdx_init_mem_region(m, VCPU, PAGE, 0, 1, 0)) == EIO
        assert run(kvm_vm_ioctl_set_memory_attributes(m, VM, 0, PAGE, 0, 0)) == EIO
        assert run(kvm_vm_ioctl_set_memory_region(m, VM, 0, 0, 0, PAGE, 0, 0)) == EIO
        assert run(kvm_gmem_fallocate(m, VM, PUNCH, 0, PAGE)) == OK


CALLS = (
    (kvm_vcpu_ioctl_pre_fault_memory, 0, PAGE, 0),
    (kvm_vm_ioctl_set_memory_attributes, 0, PAGE, 0, 0),
    (kvm_gmem_fallocate, PUNCH, 0, PAGE),
    (kvm_gmem_fallocate, FALLOC_FL_KEEP_SIZE, PAGE, PAGE),
    (kvm_vm_ioctl_set_memory_region, 0, GMEM, 0, PAGE, 0, 1 << 62),
    (kvm_vm_ioctl_set_memory_region, 0, GMEM, 0, 0, 0, 0),
)


@scenario("the VMM makes every ioctl of a TD that runs", witnesses=(), **SLOTTED)
def every_ioctl(made: World) -> None:
    one = with_slot(made)
    for vcpu in one.vcpus(1):
        calls = [call(process, vcpu.number if n == 0 else one.vm, *arguments) for n, (process, *arguments) in enumerate(CALLS)]
        made.setup.thread("VMM", *calls)


def test_a_scenario_calls_every_ioctl_with_the_arguments_that_it_has():
    model = Model("ioctls", Machine, (every_ioctl,), KVM_PROPERTIES, upstream.bindings(), upstream.operations, None)
    assert check(model, "every_ioctl").holds


def test_a_scenario_populates_by_ioctl():
    """KVM_TDX_INIT_MEM_REGION is for a TD that is being built."""
    assert check("kvm_upstream", "populate_signals").holds


@pytest.mark.parametrize(("kernel", "error"), [(V7_2, EOPNOTSUPP), (V7_3, EINVAL)])
def test_init_mem_region_without_a_source(kernel, error):
    """Until 7.2 the folio is there by the time that it is refused."""
    with building() as m, scope({**_scopes[-1], KERNEL: kernel}):
        assert run(kvm_tdx_init_mem_region(m, VCPU, 0, 0, 1, 0)) == error
        assert bool(m.vm[VM].gmem[0]) == (error == EOPNOTSUPP)


def test_a_prefault_of_shared_memory_before_the_td_is_finalized():
    """That it is not allowed yet is asked first."""
    with building() as m:
        assert run(kvm_vcpu_ioctl_pre_fault_memory(m, VCPU, SHARED_GPA, PAGE, 0)) == EOPNOTSUPP


def test_init_mem_region_of_a_dead_vm():
    with building() as m:
        m.vm[VM].bugged = True
        assert run(kvm_tdx_init_mem_region(m, VCPU, PAGE, 0, 1, 0)) == EIO


@pytest.mark.parametrize(("kernel", "shared", "error"), [(V7_2, True, ENOMEM), (V7_3, True, OK), (V7_3, False, ENOMEM)])
def test_attributes_that_cannot_be_reserved(kernel, shared, error):
    """Nothing changed by then; since 7.3 to clear attributes reserves nothing."""
    with td() as m, scope({**_scopes[-1], KERNEL: kernel}):
        m.vm[VM].shared[0] = not shared
        m.failures = 1
        assert run(kvm_vm_ioctl_set_memory_attributes(m, VM, 0, PAGE, 0 if shared else PRIVATE, 0), [1]) == error
        assert m.vm[VM].shared[0] == (shared == (error == OK))


def test_attributes_of_gfns_without_a_memslot_are_no_invalidation():
    with world(like="prefault_delete", fixed=8) as made:
        one = made.td()
        m = made.m
        before = m.vm[one.vm].mmu_invalidate_seq
        assert run(kvm_vm_ioctl_set_memory_attributes(m, one.vm, 0, PAGE, 0, 0)) == OK
        assert (m.vm[one.vm].mmu_invalidate_seq, m.vm[one.vm].shared[0]) == (before, True)


def test_a_page_that_guest_memfd_cannot_make_is_a_memory_fault():
    with world(like="prefault_convert", fixed=8) as made:
        one = made.td()
        m, vcpu = made.m, made.vcpu(one.vm)
        m.failures = 1
        assert run(kvm_tdp_mmu_page_fault(m, vcpu, 0), [0, 0, 1]) == Fault.NO_MEMORY
        assert (m.vcpu[vcpu].run.reason, m.vcpu[vcpu].run.error) == (Exit.MEMORY_FAULT, ENOMEM)


@pytest.mark.parametrize(("kernel", "choices", "error"), [(V7_3, [0], OK), (NEXT, [0, SIGNAL], EINTR)])
def test_a_population_beside_an_invalidation(kernel, choices, error):
    """After 7.3 its fault is stale then, and it tries again until a signal comes."""
    with building() as m, scope({**_scopes[-1], KERNEL: kernel}):
        assert run(tdx_acquire_vm_state_locks(m, VM)) == OK
        m.vm[VM].life.page_add_src = True
        page = run(kvm_gmem_get_pfn(m, VM, 0))
        m.vm[VM].mmu_invalidate_in_progress = 1
        assert run(kvm_tdp_mmu_map_private_pfn(m, VCPU, 0, page), choices) == error
