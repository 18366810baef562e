"""What comes of private memory that the guest uses without having accepted it."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from septum.host.geometry import Level
from septum.host.pools import EIO, OK
from septum.kvm.vmx.unaccepted import private_used, took_ve, use, vm_killed
from septum.kvm.vmx.vcpu import fault, touch
from septum.kvm.x86.ioctls import PAGE_SIZE, kvm_vcpu_ioctl_pre_fault_memory, kvm_vm_ioctl_set_memory_attributes
from septum.lang.processes import running
from septum.tdx.sept import SeptState, entry_of, sept_state
from tests.machine import run, world

VM, VCPU = 1, 1


@contextmanager
def guest(like):
    with world(like=like) as made:
        made.vcpu(made.td().vm)
        running.reached = set()
        yield made.m


def used(m):
    """What comes of the guest's access: the events, and the state of the page."""
    run(use(m, VCPU, 0))
    return running.reached & {private_used, took_ve, vm_killed}, sept_state(entry_of(m, VM, 0, Level(1)))


def test_the_guest_accepts_the_page_in_its_handler_of_the_ve():
    with guest("pending_ve") as m:
        run(fault(m, VCPU, 0))
        assert used(m) == ({took_ve, private_used}, SeptState.MAPPED)


def test_without_ve_the_vm_is_dead():
    with guest("unaccepted") as m:
        run(fault(m, VCPU, 0))
        assert used(m) == ({vm_killed}, SeptState.PENDING)
        assert run(kvm_vcpu_ioctl_pre_fault_memory(m, VCPU, 0, PAGE_SIZE, 0)) == EIO
        assert run(kvm_vm_ioctl_set_memory_attributes(m, VM, 0, PAGE_SIZE, 0, 0)) == EIO
        assert not run(touch(m, VCPU, 0))


@pytest.mark.parametrize("like", ["unaccepted", "pending_ve"])
def test_what_was_accepted_may_be_used(like):
    with guest(like) as m:
        assert run(touch(m, VCPU, 0))
        assert used(m) == ({private_used}, SeptState.MAPPED)
        assert run(kvm_vm_ioctl_set_memory_attributes(m, VM, 0, PAGE_SIZE, 8, 0)) == OK
