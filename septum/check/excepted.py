"""Clauses that a check sets aside, found by the names that a user gives them, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain

from septum.check.result import Excepted
from septum.explore.build import ASSERTS, DEADLOCK, PROGRESS, RACE, Build, build, together
from septum.explore.explore import ENDED_THERE, Exploration
from septum.lang.errors import UserError
from septum.lang.model import Model
from septum.translate.sites import Site

LEFT_OUT = {RACE: "--no-races leaves races out", PROGRESS: "progress is judged with --progress alone"}


@dataclass(frozen=True)
class Aside:
    """What a check sets aside: the sites that each of the given names means in its build; a deadlock has none."""

    sites: Mapping[str, frozenset[int]]

    @property
    def deadlocks(self) -> bool:
        return any(map(_is_deadlock, self.sites))

    def of(self, built: Build) -> Build:
        """The build without what is set aside."""
        return built.setting_aside(chain.from_iterable(self.sites.values()), self.deadlocks)

    def became(self, built: Build, found: Exploration) -> tuple[Excepted, ...]:
        """What the exploration of such a build met of it."""
        marks = found.covered[len(built.translation.covered_lines) :]
        return tuple(self._became(built, name, marks, found.deadlocked) for name in self.sites)

    def _became(self, built: Build, name: str, marks: bytes, deadlocked: bool) -> Excepted:
        if _is_deadlock(name):
            return Excepted(name, (DEADLOCK,) if deadlocked else ())
        sites = built.translation.sites
        in_order = sorted(self.sites[name], key=lambda number: (sites[number].file, sites[number].line))
        failed = [number for number in in_order if number < len(marks) and marks[number]]
        ended = [number for number in failed if marks[number] & ENDED_THERE]
        return Excepted(name, *(tuple(sites[number].place for number in some) for some in (failed, ended)))


def aside(built: Build, clauses: Iterable[str]) -> Aside:
    """What these names mean in a build, in one line each; UserError for one that means nothing in any scenario of the model."""
    names = dict.fromkeys(" ".join(clause.split()) for clause in clauses)
    found = {clause: frozenset(_meant(built, clause)) for clause in names}
    for clause, sites in found.items():
        _refuse_left_out(clause)
        if not sites and not _is_deadlock(clause):
            _known(built.model, clause)
    return Aside(found)


def _is_deadlock(name: str) -> bool:
    return name.partition(":")[0] == DEADLOCK


def _refuse_left_out(clause: str) -> None:
    kind = clause.partition(":")[0]
    if kind in LEFT_OUT:
        raise UserError(f"--except {kind}: no clause is set aside by that name; {LEFT_OUT[kind]}")


def _meant(built: Build, clause: str) -> Iterator[int]:
    for number, site in enumerate(built.translation.sites):
        if site.is_assertion and _is_named(site, clause):
            yield number


def _is_named(site: Site, clause: str) -> bool:
    """By its property, as it is written, as a counterexample prints it, or by its place."""
    names = (site.property, site.message, site.text.removeprefix("assert "), site.place)
    return clause in names or site.place.endswith(f"/{clause}") or site.says(clause)


_found: list[tuple[Model, str]] = []
"""Clauses that were found in a scenario of a model: to look through all of them takes seconds."""


def _known(model: Model, clause: str) -> None:
    """UserError where no scenario of the model has a clause of the name."""
    properties = dict.fromkeys([ASSERTS, DEADLOCK, *(one.name for one in model.properties)])
    if clause in properties or any(of is model and name == clause for of, name in _found):
        return
    messages: dict[str, None] = {}
    for group in together(model).values():
        built = build(model, group[0])
        if next(_meant(built, clause), None) is not None:
            _found.append((model, clause))
            return
        messages |= dict.fromkeys(site.message for site in built.translation.sites if site.is_assertion)
    near = [*get_close_matches(clause, messages, 1), *(one for one in messages if clause in one)]
    near += get_close_matches(clause, properties, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"a property is a name for all of its clauses: {', '.join(properties)}"
    raise UserError(f"{model.name} has no clause {clause!r}; {hint}")
