"""SRCU: who is waited for, and who may not wait."""

from __future__ import annotations

import pytest

from septum.host.srcu import srcu_read_lock, srcu_read_unlock, synchronize_srcu
from septum.lang.processes import running
from tests.kvm.test_direct_assertions import VM, tree
from tests.machine import run


def test_only_sections_that_were_open_are_waited_for():
    with tree() as m:
        srcu = m.vm[VM].memslots.srcu
        running.thread = 1
        srcu_read_lock(srcu)
        running.thread = 0
        waiting = synchronize_srcu(m, srcu)
        condition = next(waiting).condition
        running.thread = 2
        srcu_read_lock(srcu)
        assert not condition()
        running.thread = 1
        srcu_read_unlock(srcu)
        assert condition()


def test_nobody_waits_for_itself():
    with tree() as m:
        srcu = m.vm[VM].memslots.srcu
        srcu_read_lock(srcu)
        with pytest.raises(AssertionError, match="inside of a read section"):
            run(synchronize_srcu(m, srcu))
        with pytest.raises(AssertionError, match="in a section of the same thread"):
            srcu_read_lock(srcu)
        srcu_read_unlock(srcu)
        with pytest.raises(AssertionError, match="outside of a section"):
            srcu_read_unlock(srcu)
