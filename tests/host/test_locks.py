"""Locks say who holds them, and refuse to be released by anybody else."""

from __future__ import annotations

import pytest

from septum.host.locks import (
    mutex_lock,
    mutex_unlock,
    read_lock,
    read_unlock,
    spin_lock,
    spin_unlock,
    write_lock,
    write_unlock,
)
from septum.lang.processes import running
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
