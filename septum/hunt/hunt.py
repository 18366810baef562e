"""Hunting: random schedules for scopes that are too large to explore, and the first one that fails, shrunk and replayed."""

from __future__ import annotations

import builtins
import ctypes
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from septum.check import tokens
from septum.check.loading import load
from septum.check.result import Counterexample, Result, Verdict
from septum.check.trace import End, trace
from septum.explore.build import DEADLOCK, Build, build, sizes_given
from septum.explore.explore import HUNTS, POLL_SECONDS
from septum.lang.errors import ModelError, NoCompiler, UserError
from septum.lang.memory import memory_sizes
from septum.lang.model import Model, Scenario
from septum.lang.processes import property_of
from septum.lang.types import scope
from septum.translate.compile import has_compiler

DEPTH, MOST_DEPTH = 3, 16
SECONDS = 60.0

MOST_STEPS = 20_000
"""A longer run is cut off: threads that wait for each other to change something may run for ever."""

SHRINK_STEPS = 20_000_000
"""About so many steps are taken at most to shrink a schedule; a few seconds."""

NOTHING_FOUND = "nothing found"

Watch = Callable[[int, int], None]
"""Called with the runs and the steps so far."""

_NO_FAILURE, _STUCK = -1, -3
_STAGES = 64


@dataclass(frozen=True)
class Found:
    """A failure, told apart by the place of its assertion: the message as it is written there, and how many runs ended in it."""

    property: str
    clause: str
    runs: int


@dataclass(frozen=True)
class Hunted:
    """What random schedules of one design in one scenario came to; that nothing was found proves nothing.

    `verdict` is `violated`, `nothing found` or `not applicable`. `chance` is the least probability with which the `plain_runs`,
    those of `depth` that take the first choice everywhere, meet a bug that needs at most so many orderings and no other choice,
    if no run is longer than `length`; `longer` of them were longer than was expected when they began. `longest` is the longest
    run but for those `cut` off. `first_steps` is the length of the first failing schedule before it was shrunk.
    """

    design: str
    scenario: str
    verdict: str
    property: str = ""
    clause: str = ""
    reason: str = ""
    runs: int = 0
    plain_runs: int = 0
    steps: int = 0
    seconds: float = 0.0
    longest: int = 0
    length: int = 0
    longer: int = 0
    cut: int = 0
    seed: int = 0
    depth: int = DEPTH
    threads: int = 0
    chance: float = 0.0
    failures: tuple[Found, ...] = ()
    witnesses: dict[str, bool] = field(default_factory=dict)
    first_run: int = 0
    first_steps: int = 0
    counterexample: Counterexample | None = None

    @builtins.property  # the field `property` hides the decorator here
    def found(self) -> bool:
        return self.verdict == Verdict.VIOLATED

    @builtins.property
    def rate(self) -> float:
        """Steps a second."""
        return self.steps / self.seconds if self.seconds else 0.0

    @builtins.property
    def result(self) -> Result:
        """What was found, as a check tells it."""
        return Result(
            self.design, self.scenario, Verdict.VIOLATED, self.property, self.clause, counterexample=self.counterexample
        )


class _Stage(ctypes.Structure):
    """struct septum_stage."""

    _fields_: ClassVar = [(name, ctypes.c_uint64) for name in ("length", "runs", "plain", "longer")]

    length: int
    runs: int
    plain: int
    longer: int


class _Hunt(ctypes.Structure):
    """struct septum_hunt."""

    _fields_: ClassVar = [
        ("initial", ctypes.c_char_p),
        *((name, ctypes.c_uint64) for name in ("seed", "most_runs", "most_steps", "shrink_steps")),
        ("most_seconds", ctypes.c_double),
        *((name, ctypes.c_uint32) for name in ("threads", "daemons", "workers", "depth", "keep_going", "stop")),
        *((name, ctypes.c_uint64) for name in ("runs", "steps", "longest", "cut", "witnesses", "first_run", "first_steps")),
        ("failing", ctypes.POINTER(ctypes.c_uint64)),
        ("seconds", ctypes.c_double),
        ("hunted", ctypes.c_double),
        ("failure", ctypes.c_int32),
        *((name, ctypes.c_uint32) for name in ("stages", "out_of_memory")),
        ("stage", _Stage * _STAGES),
        ("schedule", ctypes.POINTER(ctypes.c_uint32)),
        ("schedule_steps", ctypes.c_uint64),
    ]

    stop: int
    runs: int
    steps: int
    longest: int
    cut: int
    witnesses: int
    first_run: int
    first_steps: int
    failing: ctypes.Array[ctypes.c_uint64]
    hunted: float
    failure: int
    stages: int
    out_of_memory: int
    stage: ctypes.Array[_Stage]
    schedule: ctypes._Pointer[ctypes.c_uint32]
    schedule_steps: int


def hunt(
    design: str | Model,
    scenario: str,
    *,
    seconds: float | None = None,
    runs: int | None = None,
    seed: int = 0,
    depth: int = DEPTH,
    property: str = "",
    scope_name: str = "",
    vcpus: int | None = None,
    pages: int | None = None,
    threads: int | None = None,
    keep_going: bool = False,
    most_steps: int = MOST_STEPS,
    progress: Watch | None = None,
    memory: str = "sc",
    store_buffer: int | None = None,
) -> Hunted:
    """Runs random schedules of one scenario of a design, for `seconds` (60 unless `runs` is given), or so many `runs`.

    Once something is found it ends early, with the round of runs that it is in; with `keep_going` it does not. All that is
    found follows from the seed and the number of runs, whatever the number of `threads`, the cores to use (default: all). With
    `property` only that one is judged; `scope_name` names sizes, `vcpus` and `pages` override them; `memory` is "sc" or
    "x86-tso", where `store_buffer` stores of a thread may wait. Raises UserError for a design or a name that cannot be used.
    """
    model = load(design) if isinstance(design, str) else design
    chosen = _scenario(model, scenario)
    missing = chosen.needs - model.operations
    if missing:
        return Hunted(
            model.name, scenario, Verdict.NOT_APPLICABLE, reason=f"the design has no {', '.join(sorted(missing))}", depth=depth
        )
    if not 0 < depth <= MOST_DEPTH:
        raise UserError(f"a depth of {depth}: a hunt looks for bugs of depth 1 to {MOST_DEPTH}")
    if not has_compiler():
        raise NoCompiler("no C compiler found, and a hunt needs one: cc, gcc, clang, or `pip install ziglang`")
    if seconds is None and runs is None:
        seconds = SECONDS
    sizes = sizes_given(model, chosen, scope_name, {"VCPUS": vcpus, "PAGES": pages, **memory_sizes(memory, store_buffer)})
    limits = {
        "most_runs": 0 if runs is None else max(runs, 1),
        "most_seconds": 0.0 if seconds is None else max(seconds, 1e-9),
        "most_steps": most_steps,
        "shrink_steps": SHRINK_STEPS,
        "workers": threads or os.cpu_count() or 1,
        "keep_going": keep_going,
    }
    built = build(model, chosen, sizes, property)
    return _Hunter(built, sizes, seed % 2**64, depth, limits).hunted(progress)


def _scenario(model: Model, name: str) -> Scenario:
    for one in model.scenarios:
        if one.name == name:
            return one
    raise UserError(f"{model.name} has no scenario {name}; it has {', '.join(one.name for one in model.scenarios)}")


def least_chance(threads: int, depth: int, stages: Sequence[tuple[int, int]]) -> float:
    """The chance that one of these runs, each stage a length and a number, meets a bug of that depth: PCT's bound, combined."""
    missed = sum(runs * math.log1p(-1 / max(threads * length ** (depth - 1), 1.000001)) for length, runs in stages)
    return -math.expm1(missed)


class _Hunter:
    """One hunt and what becomes of it."""

    def __init__(self, built: Build, sizes: Mapping[str, int], seed: int, depth: int, limits: Mapping[str, Any]) -> None:
        self.built, self.sizes, self.seed, self.depth = built, dict(sizes), seed, depth
        self.slots = (ctypes.c_uint64 * (len(built.translation.sites) + 1))()
        self.run = _Hunt(
            initial=built.initial, seed=seed, threads=len(built.threads), daemons=built.daemons, depth=depth, failing=self.slots,
            **limits,
        )  # fmt: skip

    def hunted(self, progress: Watch | None) -> Hunted:
        library = self.built.library(HUNTS)
        _watch(lambda: library.septum_hunt(ctypes.byref(self.run)), self.run, progress)
        try:
            if self.run.out_of_memory:
                raise UserError(f"{self.built.model.name}, {self.built.scenario.name}: not enough memory to hunt")
            with scope(self.built.bindings):
                return self._nothing() if self.run.failure == _NO_FAILURE else self._violated()
        finally:
            library.septum_hunt_free(ctypes.byref(self.run))

    def _nothing(self) -> Hunted:
        return self._summary(NOTHING_FOUND, reason="stopped" if self.run.stop else "")

    def _violated(self) -> Hunted:
        pairs = self.run.schedule[: 2 * self.run.schedule_steps]
        schedule = tuple(zip(pairs[::2], pairs[1::2], strict=True))
        self._model_mistake(len(schedule))
        stuck = self.run.failure == _STUCK
        replayed = trace(self.built, schedule, End.DEADLOCK if stuck else End.VIOLATION)
        token = tokens.write(self.built, schedule, self.sizes, stuck, Path("."))
        counterexample = Counterexample(replayed.steps, replayed.threads, token, shortest=False)
        return self._summary(
            Verdict.VIOLATED, property=replayed.property, clause=replayed.clause, counterexample=counterexample,
            first_run=self.run.first_run, first_steps=self.run.first_steps,
        )  # fmt: skip

    def _model_mistake(self, steps: int) -> None:
        """A value out of range and its like are no violation of the design but a mistake in it: UserError with the place."""
        if self.run.failure == _STUCK:
            return
        site = self.built.translation.sites[self.run.failure]
        if not site.is_assertion:
            where = f"in scenario {self.built.scenario.name}, after {steps} steps"
            raise ModelError(f"{site.file}:{site.line}: {site.message}\n    {site.text}\n  {where}")

    def _summary(self, verdict: str, **more: Any) -> Hunted:
        run = self.run
        stages = run.stage[: run.stages]
        if len(stages) > 1 or run.longest > stages[0].length:
            stages = stages[1:]  # its length was a guess, before the first run
        plain = [(stage.length, stage.plain) for stage in stages]
        return Hunted(
            self.built.model.name, self.built.scenario.name, verdict, runs=run.runs, plain_runs=sum(runs for _, runs in plain),
            steps=run.steps, seconds=run.hunted, longest=run.longest, length=max((length for length, _ in plain), default=0),
            longer=sum(stage.longer for stage in stages), cut=run.cut, seed=self.seed, depth=self.depth,
            threads=len(self.built.threads), chance=least_chance(len(self.built.threads), self.depth, plain),
            failures=tuple(self._failures()), witnesses=self._witnesses(), **more,
        )  # fmt: skip

    def _failures(self) -> list[Found]:
        """The most frequent first."""
        sites = self.built.translation.sites
        found = [
            Found(property_of(sites[slot - 1].message), sites[slot - 1].message, runs)
            if slot
            else Found(DEADLOCK, "threads wait for ever", runs)
            for slot, runs in enumerate(self.slots)
            if runs
        ]
        return sorted(found, key=lambda one: -one.runs)

    def _witnesses(self) -> dict[str, bool]:
        known = self.built.translation.witnesses
        return {
            witness.name: witness in known and bool(self.run.witnesses >> known.index(witness) & 1)
            for witness in self.built.scenario.witnesses
        }


def _watch(go: Callable[[], object], run: _Hunt, progress: Watch | None) -> None:
    """Hunts in a thread, and tells how far it is; an interrupt from the keyboard stops the hunt, which ends with what it has."""
    ended = threading.Event()

    def go_and_tell() -> None:
        try:
            go()
        finally:
            ended.set()

    threading.Thread(target=go_and_tell, daemon=True).start()
    while not ended.is_set():
        try:
            ended.wait(POLL_SECONDS)
            if progress:
                progress(run.runs, run.steps)
        except KeyboardInterrupt:
            run.stop = 1
