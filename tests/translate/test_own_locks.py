"""Locks of one's own are recognised by what threads do with a word: who sets it tested it, and who clears it had set it."""

from __future__ import annotations

import pytest

from septum.explore.build import build
from septum.lang import Model, Scenario, Struct, call, process, u8, when

NOBODY, MINE = 0, 7


class Lock(Struct):
    taken: u8
    next: u8
    owner: u8


class World(Struct):
    lock: Lock
    locks: u8[2]
    count: u8
    page: u8
    go: u8


# -- what is one


@process
def nested(m: World):
    yield
    if m.lock.taken == 0:
        m.lock.taken = 1
        yield
        m.lock.taken = 0


@process
def kept_for_later(m: World):
    yield
    got = not m.lock.taken
    if got:
        m.lock.taken = 1
    yield
    if got:
        m.lock.taken = 0


@process
def returned_early(m: World):
    yield
    if m.lock.taken:
        return
    m.lock.taken = 1
    yield
    m.lock.taken = 0


def trylock(lock):
    if lock.taken:
        return False
    lock.taken = 1
    return True


def unlock(lock):
    lock.taken = 0


@process
def by_routines(m: World):
    yield
    if trylock(m.lock):
        yield
        unlock(m.lock)


@process
def spinning(m: World):
    yield
    while m.lock.taken:
        yield
    m.lock.taken = 1
    yield
    m.lock.taken = 0


@process
def until_it_succeeds(m: World):
    got = False
    while not got:
        yield
        got = trylock(m.lock)
    yield
    unlock(m.lock)


@process
def with_its_owner(m: World, me: u8):
    yield
    if m.lock.owner == NOBODY:
        m.lock.owner = me
        yield
        m.lock.owner = NOBODY


@process
def one_of_two(m: World):
    yield
    if not m.locks[1]:
        m.locks[1] = 1
        yield
        m.locks[1] = 0


@process
def by_ticket(m: World):
    yield
    ticket = m.lock.next
    m.lock.next = u8((ticket + 1) % 4)
    yield when(lambda: m.lock.owner == ticket)
    yield
    m.lock.owner = u8((m.lock.owner + 1) % 4)


def draw(lock):
    ticket = lock.next
    lock.next = u8((ticket + 1) % 4)
    return ticket


def is_turn(lock, ticket):
    return lock.owner == ticket


@process
def by_ticket_and_routines(m: World):
    yield
    ticket = draw(m.lock)
    yield when(lambda: is_turn(m.lock, ticket))
    yield
    m.lock.owner = u8((ticket + 1) % 4)


@process
def by_ticket_and_spinning(m: World):
    yield
    ticket = draw(m.lock)
    yield
    while m.lock.owner != ticket:
        yield
    m.lock.owner = u8((ticket + 1) % 4)


# -- what is none


@process
def counted(m: World):
    yield
    n = m.count
    m.count = u8((n + 1) % 4)


@process
def counted_and_waited(m: World):
    yield
    n = m.count
    m.count = u8((n + 1) % 4)
    yield when(lambda: m.count == 2)


@process
def counted_and_waited_for_as_many(m: World):
    yield
    n = m.count
    m.count = u8((n + 1) % 4)
    yield when(lambda: m.go >= n)
    m.go = u8((m.go + 1) % 4)


@process
def counted_and_given_a_number(m: World):
    """What the number is compared with is set, and does not go from one to the next."""
    yield
    n = m.count
    m.count = u8((n + 1) % 4)
    yield when(lambda: m.go == n)
    m.go = 3


@process
def taken_from_a_pool(m: World):
    yield
    if m.count > 0:
        m.count -= 1
        yield
        m.count += 1


@process
def made_once(m: World):
    yield
    if not m.page:
        m.page = MINE


@process
def made_once_and_torn_down(m: World):
    yield
    if not m.page:
        m.page = MINE
    yield
    m.page = 0


@process
def cleared_by_who_finds_it(m: World):
    yield
    if not m.go:
        m.go = 1
    yield
    if m.go:
        m.go = 0


@process
def cleared_by_who_kept_what_it_found(m: World):
    yield
    pending = m.go
    if pending:
        m.go = 0
    yield
    if not m.go:
        m.go = 1


@process
def set_whatever_the_test_found(m: World):
    yield
    if not m.lock.taken:
        m.count = 1
    m.lock.taken = 1
    yield
    m.lock.taken = 0


@process
def set_again_whatever_was_found(m: World):
    yield
    if not m.lock.taken:
        m.lock.taken = 1
    m.lock.taken = 1
    yield
    m.lock.taken = 0


@process
def set_where_it_was_taken(m: World):
    yield
    if m.lock.taken:
        m.lock.taken = 1
        yield
        m.lock.taken = 0


@process
def set_in_another_place(m: World):
    yield
    if not m.locks[0]:
        m.locks[1] = 1
        yield
        m.locks[1] = 0


@process
def set_without_a_look(m: World):
    yield
    m.lock.taken = 1
    yield
    m.lock.taken = 0


@process
def set_in_another_step(m: World):
    yield
    if not m.lock.taken:
        yield
        m.lock.taken = 1
        yield
        m.lock.taken = 0


@process
def cleared_twice(m: World):
    yield
    if not m.lock.taken:
        m.lock.taken = 1
        yield
        m.lock.taken = 0
    m.lock.taken = 0


@process
def waited_for(m: World):
    """A wait and what follows are one step, and septum supposes nothing."""
    yield when(lambda: not m.lock.taken)
    m.lock.taken = 1
    yield
    m.lock.taken = 0


def recognised(*routines) -> list[str]:
    def start(setup):
        for one in routines:
            setup.thread(one.__name__, call(one, *([MINE] if one is with_its_owner else [])))

    model = Model("own", World, (Scenario("s", "", start),))
    return [word.split(" ")[0] for word in build(model, model.scenarios[0]).own_locks]


TRYLOCKS = [nested, kept_for_later, returned_early, by_routines, spinning, until_it_succeeds, with_its_owner, one_of_two]
TICKETS = [by_ticket, by_ticket_and_routines, by_ticket_and_spinning]
OTHERS = [
    counted, counted_and_waited_for_as_many, counted_and_waited, counted_and_given_a_number, taken_from_a_pool,
    made_once, made_once_and_torn_down, cleared_by_who_finds_it, cleared_by_who_kept_what_it_found, set_without_a_look,
    set_in_another_step, set_whatever_the_test_found, set_again_whatever_was_found, set_where_it_was_taken,
    set_in_another_place, cleared_twice, waited_for,
]  # fmt: skip
WORDS = {with_its_owner: "m.lock.owner", one_of_two: "m.locks[1]", by_routines: "lock.taken", until_it_succeeds: "lock.taken"}


def name_of(routine) -> str:
    return routine.__name__.replace("_", " ")


@pytest.mark.parametrize("routine", TRYLOCKS, ids=name_of)
def test_a_word_is_a_trylock_that_is_set_where_it_was_tested_and_cleared_by_who_set_it(routine):
    assert recognised(routine) == [WORDS.get(routine, "m.lock.taken")]


@pytest.mark.parametrize("routine", TICKETS, ids=name_of)
def test_a_word_is_a_ticket_lock_s_whose_numbers_wait_for_their_turn(routine):
    assert recognised(routine) == ["m.lock.next" if routine is by_ticket else "lock.next"]


@pytest.mark.parametrize("routine", OTHERS, ids=name_of)
def test_what_does_otherwise_is_no_lock(routine):
    assert recognised(routine) == []


def test_one_thread_that_does_otherwise_is_enough():
    assert recognised(nested, spinning, waited_for) == ["m.lock.taken"]
    assert recognised(nested, spinning, set_without_a_look) == []
    assert recognised(by_ticket, by_ticket_and_spinning) == ["m.lock.next"]
