"""A step that another thread may come into is a race, unless a lock keeps it out or the step says why nobody can tell."""

from __future__ import annotations

import pytest

from septum.check.check import Budget, check
from septum.check.explain import explain
from septum.check.loading import load
from septum.check.result import Verdict
from septum.explore.build import build
from septum.explore.explore import Outcome, explore
from septum.explore.explore import source as explorer_source
from septum.explore.watching import Watching
from septum.host.cpu import Cpu
from septum.host.geometry import THREADS, ThreadId
from septum.host.locks import SpinLock, spin_lock, spin_unlock
from septum.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Model,
    Property,
    Scenario,
    Struct,
    Word,
    atomic,
    atomic_dec_and_test,
    atomic_inc,
    atomic_t,
    bits_t,
    call,
    clear_bit,
    cmpxchg,
    commutes,
    process,
    refcount_dec_and_test,
    refcount_inc_not_zero,
    refcount_t,
    u8,
    when,
    xchg,
)
from septum.lang import (
    test_and_set_bit as _test_and_set_bit,
)
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

    return Model("mine", World, (Scenario("s", "", start, few_states=True),))


def race_of(*processes):
    """The race that a check of these threads finds, or None where it holds."""
    found = check(model(*processes), "s")
    assert found.verdict is Verdict.HOLDS or found.property == "race", found
    return found.counterexample.race if found.counterexample else None


def places(race):
    return {access.place for access in race.accesses}


def test_a_forgotten_yield_is_found():
    found = race_of(writes_one_by_one, reads_both_at_once)
    assert {access.function for access in found.accesses} == {"reads_both_at_once"}
    assert places(found) == {"pair.x", "pair.y"}
    assert {access.function for access in found.partner_accesses} == {"writes_one_by_one"}
    assert found.apart


@pytest.mark.parametrize(
    "other", [reads_one_by_one, says_why, reads_both_in_a_routine, releases_with_the_last_access], ids=lambda one: one.__name__
)
def test_a_step_that_touches_one_place_or_says_why_is_not(other):
    assert race_of(writes_one_by_one, other) is None


def test_a_lock_excludes():
    assert race_of(locked, locked) is None
    assert race_of(locked, writes_one_by_one) is not None


def test_the_fields_of_a_word_are_one_place():
    assert race_of(one_word, one_word) is None


@process
def counts(w: World):
    yield
    w.pair.x += 1


@process
def counts_in_two_lines(w: World):
    yield
    n = w.pair.x
    w.pair.x = n + 1


@process
def takes_if_it_is_free(w: World):
    yield
    if w.pair.lock == 0:
        w.pair.lock = 1
        w.pair.y += 1


@process
def pops(w: World):
    yield
    w.pair.x = u8((w.pair.x + 3) % 4)
    w.pair.y = w.pair.x


@process
def stores_twice(w: World):
    yield
    w.pair.x = 1
    w.pair.x = 2


@process
def reads_twice(w: World):
    yield
    if w.pair.x <= 1:
        assert w.pair.x <= 1


@process
def only_reads(w: World):
    yield
    x = w.pair.x
    assert x <= 2


@process
def publishes_too_early(w: World):
    yield
    w.pair.lock = 1
    w.pair.x = 1


@process
def waits_and_reads(w: World):
    yield when(lambda: w.pair.lock == 1)
    assert w.pair.x == 1


@process
def publishes_at_last(w: World):
    yield
    w.pair.x = 1
    w.pair.lock = 1


@process
def sets_between_two_reads(w: World):
    yield
    x = w.pair.x
    w.pair.lock = 1
    assert x + w.pair.y <= 2


@process
def writes_where_it_is_set(w: World):
    yield
    if w.pair.lock == 1:
        w.pair.x = 1
        w.pair.y = 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (counts, counts), (counts_in_two_lines, counts_in_two_lines), (counts, counts_in_two_lines), (pops, pops),
        (takes_if_it_is_free, takes_if_it_is_free), (stores_twice, only_reads), (reads_twice, writes_one_by_one),
        (publishes_too_early, waits_and_reads), (sets_between_two_reads, writes_where_it_is_set),
    ],
    ids=lambda one: one.__name__,
)  # fmt: skip
def test_an_access_without_a_lock_is_a_race(one, other):
    assert race_of(one, other) is not None


def test_a_partner_that_is_not_taken_again_where_the_step_wrote_what_it_goes_by_meets_nothing(monkeypatch):
    real, again = explorer_source(), "(split->unsure || is_trodden(split->watcher, access))"
    assert real.count(again) == 1
    monkeypatch.setattr("septum.explore.build.source", lambda: real.replace(again, "0"))
    assert race_of(sets_between_two_reads, writes_where_it_is_set) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [(counts, only_reads), (counts, waits_and_reads), (publishes_at_last, waits_and_reads), (only_reads, only_reads)],
    ids=lambda one: one.__name__,
)
def test_what_nobody_can_come_between_is_none(one, other):
    found = check(model(one, other), "s")
    assert found.property != "race"


@process
def takes_and_uses(w: World):
    yield when(lambda: w.pair.lock == 0)
    w.pair.lock = 1
    w.pair.x += 1
    yield
    w.pair.x -= 1
    w.pair.lock = 0


@process
def uses_and_takes(w: World):
    yield when(lambda: w.pair.lock == 0)
    w.pair.x += 1
    w.pair.lock = 1
    yield
    w.pair.lock = 0


@process
def releases_too_early(w: World):
    yield when(lambda: w.pair.lock == 0)
    w.pair.lock = 1
    yield
    w.pair.lock = 0
    w.pair.x += 1


@process
def waits_and_takes_nothing(w: World):
    yield when(lambda: w.pair.lock == 0)
    w.pair.x += 1


@process
def downs(w: World):
    yield when(lambda: w.pair.y < 2)
    w.pair.y += 1


@pytest.mark.parametrize("one", [takes_and_uses, uses_and_takes, downs], ids=lambda one: one.__name__)
def test_a_lock_may_be_taken_in_the_step_that_waits_for_it(one):
    assert race_of(one, one) is None


@pytest.mark.parametrize("one", [releases_too_early, waits_and_takes_nothing], ids=lambda one: one.__name__)
def test_a_lock_that_is_not_held_keeps_nobody_out(one):
    assert race_of(one, one) is not None


class Words(Struct):
    count: atomic_t
    refs: refcount_t
    flags: bits_t
    x: u8
    y: u8
    cpu: Cpu[ThreadId]
    lock: SpinLock
    at: u8
    slot: u8[4]


@process
def uses_words(w: Words):
    yield
    atomic_inc(w.count)
    yield
    was = cmpxchg(w.x, 0, 1)
    if was == 0:
        yield
        was = xchg(w.y, 3)
        assert was == 0
        yield
        WRITE_ONCE(w.y, READ_ONCE(w.x))
    yield
    if not _test_and_set_bit(3, w.flags):
        yield
        clear_bit(3, w.flags)
    yield
    if refcount_inc_not_zero(w.refs):
        yield
        gone = refcount_dec_and_test(w.refs)
        assert not gone
    yield
    last = atomic_dec_and_test(w.count)
    if last:
        yield
        w.y = 0


def start_words(setup):
    setup.m.refs.refs = 1
    for number in range(2):
        setup.thread(f"T{number}", call(uses_words))


@pytest.mark.parametrize("engine", ["c", "python"])
def test_the_words_of_the_kernel_are_one_piece_each(engine):
    found = check(Model("words", Words, (Scenario("s", "", start_words, (), {THREADS: 2}),)), "s", engine=engine)
    assert found.holds, found


@process
def pushes(w: Words):
    yield from spin_lock(w, w.lock)
    yield
    w.x += 1
    yield
    spin_unlock(w, w.lock)


@process
def forgets_the_lock(w: Words):
    yield
    w.x -= 1


def told(pusher, popper):
    """What a check finds of two threads and one place."""

    def start(setup):
        setup.m.x = 2
        setup.thread("pusher", call(pusher))
        setup.thread("popper", call(popper))

    return check(Model("pool", Words, (Scenario("s", "", start, (), {THREADS: 2}),), (Property("context", ""),)), "s")


def test_a_race_is_told_with_both_accesses_both_stacks_and_the_locks_of_either():
    found = told(pushes, forgets_the_lock)
    race = found.counterexample.race
    sides = {race.thread.thread: race.thread, race.partner.thread: race.partner}
    assert (found.verdict, found.property) == (Verdict.VIOLATED, "race")
    assert sides["pusher"].locks == ("lock (write)",)
    assert sides["popper"].locks == ()
    assert [one.function for one in sides["popper"].stack] == ["forgets_the_lock"]
    assert "holds lock (write)" in found.clause and "holds no lock" in found.clause
    assert found.depth == len(found.counterexample.steps)


@process
def counts_somewhere(w: Words):
    yield
    here = w.at
    w.slot[here] += 1
    yield
    w.at = 1


def test_a_place_of_an_array_that_only_a_run_knows_may_be_met():
    found = told(counts_somewhere, counts_somewhere)
    assert (found.verdict, found.property) == (Verdict.VIOLATED, "race")
    assert {one.place for one in found.counterexample.race.accesses} == {"slot[0]"}


@process
def pushes_and_looks_again(w: Words):
    yield from spin_lock(w, w.lock)
    w.x += 1
    spin_unlock(w, w.lock)
    w.y = w.x


@process
def pops(w: Words):
    yield from spin_lock(w, w.lock)
    w.x -= 1
    spin_unlock(w, w.lock)


@process
def sets(w: Words):
    yield from spin_lock(w, w.lock)
    w.x = 7
    spin_unlock(w, w.lock)


@pytest.mark.parametrize("partner", [pops, sets])
def test_a_lock_that_is_held_in_a_part_of_a_step_is_told_of_the_accesses_in_it(partner):
    found = told(pushes_and_looks_again, partner)
    race = found.counterexample.race
    assert race.thread.thread == "pusher"
    assert [one.locks for one in race.accesses] == [("lock (write)",), ()]
    assert [one.locks for one in race.partner_accesses] == [("lock (write)",), ("lock (write)",)]
    assert "pusher, which holds lock (write) at first and no lock at last" in found.clause
    assert "popper, which holds lock (write)," in found.clause


def test_a_race_is_replayed_from_its_token(tmp_path):
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    found = check(str(path), "s")
    again = explain(found.counterexample.token, str(path))
    assert (again.verdict, again.property, again.clause) == (found.verdict, "race", found.clause)
    assert again.counterexample.race == found.counterexample.race


COUNTER = """
from septum.lang import *

class World(Struct):
    count: u8

@process
def inc(m: World):
    yield
    m.count += 1

def start(setup):
    for number in range(3):
        setup.thread(f"T{number}", call(inc))

model = Model("counter", World, (Scenario("s", "", start),))
"""


def test_races_are_judged_alone_or_not_at_all():
    made = model(counts, counts)
    assert check(made, "s", property="race").property == "race"
    assert check(made, "s", races=False).holds


def test_what_else_is_wrong_is_told_first():
    @process
    def asserts(w: World):
        yield
        w.pair.x += 1
        yield
        assert w.pair.x == 1

    found = check(model(asserts, asserts), "s")
    assert (found.property, found.depth) == ("asserts", 5)


def test_a_budget_that_ends_hides_no_race():
    @process
    def goes_on(w: World):
        yield
        w.pair.x = u8((w.pair.x + 1) % 4)
        n = u8(0)
        while n < 200:
            yield
            w.pair.y = n
            n += 1

    found = check(model(goes_on, goes_on), "s", budget=Budget(states=100))
    assert (found.verdict, found.property) == (Verdict.VIOLATED, "race")


@pytest.mark.parametrize("reduce", [True, False])
def test_reductions_change_no_race(reduce):
    made = model(counts, reads_both_at_once, writes_one_by_one)
    built = build(made, made.scenarios[0])
    with scope(built.bindings):
        found = explore(
            built.reducible(watched=True), built.initial, len(built.threads), symmetry=reduce, fusion=reduce, partial=reduce,
            watching=Watching.TO_THE_END,
        )  # fmt: skip
    assert (found.outcome, found.race is not None) == (Outcome.COMPLETE, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "scenario"),
    [("upstream", one.name) for one in load("upstream").scenarios if one.needs <= load("upstream").operations]
    + [("dpamt_merged_split", "split")],
)
def test_no_step_of_the_model_is_a_race(design, scenario):
    assert check(design, scenario, scope_name="tiny").holds


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
    assert race_of(locked_for_one_step, locked_for_one_step) is None


def test_a_lock_that_does_not_exclude_keeps_nobody_out():
    assert places(race_of(locked_among_readers, locked_among_readers)) <= {"pair.x", "word.x"}


def test_a_pair_that_comes_back_in_registers_is_the_callers_whatever_its_range_has_by_then():
    """No lock is over PAMT.REMOVE in the design that counts nothing."""
    assert check("dpamt_lazy", "rcu_callbacks").holds
