"""A lock of one's own: what takes it is one piece only where it says so, and then the lock keeps others out like any other."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.lang import Ghost, Model, Property, Scenario, Size, Struct, atomic, call, cmpxchg, process, u8, when

ONE_PIECE = Size("ONE_PIECE", 1)
TICKETS = Size("TICKETS", 4)


class Lock(Struct):
    taken: u8
    next: u8
    owner: u8


class Inside(Ghost):
    cpus: u8


class World(Struct):
    lock: Lock
    inside: Inside
    count: u8


@process
def count_if_free(m: World):
    yield
    if ONE_PIECE:
        was = cmpxchg(m.lock.taken, 0, 1)
        got = was == 0
    else:
        got = m.lock.taken == 0
        if got:
            m.lock.taken = 1
    if got:
        yield
        m.count += 1
        yield
        m.lock.taken = 0


def take_ticket(lock):
    atomic("one xadd takes a ticket")
    ticket = lock.next
    lock.next = u8((ticket + 1) % TICKETS)
    return ticket


@process
def count_in_turn(m: World):
    yield
    if ONE_PIECE:
        ticket = take_ticket(m.lock)
    else:
        ticket = m.lock.next
        m.lock.next = u8((ticket + 1) % TICKETS)
    yield when(lambda: m.lock.owner == ticket)
    m.inside.cpus += 1
    assert m.inside.cpus == 1, "exclusion: two CPUs are inside"
    yield
    m.count += 1
    yield
    m.inside.cpus -= 1
    m.lock.owner = u8((ticket + 1) % TICKETS)


EXCLUSION = Property("exclusion", "one CPU at a time is inside")


def outcome(routine, cpus: int, **sizes: int) -> str:
    def start(setup):
        for cpu in range(cpus):
            setup.thread(f"CPU {cpu}", call(routine))

    chosen = {size: sizes[size.name] for size in (ONE_PIECE, TICKETS) if size.name in sizes}
    result = check(Model("own", World, (Scenario("s", "", start, (), chosen),), (EXCLUSION,)), "s")
    return f"{result.verdict}: {result.property}" if result.property else str(result.verdict)


@pytest.mark.parametrize("routine", [count_if_free, count_in_turn], ids=["a trylock", "a ticket lock"])
def test_a_lock_is_right_if_its_word_is_taken_in_one_piece(routine):
    assert outcome(routine, 2) == "holds"


@pytest.mark.parametrize("routine", [count_if_free, count_in_turn], ids=["a trylock", "a ticket lock"])
def test_a_word_that_is_read_and_then_written_is_a_race_though_it_is_meant_as_a_lock(routine):
    assert outcome(routine, 2, ONE_PIECE=0) == "violated: race"


@pytest.mark.parametrize(("cpus", "expected"), [(2, "holds"), (3, "violated: exclusion")])
def test_tickets_that_wrap_are_too_few_for_more_cpus(cpus, expected):
    assert outcome(count_in_turn, cpus, TICKETS=2) == expected
