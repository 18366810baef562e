"""A comparison of designs, a simulation and a replay as sections of a page: paragraphs, a table, a chart, a text as it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import dedent
from typing import Any

from septum.check import result as check
from septum.check.evidence import FAMILIES, Evidence
from septum.check.result import Verdict
from septum.replay.result import Result
from septum.report import compare, replay, simulate, terminal
from septum.report.numbers import memory
from septum.simulate.simulate import Simulated

WIDTH = 100
POINTS = 400
"""Of the samples of a replay at most so many are drawn."""


@dataclass(frozen=True)
class Chart:
    """Lines over time: what each is of, its points, and how the lowest and highest values are said."""

    names: tuple[str, ...]
    times: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    most: str
    begins: str
    ends: str


@dataclass(frozen=True)
class Section:
    """A part of a page; what is empty is not there."""

    title: str
    paragraphs: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    chart: Chart | None = None
    text: str = ""


def document(sections: Iterator[Section]) -> dict[str, Any]:
    """What the page is handed."""
    return {"sections": [asdict(one) for one in sections]}


def of_results(results: Sequence[check.Result]) -> Iterator[Section]:
    """What a check says beside its table and its findings: what each verdict is worth."""
    for title, lines in (
        ("Not explored to the end", terminal.unfinished(results)),
        ("Vacuous: these witnesses were never reached", terminal.vacuous(results)),
        ("Witnesses, reached in every pass", terminal.witnesses(results)),
        ("Lines of the design that no schedule executed", terminal.unexecuted(results)),
        ("Locks of one's own: taken as by one locked instruction", terminal.own_locks(results)),
        ("Not applicable", terminal.not_applicable(results)),
    ):
        if paragraphs := tuple(lines):
            yield Section(title, paragraphs)


def of_designs(found: Sequence[Evidence]) -> Iterator[Section]:
    """The tables of `septum compare`, with what their columns mean, and each design."""
    if any(one.verdicts for one in found):
        cells = (
            (compare.verdict_cell(*one.verdicts.get(name, (Verdict.NOT_APPLICABLE, ""))) for name in FAMILIES) for one in found
        )
        rows = tuple((one.design, *of) for one, of in zip(found, cells, strict=True))
        yield Section("Verdicts", _meanings(compare.FAMILY_LEGEND), ("design", *compare.FAMILY_HEADINGS), rows)
    yield _figures("Pages", found, compare.PAGES, compare.PAGES_LEGEND)
    if any(one.verdicts for one in found):
        yield _figures("Code", found, compare.CODE, compare.CODE_LEGEND)
    for one in found:
        yield Section(one.design, text=dedent(compare.details(one, WIDTH).split("\n", 2)[2]))


def of_simulations(found: Sequence[Simulated], text: str) -> Iterator[Section]:
    """What `septum simulate` prints, with a column for each design; `text` is that."""
    designs = tuple(one.design for one in found)
    yield Section(found[0].workload, tuple(simulate.sentences(found)))
    for title, cells in (("Memory at its peak", simulate.MEMORY), ("Time", simulate.TIME)):
        rows = tuple((name, *(cell(one) for one in found)) for name, cell in cells.items())
        yield Section(title, heads=("", *designs), rows=rows)
    calls = dict.fromkeys((call.leaf, call.status.removeprefix("TDX_")) for one in found for call in one.seamcalls)
    counts = [{(call.leaf, call.status.removeprefix("TDX_")): call.count for call in one.seamcalls} for one in found]
    rows = tuple((*call, *(f"{of.get(call, 0):,}" for of in counts)) for call in calls)
    yield Section("SEAMCALLs", heads=("leaf", "status", *designs), rows=rows)
    yield Section("As printed", text=text)


def _figures(
    title: str, found: Sequence[Evidence], cells: Mapping[str, Callable[[Evidence], str]], legend: Mapping[str, str]
) -> Section:
    rows = tuple((one.design, *(cell(one) for cell in cells.values())) for one in found)
    return Section(title, _meanings(legend), ("design", *cells), rows)


def _meanings(legend: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}: {text}" for name, text in legend.items())


def of_replay(result: Result) -> Iterator[Section]:
    """What `septum replay` prints, with what was mapped over time as a chart."""
    yield Section("What was followed", tuple(replay.head(result, WIDTH).splitlines()), text=replay.verdict(result, WIDTH))
    if reading := replay.reading(result, WIDTH):
        yield Section("Reading", text=reading.partition("\n")[2])
    for number, group in enumerate(result.groups, 1):
        title, _, text = replay.divergence(group, WIDTH, number, len(result.groups)).partition("\n")
        yield Section(title, text=text.partition("\n")[2].strip("\n"))
    if result.steps:
        yield Section("Steps", text=replay.summary(result, WIDTH))
    if mapped := replay.mapped(result):
        yield Section("Mapped pages by size over time", chart=_chart(result), text=mapped.partition("\n")[2])


def _chart(result: Result) -> Chart:
    samples = replay.evenly(result.samples, POINTS)
    by_size = replay.sizes(samples)
    used = [n for n in range(len(replay.SIZES)) if any(of[n] for _, of in by_size)]
    values = tuple(tuple(float(of[n]) for _, of in by_size) for n in used)
    unit = " s" if result.clock == "seconds" else ""
    first, last = (f"{one.time:.3f}{unit}" for one in (samples[0], samples[-1]))
    names = tuple(replay.SIZES[n][0] for n in used)
    return Chart(names, tuple(one.time for one in samples), values, memory(max(map(max, values))), first, last)
