"""One schedule of a check, to be shown step by step: the counterexample, or of what holds a run that reaches much."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from septum.check.excepted import aside
from septum.check.explain import schedule_of
from septum.check.loading import load
from septum.check.result import Result
from septum.check.stuck import stuck
from septum.check.trace import at_rest, first_failure
from septum.explore.build import Build, build
from septum.lang.model import Model
from septum.lang.types import scope

Schedule = tuple[tuple[int, int], ...]
RUNS, STEPS, STAYS = 60, 3000, 0.8


def schedule(model: Model, result: Result, sizes: Mapping[str, int]) -> tuple[Build, Schedule]:
    """The counterexample of a result, or else a run of its scenario to the end with as many of its witnesses as can be had."""
    scenario = next(one for one in model.scenarios if one.name == result.scenario)
    if result.counterexample:
        return schedule_of(model, result.counterexample.token)
    built = build(model, scenario, sizes)
    best: tuple[int, Schedule] = (-1, ())
    with scope(built.bindings):
        for seed in range(RUNS):
            reached, found = _run(built, random.Random(seed))
            if reached > best[0]:
                best = (reached, found)
            if reached == len(scenario.witnesses):
                break
    return built, best[1]


def _run(built: Build, rng: random.Random) -> tuple[int, Schedule]:
    """A random run: how many witnesses it reached, and its schedule. A thread goes on more often than not."""
    engine, found, thread = built.engine(), list[tuple[int, int]](), 0
    for _ in range(STEPS):
        able = [number for number in range(len(engine.threads)) if engine.can_step(number)]
        if not able:
            break
        if thread not in able or rng.random() > STAYS:
            thread = rng.choice(able)
        ways = engine.choices(thread)
        choice = rng.randrange(ways) if ways > 1 else 0
        engine.step(thread, choice)
        found.append((thread, choice))
    return len(engine.reached & {*built.scenario.witnesses}), tuple(found)


def follow(
    design: str,
    scenario: str,
    schedule: Sequence[tuple[str, Sequence[int]]],
    sizes: Mapping[str, int] | None = None,
    excepted: Sequence[str] = (),
) -> None:
    """Takes the steps of a schedule in the Python engine: who runs, by name, and the choice of each of its steps.

    AssertionError, with the clause, where one fails or a property does not hold; a deadlock at its end is one too. A step that
    cannot be taken, as the design has changed since, is left out. Clauses that are `excepted` do not count.
    """
    model = load(design)
    built = build(model, next(one for one in model.scenarios if one.name == scenario), sizes)
    built = aside(built, excepted).of(built)
    with scope(built.bindings):
        engine, names = built.engine(), [thread.name for thread in built.threads]
        for thread, choices in schedule:
            for choice in choices:
                number = names.index(thread)
                engine.step(number, min(choice, max(engine.choices(number) - 1, 0)))
                failure = engine.failure or first_failure(built, engine, at_rest(engine))
                assert failure is None, f"{failure.clause} ({failure.file}:{failure.line})"
        held = [names[number] for number in sorted(stuck(built, engine))]
        assert not held, f"deadlock: {', '.join(held)} can never go on"
