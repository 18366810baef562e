"""A thread that goes round for ever hides nothing that the others do, and is explored as without reductions."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.result import Verdict
from septum.lang import Model, Scenario, Struct, boolean, call, choose, process, u8, when


class World(Struct):
    locks: boolean[2]
    own: u8
    beat: bool


@process
def takes_both(m: World, one: u8, other: u8):
    yield when(lambda: not m.locks[one])
    m.locks[one] = True
    yield when(lambda: not m.locks[other])
    m.locks[other] = True
    yield
    m.locks[other] = False
    yield
    m.locks[one] = False


@process
def does_nothing(m: World):
    while True:
        yield


@process
def beats(m: World):
    while True:
        yield
        m.beat = not m.beat


@process
def counts(m: World):
    while True:
        yield
        m.own = (m.own + 1) % 3
        yield
        m.beat = m.own == 1


@process
def chooses(m: World):
    while True:
        n = yield choose(3)
        m.own = u8(n)


@process
def chooses_twice(m: World):
    """Its first step of a round is in no loop, and a move of it goes on over the second."""
    while True:
        n = yield choose(3)
        k = yield choose(2)
        m.beat = n == k


@process
def chooses_in_loops(m: World):
    while True:
        n = yield choose(2)
        while n == 1:
            yield
            n = yield choose(2)
        k = yield choose(lambda: m.own + 1)
        m.own = u8(k)


@process
def goes_in_rounds(m: World, lead: u8):
    """After some steps, rounds of five, of which one or another may be in a loop."""
    for step in range(5):
        if step < lead:
            yield
    while True:
        yield
        yield
        yield
        m.own = lead
        yield
        yield


ENDLESS = (does_nothing, beats, counts, chooses, chooses_twice, chooses_in_loops)
ROUNDS = [f"rounds after {lead}" for lead in range(5)]


def scenario(name, *calls):
    def start(setup):
        for number, one in enumerate(calls):
            setup.thread(f"T{number}", one)

    return Scenario(name, "", start)


BOTH = (call(takes_both, 0, 1), call(takes_both, 1, 0))
MODEL = Model(
    "endless", World,
    tuple(scenario(f"{name} {one.__name__}", *others, call(one))
          for one in ENDLESS for name, others in (("beside", BOTH), ("right beside", BOTH[:1]), ("alone", ())))
    + tuple(scenario(name, call(goes_in_rounds, lead)) for lead, name in enumerate(ROUNDS)),
)  # fmt: skip


@pytest.mark.parametrize("one", ENDLESS, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    "reduce", [frozenset({"symmetry", "fusion", "partial"}), frozenset({"fusion"}), frozenset({"partial"}), frozenset()]
)
def test_beside_a_thread_without_an_end_a_deadlock_is_found_and_what_is_right_holds(one, reduce):
    stuck = check(MODEL, f"beside {one.__name__}", reduce=reduce)
    assert (stuck.verdict, stuck.property) == (Verdict.VIOLATED, "deadlock")
    assert len(stuck.counterexample.steps) == 4
    assert check(MODEL, f"right beside {one.__name__}", reduce=reduce).holds
    assert check(MODEL, f"alone {one.__name__}", reduce=reduce).holds


@pytest.mark.parametrize("name", ROUNDS)
def test_a_move_ends_wherever_in_it_the_steps_of_a_loop_are(name):
    """It has a most of steps that may be in a loop, and a most of all."""
    assert check(MODEL, name).holds
