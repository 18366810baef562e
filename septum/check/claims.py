"""The claims that were made in the debate, each as a query whose answer is an exploration; designs.md 6.6."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from septum.check.check import check
from septum.check.evidence import measured_runs, sources
from septum.check.loading import designs, load
from septum.check.measure import Measured
from septum.check.mutants import breaking
from septum.check.result import Result, Verdict
from septum.kvm.mmu.mmu import popped
from septum.lang.errors import UserError
from septum.properties.measures import idle_pairs


class Outcome(StrEnum):
    """What exploring says of a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    OPEN = "not settled"


@dataclass(frozen=True)
class Settled:
    """The outcome of a claim, why, and the command that shows it; `shown` is a counterexample, where one makes the point."""

    outcome: Outcome
    because: str
    command: str
    shown: Result | None = None


@dataclass(frozen=True)
class Claim:
    """What somebody said, and how to find out. Persons are named by role."""

    name: str
    says: str
    by: str
    query: Callable[[], Settled]


def judged(designs: Sequence[str], property: str, scenarios: Sequence[str] = ()) -> list[Result]:
    """The results of one property in all scenarios that apply, or in those that are named."""
    found = []
    for design in designs:
        model = load(design)
        for one in model.scenarios:
            if one.needs <= model.operations and (not scenarios or one.name in scenarios):
                found.append(replace(check(model, one.name, property=property), design=design))
    return found


def command(designs: Sequence[str], property: str = "", scenarios: Sequence[str] = ()) -> str:
    """The command line of `judged`."""
    words = ["septum check", *designs]
    words += [f'--property "{property}"' if " " in property else f"--property {property}"] if property else []
    return " ".join([*words, *(f"--scenario {name}" for name in scenarios)])


def holds_everywhere(designs: Sequence[str], property: str, scenarios: Sequence[str] = (), refutes: bool = False) -> Settled:
    """Confirmed if the property holds in all of them, or refuted, with a counterexample; the other way round if it `refutes`."""
    results = judged(designs, property, scenarios)
    broken = next((one for one in results if one.verdict is Verdict.VIOLATED), None)
    unfinished = [one for one in results if one.verdict is Verdict.INCOMPLETE]
    text = command(designs, property, scenarios)
    if broken:
        outcome = Outcome.CONFIRMED if refutes else Outcome.REFUTED
        return Settled(outcome, f"{broken.design} in {broken.scenario}: {broken.clause}", text, broken)
    if unfinished:
        return Settled(Outcome.OPEN, f"{unfinished[0].scenario} was not explored to the end", text)
    states = sum(one.states for one in results)
    outcome = Outcome.REFUTED if refutes else Outcome.CONFIRMED
    return Settled(outcome, f"{property} holds in all {len(results)} explorations, {states:,} states", text)


def broken_by(design: str, scenario: str, property: str, holds: str = "") -> Settled:
    """Confirmed if the design violates the property in the scenario and, where one is named, the other design does not."""
    found = replace(check(design, scenario), design=design)
    text = f"septum check {' '.join(filter(None, (design, holds)))} --scenario {scenario}"
    if found.verdict is not Verdict.VIOLATED or found.property != property:
        return Settled(Outcome.REFUTED, f"{design} in {scenario}: {found.verdict} {found.property}".strip(), text, None)
    if holds and not check(holds, scenario).holds:
        return Settled(Outcome.OPEN, f"{holds} is violated in {scenario} as well", text, found)
    beside = f"; {holds} holds" if holds else ""
    return Settled(Outcome.CONFIRMED, f"{design} in {scenario}: {found.clause}{beside}", text, found)


def measured(design: str, scenario: str) -> Measured:
    """One scenario of a design, measured."""
    run = next(run for run in measured_runs(load(design), (scenario,)) if run.scenario == scenario)
    if not run.complete:
        raise UserError(f"{design}, {scenario}: {run.ended}")
    return run


def idle_pairs_at_allocation() -> Settled:
    """How many pairs one fault leaves installed for ranges of which the module uses no page."""
    bound, late = (measured(design, "real_fault").largest(idle_pairs) for design in ("dpamt_v5", "dpamt_merged"))
    outcome = Outcome.CONFIRMED if bound >= CAPACITY > late else Outcome.REFUTED
    because = (
        f"with caches of {CAPACITY}, up to {bound} pairs are installed without a page in use; {late} where they are bound late"
    )
    return Settled(outcome, because, "septum compare dpamt_v5 dpamt_merged --no-verdicts")


def pairs_drained_by_the_merged_get() -> Settled:
    """What one fault pops when all its pages lie in one range that is backed."""
    always, late = (measured(design, "shared_fault").largest(popped) for design in ("dpamt_merged", "dpamt_v6"))
    outcome = Outcome.CONFIRMED if always > late else Outcome.REFUTED
    because = f"a fault whose pages all lie in a backed range takes {always} pages out of the pools as merged, and {late} with v6"
    return Settled(outcome, because, "septum compare dpamt_merged dpamt_v6 --no-verdicts")


def fragility() -> Settled:
    """One-line changes that break custody, in v4 and in v6."""
    (v4, of_v4), (v6, of_v6) = (
        breaking(designs()[name], "custody", ("rcu_callbacks", "same_gfn")) for name in ("dpamt_v4", "dpamt_v6")
    )
    outcome = Outcome.CONFIRMED if len(v4) > len(v6) else Outcome.REFUTED
    because = f"{len(v4)} of {of_v4} one-line changes of dpamt_v4 break custody, {len(v6)} of {of_v6} of dpamt_v6"
    return Settled(outcome, because, "septum claims mixed-sources-are-fragile")


def several_sources() -> Settled:
    """Sources of tables and S-EPT pages, with the huge-page series v3 and as proposed in January 2026."""
    counts = {}
    for design in ("dpamt_v4", "seed_mutex"):
        found = [one for one in sources([measured(design, "split")]) if one.field in ("sp->spt", "sp->external_spt")]
        counts[design] = len({(one.field, one.gfp, one.content) for one in found})
    observed = holds_everywhere(("dpamt_v4",), "initial value", ("split", "two_splits"))
    mixed, one_way = counts["dpamt_v4"], counts["seed_mutex"]
    outcome = Outcome.CONFIRMED if mixed > one_way and observed.outcome is Outcome.CONFIRMED else Outcome.REFUTED
    because = (
        f"pages of two fields have {mixed} combinations of flags and initial value in dpamt_v4, {one_way} in seed_mutex; "
        f"no walker can tell: {observed.because}"
    )
    return Settled(outcome, because, "septum provenance dpamt_v4 --scenario split")


CAPACITY = 40

MAINTAINER = "the KVM x86 maintainer"
FIRST = "the author of the RFC"
LATER = "the author of v3 to v6"
HUGE = "the author of huge pages"
REVIEWER = "a reviewer"
SEED = f"{REVIEWER}, January 2026"

V4 = ("dpamt_v4",)
POOLS = ("dpamt_v2", "dpamt_v4", "dpamt_v5", "dpamt_v5_alt", "dpamt_v6", "dpamt_merged_split")
POSTED_SPLITS = ("dpamt_v2_split_as_posted", "dpamt_v4_as_posted")
SPLITTERS = ("dpamt_v2_split", "dpamt_v4", "dpamt_v5", "dpamt_merged_split", "seed_mutex")

CLAIMS = (
    Claim(
        "mixed-sources-are-safe", "mixing sources of pages with one free is safe", HUGE,
        lambda: holds_everywhere(V4, "custody"),
    ),
    Claim(
        "mixed-sources-are-fragile", "mixing sources is fragile: more one-line changes break it", MAINTAINER,
        fragility,
    ),
    Claim(
        "split-spt-has-a-wrong-initial-value", "a table for a split has a wrong initial value", REVIEWER,
        lambda: holds_everywhere(SPLITTERS, "initial value", ("split", "two_splits"), refutes=True),
    ),
    Claim(
        "bound-at-allocation-is-idle", "binding pairs at allocation leaves up to 40 idle pairs per vCPU", f"{REVIEWER}, {LATER}",
        idle_pairs_at_allocation,
    ),
    Claim(
        "put-in-rcu-callback", "a put in the RCU callback is a lock-context bug", HUGE,
        lambda: broken_by("dpamt_v5_as_posted", "rcu_callbacks", "context", holds="dpamt_v5"),
    ),
    Claim(
        "no-pool-runs-dry", "no pool ever runs dry with the minimum that is asked for", LATER,
        lambda: holds_everywhere(POOLS, "provision", ("same_gfn", "neighbours", "split")),
    ),
    Claim(
        "merged-get-drains-pairs", "the merged get drains a pair for each level even of a backed range", "inferred",
        pairs_drained_by_the_merged_get,
    ),
    Claim(
        "need-topup-is-exact", "need_topup without the cache lock is exact while mmu_lock is held for write", HUGE,
        lambda: holds_everywhere(V4, "provision", ("split", "two_splits", "split_two_tds", "split_teardown")),
    ),
    Claim(
        "read-mode-re-check", "splitting under mmu_lock for read needs a second look at the pool", HUGE,
        lambda: broken_by("dpamt_v4_read_unchecked", "dirty_logging", "provision", holds="dpamt_v4_read"),
    ),
    Claim(
        "global-lock-is-needed", "a global lock is needed; a lock for each 2M range deadlocks", HUGE,
        lambda: broken_by("dpamt_range_locks", "two_tds", "deadlock", holds="dpamt_v6"),
    ),
    Claim(
        "counts-are-needed", "the host has to count; the module's hints are not enough", FIRST,
        lambda: broken_by("dpamt_lazy", "two_tds", "backing", holds="dpamt_v6"),
    ),
    Claim(
        "seed-split-path-is-broken", "the zero pages of the split path break a TD, if it ever gets there", SEED,
        lambda: holds_everywhere(POSTED_SPLITS, "initial value", ("split",), refutes=True),
    ),
    Claim(
        "seed-one-allocation-path", "objects of a kind are allocated in several ways: correct, but not consistent", SEED,
        several_sources,
    ),
)  # fmt: skip
