"""A deadlock says once who waits for what, and where that is a lock that the thread holds itself."""

from __future__ import annotations

from septum.check.check import check
from septum.host.cpu import Cpu
from septum.host.geometry import THREADS, ThreadId
from septum.host.locks import SpinLock, spin_lock
from septum.lang import Model, Scenario, Struct, call, process


class World(Struct):
    cpu: Cpu[ThreadId]
    a: SpinLock


@process
def takes_twice(m: World):
    yield from spin_lock(m, m.a)
    yield from spin_lock(m, m.a)


def start(setup):
    setup.thread("T0", call(takes_twice))


def test_a_thread_that_waits_for_its_own_lock_says_so_once():
    found = check(Model("twice", World, (Scenario("s", "", start, (), {THREADS: 1}),)), "s", engine="python")
    assert found.clause == "deadlock: T0 waits for a, which it holds itself"
