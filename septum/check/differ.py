"""Two designs in one scenario: what one does and the other does not, with the shortest schedule to it.

Compared are the verdicts; where one violates something and the other nothing, that; where both do, whether each can violate what
the other does; where neither does, the events that each reaches. Nothing else is: no states, no values, no order of events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from septum.check.check import check
from septum.check.result import Result, Verdict
from septum.check.ways import can_fail, messages, way_to
from septum.explore.build import ASSERTS, DEADLOCK, PROGRESS, RACE, Build, build, sizes_given
from septum.explore.explore import Budget, Progress
from septum.lang.model import Model, Scenario
from septum.translate.compile import has_compiler

Watch = Callable[[Progress], None]
ENDED = (Verdict.HOLDS, Verdict.VACUOUS, Verdict.VIOLATED)


@dataclass(frozen=True)
class Side:
    """One of the two: its model, and what the scenario came to, which names the design as the user did."""

    model: Model
    result: Result

    @property
    def scenario(self) -> Scenario:
        return next(one for one in self.model.scenarios if one.name == self.result.scenario)

    @property
    def violates(self) -> bool:
        return self.result.verdict is Verdict.VIOLATED


@dataclass(frozen=True)
class Behaviour:
    """What one does and the other does not: a violation, or an event that a schedule reaches; `also` are further events."""

    result: Result
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One scenario of both; `unknown` says what could not be compared."""

    scenario: str
    results: tuple[Result, Result]
    behaviours: tuple[Behaviour, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def applies(self) -> bool:
        return any(one.verdict is not Verdict.NOT_APPLICABLE for one in self.results)

    @property
    def explored(self) -> bool:
        """Whether both have a verdict that more time would not change."""
        return all(one.verdict in (*ENDED, Verdict.NOT_APPLICABLE) for one in self.results)

    @property
    def verdicts_differ(self) -> bool:
        one, other = ((result.verdict, result.property) for result in self.results)
        return self.explored and one != other


@dataclass(frozen=True)
class Comparer:
    """Compares scenarios in a scope, each search within a budget; `progress` is told how far a search is."""

    scope: str = ""
    budget: Budget = Budget()
    progress: Watch | None = None

    def compare(self, one: Side, other: Side) -> Difference:
        """What one of them does in a scenario, and the other does not."""
        found = Difference(one.result.scenario, (one.result, other.result))
        applies = [side.result.design for side in (one, other) if side.result.verdict is not Verdict.NOT_APPLICABLE]
        if len(applies) < 2:
            return replace(found, unknown=tuple(f"applies to {design} alone" for design in applies))
        if open_ended := [side.result.design for side in (one, other) if side.result.verdict not in ENDED]:
            return replace(found, unknown=(f"not explored to the end in {' and '.join(open_ended)}",))
        pairs = ((one, other), (other, one))
        if one.violates and other.violates:
            return found if _alike(one.result, other.result) else self._clauses(found, pairs)
        for side, lacking in pairs:
            if side.violates:
                return replace(found, behaviours=(Behaviour(side.result),), unknown=tuple(_unjudged(side, lacking)))
        return self._events(found, pairs)

    def _clauses(self, found: Difference, pairs: Sequence[tuple[Side, Side]]) -> Difference:
        """Each violates something: what the other cannot violate, though nothing else is judged."""
        behaviours, unknown = list[Behaviour](), list[str]()
        for side, other in pairs:
            can = self._can_violate(side, other)
            if can is None:
                unknown.append(f"whether {other.result.design} can violate {side.result.clause or side.result.property}")
            elif not can:
                behaviours.append(Behaviour(side.result))
        return replace(found, behaviours=tuple(behaviours), unknown=tuple(unknown))

    def _can_violate(self, side: Side, other: Side) -> bool | None:
        """Whether the other can violate what a side violates; None where that is not known."""
        name = side.result.property
        if name in (DEADLOCK, RACE):
            alone = check(
                other.model, other.scenario.name, property=name, scope_name=self.scope, budget=self.budget, fresh=False,
                progress=self.progress,
            )  # fmt: skip
            return True if alone.verdict is Verdict.VIOLATED else False if alone.verdict in ENDED else None
        said = messages(self._built(side), side.result.clause) if name != PROGRESS and has_compiler() else None
        return can_fail(self._built(other), said, self.budget, self.progress) if said else None

    def _events(self, found: Difference, pairs: Sequence[tuple[Side, Side]]) -> Difference:
        """Neither violates anything: the nearest of the events that each reaches alone."""
        behaviours, unknown = list[Behaviour](), list[str]()
        for side, other in pairs:
            alone = sorted({*side.result.events} - {*other.result.events})
            if not alone:
                continue
            way = self._way(side, alone) if has_compiler() else None
            if way is None:
                unknown.append(f"how {side.result.design} reaches {', '.join(alone)}")
                way = replace(side.result, verdict=Verdict.REACHED, property=alone[0], clause=alone[0])
            also = tuple(one for one in alone if one not in way.property.split(", "))
            behaviours.append(Behaviour(replace(way, design=side.result.design), also))
        return replace(found, behaviours=tuple(behaviours), unknown=tuple(unknown))

    def _way(self, side: Side, events: Sequence[str]) -> Result | None:
        return way_to(self._built(side), events, self._sizes(side), self.budget, self.progress)

    def _built(self, side: Side) -> Build:
        return build(side.model, side.scenario, self._sizes(side))

    def _sizes(self, side: Side) -> dict[str, int]:
        return sizes_given(side.model, side.scenario, self.scope, {})


def _alike(one: Result, other: Result) -> bool:
    """The same clause, of whatever numbers."""
    said = [(result.property, re.sub(r"\d+", "#", result.clause)) for result in (one, other)]
    return said[0] == said[1]


def _unjudged(side: Side, other: Side) -> list[str]:
    """What a side violates may be nothing that the other is asked for."""
    name = side.result.property
    known = {ASSERTS, DEADLOCK, PROGRESS, RACE, *(one.name for one in other.model.properties)}
    return [] if name in known else [f"{other.result.design} has no property {name}"]
