"""The claims that were made in the debate, each as a query whose answer is an exploration; designs.md 6.6."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from septum.check.check import check
from septum.check.loading import load
from septum.check.result import Result, Verdict


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
    """What somebody said, and how to find out. Persons are named by role: designs.md, top."""

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


V4 = ("dpamt_v4",)
SPLITTERS = ("dpamt_v4", "dpamt_merged_split")

CLAIMS = (
    Claim(
        "mixed-sources-are-safe", "mixing sources of pages with one free is safe", "A3",
        lambda: holds_everywhere(V4, "custody"),
    ),
    Claim(
        "split-spt-has-a-wrong-initial-value", "a table for a split has a wrong initial value", "R1",
        lambda: holds_everywhere(SPLITTERS, "initial value", refutes=True),
    ),
    Claim(
        "no-pool-runs-dry", "no pool ever runs dry with the minimum that is asked for", "A2",
        lambda: holds_everywhere(("dpamt_merged",), "provision"),
    ),
)  # fmt: skip
