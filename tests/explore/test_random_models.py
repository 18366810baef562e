"""On small random models every engine, every set of reductions and every number of threads comes to the same."""

from __future__ import annotations

import random
from itertools import combinations, combinations_with_replacement

import pytest

from septum.check.check import REDUCTIONS, check
from septum.check.search import Search
from septum.explore.build import build
from septum.explore.explore import Budget, Outcome, explore
from septum.lang.types import scope
from tests.explore.naive import Explorer
from tests.explore.naive_races import compare
from tests.explore.random_models import Endless, model, module
from tests.explore.unsound import UNSOUND, overlook_a_write

pytestmark = pytest.mark.usefixtures("quickly_compiled")

FILES, ENDLESS_FILES, COMPARED_FILES, PROCESSES, MOST_STATES = 25, 12, 3, 10, 250
PAIRS = list(combinations_with_replacement(range(PROCESSES), 2))
SETS = [frozenset(names) for count in range(len(REDUCTIONS) + 1) for names in combinations(sorted(REDUCTIONS), count)]
BROKEN = (Outcome.VIOLATED, Outcome.DEADLOCK)


class Disagreement(Exception):
    """Two explorers came to different ends."""


def agree(what, one, other):
    if one != other:
        raise Disagreement(f"{what}: {one} and {other}")


def agree_on_length(length, naive, deadlock):
    """Threads may be stuck before all others have ended, which is when the reference finds it."""
    agree("length", min(length, naive.shortest) if deadlock else naive.shortest, length)


def compared(built, explorers):
    """Whether a model holds, after all explorers agreed on it; None if it is too large to be compared."""
    naive = Explorer(built).explored(MOST_STATES)
    if naive is None:
        return None
    for explorer in explorers:
        explorer(built, naive)
    return naive.shortest is None


def by_python(built, naive):
    found = Search(built, Budget(), None).run()
    agree("verdict", found.outcome in BROKEN, naive.shortest is not None)
    if naive.shortest is None:
        agree("witnesses", found.witnesses, naive.witnesses)
        agree("numbers", (found.states, found.transitions, found.depth), (naive.states, naive.transitions, naive.depth))
    else:
        agree_on_length(len(found.schedule), naive, found.outcome is Outcome.DEADLOCK)


def by_c(reduce, workers):
    """The C engine with these reductions and so many threads."""

    def by_this(built, naive):
        found = explore(
            built.reducible(), built.initial, len(built.threads), daemons=built.daemons, workers=workers,
            **{name: name in reduce for name in REDUCTIONS},
        )  # fmt: skip
        what = f"{built.scenario.name} by {workers} threads with {', '.join(sorted(reduce)) or 'nothing'}"
        agree(f"verdict of {what}", found.outcome in BROKEN, naive.shortest is not None)
        if naive.shortest is None:
            agree(f"witnesses of {what}", found.witnesses, naive.witnesses)
        if not reduce and naive.shortest is None:
            agree(
                f"numbers of {what}",
                (found.states, found.transitions, found.depth),
                (naive.states, naive.transitions, naive.depth),
            )
        if naive.shortest is None and found.states > naive.states:
            raise Disagreement(f"{what}: {found.states} states of {naive.states}")

    return by_this


def by_check(built, naive):
    """What a user gets: found with reductions, a schedule of the shortest length."""
    result = check(built.model, built.scenario.name, threads=2, races=False)
    agree("verdict", str(result.verdict), "holds" if naive.shortest is None else "violated")
    if naive.shortest is not None:
        agree_on_length(len(result.counterexample.steps), naive, result.property == "deadlock")
        agree("proof", result.counterexample.shortest, True)


ALL = [by_python, by_check, *(by_c(reduce, workers) for reduce in SETS for workers in (1, 2))]


def explored(dice, path, explorers):
    """For each pair of processes of a file, whether it holds; those that are too large are left out."""
    random_model = model(module(dice, PROCESSES), path, PAIRS)
    for scenario in random_model.scenarios:
        built = build(random_model, scenario)
        with scope(built.bindings):
            holds = compared(built, explorers)
        if holds is not None:
            yield holds


def test_engines_reductions_and_threads_agree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tally = {True: 0, False: 0}

    for seed in range(FILES):
        for holds in explored(random.Random(seed), tmp_path, ALL):
            tally[holds] += 1
    assert sum(tally.values()) >= 1200
    assert tally[False] >= 25 and tally[True] >= 600


@pytest.mark.parametrize("unsound", UNSOUND, ids=lambda unsound: f"{unsound.reduction}, {unsound.name}")
def test_an_unsound_reduction_is_caught(unsound, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unsound.plant(monkeypatch)

    def agree_on_random_models():
        for seed in range(FILES):
            for _ in explored(random.Random(seed), tmp_path, [by_c(frozenset({unsound.reduction}), 1)]):
                pass

    with pytest.raises(Disagreement):
        agree_on_random_models()


def overlooked(seed, path):
    """How many moves left something behind when what they had noted was undone, in some files of random models."""
    dice, found = random.Random(seed), 0
    for _file in range(COMPARED_FILES):
        random_model = model(module(dice, PROCESSES), path, PAIRS)
        for scenario in random_model.scenarios:
            built = build(random_model, scenario)
            library = built.library("COMPARED")
            before = library.septum_overlooked()
            explore(library, built.initial, len(built.threads), daemons=built.daemons, workers=2)
            found += library.septum_overlooked() - before
    return found


def test_a_move_notes_all_that_it_writes(tmp_path):
    assert not overlooked(5, tmp_path)


def test_a_write_that_is_not_noted_is_seen_where_moves_are_compared(tmp_path, monkeypatch):
    overlook_a_write(monkeypatch)
    assert overlooked(5, tmp_path)


def test_reductions_change_nothing_where_processes_have_no_end(tmp_path):
    """The reference has no word for threads that are stuck beside one that goes on; without reductions the explorer has."""
    dice, outcomes = random.Random(7), set()
    for _file in range(ENDLESS_FILES):
        random_model = model(module(dice, PROCESSES, Endless), tmp_path, PAIRS)
        for scenario in random_model.scenarios:
            built = build(random_model, scenario)
            with scope(built.bindings):
                reduced, whole = (explore_once(built, reduce) for reduce in (REDUCTIONS, frozenset()))
            agree(f"outcome of {random_model.name} {scenario.name}", reduced.outcome in BROKEN, whole.outcome in BROKEN)
            if whole.outcome is Outcome.COMPLETE:
                agree(f"witnesses of {random_model.name} {scenario.name}", reduced.witnesses, whole.witnesses)
            outcomes.add(whole.outcome)
    assert outcomes == {Outcome.COMPLETE, *BROKEN}


def explore_once(built, reduce):
    return explore(
        built.reducible(), built.initial, len(built.threads), daemons=built.daemons, workers=1,
        **{name: name in reduce for name in REDUCTIONS},
    )  # fmt: skip


def test_the_explorer_finds_races_where_the_reference_does(tmp_path):
    compared, wrong = compare(seed=3, path=tmp_path, most=20)
    assert compared >= 10
    assert not wrong
