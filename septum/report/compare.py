"""Designs beside each other, as measured: for a terminal, as CSV, as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from septum.check.evidence import FAMILIES, Evidence, Source
from septum.check.measure import Held
from septum.check.result import Verdict
from septum.report.numbers import duration
from septum.report.terminal import wrapped

EXTERNAL, PAIR = "sp->external_spt", "PAMT pair"

LEGEND = {
    "sources": "lines that allocate S-EPT pages; after a + those that serve only when the pools are empty",
    "frees": "lines that free S-EPT pages",
    "idle": "the most pages that wait in the design's pools of one vCPU, with five levels and caches of 40",
    "pairs": "the most pairs installed for 2M ranges of which the TDX module uses no page, in the same fault",
    "pops": "the most pages that one such fault takes out of these pools",
    "VM": "the most pages that wait in the pools of the VM, in one conversion",
    "atomic": "S-EPT pages, or pairs, allocated where nothing may sleep: in some schedule, or in brackets if the pools are empty",
    "hold": "the most steps for which pamt_lock is held",
    "splits": "whether 2M leaves are split, and also without a vCPU",
}


def render(found: Sequence[Evidence], *, width: int = 80, colour: bool = False) -> str:
    """The tables, their legend, and what each design does under which locks."""
    parts = [verdicts(found, width, colour), figures(found, width, colour), legend(width)]
    parts += [details(one, width) for one in found]
    return "\n".join(part for part in parts if part)


def verdicts(found: Sequence[Evidence], width: int, colour: bool) -> str:
    """A row for each design, a column for each family of scenarios."""
    if not any(one.verdicts for one in found):
        return ""
    from rich.text import Text

    from septum.report.style import VERDICT_STYLE, rendered, table

    rows = table()
    rows.add_column("design", no_wrap=True)
    for family in FAMILIES:
        rows.add_column(family, overflow="fold")
    for one in found:
        cells = [one.verdicts.get(family, (Verdict.NOT_APPLICABLE, "")) for family in FAMILIES]
        rows.add_row(one.design, *(Text(verdict_cell(*cell), style=VERDICT_STYLE[cell[0]]) for cell in cells))
    return rendered(rows, width=width, colour=colour)


def verdict_cell(verdict: Verdict, broken: str) -> str:
    """`holds`, `-`, or the properties that are violated, in capitals."""
    if verdict is Verdict.VIOLATED:
        return broken.upper()
    return "-" if verdict is Verdict.NOT_APPLICABLE else str(verdict)


def figures(found: Sequence[Evidence], width: int, colour: bool) -> str:
    """The numbers that are measured, a row for each design."""
    from septum.report.style import rendered, table

    rows = table()
    rows.add_column("design", no_wrap=True)
    for name in FIGURES:
        rows.add_column(name, no_wrap=True, justify="left" if name in ("atomic", "splits") else "right")
    for one in found:
        rows.add_row(one.design, *(cell(one) for cell in FIGURES.values()))
    return rendered(rows, width=width, colour=colour)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _source_count(one: Evidence) -> str:
    usual = {source.place for source in one.sources_of(EXTERNAL)}
    spare = {source.place for source in one.fallbacks_of(EXTERNAL)}
    return f"{len(usual)}+{len(spare)}" if spare else str(len(usual))


def _frees(one: Evidence) -> str:
    return str(len({free.place for free in one.frees if free.field == EXTERNAL}))


def _atomic(one: Evidence) -> str:
    shown = []
    for field, name in ((EXTERNAL, "S-EPT"), (PAIR, "pairs")):
        if any(source.atomic for source in one.sources_of(field)):
            shown.append(name)
        elif one.fallbacks_of(field):
            shown.append(f"({name})")
    return " ".join(shown) or "never"


def _splits(one: Evidence) -> str:
    return "no" if not one.splits else "anywhere" if one.splits_without_vcpu else "by vCPUs"


def _pamt_hold(one: Evidence) -> str:
    steps = [count for name, count in one.holds.items() if name.endswith("pamt_lock")]
    return _count(max(steps, default=None))


FIGURES = {
    "sources": _source_count,
    "frees": _frees,
    "idle": lambda one: _count(one.idle_of_vcpu),
    "pairs": lambda one: _count(one.idle_pairs),
    "pops": lambda one: _count(one.popped),
    "VM": lambda one: _count(one.idle_of_vm),
    "atomic": _atomic,
    "hold": _pamt_hold,
    "splits": _splits,
}


def legend(width: int) -> str:
    return "".join(f"{wrapped(f'{name}: {text}', width)}\n" for name, text in LEGEND.items())


def details(one: Evidence, width: int) -> str:
    """What a design does under which locks, and how long it was explored."""
    lines = [one.design, "=" * len(one.design)]
    lines += [wrapped(f"  {leaf} under {under}", width) for leaf, under in under_locks(one)]
    own = [name.rpartition("design.")[2] for name in one.holds if "design." in name]
    if own:
        lines.append(wrapped(f"  locks of its own: {', '.join(own)}", width))
    longest = ", ".join(f"{name} {steps}" for name, steps in one.holds.items())
    if longest:
        lines.append(wrapped(f"  the most steps with a lock: {longest}", width))
    if one.incomplete:
        lines.append(wrapped(f"  not measured to the end: {', '.join(one.incomplete)}", width))
    lines.append(f"  explored in {duration(one.seconds)}")
    return "\n".join(lines) + "\n"


def under_locks(one: Evidence) -> Iterator[tuple[str, str]]:
    """Each SEAMCALL with the sets of locks under which it was made, of those that spin, and of the design's own."""
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
    out.writerow(["design", *FAMILIES, *FIGURES, "seconds"])
    for one in found:
        cells = [verdict_cell(*one.verdicts.get(family, (Verdict.NOT_APPLICABLE, ""))) for family in FAMILIES]
        out.writerow([one.design, *cells, *(cell(one) for cell in FIGURES.values()), f"{one.seconds:.2f}"])
    return text.getvalue()


def document(found: Sequence[Evidence]) -> dict[str, Any]:
    """`{"designs": [...]}`, one entry for each, with everything that was measured."""
    return {"designs": [entry(one) for one in found]}


def entry(one: Evidence) -> dict[str, Any]:
    return {
        "design": one.design,
        "verdicts": {family: {"verdict": str(verdict), "violated": broken} for family, (verdict, broken) in one.verdicts.items()},
        "figures": {name: cell(one) for name, cell in FIGURES.items()},
        "idle_of_vcpu": one.idle_of_vcpu,
        "idle_pairs": one.idle_pairs,
        "idle_of_vm": one.idle_of_vm,
        "popped": one.popped,
        "holds": one.holds,
        "sources": [source(item) for item in one.sources],
        "fallbacks": [source(item) for item in one.fallbacks],
        "frees": [{**asdict(item), "held": sorted(map(str, item.held))} for item in one.frees],
        "seamcalls": [{"leaf": item.leaf, "held": sorted(map(str, item.held))} for item in one.seamcalls],
        "incomplete": list(one.incomplete),
        "seconds": one.seconds,
    }


def source(item: Source) -> dict[str, Any]:
    return {**asdict(item), "held": sorted(map(str, item.held)), "atomic": item.atomic}
