"""Of the shortest schedules to a failure the one with the fewest switches is shown, and it ends in that failure."""

from __future__ import annotations

from itertools import groupby

from septum.check.switches import fewest_switches
from septum.explore.build import build
from septum.lang import Model, Property, Scenario, Struct, call, process, u8, when


class World(Struct):
    count: u8
    asked: bool


@process
def counts_twice(m: World):
    m.count += 1
    yield
    m.count += 1
    yield


@process
def waits(m: World):
    yield when(lambda: m.asked)
    m.count = 0


@process
def waits_for_one(m: World):
    yield when(lambda: m.count == 1)
    m.count += 1


@process
def leaves(m: World, count: u8):
    yield
    m.count = count


def nothing_is_left(m: World):
    assert m.count == 0, "left: something is left at the end"


AT_REST = (Property("left", "nothing is left", nothing_is_left, at_rest=True),)
ALTERNATING = ((0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0))


def built(*threads, properties=AT_REST):
    def start(setup):
        for number, (run, daemon, *arguments) in enumerate(threads):
            setup.thread(f"T{number}", call(run, *arguments), daemon=daemon)

    model = Model("mine", World, (Scenario("s", "", start),), properties)
    return build(model, model.scenarios[0])


def order(schedule):
    return [thread for thread, _ in groupby(thread for thread, _ in schedule)]


def test_what_is_left_at_the_end_is_found_behind_every_step_although_a_daemon_waits():
    found = fewest_switches(built((counts_twice, False), (counts_twice, False), (waits, True)), (*ALTERNATING, (2, 0)))
    assert order(found) == [0, 1, 2]
    assert sorted(found) == sorted((*ALTERNATING, (2, 0)))


def test_a_thread_that_never_ran_is_part_of_the_end():
    """Without it all would be at rest: it waits for ever."""
    schedule = ((0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0))
    found = fewest_switches(built((counts_twice, False), (counts_twice, False), (waits, False)), schedule)
    assert order(found) == [0, 1]


def test_the_end_is_one_where_no_daemon_can_go_on():
    """T0 before T1 has as few switches, but leaves the daemon something to do."""
    found = fewest_switches(
        built((leaves, False, 2), (leaves, False, 1), (waits_for_one, True)), ((2, 0), (0, 0), (1, 0), (1, 0), (0, 0))
    )
    assert order(found) == [1, 0, 2]


def test_steps_that_cannot_change_places_keep_their_order():
    found = fewest_switches(built((counts_twice, False), (waits_for_one, False)), ((0, 0), (1, 0), (1, 0), (0, 0), (0, 0)))
    assert order(found) == [0, 1, 0]
