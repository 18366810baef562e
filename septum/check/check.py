"""Checking a design in a scenario: explore, judge, and rebuild the counterexample."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from septum.check import tokens
from septum.check.deadline import Clock, deadline
from septum.check.excepted import Aside, aside
from septum.check.kept import KeptVerdict
from septum.check.loading import load
from septum.check.onward import every_violation
from septum.check.races import race_at, racing_trace, sites_said
from septum.check.result import Counterexample, Result, Verdict
from septum.check.search import Search
from septum.check.switches import fewest_switches
from septum.check.trace import End, Trace, trace
from septum.explore.build import PROGRESS, RACE, Build, build, judges, sizes_given
from septum.explore.checkpoint import Checkpoint, remove_stale
from septum.explore.explore import Budget, Exploration, Outcome, Progress, explore, spill_directory
from septum.explore.watching import Watching
from septum.kvm.versions import release
from septum.lang.errors import ModelError, OutOfTime, UserError
from septum.lang.memory import BOUND_MET, memory_sizes
from septum.lang.model import Model, Scenario
from septum.lang.paths import shown_path
from septum.lang.processes import Witness
from septum.lang.types import scope
from septum.progress.livelock import Livelock, find_livelock
from septum.scenarios.inject import failure_number
from septum.tdx.versions import version_number
from septum.translate.cache import cache_directory, secret
from septum.translate.compile import has_compiler

Watch = Callable[[Progress], None]
Notice = Callable[[str], None]

NO_COMPILER = "no C compiler was found; set CC or pip install ziglang"
NO_SCHEDULE = "the schedule could not be rebuilt within the budget; check again with a larger one or --reduce none"
BROKEN = (Outcome.VIOLATED, Outcome.DEADLOCK)
REDUCTIONS = frozenset({"symmetry", "fusion", "partial"})

# A checkpoint costs time and disk; who asks for --resume wants one sooner.
RESUMED_SECONDS, UNASKED_SECONDS = 10.0, 60.0

REASONS = {
    Outcome.OUT_OF_STATES: "the budget of states ended",
    Outcome.OUT_OF_MEMORY: "the memory ended",
    Outcome.OUT_OF_TIME: "the time ended",
    Outcome.STOPPED: "stopped",
    Outcome.DEPTH_REACHED: "the depth limit was reached",
    Outcome.OUT_OF_DISK: "the disk is full or does not work",
}


def check(
    design: str | Model,
    scenario: str,
    *,
    property: str = "",
    scope_name: str = "",
    vcpus: int | None = None,
    pages: int | None = None,
    kernel: str = "",
    module: str = "",
    budget: Budget = Budget(),
    engine: str = "c",
    threads: int | None = None,
    reduce: frozenset[str] = REDUCTIONS,
    progress: Watch | None = None,
    resume: bool = False,
    notice: Notice | None = None,
    livelocks: bool = False,
    races: bool = True,
    memory: str = "sc",
    store_buffer: int | None = None,
    inject: str = "",
    fresh: bool = True,
    excepted: Sequence[str] = (),
    keep_going: bool = False,
) -> Result:
    """Explores one scenario of a design; the Result says what came out.

    `design` is a built-in name, a path, or a Model. With `property` only that one is judged. `scope_name` names sizes, `vcpus`
    and `pages` override them; `kernel` is the release to follow where they differ, `module` the version of the TDX module, of
    septum.tdx.versions.VERSIONS; `inject`, of septum.scenarios.inject.FAILURES, may fail once. `threads` are the cores (default:
    all), `reduce` the reductions to use, of REDUCTIONS. Without a C compiler the Python engine does it all, and the Result says
    so. A long check is kept in the cache directory; with `resume` it goes on from there, and `notice` is told from where.
    What was explored to the end before is explored again only where `fresh`, or a budget of memory or states, asks for it. Then
    it is searched for fair cycles with `livelocks`, or where `property` is progress. With `races` steps are watched for those
    that another thread may come into, unless another property is judged alone; both under the `memory` "sc". Under "x86-tso"
    `store_buffer` stores of a thread may wait (default: what the model says, or 4). `excepted` are clauses that are set aside;
    with `keep_going` violations at other places are looked for behind the first. UserError for what cannot be used.
    """
    _check_reductions(reduce)
    buffers, began = memory_sizes(memory, store_buffer), Clock(budget.seconds)
    name = design if isinstance(design, str) else design.name
    try:
        with deadline(budget.seconds):
            model = load(design) if isinstance(design, str) else design
            chosen = _scenario(model, scenario)
            if missing := ", ".join(sorted(chosen.needs - model.operations)):
                return Result(name, scenario, Verdict.NOT_APPLICABLE, reason=f"the design has no {missing}", engine=engine)
            versions = {"KERNEL": release(kernel), "MODULE": version_number(module), "INJECT": failure_number(inject)}
            sizes = sizes_given(model, chosen, scope_name, {"VCPUS": vcpus, "PAGES": pages, **versions, **buffers})
            lacks, livelocks = engine == "c" and not has_compiler(), livelocks or property == PROGRESS
            engine = "python" if lacks else engine
            _check_judged(property, livelocks, bool(buffers), engine == "python", lacks)
            built, threads = build(model, chosen, sizes, property), threads or os.cpu_count() or 1
            watch = _watching(property, races) if engine == "c" and not buffers else Watching.NOTHING
            one = _Check(built, sizes, budget, began, engine, threads, reduce, progress, resume, notice, livelocks, watch, fresh)
            result = one.verdict(excepted, keep_going)
            return replace(result, design=name, reason=result.reason or (NO_COMPILER if lacks else ""))
    except OutOfTime:
        return Result(name, scenario, Verdict.INCOMPLETE, reason=REASONS[Outcome.OUT_OF_TIME], engine=engine)


def _check_reductions(given: frozenset[str]) -> None:
    if not given <= REDUCTIONS:
        unknown, known = (", ".join(sorted(names)) for names in (given - REDUCTIONS, REDUCTIONS))
        raise UserError(f"no reduction is called {unknown}; there are {known}")


def _check_judged(property: str, livelocks: bool, buffers: bool, python: bool, lacks_compiler: bool) -> None:
    if buffers and (livelocks or property == RACE):
        raise UserError(f"{RACE if property == RACE else PROGRESS} is judged under --memory sc")
    if livelocks and python:
        raise UserError(f"progress is judged by the C engine{f'; {NO_COMPILER}' if lacks_compiler else ''}")


def _watching(property: str, races: bool) -> Watching:
    """Races are judged with all else, or alone; what else is wrong is told first, and so they are told at the end."""
    if property == RACE:
        return Watching.UNTIL_FOUND
    return Watching.TO_THE_END if races and not property else Watching.NOTHING


def _scenario(model: Model, name: str) -> Scenario:
    for one in model.scenarios:
        if one.name == name:
            return one
    raise UserError(f"{model.name} has no scenario {name}; it has {', '.join(one.name for one in model.scenarios)}")


class _Check:
    """One exploration and what becomes of it."""

    def __init__(
        self,
        built: Build,
        sizes: Mapping[str, int],
        budget: Budget,
        clock: Clock,
        engine: str,
        threads: int,
        reduce: frozenset[str],
        progress: Watch | None,
        resume: bool,
        notice: Notice | None,
        livelocks: bool,
        watching: Watching,
        fresh: bool,
    ) -> None:
        self.unexcepted, self.fresh, self.aside = built, fresh, Aside({})
        self.built, self.sizes, self.whole, self.clock, self.engine = built, dict(sizes), budget, clock, engine
        self.threads, self.reduce, self.progress = threads, reduce, progress
        self.resume, self.notice, self.livelocks, self.watching = resume, notice, livelocks, watching

    @property
    def budget(self) -> Budget:
        """What is left of it: all searches of a check share its time."""
        return replace(self.whole, seconds=self.clock.left)

    def verdict(self, excepted: Sequence[str], keep_going: bool) -> Result:
        """Of a property to which nothing belongs that runs, there is none."""
        built = self.built
        if built.judged and not judges(built, built.judged):
            why = f"nothing that it runs belongs to {built.judged}"
            return Result(built.model.name, built.scenario.name, Verdict.VACUOUS, reason=why, engine=self.engine)
        named = aside(built, excepted)
        return every_violation(built, named, self.checked) if keep_going else self.checked(named)

    def checked(self, aside: Aside) -> Result:
        """The verdict of the build with this set aside, kept or explored."""
        self.aside, self.built = aside, aside.of(self.unexcepted)
        return self.result() if self.fresh else self.kept_or_explored()

    def kept_or_explored(self) -> Result:
        if self.engine == "python" or self.resume or self.whole.bytes or self.whole.states:
            return self.result()
        with scope(self.built.bindings):
            verdict = KeptVerdict(self.built, self.sizes, self.reduce, self.watching, self.livelocks, self.aside)
            found = verdict.find()
            return verdict.keep(self.result()) if found is None else found

    def result(self) -> Result:
        with scope(self.built.bindings):
            found = self._kept()
            if found.race and found.outcome not in BROKEN:
                return self._raced(found)
            if found.unwatched and found.outcome is Outcome.COMPLETE:
                return self._summary(found, Verdict.INCOMPLETE, reason="a step touches more than is watched for races")
            if self.livelocks and found.outcome is Outcome.COMPLETE:
                return self._judged_for_progress(found)
            if found.outcome not in BROKEN:
                return self._passed(found)
            self._model_mistake(found)
            if not found.traced:
                return self._untraced(found)
            shortest = found
            fused = self.reduce - {"symmetry"}
            if self.engine == "c" and (fused or self.threads > 1):
                shortest = self._explore(self.reduce - fused, 1, max(len(found.schedule), 1))
            proved = shortest.outcome in BROKEN and shortest.traced
            return self._violated(found, shortest if proved else found, proved or not fused)

    def _kept(self) -> Exploration:
        """The search itself, which can be resumed. After a budget ended it, only who asked for that finds it there."""
        if self.engine == "python":
            return self._explore(self.reduce, self.threads)
        checkpoint = self._checkpoint()
        others = list(checkpoint.path.parent.glob(f"{checkpoint.path.name.rsplit('-', 1)[0]}-*.checkpoint"))
        if self.resume and others and checkpoint.path not in others:
            self._tell(f"begins anew; {others[0]} is of another version of the model, another scope or other reductions")
        remove_stale(checkpoint.path.parent)
        found = self._explore(self.reduce, self.threads, checkpoint=checkpoint, watching=self.watching)
        if found.failed_checkpoints and self.resume:
            self._tell(f"{checkpoint.path} could not be written; the check can only go on from the one before it, if at all")
        return found

    def _checkpoint(self) -> Checkpoint:
        """Named after the design, the scenario, and all that decides about the outcome."""
        built = self.built
        calls = [(number, call) for number, thread in enumerate(built.threads) for call in thread.calls]
        entry = built.translation.entry
        programs = [(number, entry(call.process, len(call.arguments)), call.arguments) for number, call in calls]
        parts = (built.translation.code, built.world, programs, sorted(built.ignored), sorted(self.reduce))
        model = hashlib.sha256(repr(parts).encode()).digest()
        name = re.sub(r"[^\w.-]", "_", f"{built.model.name}-{built.scenario.name}-{model.hex()[:16]}.checkpoint")
        seconds = RESUMED_SECONDS if self.resume else UNASKED_SECONDS
        return Checkpoint(cache_directory() / name, model, self.resume, seconds, self.resume, secret())

    def _tell(self, text: object) -> None:
        if self.notice:
            self.notice(f"{self.built.model.name} {self.built.scenario.name}: {text}")

    def _explore(
        self,
        reduce: frozenset[str],
        workers: int,
        max_depth: int = 0,
        checkpoint: Checkpoint | None = None,
        watching: Watching = Watching.NOTHING,
    ) -> Exploration:
        """One search. A second one, by one worker and without fused steps, gives a shortest schedule, and always the same."""
        if self.engine == "python":
            return Search(self.built, self.budget, self.progress).run()
        watched = watching is not Watching.NOTHING
        found = explore(
            self.built.reducible(watched, quick=True),
            self.built.initial, len(self.built.threads), daemons=self.built.daemons, workers=workers,
            budget=self.budget, max_depth=max_depth, **{name: name in reduce for name in REDUCTIONS},
            progress=self.progress, directory=spill_directory(), checkpoint=checkpoint, resumed=self._tell, watching=watching,
            deadlocks=self.built.deadlocks, better=lambda: self.built.better(watched),
        )  # fmt: skip
        if found.outcome in BROKEN and not found.traced and "symmetry" in reduce:
            again = self._explore(reduce - {"symmetry"}, workers, found.depth + 1)
            return again if again.outcome in BROKEN else found
        return found

    def _raced(self, found: Exploration) -> Result:
        """Nothing else is wrong. The nearest race is looked for again without fused steps, for a shortest schedule."""
        assert found.race
        fused = self.reduce - {"symmetry"}
        shortest = found
        if found.traced and (fused or self.threads > 1):
            shortest = self._explore(self.reduce - fused, 1, max(len(found.schedule), 1), watching=Watching.UNTIL_FOUND)
        proved = bool(shortest.race and shortest.traced)
        schedule = shortest.schedule if proved else found.schedule
        if not found.traced or race_at(self.built, schedule) is None:
            return self._summary(found, Verdict.VIOLATED, RACE, sites_said(self.built, found.race), reason=NO_SCHEDULE)
        replayed = racing_trace(self.built, schedule)
        of = replayed.trace
        token = tokens.write(self.built, schedule, self.sizes, False, Path("."), race=True, excepted=of.passed)
        counterexample = Counterexample(of.steps, of.threads, token, proved or not fused, race=replayed.race, behind=of.behind)
        result = self._summary(found, Verdict.VIOLATED, of.property, of.clause, counterexample=counterexample)
        return replace(result, depth=len(of.steps))

    def _judged_for_progress(self, found: Exploration) -> Result:
        """After all else holds. Of the reductions, symmetry alone is used: the others leave out states that a cycle may need."""
        lasso = self._livelock("symmetry" in self.reduce)
        found = replace(found, seconds=found.seconds + lasso.seconds)
        if lasso.outcome is Outcome.COMPLETE:
            return self._passed(found)
        if lasso.outcome is not Outcome.VIOLATED:
            return self._summary(found, Verdict.INCOMPLETE, reason=f"{REASONS[lasso.outcome]}, in the search for livelocks")
        if not lasso.traced:
            return self._summary(found, Verdict.VIOLATED, PROGRESS, "progress: threads go round for ever", reason=NO_SCHEDULE)
        replayed = trace(self.built, lasso.schedule, loop=lasso.loop)
        token = tokens.write(self.built, lasso.schedule, self.sizes, False, Path("."), lasso.loop, excepted=replayed.passed)
        counterexample = Counterexample(
            replayed.steps, replayed.threads, token, lasso.shortest, lasso.loop, behind=replayed.behind
        )
        result = self._summary(found, Verdict.VIOLATED, replayed.property, replayed.clause, counterexample=counterexample)
        return replace(result, depth=len(replayed.steps))

    def _livelock(self, symmetry: bool) -> Livelock:
        found = find_livelock(self.built, symmetry=symmetry, budget=self.budget, progress=self.progress)
        if found.traced:
            return found
        again = self._livelock(False)
        return again if again.outcome is Outcome.VIOLATED else found

    def _untraced(self, found: Exploration) -> Result:
        """A violation whose schedule could not be rebuilt: what broke is known, and not by which steps.

        That threads can never go on is said once the Python engine has seen it, so without a schedule it is not said.
        """
        if found.failure is None:
            return self._summary(found, Verdict.INCOMPLETE, reason=f"a deadlock could not be confirmed: {NO_SCHEDULE}")
        site = self.built.translation.sites[found.failure]
        return self._summary(found, Verdict.VIOLATED, site.property, site.message, reason=NO_SCHEDULE, place=site.place)

    def _model_mistake(self, found: Exploration) -> None:
        """A step that does not end is no violation of the design but a mistake in it: UserError with the place."""
        if found.failure is None:
            return
        site = self.built.translation.sites[found.failure]
        if site.kind == "endless":
            raise ModelError(
                f"{site.file}:{site.line}: {site.message}\n    {site.text}\n"
                f"  in scenario {self.built.scenario.name}, after {len(found.schedule)} steps"
            )

    def _passed(self, found: Exploration) -> Result:
        witnesses = self._witnesses(found)
        if found.outcome is not Outcome.COMPLETE:
            return self._summary(found, Verdict.INCOMPLETE, reason=REASONS[found.outcome])
        missed = [name for name, was_reached in witnesses.items() if not was_reached]
        if missed and not self.built.judged:
            return self._summary(found, Verdict.VACUOUS, reason=f"never reached: {', '.join(missed)}")
        return self._summary(found, Verdict.HOLDS)

    def _violated(self, found: Exploration, shortest: Exploration, proved: bool) -> Result:
        schedule = shortest.schedule if self.engine == "python" else fewest_switches(self.built, shortest.schedule)
        replayed: Trace = trace(self.built, schedule, End.DEADLOCK if shortest.outcome is Outcome.DEADLOCK else End.VIOLATION)
        stuck = shortest.outcome is Outcome.DEADLOCK
        token = tokens.write(self.built, schedule, self.sizes, stuck, Path("."), excepted=replayed.passed)
        counterexample = Counterexample(replayed.steps, replayed.threads, token, proved, behind=replayed.behind)
        result = self._summary(found, Verdict.VIOLATED, replayed.property, replayed.clause, counterexample=counterexample)
        return replace(result, depth=len(replayed.steps), place=replayed.place)

    def _summary(self, found: Exploration, verdict: Verdict, property: str = "", clause: str = "", **more: Any) -> Result:
        return Result(
            self.built.model.name, self.built.scenario.name, verdict, property, clause,
            states=found.states, transitions=found.transitions,
            depth=found.depth, seconds=found.seconds, collision=found.collision_chance, engine=self.engine, scope=self._scope(),
            witnesses=self._witnesses(found), events=self._events(found), unexecuted=self._unexecuted(found),
            file=shown_path(str(self.built.model.file or "")) if self.built.model.file else "",
            store_buffer=self.built.translation.stores, bound_met=self._reached(found, BOUND_MET),
            excepted=self.aside.became(self.built, found), own_locks=self.built.own_locks, **more,
        )  # fmt: skip

    def _scope(self) -> dict[str, int]:
        return {size.name: size.value for size in self.built.sizes}

    def _witnesses(self, found: Exploration) -> dict[str, bool]:
        return {witness.name: self._reached(found, witness) for witness in self.built.scenario.witnesses}

    def _events(self, found: Exploration) -> tuple[str, ...]:
        known = self.built.translation.witnesses
        return tuple(sorted({one.name for one in known if one is not BOUND_MET and self._reached(found, one)}))

    def _reached(self, found: Exploration, witness: Witness) -> bool:
        known = self.built.translation.witnesses
        return witness in known and bool(found.witnesses >> known.index(witness) & 1)

    def _unexecuted(self, found: Exploration) -> tuple[int, ...]:
        lines = self.built.translation.covered_lines
        return tuple(sorted(line for line, ran in zip(lines, found.covered, strict=False) if not ran))
