"""What a scenario can come to beside its verdict: the shortest way to an event, and whether a clause can fail at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from septum.check import tokens
from septum.check.result import Counterexample, Result, Verdict
from septum.check.switches import fewest_switches
from septum.check.trace import End, trace
from septum.explore.build import Build
from septum.explore.explore import Budget, Exploration, Outcome, Progress, explore, spill_directory
from septum.lang.types import scope

Watch = Callable[[Progress], None]


def way_to(
    built: Build, events: Iterable[str], sizes: Mapping[str, int], budget: Budget = Budget(), progress: Watch | None = None
) -> Result | None:
    """A shortest schedule whose last step reaches one of these events; None where there is none, or the budget ends.

    `sizes` are those that were asked for. It takes the C engine.
    """
    wanting = replace(built, wanted=frozenset(events))
    with scope(built.bindings):
        found = _explored(wanting, True, os.cpu_count() or 1, budget, progress)
        if found.outcome is not Outcome.VIOLATED or not found.traced:
            return None
        shortest = _explored(wanting, False, 1, budget, progress, len(found.schedule))
        proved = shortest.outcome is Outcome.VIOLATED and shortest.traced
        schedule = fewest_switches(wanting, (shortest if proved else found).schedule)
        replayed = trace(built, schedule, End.EVENT)
        token = tokens.write(built, schedule, dict(sizes), False, Path("."), event=True)
        counterexample = Counterexample(replayed.steps, replayed.threads, token, proved)
        titles = {one.name: one.title for one in built.translation.witnesses if one.name in wanting.wanted}
        reached = [name for name in replayed.steps[-1].events if name in titles]
        clause = "; ".join(f"{name}: {titles[name]}" for name in reached)
        return Result(
            built.model.name, built.scenario.name, Verdict.REACHED, ", ".join(reached), clause, depth=len(schedule),
            counterexample=counterexample,
        )  # fmt: skip


def messages(built: Build, clause: str) -> frozenset[str]:
    """The messages of assertions, as they are written in the source, that may be this clause; none for what is no assertion."""
    return frozenset(site.message for site in built.translation.sites if site.is_assertion and site.says(clause))


def can_fail(built: Build, messages: frozenset[str], budget: Budget = Budget(), progress: Watch | None = None) -> bool | None:
    """Whether an assertion with one of these messages can fail where no other one did before; None where that is not known.

    It takes the C engine.
    """
    sites = [(number, site) for number, site in enumerate(built.translation.sites) if site.is_assertion]
    if not any(site.message in messages for _, site in sites):
        return False
    others = frozenset(number for number, site in sites if site.message not in messages)
    with scope(built.bindings):
        found = _explored(replace(built, ignored=others), True, os.cpu_count() or 1, budget, progress)
    fails = found.outcome is Outcome.VIOLATED and built.translation.sites[found.failure or 0].message in messages
    return True if fails else False if found.outcome is Outcome.COMPLETE else None


def _explored(built: Build, fused: bool, workers: int, budget: Budget, progress: Watch | None, max_depth: int = 0) -> Exploration:
    """One search; one of several workers, or with fused steps, need not find a shortest schedule."""
    return explore(
        built.reducible(quick=True), built.initial, len(built.threads), daemons=built.daemons, workers=workers, budget=budget,
        max_depth=max_depth, progress=progress, directory=spill_directory(), better=built.better,
        symmetry=True, fusion=fused, partial=fused,
    )  # fmt: skip
