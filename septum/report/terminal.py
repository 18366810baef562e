"""The report of a check for a reader: the table of verdicts, what the passes are worth, and what was found."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from septum.check.result import Call, Counterexample, Excepted, Result, Verdict
from septum.report.calltrace import short
from septum.report.diagram import command, diagram
from septum.report.numbers import duration, ranges
from septum.report.paragraphs import wrapped
from septum.report.race import race, state_that_matters
from septum.report.slice import slice_of
from septum.report.text import WIDTH

DEADLOCK = "deadlock"
NAMES = "design, scenario"
NUMBERS = ("states", "transitions", "depth", "seconds")
Place = tuple[str, ...]


def render(
    results: Sequence[Result], *, width: int = 80, colour: bool = False, height: int = 0, drawing: int = WIDTH, unjudged: str = ""
) -> str:
    """The whole report. Without colour it is plain text, of which no line but a command or a name is longer than `width`.

    Counterexamples are drawn in `drawing` columns; one that is longer than `height` lines, of a screen, as its slice. Below the
    table stands what was not judged.
    """
    parts = [
        verdicts(results, width=width, colour=colour),
        f"Not judged: {unjudged}.\n" if unjudged else "",
        section("Set aside", set_aside(results), width),
        section("Not explored to the end", unfinished(results), width),
        section("Vacuous: these witnesses were never reached", vacuous(results), width),
        section("Witnesses, reached in every pass", witnesses(results), width),
        section("Lines of the design that no schedule executed", unexecuted(results), width),
        section("Locks of one's own: taken as by one locked instruction", own_locks(results), width),
        section("Not applicable", not_applicable(results), width),
        footnotes(results, width),
        *findings(results, drawing, height),
        section("More is violated than is shown", further(results), width),
        summary(results),
    ]
    return "\n".join(part for part in parts if part)


def verdicts(results: Sequence[Result], *, width: int, colour: bool) -> str:
    """The table: a group of rows for each design, a row for each scenario."""
    from rich.text import Text

    from septum.report.style import VERDICT_STYLE, rendered, table

    rows = table()
    cells = [("verdict", *NUMBERS), *((verdict_text(result), *numbers(result)) for result in results)]
    room = width - sum(max(map(len, column)) + 2 for column in zip(*cells, strict=True))
    if room < len(NAMES):
        rows.padding = (0, 0, 0, 0)
        room += len(cells[0])
    rows.add_column(shortened(NAMES, room), no_wrap=True)
    rows.add_column("verdict", no_wrap=True)
    for heading in NUMBERS:
        rows.add_column(heading, justify="right", no_wrap=True)
    for design, group in groupby(results, lambda result: result.design):
        rows.add_row(Text(shortened(design, room), style="bold"))
        for result in group:
            verdict = Text(verdict_text(result), style=VERDICT_STYLE[result.verdict])
            rows.add_row(Text(f"  {shortened(result.scenario, room - 2)}"), verdict, *numbers(result))
    return rendered(rows, width=width, colour=colour)


def shortened(name: str, room: int) -> str:
    """A name that leaves room for the rest of the table; a mark stands where it was cut."""
    return name if len(name) <= room else f"{name[: max(room - 3, 1)]}..."


def verdict_text(result: Result) -> str:
    of = result.property if result.verdict in (Verdict.VIOLATED, Verdict.REACHED) else ""
    more = f" +{len(result.others)}" if result.others else ""
    return f"{result.verdict}: {of}{more}" if of else str(result.verdict)


def numbers(result: Result) -> list[str]:
    """States, transitions, depth and seconds; empty for what did not run."""
    if not result.states:
        return [""] * 4
    seconds = "kept" if result.kept else f"{result.seconds:.2f}"
    return [f"{result.states:,}", f"{result.transitions:,}", str(result.depth), seconds]


class Drawing(StrEnum):
    """How much of a counterexample is drawn."""

    WHOLE = "whole"
    SLICE = "slice"
    RACE = "race"


def finding(result: Result, drawing: Drawing = Drawing.WHOLE, *, explained: bool = False, width: int = WIDTH) -> str:
    """A violation: what, where, and a drawing of it; `explained`, with the state before and after."""
    heading = f"{result.design}, {result.scenario}: {verdict_text(result)}"
    drawn = drawing_of(result, drawing, width)
    state = "\n".join(state_that_matters(result.counterexample)) if explained and result.counterexample else ""
    behind = section("Set aside on the way", result.counterexample.behind if result.counterexample else (), width)
    return "\n".join(filter(None, (f"{heading}\n{'=' * len(heading)}\n", drawn, behind, state and f"{state}\n")))


def drawing_of(result: Result, drawing: Drawing, width: int) -> str:
    if drawing is Drawing.RACE:
        return race(result)
    sliced = drawing is Drawing.SLICE and result.counterexample and result.verdict is not Verdict.REACHED
    return slice_of(result, width) if sliced else diagram(result, width)


def readable(result: Result, width: int, height: int) -> Drawing:
    """A slice where the whole is longer than a screen of `height` lines, of an event the race; 0 is no screen."""
    if not 0 < height < diagram(result, width).count("\n"):
        return Drawing.WHOLE
    return Drawing.RACE if result.verdict is Verdict.REACHED else Drawing.SLICE


def grouped(results: Iterable[Result]) -> list[list[Result]]:
    """The violations by the place at which they fail, of each the one with the shortest schedule first."""
    groups: dict[Place, list[Result]] = {}
    for result in (one for several in results for one in several.each()):
        if result.verdict is Verdict.VIOLATED:
            groups.setdefault(place(result), []).append(result)
    firsts = [min(group, key=steps) for group in groups.values()]
    return [[first, *(one for one in groups[place(first)] if one is not first)] for first in firsts]


def findings(results: Iterable[Result], width: int = WIDTH, height: int = 0) -> Iterator[str]:
    """Every violation: the shortest of those that fail at one place with its drawing, each other one in a line."""
    for shown, *others in grouped(results):
        yield finding(shown, readable(shown, width, height), width=width)
        lines = [f"  {another(one, shown)}\n" for one in others]
        if lines:
            yield f"It fails at the same place in\n{''.join(lines)}"


def steps(result: Result) -> int:
    return len(result.counterexample.steps) if result.counterexample else 0


def place(result: Result) -> Place:
    """What the results have in common that one mistake explains: design, property, and the line or the deadlock."""
    found = result.counterexample
    if found is None:
        return (result.design, result.scenario, result.property, "no schedule")
    if result.property == DEADLOCK:
        return (result.design, result.property, result.clause)
    calls = failing(found)
    line = f"{calls[-1].file}:{calls[-1].line}" if calls else ""
    return (result.design, result.property, line, re.sub(r"\d+", "#", result.clause))


def failing(found: Counterexample) -> Sequence[Call]:
    """The calls in which a thread failed; or, where a property is violated between two steps, those of the last step."""
    stacks = [thread.stack for thread in found.threads if thread.state == "failed"]
    return stacks[0] if stacks else found.steps[-1].stack if found.steps else ()


def another(result: Result, shown: Result) -> str:
    """A violation in one line; a caller is named where it is not that of the one whose diagram is shown."""
    found, first = result.counterexample, shown.counterexample
    if found is None or first is None:
        return result.scenario
    callers, known = ([(call.file, call.line) for call in failing(one)[-2:-1]] for one in (found, first))
    caller = "".join(f", called from {short(file)}:{line}" for file, line in callers if callers != known)
    count = len(found.steps)
    return f"{result.scenario}, {count} step{'s' if count != 1 else ''}{caller}: {command(result, found)}"


def summary(results: Sequence[Result]) -> str:
    """52 checks: 33 hold, 2 violated, 17 not applicable."""
    counts = Counter(result.verdict for result in results)
    hold = "holds" if counts[Verdict.HOLDS] == 1 else "hold"
    texts = [f"{counts[one]} {hold if one is Verdict.HOLDS else one}" for one in Verdict if counts[one]]
    checks = f"{len(results)} check{'s' if len(results) != 1 else ''}"
    return f"{checks}: {', '.join(texts)}\n" if texts else f"{checks}\n"


def section(heading: str, lines: Iterable[str], width: int) -> str:
    """A heading and its lines, wrapped; nothing where there are none."""
    body = [wrapped(f"  {line}", width) for line in lines]
    return "\n".join([f"{heading}:", *body, ""]) if body else ""


def unfinished(results: Iterable[Result]) -> Iterator[str]:
    """How far every incomplete check came."""
    for result in results:
        if result.verdict is Verdict.INCOMPLETE:
            states = f"{result.states:,} states, {result.transitions:,} transitions, depth {result.depth}"
            came = f"{states} in {duration(result.seconds)}" if result.states else ""
            yield f"{result.design}, {result.scenario}: {'; '.join(filter(None, (result.reason, came)))}"


def vacuous(results: Iterable[Result]) -> Iterator[str]:
    for result in results:
        if result.verdict is Verdict.VACUOUS:
            missing = ", ".join(name for name, reached in result.witnesses.items() if not reached)
            yield f"{result.design}, {result.scenario}: {missing or result.reason}"


def set_aside(results: Iterable[Result]) -> Iterator[str]:
    """Of each design what was set aside: where it failed, whether its schedules ended there, or that it never failed."""
    named: dict[tuple[str, str], list[tuple[Result, Excepted]]] = {}
    for result in results:
        for one in result.excepted:
            named.setdefault((result.design, one.clause), []).append((result, one))
    for (design, clause), met in named.items():
        failed = list(dict.fromkeys(place for _, one in met for place in one.failed))
        ended = list(dict.fromkeys(place for _, one in met for place in one.ended))
        if failed:
            scenarios = ", ".join(result.scenario for result, one in met if one.failed)
            at = f" at {', '.join(failed)}" if failed != [DEADLOCK] else ""
            end = f"; schedules end at {', '.join(ended)}, and what lies behind is not judged" if ended else ""
            yield f"{design}: {clause}: failed in {scenarios}{at}{end}"
        else:
            whole = all(result.verdict in (Verdict.HOLDS, Verdict.VACUOUS) for result, _ in met)
            yield f"{design}: {clause}: never failed{'' if whole else ' in what was explored'}"


def further(results: Iterable[Result]) -> Iterator[str]:
    """Of the checks that kept going, how much else is violated."""
    for result in results:
        if result.further is None:
            yield f"{result.design}, {result.scenario}: not all that is violated was looked for: {result.reason}"
        elif result.further:
            many = "at one more place" if result.further == 1 else f"at {result.further} more places"
            yield f"{result.design}, {result.scenario}: violated {many}"


def witnesses(results: Iterable[Result]) -> Iterator[str]:
    """What the passes of a scenario reached: its declared witnesses, so they are the same for every design."""
    passes = {
        result.scenario: [name for name, reached in result.witnesses.items() if reached] for result in results if result.holds
    }
    for scenario, reached in passes.items():
        if reached:
            yield f"{scenario}: {', '.join(reached)}"


def unexecuted(results: Iterable[Result]) -> Iterator[str]:
    """Per design, the lines that none of its scenarios executed; of another file than that of its name, with the file."""
    lines: dict[tuple[str, str], set[int]] = {}
    for result in results:
        if result.states:
            key = (result.design, result.file)
            lines[key] = lines.get(key, set(result.unexecuted)) & set(result.unexecuted)
    for (design, file), missed in lines.items():
        if missed:
            named = Path(file).stem == Path(design).stem
            yield f"{design}{'' if named or not file else f', {file}'}: {ranges(missed)}"


def own_locks(results: Iterable[Result]) -> Iterator[str]:
    """Per design, the words of locks that it has made itself, each where it is taken: that this is one piece is supposed."""
    words: dict[str, dict[str, None]] = {}
    for result in results:
        words.setdefault(result.design, {}).update(dict.fromkeys(result.own_locks))
    for design, found in words.items():
        if found:
            yield f"{design}: {', '.join(found)}"


def not_applicable(results: Iterable[Result]) -> Iterator[str]:
    """Why a scenario says nothing about a design: once for each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.verdict is Verdict.NOT_APPLICABLE:
            reasons.setdefault((result.design, result.reason), []).append(result.scenario)
    for (design, reason), scenarios in reasons.items():
        yield f"{design}: {', '.join(scenarios)}{f' ({reason})' if reason else ''}"


def footnotes(results: Sequence[Result], width: int) -> str:
    """The chance that something was missed, and by which engine."""
    notes = []
    chance = min(1.0, sum(result.collision for result in results))
    if chance:
        notes.append(f"The chance that a collision of fingerprints hid a state is at most {chance:.0e}.")
    notes += buffer_notes(results)
    notes += [f"The model is septum's with {name}." for name in dict.fromkeys(one.patch for one in results if one.patch)]
    if any(result.kept for result in results):
        notes.append("Kept: explored to the end by an earlier check of the same; --fresh explores it again.")
    slow = [result for result in results if result.states and result.engine == "python"]
    if slow:
        told = [result for result in slow if result.holds or (result.counterexample and result.further is not None)]
        reasons = dict.fromkeys(result.reason for result in told if result.reason)
        why = f" ({'; '.join(reasons)})" if reasons else ""
        notes.append(
            f"Explored by the Python engine{why}, which is slower than the C engine, without reductions, and finds the same."
        )
    return "".join(f"{textwrap.fill(note, width)}\n" for note in notes)


def buffer_notes(results: Sequence[Result]) -> Iterator[str]:
    """Under x86-tso: how many stores of a thread could wait, and where that was not enough."""
    for room in dict.fromkeys(result.store_buffer for result in results if result.store_buffer):
        full = [f"{one.design}, {one.scenario}" for one in results if one.store_buffer == room and one.bound_met]
        met = "; ".join(full)
        what = f"more had to wait in {met}, and what that leads to was not explored" if full else "no more ever had to"
        yield f"Under x86-tso, {room} store{'s' if room != 1 else ''} of a thread may wait in its buffer; {what}."
