"""Granularity: no step touches two places that race, unless it says why; races.c watches every step of a scenario."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from septum.explore.build import Build
from septum.explore.explore import Budget, Outcome, explore
from septum.lang.errors import ModelError
from septum.reduce.alone import AloneTables
from septum.translate.sites import Named

MOST_SITES, MOST_SHOWN = 64, 5


@dataclass(frozen=True)
class Race:
    """A step that touches places which race: each with where another thread may touch it meanwhile."""

    step: str
    places: tuple[tuple[Named, Named], ...]

    def __str__(self) -> str:
        lines = [
            f"    {place.text} ({_where(place)}) races with {meets.function} ({_where(meets)})" for place, meets in self.places
        ]
        return "\n".join([f"{self.step}: one step touches {len(lines)} places that race", *lines])


ADVICE = 'write a yield between them, take a lock that excludes the other thread, or say atomic("why nobody can tell")'


class _Partner(ctypes.Structure):
    """struct partner."""

    _fields_: ClassVar = [("spot", ctypes.c_uint32), ("site", ctypes.c_uint32)]


class _Stand(ctypes.Structure):
    """struct stand."""

    _fields_: ClassVar = [
        ("spot", ctypes.c_uint32), ("sites", ctypes.c_uint32), ("site", ctypes.c_uint32 * MOST_SITES),
        ("partner", _Partner * MOST_SITES), ("together", ctypes.c_uint64 * MOST_SITES),
    ]  # fmt: skip


class _Races(ctypes.Structure):
    """struct septum_races."""

    _fields_: ClassVar = [
        ("stands", ctypes.c_uint32), ("room", ctypes.c_uint32), ("lost", ctypes.c_uint32), ("stand", ctypes.POINTER(_Stand)),
    ]  # fmt: skip


def refuse_races(built: Build, budget: Budget) -> bool:
    """ModelError if a step of the scenario touches places that race; whether all states were looked at within the budget."""
    found, outcome = races(built, budget)
    if found:
        shown = "\n".join(str(race) for race in found[:MOST_SHOWN])
        rest = f"\n  and {len(found) - MOST_SHOWN} more such steps" if len(found) > MOST_SHOWN else ""
        raise ModelError(f"{built.model.name}, {built.scenario.name}:\n{shown}{rest}\n  {ADVICE}")
    return outcome is Outcome.COMPLETE


def races(built: Build, budget: Budget = Budget()) -> tuple[list[Race], Outcome]:
    """Every pair of racing places that a step of the scenario touches; and whether all states were looked at.

    Used under the scope of the build. States that differ in names alone are one; no other reduction would keep all races.
    """
    library, tables = built.watched(), built.tables()
    library.septum_races.restype = ctypes.POINTER(_Races)
    found = explore(library, built.initial, len(built.threads), daemons=built.daemons, workers=1, budget=budget, symmetry=True)
    try:
        return sorted(set(_races(built, tables, library.septum_races().contents)), key=str), found.outcome
    finally:
        library.septum_forget_races()


def _races(built: Build, tables: AloneTables, seen: _Races) -> Iterator[Race]:
    named = built.translation.named
    for stand in seen.stand[: seen.stands]:
        racing = [number for number in range(stand.sites) if stand.together[number]]
        if racing:
            yield Race(
                _step(tables, stand.spot),
                tuple(sorted(((named[stand.site[number]], named[stand.partner[number].site]) for number in racing), key=_line)),
            )


def _step(tables: AloneTables, spot: int) -> str:
    context, stands = tables.stands[spot]
    function = context.function
    line = function.pauses[stands.number - 1].at.line if stands.number else function.line
    return f"{function.source.file}:{line}: {function.source.name}"


def _line(pair: tuple[Named, Named]) -> tuple[str, int, str]:
    return pair[0].file, pair[0].line, pair[0].text


def _where(place: Named) -> str:
    return f"{place.file.rsplit('/', 1)[-1]}:{place.line}"
