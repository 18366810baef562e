"""A lock of one's own keeps others out like any other, and where plain accesses take it a check says what it supposes."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.result import Result
from septum.lang import Ghost, Model, Property, Scenario, Size, Struct, atomic, call, cmpxchg, process, u8, when
from septum.report.terminal import render

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


@process
def count_without(m: World):
    yield
    m.count += 1


EXCLUSION = Property("exclusion", "one CPU at a time is inside")
LOCKS = pytest.mark.parametrize("routine", [count_if_free, count_in_turn], ids=["a trylock", "a ticket lock"])
WORDS = {count_if_free: "m.lock.taken", count_in_turn: "m.lock.next"}


def checked(*routines, **sizes: int) -> Result:
    def start(setup):
        for cpu, routine in enumerate(routines):
            setup.thread(f"CPU {cpu}", call(routine))

    chosen = {size: sizes[size.name] for size in (ONE_PIECE, TICKETS) if size.name in sizes}
    return check(Model("own", World, (Scenario("s", "", start, (), chosen),), (EXCLUSION,)), "s")


def outcome(result: Result) -> str:
    return f"{result.verdict}: {result.property}" if result.property else str(result.verdict)


@LOCKS
def test_a_lock_that_says_that_it_is_taken_in_one_piece_is_one_and_nothing_is_supposed(routine):
    result = checked(routine, routine)
    assert (outcome(result), result.own_locks) == ("holds", ())


@LOCKS
def test_a_lock_that_is_taken_by_plain_accesses_is_one_and_that_is_said(routine):
    result = checked(routine, routine, ONE_PIECE=0)
    [word] = result.own_locks
    assert (outcome(result), word.split(" (")[0]) == ("holds", WORDS[routine])
    assert f"own: {word}" in render([result]).replace("\n    ", " ")


@LOCKS
def test_who_does_not_take_it_races(routine):
    assert outcome(checked(routine, count_without, ONE_PIECE=0)) == "violated: race"


@pytest.mark.parametrize(("cpus", "expected"), [(2, "holds"), (3, "violated: exclusion")])
def test_tickets_that_wrap_are_too_few_for_more_cpus(cpus, expected):
    assert outcome(checked(*[count_in_turn] * cpus, TICKETS=2)) == expected
