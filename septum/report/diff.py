"""Two designs beside each other: whose verdicts differ, what one does and the other does not, and what was compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from septum.check.differ import Behaviour, Difference
from septum.check.result import Result, Verdict
from septum.report.document import entry
from septum.report.terminal import Drawing, another, failing, finding, section, shortened, steps, verdict_text
from septum.report.text import wrapped

COMPARED = (
    "the verdict of each scenario; where one design violates something and the other nothing, that; where both do, whether each "
    "can violate what the other does; where neither does, the events that each reaches, those that no scenario asks for too."
)
NOT_COMPARED = (
    "states and their values, the order of events, and how often one is reached. That no difference was found is no proof that "
    "the designs do the same."
)
LEAST_NAME = 12


def render(designs: tuple[str, str], found: Sequence[Difference], *, width: int = 80) -> str:
    """The whole report, in lines of at most `width` columns but for commands; schedules are drawn as change logs draw a race."""
    differing = [one for one in found if one.verdicts_differ]
    alike = [one.scenario for one in found if one.applies and one.explored and not one.verdicts_differ]
    seen = "" if all(one.explored for one in found) else " of those that were explored to the end"
    parts = [
        table(designs, differing, width) if differing else f"No scenario{seen} changes its verdict.\n",
        section("The same verdict", [", ".join(alike)] if alike else [], width),
        *(_drawn(designs, group, width) for group in _groups(found)),
        section("Not known", _unknown(found), width),
        _paragraph(f"Compared: {COMPARED}", width) + _paragraph(f"Not compared: {NOT_COMPARED}", width),
        _summary(found, width),
    ]
    return "\n".join(part for part in parts if part)


def _unknown(found: Sequence[Difference]) -> Iterator[str]:
    """What could not be compared, each with all the scenarios of which it is so."""
    where: dict[str, list[str]] = {}
    for one in found:
        for what in one.unknown:
            where.setdefault(what, []).append(one.scenario)
    return (f"{what}: {', '.join(scenarios)}" for what, scenarios in where.items())


def _paragraph(text: str, width: int) -> str:
    return "\n".join(wrapped(text, width)) + "\n"


def table(designs: tuple[str, str], differing: Sequence[Difference], width: int) -> str:
    """A row for each scenario that comes to another verdict."""
    rows = [("scenario", *designs), *((one.scenario, *map(verdict_text, one.results)) for one in differing)]
    wide = [max(len(row[column]) for row in rows) for column in range(3)]
    wide = [min(wide[0], max(width - wide[1] - wide[2] - 4, LEAST_NAME)), *wide[1:]]
    lines = ["  ".join(shortened(cell, room).ljust(room) for cell, room in zip(row, wide, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * min(sum(wide) + 4, width), *lines[1:]]) + "\n"


def _groups(found: Sequence[Difference]) -> list[list[Behaviour]]:
    """The behaviours that one mistake or one event explains, the one with the shortest schedule first."""
    groups: dict[tuple[str, ...], list[Behaviour]] = {}
    for one in found:
        for behaviour in one.behaviours:
            groups.setdefault(_place(behaviour.result), []).append(behaviour)
    return [sorted(group, key=lambda one: steps(one.result)) for group in groups.values()]


def _place(result: Result) -> tuple[str, ...]:
    calls = failing(result.counterexample) if result.counterexample and result.verdict is Verdict.VIOLATED else ()
    return (result.design, str(result.verdict), result.property, f"{calls[-1].file}:{calls[-1].line}" if calls else "")


def _drawn(designs: tuple[str, str], group: Sequence[Behaviour], width: int) -> str:
    """The shortest of a group, and each other one in a line."""
    shown, *others = group
    result = shown.result
    [other] = [one for one in designs if one != result.design] or [result.design]
    does = f"violates {result.clause or result.property}" if result.verdict is Verdict.VIOLATED else f"reaches {result.property}"
    lines = wrapped(f"{result.design} {does}; {other} does not", width)
    if also := sorted({name for one in group for name in one.also}):
        lines += wrapped(f"It alone also reaches {', '.join(also)}", width)
    drawn = finding(result, Drawing.RACE) if result.counterexample else ""
    elsewhere = [f"  {another(one.result, result)}" for one in others]
    return "\n".join([*lines, "", drawn, *(["Also in", *elsewhere, ""] if elsewhere else [])])


def _summary(found: Sequence[Difference], width: int) -> str:
    applying = [one for one in found if one.applies]
    verdicts = sum(one.verdicts_differ for one in applying)
    behaviours = sum(bool(one.behaviours) for one in applying)
    unknown = sum(bool(one.unknown) for one in applying)
    count = f"{len(applying)} scenario{'s' if len(applying) != 1 else ''}"
    differ = f"{verdicts} of another verdict, {behaviours} in which one does more, {unknown} not wholly compared"
    return _paragraph(f"{count}: {differ}", width)


def document(designs: tuple[str, str], found: Sequence[Difference]) -> dict[str, Any]:
    """The same for other tools."""
    return {
        "designs": list(designs), "compared": COMPARED, "not_compared": NOT_COMPARED, "scenarios": [*map(_entry, found)],
    }  # fmt: skip


def _entry(one: Difference) -> dict[str, Any]:
    verdicts = [
        {name: str(getattr(result, name)) for name in ("verdict", "property", "clause", "reason")} for result in one.results
    ]
    behaviours = [{**entry(each.result), "also": list(each.also)} for each in one.behaviours]
    return {"scenario": one.scenario, "results": verdicts, "verdicts_differ": one.verdicts_differ,
            "behaviours": behaviours, "unknown": list(one.unknown)}  # fmt: skip
