"""Where the model asks which release it follows: every such gate has a test, which fails on its other side."""

from __future__ import annotations

import ast
from contextlib import contextmanager
from pathlib import Path

import pytest

import septum
from septum.designs import dpamt_merged_split
from septum.host.locks import lock_exclusively, lock_shared, unlock_exclusively, unlock_shared
from septum.host.pools import EEXIST, EINTR, EINVAL, OK
from septum.host.signals import SIGNALS
from septum.kvm.machine import TdState
from septum.kvm.tdp.mirror_zap import tdp_mmu_zap_leafs
from septum.kvm.versions import KERNEL, V6_18, V6_19, V7_3
from septum.kvm.virt.gmem import kvm_gmem_get_pfn
from septum.kvm.vmx.life import tdx_acquire_vm_state_locks, tdx_release_vm_state_locks, tdx_vcpu_init
from septum.kvm.vmx.populate import begin_region, end_region, kvm_gmem_populate, kvm_tdp_mmu_map_private_pfn
from septum.lang import scope
from septum.lang.processes import Violation
from septum.lang.types import _scopes
from septum.properties.agreement import agreement
from septum.properties.protocol import protocol
from septum.tdx.sept import SeptState, entry_of, sept_state
from tests.kvm import section7
from tests.machine import run, world

VM, VCPU, SIGNAL = 1, 1, 1
ROOT = Path(septum.__file__).parent
TESTS = Path(__file__).parents[1]
HERE, SIDES, IOCTLS = "kvm/test_gates.py", "kvm/test_sides.py", "kvm/test_ioctls.py"
GATES = {
    "designs/upstream.py free_external_spt": (SIDES, "test_when_the_s_ept_page_of_a_table_is_freed"),
    "kvm/memslots.py LOCAL_RETRY_LOOKS_AT_SLOT": (SIDES, "test_the_local_retry_beside_the_deletion_of_its_slot"),
    "kvm/mmu/nx_recovery.py SHARED": (SIDES, "test_how_nx_recovery_holds_mmu_lock"),
    "kvm/mmu/prefault.py kvm_tdp_page_prefault, NEXT": (SIDES, "test_a_prefault_beside_the_deletion_of_another_slot"),
    "kvm/mmu/prefault.py kvm_tdp_page_prefault, V6_18": (SIDES, "test_a_prefault_beside_the_deletion_of_its_slot"),
    "kvm/virt/aging.py age_leaf": (SIDES, "test_aging_beside_nx_recovery"),
    "kvm/virt/attributes.py reserve_attributes": (IOCTLS, "test_attributes_that_cannot_be_reserved"),
    "kvm/virt/gmem_file.py kvm_gmem_unbind": (SIDES, "test_a_slot_that_goes_before_the_release_of_its_file"),
    "kvm/virt/memory_region.py kvm_change_memslot": (SIDES, "test_guest_memfd_is_taken_off_a_memslot"),
    "kvm/vmx/life.py init_tdvps": (SIDES, "test_vp_init_beside_a_punched_hole"),
    "kvm/vmx/life.py kvm_vm_ioctl_create_vcpu": (SIDES, "test_a_vcpu_that_is_half_created"),
    "kvm/vmx/life.py tdx_acquire_vm_state_locks, V6_19": (HERE, "test_the_locks_of_an_ioctl_that_changes_the_state_of_a_td"),
    "kvm/vmx/life.py tdx_acquire_vm_state_locks, V7_3": (HERE, "test_a_vcpu_that_is_half_created_cannot_be_seen"),
    "kvm/vmx/life.py tdx_release_vm_state_locks": (HERE, "test_the_mutex_of_a_vcpu_is_no_lock_of_such_an_ioctl"),
    "kvm/vmx/life.py tdx_vcpu_init": (HERE, "test_a_vcpu_is_initialised_beside_an_ioctl_of_the_vm"),
    "kvm/vmx/populate.py TOPS_UP_AT_EACH_TRY": (SIDES, "test_when_a_population_fills_its_caches"),
    "kvm/vmx/populate.py begin_region": (HERE, "test_the_locks_of_a_population"),
    "kvm/vmx/populate.py end_region": (HERE, "test_the_locks_of_a_population"),
    "kvm/vmx/populate.py kvm_gmem_populate": (HERE, "test_a_page_that_is_there_before_it_is_populated"),
    "kvm/vmx/populate.py kvm_tdp_mmu_map_private_pfn, NEXT": (IOCTLS, "test_a_population_beside_an_invalidation"),
    "kvm/vmx/populate.py kvm_tdp_mmu_map_private_pfn, V6_19": (HERE, "test_a_signal_while_a_page_is_populated"),
    "kvm/vmx/populate.py tdx_gmem_post_populate": (HERE, "test_a_page_is_added_once_it_is_populated"),
    "kvm/vmx/tdx.py map_before_finalize": (HERE, "test_when_a_page_is_added"),
    "kvm/vmx/tdx.py pin": (HERE, "test_who_has_a_reference_to_a_mapped_page"),
    "kvm/vmx/tdx.py tdx_sept_remove_leaf_spte": (HERE, "test_a_page_that_was_never_added_is_removed"),
    "kvm/vmx/tdx.py unpin": (HERE, "test_who_has_a_reference_to_a_mapped_page"),
    "kvm/x86/ioctls.py is_region": (IOCTLS, "test_init_mem_region_without_a_source"),
    "properties/agreement.py premapped": (HERE, "test_a_page_that_was_not_added_yet"),
    "properties/protocol.py protocol": (HERE, "test_pages_that_were_not_added_yet_are_counted"),
    "scenarios/world.py Td": (HERE, "test_who_has_a_reference_to_the_pages_of_a_2m_leaf"),
}
"""Each with the file and the name of a test; the release where a function asks for two."""


def gates():
    """Every function or size of the model that compares KERNEL, and with which releases."""
    for path in ROOT.rglob("*.py"):
        for outer in ast.parse(path.read_text()).body:
            compared = [node for node in ast.walk(outer) if isinstance(node, ast.Compare)]
            asked = {ast.unparse(one.comparators[0]) for one in compared if ast.unparse(one.left) in ("KERNEL", "KERNEL.value")}
            name = ast.unparse(outer.targets[0]) if isinstance(outer, ast.Assign) else getattr(outer, "name", "")
            many = isinstance(outer, ast.FunctionDef) and len(asked) > 1
            yield from (f"{path.relative_to(ROOT)} {name}" + (f", {release}" if many else "") for release in asked)


def test_every_gate_has_its_test():
    assert set(gates()) == set(GATES)
    for file, test in GATES.values():
        assert f"def {test}(" in (TESTS / file).read_text()


@contextmanager
def follows(world, kernel):
    """A world of tests/kvm/section7.py under another release, with no lock held."""
    with world as one, scope({**_scopes[-1], KERNEL: kernel}):
        unlock_shared(one.kvm.mmu_lock)
        yield one


@contextmanager
def building(kernel):
    """A TD that is being built: the locks of an ioctl that does it are not held."""
    with follows(section7.living(), kernel) as one:
        one.builds()
        one.kvm.life.page_add_src = False
        unlock_exclusively(one.kvm.slots_lock)
        unlock_exclusively(one.vcpu.life.mutex)
        yield one


def held(one):
    """kvm->lock, the vCPU's mutex, slots_lock."""
    return [bool(lock.writer) for lock in (one.kvm.life.lock, one.vcpu.life.mutex, one.kvm.slots_lock)]


EACH = pytest.mark.parametrize("kernel", [V6_18, V6_19])


@EACH
def test_the_locks_of_an_ioctl_that_changes_the_state_of_a_td(kernel):
    """The mutexes of all vCPUs too [6.19]."""
    with building(kernel) as one:
        assert run(tdx_acquire_vm_state_locks(one.m, VM)) == OK
        assert held(one) == [True, kernel == V6_19, True]
        tdx_release_vm_state_locks(one.m, VM)
        assert held(one) == [False, False, False]


def test_the_mutex_of_a_vcpu_is_no_lock_of_such_an_ioctl():
    """Until 6.18: who holds one keeps it."""
    with building(V6_18) as one:
        lock_exclusively(one.vcpu.life.mutex)
        assert run(tdx_acquire_vm_state_locks(one.m, VM)) == OK
        tdx_release_vm_state_locks(one.m, VM)
        assert held(one) == [False, True, False]


@EACH
def test_the_locks_of_a_population(kernel):
    """kvm->lock too [6.19]."""
    with building(kernel) as one:
        assert run(begin_region(one.m, VCPU)) == OK
        assert held(one) == [kernel == V6_19, True, True]
        end_region(one.m, VCPU)
        assert held(one) == [False, False, False]


def test_a_vcpu_that_is_half_created_cannot_be_seen():
    """KVM_CREATE_VCPU keeps kvm->lock [7.3]; before, it is -EBUSY (test_ioctls)."""
    with building(V7_3) as one:
        one.kvm.life.created_vcpus = one.kvm.life.online_vcpus + 1
        with pytest.raises(Violation, match="WARN_ON_ONCE"):
            run(tdx_acquire_vm_state_locks(one.m, VM))


@EACH
def test_a_vcpu_is_initialised_beside_an_ioctl_of_the_vm(kernel):
    """KVM_TDX_INIT_VCPU waits for kvm->lock [6.19]."""
    with building(kernel) as one:
        one.kvm.life.state = TdState.RUNNABLE
        lock_exclusively(one.kvm.life.lock)
        if kernel == V6_18:
            assert run(tdx_vcpu_init(one.m, VCPU)) == EINVAL
            assert held(one) == [True, False, False]
        else:
            with pytest.raises(AssertionError, match="would wait"):
                run(tdx_vcpu_init(one.m, VCPU))


@EACH
def test_a_page_that_is_there_before_it_is_populated(kernel):
    """Refused, until 6.18."""
    with building(kernel) as one:
        run(kvm_gmem_get_pfn(one.m, VM, 0))
        assert run(begin_region(one.m, VCPU)) == OK
        assert run(kvm_gmem_populate(one.m, VCPU, 0, False)) == (EEXIST if kernel == V6_18 else OK)


def state(one):
    return sept_state(entry_of(one.m, VM, 0, 1))


@EACH
def test_a_page_is_added_once_it_is_populated(kernel):
    with building(kernel) as one:
        assert run(begin_region(one.m, VCPU)) == OK
        assert run(kvm_gmem_populate(one.m, VCPU, 0, True)) == OK
        assert (state(one) != SeptState.FREE, one.kvm.life.nr_premapped) == (True, 0)


@contextmanager
def mapped(kernel, finalized=False):
    """A page is mapped, before the TD is finalized or after; with mmu_lock held for read."""
    with follows(section7.living(), kernel) as one:
        lock_shared(one.kvm.mmu_lock)
        if not finalized:
            one.builds()
        one.maps()
        yield one


@EACH
def test_when_a_page_is_added(kernel):
    """As it is mapped [6.19]; before, it is counted, and added after that."""
    with mapped(kernel) as one:
        assert (state(one) == SeptState.FREE, one.kvm.life.nr_premapped) == ((True, 1) if kernel == V6_18 else (False, 0))


@EACH
def test_a_page_that_was_not_added_yet(kernel):
    """The mirror may have it, until 6.18."""
    with mapped(V6_18) as one, scope({**_scopes[-1], KERNEL: kernel}):
        if kernel == V6_18:
            agreement(one.m)
        else:
            with pytest.raises(AssertionError, match="agreement"):
                agreement(one.m)


@EACH
def test_pages_that_were_not_added_yet_are_counted(kernel):
    with mapped(V6_18) as one, scope({**_scopes[-1], KERNEL: kernel}):
        unlock_exclusively(one.kvm.slots_lock)
        one.kvm.life.nr_premapped = 2
        if kernel == V6_18:
            with pytest.raises(AssertionError, match="I19"):
                protocol(one.m)
        else:
            protocol(one.m)


@EACH
def test_a_page_that_was_never_added_is_removed(kernel):
    """Until 6.18 it is no longer counted, and there is nothing to block."""
    with mapped(V6_18) as one, scope({**_scopes[-1], KERNEL: kernel}):
        one.for_write()
        if kernel == V6_18:
            run(tdp_mmu_zap_leafs(one.m, VM, 0, 0))
            assert (one.kvm.life.nr_premapped, one.m.frame[one.page].refcount) == (0, 1)
        else:
            with pytest.raises((AssertionError, Violation)):
                run(tdp_mmu_zap_leafs(one.m, VM, 0, 0))


@EACH
def test_who_has_a_reference_to_a_mapped_page(kernel):
    """Its inode, and until 6.18 the mapping."""
    with mapped(kernel, finalized=True) as one:
        assert one.m.frame[one.page].refcount == (2 if kernel == V6_18 else 1)
        one.for_write()
        run(tdp_mmu_zap_leafs(one.m, VM, 0, 0))
        assert one.m.frame[one.page].refcount == 1


@EACH
def test_who_has_a_reference_to_the_pages_of_a_2m_leaf(kernel):
    """The same, where a scenario begins with one."""
    with world(dpamt_merged_split, "split", folios=1) as made, scope({**_scopes[-1], KERNEL: kernel}):
        head = made.td().maps_huge(0, accepted=True)
        assert made.m.frame[head].refcount == (2 if kernel == V6_18 else 1)


@EACH
def test_a_signal_while_a_page_is_populated(kernel):
    """Ends it [6.19]."""
    with building(kernel) as one, scope({**_scopes[-1], SIGNALS: 1}):
        assert run(begin_region(one.m, VCPU)) == OK
        one.kvm.life.page_add_src = True
        one.m.signals = 1
        assert run(kvm_tdp_mmu_map_private_pfn(one.m, VCPU, 0, one.page), [SIGNAL]) == (OK if kernel == V6_18 else EINTR)
