"""A deadlock says who waits for which place, and who holds it: a lock is what a thread finds free, takes and frees."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.host.cpu import Cpu
from septum.host.geometry import THREADS, ThreadId
from septum.host.locks import Mutex, RwLock, SpinLock, mutex_lock, read_lock, spin_lock, write_lock
from septum.lang import Enum, Model, Scenario, Struct, Word, boolean, call, process, u8, when


class Task(Enum):
    RUNNING = 0
    SLEEPING = 1


class RwSem(Word):
    writer: bool
    readers: u8


class World(Struct):
    cpu: Cpu[ThreadId]
    a: SpinLock
    rw: RwLock
    mutex: Mutex
    task: Task
    taken: boolean[2]
    sem: RwSem
    at: u8
    full: bool
    done: bool


@process
def takes_twice(m: World):
    yield from spin_lock(m, m.a)
    yield from spin_lock(m, m.a)


@process
def takes_a_mutex_twice(m: World):
    yield from mutex_lock(m, m.mutex)
    yield from mutex_lock(m, m.mutex)


@process
def writes_under_a_read_lock(m: World):
    yield from read_lock(m, m.rw)
    yield from write_lock(m, m.rw)


def is_free(m, lock: u8):
    return not m.taken[lock]


@process
def takes_both(m: World, one: u8, other: u8):
    yield when(lambda: is_free(m, one))
    m.taken[one] = True
    yield when(lambda: not m.taken[other])
    m.taken[other] = True
    yield
    m.taken[other] = False
    yield
    m.taken[one] = False


@process
def takes_where_it_is_told(m: World):
    yield
    if not m.taken[m.at]:
        m.taken[m.at] = True
    yield when(lambda: is_free(m, m.at))
    m.taken[m.at] = False


@process
def down_read(m: World, sem):
    yield when(lambda: not sem.writer)
    sem.readers += 1


@process
def down_read_of_a_writer(m: World):
    yield
    m.sem.writer = True
    yield from down_read(m, m.sem)


@process
def waits_for_its_own_read(m: World):
    yield from down_read(m, m.sem)
    yield when(lambda: m.sem.readers == 0)


@process
def sleeps_too_late(m: World):
    yield
    m.task = Task.SLEEPING
    yield when(lambda: m.task == Task.RUNNING)


@process
def fills_twice(m: World):
    yield when(lambda: not m.full)
    m.full = True
    yield when(lambda: not m.full)
    m.full = True


@process
def waits_for_nobody(m: World):
    yield
    m.at = 1
    yield when(lambda: m.done)
    m.at = 0


def found(*calls):
    """What a check says of threads with these calls."""

    def start(setup):
        for number, one in enumerate(calls):
            setup.thread(f"T{number}", one)

    model = Model("stuck", World, (Scenario("s", "", start, (), {THREADS: len(calls)}),))
    return check(model, "s", engine="python").clause


@pytest.mark.parametrize(
    ("program", "lock"), [(takes_twice, "a"), (takes_a_mutex_twice, "mutex"), (writes_under_a_read_lock, "rw")]
)
def test_a_thread_that_waits_for_its_own_lock_says_so_once(program, lock):
    assert found(call(program)) == f"deadlock: T0 waits for {lock}, which it holds itself"


def test_of_locks_of_ones_own_the_holder_is_named():
    both = found(call(takes_both, 0, 1), call(takes_both, 1, 0))
    assert both == (
        "deadlock: T0 waits for yield when(lambda: not m.taken[other]): taken[1], held by T1; "
        "T1 waits for yield when(lambda: not m.taken[other]): taken[0], held by T0"
    )
    assert found(call(takes_both, 0, 0)).endswith("taken[0], which it holds itself")
    assert found(call(takes_where_it_is_told)).endswith("taken[0], which it holds itself")


def test_what_is_no_lock_was_set_by_somebody_or_by_nobody():
    assert found(call(sleeps_too_late)).endswith("(lambda: m.task == Task.RUNNING): task, which it set itself")
    assert found(call(fills_twice)).endswith("full, which it set itself")
    assert found(call(waits_for_its_own_read)).endswith("sem.readers, which it set itself")
    assert found(call(waits_for_nobody)).endswith("done, which nobody has set")


def test_the_place_is_named_that_a_reference_leads_to():
    assert found(call(down_read_of_a_writer)).endswith("sem.writer, which it set itself")
