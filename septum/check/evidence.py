"""The evidence for a comparison of designs, each figure measured by exploring: septum compare and septum provenance show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from septum.check.measure import Held, Measured, Observation, applicable, measure, measuring
from septum.check.result import Verdict
from septum.designs.upstream import design as upstream
from septum.explore.build import DEADLOCK
from septum.explore.explore import Budget
from septum.host.cpu import IN_RCU, IN_SOFTIRQ, SPINNING
from septum.host.frames import ROLES, Content, Gfp, Role, allocated, freed, used
from septum.host.locks import held_steps
from septum.host.pools import POOL_PLACES, POOLED, pooled
from septum.kvm.mmu import mmu
from septum.kvm.mmu.mmu import popped
from septum.kvm.ops import OPERATIONS
from septum.kvm.tdp import split, split_shared, tdp_mmu
from septum.kvm.vmx import vcpu
from septum.kvm.x86 import vm
from septum.lang.measure import ENTERED, Place
from septum.lang.model import Model
from septum.properties.measures import idle_of_vcpu, idle_of_vm, idle_pairs
from septum.scenarios.failures import FAILURES
from septum.scenarios.measures import MEASURES, dry_fault, real_fault, real_split, shared_fault

FAMILIES = {
    "faults": ("same_gfn", "same_gfn_enomem", "neighbours", "neighbours_enomem", "zero_step"),
    "zaps": ("punch_hole", "punch_hole_zero_step"),
    "two TDs": ("two_tds",),
    "teardown": ("teardown", "rcu_callbacks"),
    "splits": ("split", "two_splits", "split_punch_hole", "dirty_logging", "split_teardown"),
    "splits, two TDs": ("split_two_tds",),
}
CORE = tuple(Path(module.__file__ or "") for module in (mmu, split, split_shared, tdp_mmu, vcpu, vm))
KINDS = 16  # of an allocation: its content and its flags
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
    scenarios: dict[str, Verdict] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    fallbacks: tuple[Source, ...] = ()
    frees: tuple[Free, ...] = ()
    seamcalls: tuple[Seamcall, ...] = ()
    holds: dict[str, int] = field(default_factory=dict)
    idle_of_vcpu: int | None = None
    idle_pairs: int | None = None
    idle_of_vm: int | None = None
    popped: int | None = None
    popped_if_backed: int | None = None
    splits: bool = False
    splits_without_vcpu: bool = False
    hooks: tuple[str, ...] = ()
    own_locks: dict[str, str] = field(default_factory=dict)
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
    """Judges and measures one design in every scenario that applies to it; with `judge` off only the worst cases of one actor.

    Where something was made to fail, the figures would be those of a kernel with a bug.
    """
    compared = [one for one in model.scenarios if one not in FAILURES] if judge else []
    names = [one.name for one in (*compared, *MEASURES)]
    judged = {run.scenario: run for run in measured_runs(model, names, budget, threads, tell, judge)}
    worst = {one.name: judged.pop(one.name, None) for one in MEASURES}
    again = measured_runs(model, _cut_short(model, judged), budget, threads, tell)
    runs = {**judged, **{run.scenario: run for run in again}}
    fault, backed, dry, split = (worst[one.name] for one in (real_fault, shared_fault, dry_fault, real_split))
    seen = list(runs.values())
    held = holds(seen)
    return Evidence(
        model.name,
        verdicts=dict(_families(list(judged.values()))),
        scenarios={name: run.verdict for name, run in judged.items()},
        sources=sources(seen),
        fallbacks=sources([dry]) if dry else (),
        frees=frees(seen),
        seamcalls=seamcalls(seen),
        holds=held,
        idle_of_vcpu=fault.largest(idle_of_vcpu) if fault else None,
        idle_pairs=fault.largest(idle_pairs) if fault else None,
        idle_of_vm=_of_vm(fault, split),
        popped=fault.largest(popped) if fault else None,
        popped_if_backed=backed.largest(popped) if backed else None,
        splits="split_external_spte" in model.operations,
        splits_without_vcpu=split is not None and "split_done" in split.reached,
        hooks=hooks(model),
        own_locks={name: kind for run in seen for name, kind in run.locks.items() if "design." in name and name in held},
        incomplete=tuple(
            f"{name} ({run.ended})"
            for name, run in {**runs, **worst}.items()
            if run and not run.complete and run.verdict is not Verdict.VIOLATED
        ),
        seconds=sum(run.seconds for run in (*judged.values(), *worst.values()) if run),
    )


def _of_vm(fault: Measured | None, split: Measured | None) -> int | None:
    """The most pages in the pools of a VM; None where nothing fills one, and no split would."""
    idle = [run.largest(idle_of_vm) or 0 for run in (fault, split) if run]
    return max(idle) if split or any(idle) else None


def _cut_short(model: Model, judged: Mapping[str, Measured]) -> list[str]:
    """Scenarios that ended in a violation, and no other one that needs the same operations was seen to its end."""
    needs = {one.name: one.needs for one in model.scenarios}
    seen = {needs[name] for name, run in judged.items() if run.complete}
    return [name for name, run in judged.items() if run.violated not in ("", DEADLOCK) and needs[name] not in seen]


def measured_runs(
    model: Model, names: Iterable[str], budget: Budget = Budget(), threads: int | None = None, tell: Tell = silent,
    judge: bool = False,
) -> Iterator[Measured]:  # fmt: skip
    """Those of the named scenarios, and of MEASURES, that apply, measured; with `judge` the model's own are judged."""
    built = measuring(replace(model, scenarios=(*model.scenarios, *MEASURES)))
    for one in applicable(built, names):
        judged = judge and one not in MEASURES
        tell(f"{model.name} {one.name}: {'checking' if judged else 'measuring'}")
        yield measure(built, one, budget, threads, judged)


def hooks(model: Model) -> tuple[str, ...]:
    """Operations of the design that the core MMU calls, and that upstream does not have: the code that the design adds there."""
    called = {name for path in CORE for name in re.findall(r"ops\.(\w+)\(", path.read_text())}
    return tuple(name for name in OPERATIONS if name in called & (model.operations - upstream.operations))


def _families(runs: Sequence[Measured]) -> Iterator[tuple[str, tuple[Verdict, str]]]:
    """The worst verdict of each family, and what is violated."""
    order = (Verdict.VIOLATED, Verdict.VACUOUS, Verdict.INCOMPLETE, Verdict.HOLDS)
    for family, names in FAMILIES.items():
        found = [one for one in runs if one.scenario in names]
        if found:
            worst = min((one.verdict for one in found), key=order.index)
            yield family, (worst, ", ".join(dict.fromkeys(one.violated for one in found if one.violated)))


def sources(runs: Sequence[Measured]) -> tuple[Source, ...]:
    """Every line in which a page of a field was allocated, with each context in which that happened."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for run in runs:
        pools: dict[int, set[str]] = {}
        for one in run.of(pooled):
            pools.setdefault(one.value // POOL_PLACES, set()).add(run.names.get(one.value % POOL_PLACES, ""))
        at: dict[tuple[Place | None, int], list[Observation]] = {}
        for one in run.of(allocated):
            at.setdefault((one.place, one.value % KINDS), []).append(one)
        for one in run.of(used):
            role, origin = Role(one.value % ROLES), one.value // ROLES
            if role not in FIELDS or origin == 0:
                continue
            place, kind = run.lines[origin % POOLED // KINDS - 1], origin % KINDS
            for made in at.get((place, kind), []):
                gfp, content, context = Gfp(kind % 4).name, Content(kind // 4).name, made.value // KINDS
                pool = " or ".join(sorted(pools[origin % POOLED])) if origin >= POOLED else ""
                key = (FIELDS[role], place, pool, gfp, content, frozenset(made.held), context)
                found.setdefault(key, []).append(run.scenario)
    return tuple(sorted((Source(*key, tuple(dict.fromkeys(names))) for key, names in found.items()), key=_order))  # type: ignore[call-arg]


def frees(runs: Sequence[Measured]) -> tuple[Free, ...]:
    """Every line in which a page of a field was freed, with the locks held."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for run in runs:
        for one in run.of(freed):
            role = Role(one.value % ROLES)
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
