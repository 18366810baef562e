"""Designs beside each other, as measured: for a terminal, as CSV, as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from septum.check.evidence import FAMILIES, Evidence, Source
from septum.check.measure import Held
from septum.check.result import Verdict
from septum.lang.measure import Place
from septum.report.numbers import duration
from septum.report.paragraphs import wrapped

EXTERNAL, PAIR = "sp->external_spt", "PAMT pair"
KVM_CACHE, TDX_HELPER = "mmu_external_spt_cache", "tdx_alloc_control_page"
FAMILY_HEADINGS = ("faults", "zaps", "TDs", "end", "splits", "both")
FIGURE_WIDTH = 5

Cell = Callable[[Evidence], str]


def render(found: Sequence[Evidence], *, width: int = 80, colour: bool = False) -> str:
    """The tables with what their columns mean, and what each design does under which locks."""
    return "\n".join([tables(found, width=width, colour=colour), *(details(one, width) for one in found)])


def tables(found: Sequence[Evidence], *, width: int = 80, colour: bool = False) -> str:
    """The tables: verdicts, pages, and what of the code differs."""
    judged = any(one.verdicts for one in found)
    parts = [verdicts(found, width, colour), legend(FAMILY_LEGEND, width)] if judged else []
    parts += [figures(found, PAGES, width, colour), legend(PAGES_LEGEND, width)]
    parts += [figures(found, CODE, width, colour), legend(CODE_LEGEND, width)] if judged else []
    return "\n".join(parts)


def verdicts(found: Sequence[Evidence], width: int, colour: bool) -> str:
    """A row for each design, a column for each family of scenarios."""
    from rich.text import Text

    from septum.report.style import VERDICT_STYLE, rendered, table

    rows = table()
    rows.padding = (0, 0, 0, 0)  # so that every property has room in 80 columns
    rows.add_column("design", no_wrap=True)
    for heading in FAMILY_HEADINGS:
        rows.add_column(heading, no_wrap=True)
    for one in found:
        cells = [one.verdicts.get(family, (Verdict.NOT_APPLICABLE, "")) for family in FAMILIES]
        rows.add_row(one.design, *(Text(verdict_cell(*cell), style=VERDICT_STYLE[cell[0]]) for cell in cells))
    return rendered(rows, width=width, colour=colour)


FAMILY_LEGEND = {heading: ", ".join(names) for heading, names in zip(FAMILY_HEADINGS, FAMILIES.values(), strict=True)}


def verdict_cell(verdict: Verdict, broken: str) -> str:
    """`holds`, `-`, or the properties that are violated, in capitals."""
    if verdict is Verdict.VIOLATED:
        return broken.upper().replace(", ", "\n")
    return "-" if verdict is Verdict.NOT_APPLICABLE else str(verdict)


def figures(found: Sequence[Evidence], cells: Mapping[str, Cell], width: int, colour: bool) -> str:
    """What was measured, a row for each design."""
    from septum.report.style import rendered, table

    rows = table()
    rows.add_column("design", no_wrap=True)
    for name in cells:
        rows.add_column(name, no_wrap=True, justify="left" if name in WORDS else "right", min_width=min(len(name), FIGURE_WIDTH))
    for one in found:
        rows.add_row(one.design, *(cell(one) for cell in cells.values()))
    return rendered(rows, width=width, colour=colour)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _source_count(one: Evidence) -> str:
    if not one.verdicts:
        return "-"
    usual = {source.place for source in one.sources_of(EXTERNAL)}
    spare = {source.place for source in one.fallbacks_of(EXTERNAL)}
    return f"{len(usual)}+{len(spare)}" if spare else str(len(usual))


def _frees(one: Evidence) -> str:
    return str(len({free.place for free in one.frees if free.field == EXTERNAL})) if one.verdicts else "-"


def _atomic(one: Evidence) -> str:
    shown = ""
    for field, name in ((EXTERNAL, "S"), (PAIR, "P")):
        if any(source.atomic for source in one.sources_of(field)):
            shown += name
        elif one.fallbacks_of(field):
            shown += f"({name})"
    return shown or "never"


def origins(one: Evidence) -> list[str]:
    """Where S-EPT pages come from: KVM's cache, a list of the design, the page allocator, a helper of TDX."""
    return sorted({_origin(source) for source in one.sources_of(EXTERNAL)})


def _origin(source: Source) -> str:
    if source.place and TDX_HELPER in source.place.text:
        return "helper"
    return "direct" if not source.pool else "cache" if source.pool.endswith(KVM_CACHE) else "list"


def freers(one: Evidence) -> list[str]:
    """Who frees S-EPT pages: the core MMU, an operation of TDX, its helper."""
    return sorted({_freer(free.place) for free in one.frees if free.field == EXTERNAL and free.place})


def _freer(place: Place) -> str:
    return "KVM" if place.file.endswith("tdp_mmu.py") else "helper" if place.function == "free_backed" else "TDX"


def _splits(one: Evidence) -> str:
    return "no" if not one.splits else "all" if one.splits_without_vcpu else "vCPU"


def _pamt_hold(one: Evidence) -> str:
    steps = [count for name, count in one.holds.items() if name.endswith("pamt_lock")]
    return _count(max(steps, default=None))


PAGES: dict[str, Cell] = {
    "sources": _source_count,
    "frees": _frees,
    "idle": lambda one: _count(one.idle_of_vcpu),
    "VM": lambda one: _count(one.idle_of_vm),
    "pairs": lambda one: _count(one.idle_pairs),
    "pops": lambda one: _count(one.popped),
    "backed": lambda one: _count(one.popped_if_backed),
    "atomic": _atomic,
}
PAGES_LEGEND = {
    "sources": "lines that allocate S-EPT pages; after a + those that serve only when the pools are empty",
    "frees": "lines that free S-EPT pages",
    "idle": "the most pages that wait in the design's pools of one vCPU, with five levels and caches of 40",
    "VM": "the most pages that wait in the pools of the VM, in one conversion or fault",
    "pairs": "the most pairs installed for 2M ranges of which the TDX module uses no page, in one fault",
    "pops": "the most pages that one such fault takes out of these pools",
    "backed": "the same of a fault whose pages all lie in a range that is backed",
    "atomic": "S-EPT pages (S) or pairs (P) allocated where nothing may sleep; in brackets: only if the pools are empty",
}
CODE: dict[str, Cell] = {
    "from": lambda one: " ".join(origins(one)),
    "to": lambda one: " ".join(freers(one)),
    "locks": lambda one: " ".join(sorted(set(one.own_locks.values()))) or "-",
    "hooks": lambda one: str(len(one.hooks)),
    "hold": _pamt_hold,
    "splits": _splits,
}
CODE_LEGEND = {
    "from": "S-EPT pages come from KVM's cache, a list of the design, direct from the page allocator, or a helper of TDX",
    "to": "they are freed by KVM's MMU, an operation of TDX, or its helper",
    "locks": "locks that the design brings along",
    "hooks": "operations that the core MMU calls and that upstream does not have",
    "hold": "the most steps for which pamt_lock is held",
    "splits": "2M leaves are split with a vCPU, or in all contexts",
}
FIGURES = PAGES | CODE
WORDS = ("atomic", "from", "to", "locks", "splits")


def legend(meanings: Mapping[str, str], width: int) -> str:
    return "".join(f"{wrapped(f'{name}: {text}', width)}\n" for name, text in meanings.items())


def details(one: Evidence, width: int) -> str:
    """What a design does under which locks, and how long it was explored."""
    lines = [one.design, "=" * len(one.design)]
    lines += [wrapped(f"  {leaf} under {under}", width) for leaf, under in under_locks(one)]
    if one.own_locks:
        own = (f"{name.rpartition('design.')[2]} ({kind})" for name, kind in one.own_locks.items())
        lines.append(wrapped(f"  locks of its own: {', '.join(own)}", width))
    if one.hooks:
        lines.append(wrapped(f"  the core MMU also calls: {', '.join(one.hooks)}", width))
    longest = ", ".join(f"{name} {steps}" for name, steps in one.holds.items() if steps)
    if longest:
        lines.append(wrapped(f"  the most steps with a lock: {longest}", width))
    if one.incomplete:
        lines.append(wrapped(f"  not measured to the end: {', '.join(one.incomplete)}", width))
    lines.append(f"  explored in {duration(one.seconds)}")
    return "\n".join(lines) + "\n"


def under_locks(one: Evidence) -> Iterator[tuple[str, str]]:
    """Each SEAMCALL with the sets of locks under which it was made."""
    leaves: dict[str, dict[str, None]] = {}
    for call in one.seamcalls:
        leaves.setdefault(call.leaf, {})[locks(call.held)] = None
    for leaf, sets in leaves.items():
        yield leaf.removeprefix("tdh_").replace("_", ".").upper(), "; ".join(sorted(sets))


def locks(held: Iterable[Held]) -> str:
    """`mmu_lock (read), pamt_lock`."""
    return ", ".join(sorted(str(one).rpartition(".")[2] for one in held)) or "no lock"


def as_csv(found: Sequence[Evidence]) -> str:
    """One row for each design."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["design", *FAMILIES, *FIGURES, "seamcalls", "seconds"])
    for one in found:
        cells = [verdict_cell(*one.verdicts.get(family, (Verdict.NOT_APPLICABLE, ""))) for family in FAMILIES]
        under = " | ".join(f"{leaf}: {sets}" for leaf, sets in under_locks(one))
        out.writerow([one.design, *cells, *(cell(one) for cell in FIGURES.values()), under, f"{one.seconds:.2f}"])
    return text.getvalue()


def document(found: Sequence[Evidence]) -> dict[str, Any]:
    """`{"designs": [...]}`, one entry for each, with everything that was measured."""
    return {"designs": [entry(one) for one in found]}


def entry(one: Evidence) -> dict[str, Any]:
    return {
        "design": one.design,
        "verdicts": {family: {"verdict": str(verdict), "violated": broken} for family, (verdict, broken) in one.verdicts.items()},
        "scenarios": {name: str(verdict) for name, verdict in one.scenarios.items()},
        "figures": {name: cell(one) for name, cell in FIGURES.items()},
        "idle_of_vcpu": one.idle_of_vcpu,
        "idle_pairs": one.idle_pairs,
        "idle_of_vm": one.idle_of_vm,
        "popped": one.popped,
        "popped_if_backed": one.popped_if_backed,
        "holds": one.holds,
        "locks": one.own_locks,
        "hooks": list(one.hooks),
        "sources": [source(item) for item in one.sources],
        "fallbacks": [source(item) for item in one.fallbacks],
        "frees": [{**asdict(item), "held": sorted(map(str, item.held))} for item in one.frees],
        "seamcalls": [{"leaf": item.leaf, "held": sorted(map(str, item.held))} for item in one.seamcalls],
        "incomplete": list(one.incomplete),
        "seconds": one.seconds,
    }


def source(item: Source) -> dict[str, Any]:
    return {**asdict(item), "held": sorted(map(str, item.held)), "atomic": item.atomic}
