"""Where the pages of each field come from and where they go, as measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from septum.check.evidence import FIELDS, Evidence, Free, Source
from septum.check.result import Result
from septum.host.cpu import IN_RCU, IN_SOFTIRQ, SPINNING
from septum.host.frames import Gfp
from septum.lang.measure import Place
from septum.report.compare import locks
from septum.report.paragraphs import wrapped

NOTICED_BY = dict.fromkeys(FIELDS.values(), "agreement") | {"sp->spt": "initial value"}
"""The property that would be violated if a page of a field were read as the allocator left it: by a walker, or by the module."""

GFP = {"KERNEL": "GFP_KERNEL", "KERNEL_ACCOUNT": "GFP_KERNEL_ACCOUNT", "ATOMIC_ACCOUNT": "GFP_ATOMIC | __GFP_ACCOUNT"}
CONTENT = {"UNDEFINED": "not initialised", "ZEROED": "zeroed", "NONPRESENT": "SHADOW_NONPRESENT_VALUE"}


def render(found: Evidence, observed: Mapping[str, Result], chosen: Sequence[str] = (), *, width: int = 80) -> str:
    """For each field its sources and frees; then what differs between the sources, and whether anybody can observe that.

    `chosen` are the scenarios that were asked for, if not all.
    """
    parts = [f"{found.design}\n{'=' * len(found.design)}\n"]
    for name in FIELDS.values():
        lines = list(of_field(found, name, width))
        if lines:
            parts.append("\n".join([name, *lines, ""]))
    parts.append("\n".join(wrapped(line, width) for line in verdict(found, observed, chosen)) + "\n")
    return "\n".join(parts)


def of_field(found: Evidence, name: str, width: int) -> Iterator[str]:
    """The lines of one field."""
    usual, spare = found.sources_of(name), found.fallbacks_of(name)
    for alike in once(usual):
        yield from described(alike, width, "")
    for alike in once(spare):
        yield from described(alike, width, ", only when its cache is empty")
    for place, frees in by_place(found, name):
        yield wrapped(f"  freed in {at(place)}", width)
        yield wrapped(f"      {text(place)}", width)
        yield wrapped(f"      under {'; '.join(dict.fromkeys(locks(one.held) for one in frees))}", width)
    for mark in marks(usual, spare):
        yield wrapped(f"  * {mark}", width)


def once(sources: Sequence[Source]) -> list[list[Source]]:
    """The sources, those together that differ only in the locks and the context in which they were reached."""
    groups: dict[tuple[object, ...], list[Source]] = {}
    for one in sources:
        groups.setdefault((one.place, one.pool, one.gfp, one.content), []).append(one)
    return list(groups.values())


def described(alike: Sequence[Source], width: int, when: str) -> Iterator[str]:
    """A source: line, flags and initial value, each context, scenarios."""
    source = alike[0]
    pool = f"through {source.pool}" if source.pool else "straight from the allocator"
    yield wrapped(f"  from {at(source.place)}{when}", width)
    yield wrapped(f"      {text(source.place)}", width)
    yield wrapped(f"      {pool}; {GFP[source.gfp]}, {CONTENT[source.content]}", width)
    contexts = dict.fromkeys(f"{locks(one.held)}{context(one)}" for one in alike)
    yield wrapped(f"      under {'; or under '.join(contexts)}", width)
    yield wrapped(f"      in {', '.join(dict.fromkeys(name for one in alike for name in one.scenarios))}", width)


def context(source: Source) -> str:
    names = {SPINNING: "may not sleep", IN_RCU: "in an RCU read section", IN_SOFTIRQ: "in softirq"}
    found = [name for bit, name in names.items() if source.context & bit]
    return f", {', '.join(found)}" if found else ", may sleep"


def at(place: Place | None) -> str:
    return f"{place.function}(), {place.file}:{place.line}" if place else "the start of the scenario"


def text(place: Place | None) -> str:
    return place.text.strip() if place else ""


def by_place(found: Evidence, name: str) -> list[tuple[Place | None, list[Free]]]:
    groups: dict[Place | None, list[Free]] = {}
    for one in found.frees:
        if one.field == name:
            groups.setdefault(one.place, []).append(one)
    return list(groups.items())


def marks(usual: Sequence[Source], spare: Sequence[Source]) -> Iterator[str]:
    """What a reader should know of a field: several sources, unequal flags or initial values, pages not charged."""
    every = [*usual, *spare]
    for what, values in (
        ("several sources", {one.place for one in every}),
        ("unequal flags", {GFP[one.gfp] for one in every}),
        ("unequal initial values", {CONTENT[one.content] for one in every}),
    ):
        if len(values) > 1:
            shown = f"{len(values)}" if what == "several sources" else ", ".join(sorted(map(str, values)))
            yield f"{what}: {shown}"
    uncharged = sorted({one.place.function for one in every if one.gfp == Gfp.KERNEL.name and one.place})
    if uncharged:
        yield f"not charged to the VM: what {', '.join(f'{name}()' for name in uncharged)} allocates"


def unequal(found: Evidence) -> list[str]:
    """The fields whose pages have unequal initial values, from one source or the other."""
    contents = {name: {one.content for one in (*found.sources_of(name), *found.fallbacks_of(name))} for name in FIELDS.values()}
    return [name for name, several in contents.items() if len(several) > 1]


def verdict(found: Evidence, observed: Mapping[str, Result], chosen: Sequence[str] = ()) -> Iterator[str]:
    """Whether unequal initial values can be observed: what the check says that would notice."""
    if not observed:
        yield "No field has unequal initial values."
    for name, result in observed.items():
        command = f'septum check {found.design} --property "{NOTICED_BY[name]}"'
        if result.holds:
            command += "".join(f" --scenario {scenario}" for scenario in chosen)
            where = "the scenarios that were asked for" if chosen else "every scenario that applies"
            yield (
                f"{name}, unequal initial values: nobody can observe them. The property `{NOTICED_BY[name]}` holds in {where}: "
                f"`{command}`."
            )
        else:
            command += f" --scenario {result.scenario}"
            yield f"{name}, unequal initial values: they can be observed: {result.clause}. `{command}` shows how."


def document(found: Evidence, observed: Mapping[str, Result]) -> dict[str, Any]:
    """Sources and frees by field, and what the check says of initial values."""
    fields = {
        name: {
            "sources": [entry(one) for one in found.sources_of(name)],
            "fallbacks": [entry(one) for one in found.fallbacks_of(name)],
            "frees": [entry(one) for one in found.frees if one.field == name],
            "marks": list(marks(found.sources_of(name), found.fallbacks_of(name))),
        }
        for name in FIELDS.values()
    }
    return {
        "design": found.design,
        "fields": fields,
        "initial_values_observable": {name: not result.holds for name, result in observed.items()},
    }


def entry(one: Source | Free) -> dict[str, Any]:
    return {**asdict(one), "held": sorted(map(str, one.held)), "scenarios": list(one.scenarios)}
