"""The report of a hunt for a reader, and as one JSON document."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from septum.hunt.hunt import Hunted
from septum.report.document import counterexample
from septum.report.numbers import duration
from septum.report.terminal import findings, section
from septum.report.text import WIDTH

NOTHING = (
    "Nothing was found, which proves nothing: random schedules meet some of the interleavings, and `septum check` explores all, "
    "in a scope where it comes to an end."
)
CHANCE = "The least chance that these runs had to meet a bug"
MEANING = (
    "This is the bound of PCT, for a bug that depends on the order of at most {} of steps (--depth) and on no choice but the "
    "first of each, if no run takes more steps than the number that is raised to a power. The other half of the runs, of "
    "all depths and with random choices, does not count here."
)


def render(hunts: Sequence[Hunted], *, width: int = 80, colour: bool = False, height: int = 0, drawing: int = WIDTH) -> str:
    """The whole report, with what the report of a check says of width, height and drawing."""
    parts = [
        table(hunts, width=width, colour=colour),
        section("What the runs ended in", failures(hunts), width),
        section("Witnesses that no run reached", unreached(hunts), width),
        section("Not to the end", unfinished(hunts), width),
        section(CHANCE, chances(hunts), width),
        meaning(hunts, width),
        verdict(hunts, width),
        again(hunts, width),
        *findings((one.result for one in hunts if one.found), drawing, height),
    ]
    return "\n".join(part for part in parts if part)


def table(hunts: Sequence[Hunted], *, width: int, colour: bool) -> str:
    """A row for each scenario."""
    from rich.text import Text

    from septum.report import style

    rows = style.table()
    rows.add_column("design, scenario", overflow="fold")
    rows.add_column("hunt")
    for heading in ("runs", "steps/s", "longest", "seconds"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for design in dict.fromkeys(one.design for one in hunts):
        rows.add_row(Text(design, style="bold"))
        for one in hunts:
            if one.design == design:
                rows.add_row(Text(f"  {one.scenario}"), Text(shown(one)), *numbers(one))
    return style.rendered(rows, width=width, colour=colour)


def shown(one: Hunted) -> str:
    return f"violated: {one.property}" if one.found and one.property else str(one.verdict)


def numbers(one: Hunted) -> list[str]:
    """Runs, rate, longest run and seconds; empty for what did not run."""
    if not one.runs:
        return [""] * 4
    return [f"{one.runs:,}", short(one.rate), f"{one.longest:,}", f"{one.seconds:.2f}"]


def short(count: float) -> str:
    """950, 12.5 k, 3.2 M: a number to one digit behind the point."""
    if count < 1000:
        return f"{count:.0f}"
    return f"{count / 1e3:.1f} k" if count < 1e6 else f"{count / 1e6:.1f} M"


def failures(hunts: Iterable[Hunted]) -> Iterator[str]:
    """Every distinct failure, and how often; the one that is shown first says so."""
    for one in hunts:
        if one.found:
            shrunk = f"{one.first_steps} steps, shrunk to {len(one.counterexample.steps)}" if one.counterexample else ""
            first = f"shown below is that of run {one.first_run + 1:,}, {shrunk}"
            yield f"{one.scenario}: {counted(len(one.failures), 'distinct failure')}; {first}"
        for failure in one.failures:
            yield f"  {failure.runs:,} of {counted(one.runs, 'run')}: {failure.clause}"


def unreached(hunts: Iterable[Hunted]) -> Iterator[str]:
    for one in hunts:
        missed = [name for name, reached in one.witnesses.items() if not reached]
        if one.runs and missed:
            yield f"{one.scenario}: {', '.join(missed)}"


def unfinished(hunts: Iterable[Hunted]) -> Iterator[str]:
    """What was not looked at to the end: runs that were cut off, scenarios that cannot run."""
    for one in hunts:
        if one.reason:
            yield f"{one.scenario}: {one.reason}"
        if one.cut:
            yield f"{one.scenario}: {counted(one.cut, 'run')} cut off: the threads may run for ever"


def chances(hunts: Iterable[Hunted]) -> Iterator[str]:
    """What the runs of each scenario are worth, by the bound of PCT."""
    for one in hunts:
        if one.plain_runs:
            bound = f"{one.plain_runs:,} runs, each 1 in {one.threads} x {one.length:,}^{one.depth - 1}"
            longer = f"; somewhat less: {counted(one.longer, 'run')} longer than was expected" if one.longer else ""
            yield f"{one.scenario}: {percent(one.chance)} ({bound}{longer})"


def meaning(hunts: Iterable[Hunted], width: int) -> str:
    """Which bugs the chance is about."""
    depth = next((one.depth for one in hunts if one.plain_runs), 0)
    return f"{textwrap.fill(MEANING.format(counted(depth, 'pair')), width)}\n" if depth else ""


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"


def percent(chance: float) -> str:
    """83 %, 0.4 %, 2e-05: never rounded up to certainty."""
    if chance >= 0.9995:
        return "more than 99.9 %"
    return f"{100 * chance:.1f} %" if chance >= 0.001 else f"{chance:.0e}"


def verdict(hunts: Sequence[Hunted], width: int) -> str:
    """What it means that nothing was found."""
    return "" if any(one.found for one in hunts) else f"{textwrap.fill(NOTHING, width)}\n"


def again(hunts: Iterable[Hunted], width: int) -> str:
    """How to make the same runs once more."""
    ran = next((one for one in hunts if one.runs), None)
    if ran is None:
        return ""
    seconds = duration(sum(one.seconds for one in hunts))
    text = f"Seed {ran.seed}, {seconds}; with --seed {ran.seed} --runs N the first N runs are the same again."
    return f"{textwrap.fill(text, width)}\n"


def document(hunts: Iterable[Hunted]) -> dict[str, Any]:
    """`{"hunts": [...]}`, one entry per scenario."""
    return {"hunts": [entry(one) for one in hunts]}


def entry(one: Hunted) -> dict[str, Any]:
    """Every field of a Hunted, and its rate."""
    found = {name: getattr(one, name) for name in one.__dataclass_fields__}
    found["verdict"] = str(one.verdict)
    found["rate"] = one.rate
    found["failures"] = [asdict(failure) for failure in one.failures]
    found["counterexample"] = counterexample(one.counterexample) if one.counterexample else None
    return found


__all__ = ["document", "render"]
