"""Locks say who holds them, and refuse to be released by anybody else."""

from __future__ import annotations

import pytest

from septum.host.locks import (
    FAIR,
    cond_resched_rwlock_write,
    mutex_lock,
    mutex_unlock,
    read_lock,
    read_unlock,
    spin_lock,
    spin_unlock,
    write_lock,
    write_unlock,
)
from septum.lang import scope
from septum.lang.processes import running
from septum.lang.types import _scopes
from tests.machine import run, world


def test_readers_share_and_a_writer_does_not():
    with world() as made:
        m, lock = made.m, made.m.vm[1].mmu_lock
        run(read_lock(m, lock))
        running.thread = 1
        run(read_lock(m, lock))
        assert lock.readers == 0b11
        with pytest.raises(AssertionError, match="wait for ever"):
            run(write_lock(m, lock))
        read_unlock(m, lock)
        running.thread = 0
        read_unlock(m, lock)
        run(write_lock(m, lock))
        assert (lock.writer, lock.readers, m.cpu[0].spinning) == (1, 0, 1)


@pytest.mark.parametrize("release", [spin_unlock, write_unlock, read_unlock, mutex_unlock])
def test_only_a_holder_releases(release):
    with world() as made, pytest.raises(AssertionError, match=r"context: .* does not hold"):
        release(made.m, made.m.vm[1].mmu_lock)


def test_a_mutex_may_not_be_taken_under_a_spinlock():
    with world() as made:
        run(spin_lock(made.m, made.m.pamt_lock))
        with pytest.raises(AssertionError, match="context: a call that may sleep"):
            run(mutex_lock(made.m, made.m.vm[1].slots_lock))
        spin_unlock(made.m, made.m.pamt_lock)
        run(mutex_lock(made.m, made.m.vm[1].slots_lock))
        mutex_unlock(made.m, made.m.vm[1].slots_lock)


class TestLockdep:
    """Order by class: kvm->lock, slots_lock, invalidate_lock, mmu_lock, and the spinlocks behind it."""

    def test_locks_in_their_order(self):
        with world() as made:
            vm = made.m.vm[1]
            run(mutex_lock(made.m, vm.slots_lock))
            run(mutex_lock(made.m, vm.invalidate_lock))
            run(read_lock(made.m, vm.mmu_lock))
            run(spin_lock(made.m, made.m.pamt_lock))
            spin_unlock(made.m, made.m.pamt_lock)
            read_unlock(made.m, vm.mmu_lock)
            mutex_unlock(made.m, vm.invalidate_lock)
            mutex_unlock(made.m, vm.slots_lock)
            assert made.m.cpu[0].held == 0

    def test_an_inversion_is_found_without_a_deadlock(self):
        with world() as made:
            run(mutex_lock(made.m, made.m.vm[1].invalidate_lock))
            with pytest.raises(AssertionError, match="context: locks are taken against their order"):
                run(mutex_lock(made.m, made.m.vm[1].slots_lock))

    def test_no_class_is_taken_twice(self):
        with world(like="two_tds") as made:
            run(mutex_lock(made.m, made.m.vm[1].slots_lock))
            with pytest.raises(AssertionError, match="against their order"):
                run(mutex_lock(made.m, made.m.vm[2].slots_lock))

    def test_but_the_mutexes_of_all_vcpus(self):
        with world(like="first_runs") as made:
            run(mutex_lock(made.m, made.m.vm[1].life.lock))
            for vcpu in (1, 2):
                run(mutex_lock(made.m, made.m.vcpu[vcpu].life.mutex))
            run(mutex_lock(made.m, made.m.vm[1].slots_lock))


class TestFairness:
    def test_a_writer_that_waits_keeps_new_readers_out(self):
        with world() as made, scope({**_scopes[-1], FAIR: 1}):
            m, lock = made.m, made.m.vm[1].mmu_lock
            run(read_lock(m, lock))
            running.thread = 1
            waiting = write_lock(m, lock)
            next(waiting)
            next(waiting)
            assert lock.waiting == 0b10
            with pytest.raises(AssertionError, match="wait for ever"):
                run(read_lock(m, lock))
            running.thread = 0
            read_unlock(m, lock)
            running.thread = 1
            with pytest.raises(StopIteration):
                waiting.send(None)
            assert (lock.writer, lock.waiting) == (2, 0)

    def test_a_long_holder_lets_go_of_the_lock_or_not(self):
        with world() as made, scope({**_scopes[-1], FAIR: 1}):
            m, lock = made.m, made.m.vm[1].mmu_lock
            run(write_lock(m, lock))
            assert not run(cond_resched_rwlock_write(m, lock), choices=[0])
            assert run(cond_resched_rwlock_write(m, lock), choices=[1])
            lock.waiting = 0b10
            dropped = cond_resched_rwlock_write(m, lock)
            next(dropped)
            dropped.send(0)
            assert lock.writer == 0
