"""The evidence for a comparison of designs, each figure measured by exploring: septum compare and septum provenance show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from septum.check.check import check
from septum.check.explore import Budget
from septum.check.measure import Held, Measured, Observation, applicable, measure, measuring
from septum.check.result import Result, Verdict
from septum.host.cpu import IN_RCU, IN_SOFTIRQ, SPINNING
from septum.host.frames import Content, Gfp, Role, allocated, freed, used
from septum.host.locks import held_steps
from septum.host.pools import POOL_PLACES, pooled
from septum.kvm.mmu import popped
from septum.lang.measure import ENTERED, Place
from septum.lang.model import Model
from septum.properties.measures import idle_of_vcpu, idle_of_vm, idle_pairs
from septum.scenarios.measures import MEASURES, dry_fault, real_fault, real_split

FAMILIES = {
    "faults": ("same_gfn", "same_gfn_enomem", "neighbours", "neighbours_enomem", "zero_step"),
    "zaps": ("punch_hole", "punch_hole_zero_step"),
    "two TDs": ("two_tds",),
    "teardown": ("teardown", "rcu_callbacks"),
    "splits": ("split", "two_splits", "dirty_logging", "split_teardown"),
    "splits, two TDs": ("split_two_tds",),
}
MEASURED_IN = ("teardown", "punch_hole", "split")
FIELDS = {Role.SPT: "sp->spt", Role.EXTERNAL: "sp->external_spt", Role.PAIR: "PAMT pair", Role.CONTROL: "control page"}

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Where pages of a field come from: a line, its pool ("" if none), flags, initial value, the context of the allocation."""

    field: str
    place: Place | None
    pool: str
    gfp: str
    content: str
    held: frozenset[Held]
    context: int
    scenarios: tuple[str, ...]

    @property
    def atomic(self) -> bool:
        """Whether nothing may sleep there."""
        return bool(self.context & (SPINNING | IN_RCU | IN_SOFTIRQ))


@dataclass(frozen=True)
class Free:
    """Where pages of a field go: a line, the locks held in it."""

    field: str
    place: Place | None
    held: frozenset[Held]
    scenarios: tuple[str, ...]


@dataclass(frozen=True)
class Seamcall:
    """A SEAMCALL leaf and one set of locks under which it was made."""

    leaf: str
    held: frozenset[Held]


@dataclass(frozen=True)
class Evidence:
    """What was measured of one design. Pages are counts; `None` where no scenario applies."""

    design: str
    verdicts: dict[str, tuple[Verdict, str]] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    fallbacks: tuple[Source, ...] = ()
    frees: tuple[Free, ...] = ()
    seamcalls: tuple[Seamcall, ...] = ()
    holds: dict[str, int] = field(default_factory=dict)
    idle_of_vcpu: int | None = None
    idle_pairs: int | None = None
    idle_of_vm: int | None = None
    popped: int | None = None
    splits: bool = False
    splits_without_vcpu: bool = False
    results: tuple[Result, ...] = ()
    incomplete: tuple[str, ...] = ()
    seconds: float = 0.0

    def sources_of(self, name: str) -> list[Source]:
        return [one for one in self.sources if one.field == name]

    def fallbacks_of(self, name: str) -> list[Source]:
        """Sources that serve only when the pools are empty."""
        return [one for one in self.fallbacks if one.field == name and one.atomic]


def silent(_text: str) -> None:
    """Tells nobody."""


def evidence(
    model: Model, budget: Budget = Budget(), threads: int | None = None, tell: Tell = silent, judge: bool = True
) -> Evidence:
    """Checks and measures one design, in all families of scenarios that apply to it."""
    results = tuple(_judged(model, budget, threads, tell)) if judge else ()
    runs: dict[str, Measured] = {
        one.scenario: one
        for one in measured_runs(model, (*MEASURED_IN, real_fault.name, dry_fault.name, real_split.name), budget, threads, tell)
    }
    small = [run for name, run in runs.items() if name in MEASURED_IN]
    real, dry, split = (runs.get(one.name) for one in (real_fault, dry_fault, real_split))
    return Evidence(
        model.name,
        verdicts=dict(_families(results)),
        sources=sources(small),
        fallbacks=sources([dry]) if dry else (),
        frees=frees(small),
        seamcalls=seamcalls(small),
        holds=holds(small),
        idle_of_vcpu=real.largest(idle_of_vcpu) if real else None,
        idle_pairs=real.largest(idle_pairs) if real else None,
        idle_of_vm=split.largest(idle_of_vm) if split else None,
        popped=real.largest(popped) if real else None,
        splits="split_external_spte" in model.operations,
        splits_without_vcpu=split is not None and "split_done" in split.reached,
        results=results,
        incomplete=tuple(f"{name} ({run.ended})" for name, run in runs.items() if not run.complete),
        seconds=sum(one.seconds for one in results) + sum(run.seconds for run in runs.values()),
    )


def measured_runs(
    model: Model, names: Iterable[str], budget: Budget = Budget(), threads: int | None = None, tell: Tell = silent
) -> Iterator[Measured]:
    """Those of the named scenarios, and of MEASURES, that apply to the model, measured."""
    built = measuring(replace(model, scenarios=(*model.scenarios, *MEASURES)))
    for one in applicable(built, names):
        tell(f"{model.name} {one.name}: measuring")
        yield measure(built, one, budget, threads)


def _judged(model: Model, budget: Budget, threads: int | None, tell: Tell) -> Iterator[Result]:
    for one in model.scenarios:
        tell(f"{model.name} {one.name}: checking")
        yield check(model, one.name, budget=budget, threads=threads)


def _families(results: Sequence[Result]) -> Iterator[tuple[str, tuple[Verdict, str]]]:
    """The worst verdict of each family, and what is violated."""
    order = (Verdict.VIOLATED, Verdict.VACUOUS, Verdict.INCOMPLETE, Verdict.HOLDS, Verdict.NOT_APPLICABLE)
    for family, names in FAMILIES.items():
        found = [one for one in results if one.scenario in names]
        if found:
            worst = min((one.verdict for one in found), key=order.index)
            broken = dict.fromkeys(one.property for one in found if one.property)
            yield family, (worst, ", ".join(broken))


def sources(runs: Sequence[Measured]) -> tuple[Source, ...]:
    """Every line in which a page of a field was allocated, with each context in which that happened."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for run in runs:
        pools = {run.lines[one.value // POOL_PLACES - 1]: run.names.get(one.value % POOL_PLACES, "") for one in run.of(pooled)}
        at: dict[Place | None, list[Observation]] = {}
        for one in run.of(allocated):
            at.setdefault(one.place, []).append(one)
        for one in run.of(used):
            role, number = Role(one.value % 8), one.value // 8
            if role not in FIELDS or number == 0:
                continue
            place = run.lines[number - 1]
            for made in at.get(place, []):
                gfp, content, context = made.value & 3, made.value >> 2 & 3, made.value >> 4
                pool = pools.get(place, "")
                if context & SPINNING and pool:
                    pool = ""
                key = (FIELDS[role], place, pool, Gfp(gfp).name, Content(content).name, frozenset(made.held), context)
                found.setdefault(key, []).append(run.scenario)
    return tuple(sorted((Source(*key, tuple(dict.fromkeys(names))) for key, names in found.items()), key=_order))  # type: ignore[call-arg]


def frees(runs: Sequence[Measured]) -> tuple[Free, ...]:
    """Every line in which a page of a field was freed, with the locks held."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for run in runs:
        for one in run.of(freed):
            role = Role(one.value % 8)
            if role in FIELDS:
                found.setdefault((FIELDS[role], one.place, frozenset(one.held)), []).append(run.scenario)
    return tuple(sorted((Free(*key, tuple(dict.fromkeys(names))) for key, names in found.items()), key=_order))  # type: ignore[call-arg]


def _order(one: Source | Free) -> tuple[object, ...]:
    names = list(FIELDS.values())
    place = one.place or Place("", "", 0, "")
    return (names.index(one.field), place.file, place.line, sorted(map(str, one.held)))


def seamcalls(runs: Sequence[Measured]) -> tuple[Seamcall, ...]:
    """Every leaf under every set of locks that was seen."""
    found = {Seamcall(run.entered[one.value], frozenset(one.held)) for run in runs for one in run.of(ENTERED)}
    return tuple(sorted(found, key=lambda one: (one.leaf, sorted(map(str, one.held)))))


def holds(runs: Sequence[Measured]) -> dict[str, int]:
    """For each class of locks, the most steps that a holder took before it released one, if it is held exclusively."""
    longest: dict[str, int] = {}
    for run in runs:
        for one in run.of(held_steps):
            name = run.names.get(one.value >> 8, "")
            longest[name] = max(longest.get(name, 0), one.value & 255)
    return dict(sorted(longest.items()))
