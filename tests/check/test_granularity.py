"""A step that touches two places which race hides an interleaving, and is refused unless it says why nobody can tell."""

from __future__ import annotations

import pytest

from septum.check.check import check
from septum.check.granularity import races
from septum.check.loading import load
from septum.explore.build import build
from septum.lang import Model, Scenario, Struct, Word, atomic, call, commutes, process, u8, when
from septum.lang.errors import ModelError
from septum.lang.types import scope


class Pair(Struct):
    x: u8
    y: u8
    lock: u8


class Joined(Word):
    x: u8
    y: u8


class World(Struct):
    pair: Pair
    word: Joined


@process
def writes_one_by_one(w: World):
    yield
    w.pair.x = 1
    yield
    w.pair.y = 1


@process
def reads_both_at_once(w: World):
    yield
    x = w.pair.x
    assert x >= w.pair.y or x == w.pair.x


@process
def reads_one_by_one(w: World):
    yield
    x = w.pair.x
    yield
    assert x <= 1 and w.pair.y <= 1


@process
def says_why(w: World):
    yield
    atomic("the test says so")
    x = w.pair.x
    assert x <= w.pair.x + w.pair.y


def sum_of_both(w: World) -> u8:
    atomic("one instruction reads both")
    return u8(w.pair.x + w.pair.y)


@process
def reads_both_in_a_routine(w: World):
    yield
    both = sum_of_both(w)
    assert both <= 2


def reset_y(w: World):
    commutes("nobody can tell a zero that comes early")
    w.pair.y = 0


@process
def releases_with_the_last_access(w: World):
    yield
    x = w.pair.x
    reset_y(w)
    assert x <= 1


@process
def locked(w: World):
    yield when(lambda: w.pair.lock == 0)
    w.pair.lock = 1
    yield
    w.pair.x += 1
    w.pair.y += 1
    yield
    w.pair.lock = 0


@process
def one_word(w: World):
    yield
    w.word.x += 1
    w.word.y += 1


def model(*processes):
    def start(setup):
        for number, one in enumerate(processes):
            setup.thread(f"T{number}", call(one))

    return Model("mine", World, (Scenario("s", "", start),))


def races_of(*processes):
    made = model(*processes)
    built = build(made, made.scenarios[0])
    with scope(built.bindings):
        return races(built)[0]


def test_a_forgotten_yield_is_found():
    (found,) = races_of(writes_one_by_one, reads_both_at_once)
    assert "reads_both_at_once" in found.step
    assert {place.text for place, _ in found.places} == {"w.pair.x", "w.pair.y"}
    assert {meets.function for _, meets in found.places} == {"writes_one_by_one"}


@pytest.mark.parametrize(
    "other", [reads_one_by_one, says_why, reads_both_in_a_routine, releases_with_the_last_access], ids=lambda one: one.__name__
)
def test_a_step_that_touches_one_place_or_says_why_is_not(other):
    assert races_of(writes_one_by_one, other) == []


def test_a_lock_excludes():
    assert races_of(locked, locked) == []
    assert races_of(locked, writes_one_by_one) != []


def test_the_fields_of_a_word_are_one_place():
    assert races_of(one_word, one_word) == []


def test_check_refuses_and_says_what_to_write(capsys):
    with pytest.raises(ModelError, match="touches 2 places that race") as refused:
        check(model(writes_one_by_one, reads_both_at_once), "s", granularity=True)
    assert 'atomic("why' in str(refused.value)
    assert check(model(writes_one_by_one, reads_both_at_once), "s").holds
    assert check(model(writes_one_by_one, reads_one_by_one), "s", granularity=True).holds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "scenario"),
    [("upstream", one.name) for one in load("upstream").scenarios if one.needs <= load("upstream").operations]
    + [("dpamt_merged_split", "split")],
)
def test_every_step_of_the_model_says_why_it_touches_what_races(design, scenario):
    assert check(design, scenario, scope_name="tiny", granularity=True).holds


def read_as_one(lock):
    commutes("readers do not exclude each other")
    lock.y += 1


@process
def locked_among_readers(w: World):
    yield when(lambda: w.pair.lock == 0)
    read_as_one(w.word)
    w.pair.x += 1
    w.word.x += 1
    yield


def take_lock(pair):
    commutes("who comes in between finds the lock taken")
    pair.lock = 1


@process
def locked_for_one_step(w: World):
    yield when(lambda: w.pair.lock == 0)
    take_lock(w.pair)
    w.pair.x += 1
    w.pair.y += 1
    w.pair.lock = 0
    yield


def test_a_lock_that_a_step_takes_and_releases_keeps_another_out():
    assert races_of(locked_for_one_step, locked_for_one_step) == []


def test_a_lock_that_does_not_exclude_keeps_nobody_out():
    (found, *_) = races_of(locked_among_readers, locked_among_readers)
    assert {place.text for place, _ in found.places} >= {"w.pair.x", "w.word.x"}
