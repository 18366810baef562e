"""A counterexample as kernel change logs draw a race: a column for each CPU, time runs down.

      CPU 0                               CPU 1
      ----------------------------------  ----------------------------------
   1  tdp_mmu_link_sp(page 5)
        tdp_mmu.py:112 old = m.page[parent].spt[i]
   2                                      tdp_mmu_link_sp(page 6)
                                            ...

As wide as the terminal, or 75 columns, for a mail. Functions are named as they are entered, indented by depth; locks are named
where they change; the number of a line names its file where that is not the file of the number above.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from septum.check.result import Call, Change, Counterexample, Race, Result, Step, Verdict
from septum.report.calltrace import ending, instead, short
from septum.report.changes import shorter
from septum.report.text import LEAST_ROOM, WIDTH, Item, paragraph

NARROWEST = 30
"""A column for a thread is at least so wide; more threads than fit share one column, each line with its thread's name."""

LEAST_FOR_COLUMNS, SIDE_BY_SIDE = 72, 80
GAP = 2
SHALLOW = 4
"""Up to so many levels of calls are indented by two columns each, deeper schedules by one."""


def diagram(result: Result, width: int = WIDTH) -> str:
    """The schedule, where every thread stands at its end, what broke, and how to see it again."""
    found = result.counterexample
    if found is None:
        return "\n".join(conclusion(result, width)) + "\n"
    return framed(result, found, whole(found, width), width)


def whole(found: Counterexample, width: int = WIDTH) -> list[list[str]]:
    """Every step, and which file each function stands in."""
    return [schedule(found.steps, Holders.of(found), found.loop, width, found.race), places(found.steps, width)]


def framed(result: Result, found: Counterexample, drawing: Sequence[Sequence[str]], width: int) -> str:
    """A drawing, with what stands below each."""
    blocks = [*drawing, ending(found.threads, width), conclusion(result, width), replay(result, found, width)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


@dataclass(frozen=True)
class Layout:
    """Where the text of each thread goes: in its own column, or behind its name."""

    threads: tuple[str, ...]
    margin: int
    depth: int
    full: int = WIDTH

    @classmethod
    def of(cls, steps: Sequence[Step], width: int = WIDTH, last: int = 0) -> Layout:
        """For these steps, numbered up to `last`."""
        threads = tuple(dict.fromkeys(step.thread for step in steps))
        return cls(threads, len(str(last or len(steps))) + 3, max((len(step.stack) for step in steps), default=1), width)

    def of_both(self, race: Race | None) -> Layout:
        """With columns for the two sides of a race as well."""
        racing = (race.thread.thread, race.partner.thread) if race else ()
        return replace(self, threads=tuple(dict.fromkeys([*self.threads, *racing])))

    @property
    def columns(self) -> bool:
        return self._share >= NARROWEST and self.full >= LEAST_FOR_COLUMNS

    @property
    def _share(self) -> int:
        count = len(self.threads)
        return (self.full - self.margin - GAP * (count - 1)) // max(count, 1)

    @property
    def _prefix(self) -> int:
        return max(len(thread) for thread in self.threads)

    @property
    def indent(self) -> int:
        """The columns of a level of depth."""
        return 2 if self.depth <= SHALLOW else 1

    @property
    def width(self) -> int:
        """The room for the text of a step."""
        return self._share if self.columns else max(self.full - self.margin - self._prefix - 3, LEAST_ROOM)

    def heading(self) -> list[str]:
        if not self.columns:
            narrow = self.full < LEAST_FOR_COLUMNS and len(self.threads) > 1
            return [f"(side by side from {SIDE_BY_SIDE} columns on)"] if narrow else []
        rules = ["-" * self._share for _ in self.threads]
        return [self._beside("", self.threads), self._beside("", rules)]

    def rows(self, number: int | str, thread: str, lines: Sequence[str]) -> Iterator[str]:
        """The lines of a step, its number beside the first."""
        for index, line in enumerate(lines):
            label = "" if index else str(number)
            if self.columns:
                yield self._beside(label, [line if name == thread else "" for name in self.threads])
            else:
                yield f"{label:>{self.margin - 2}}  {thread:<{self._prefix}} | {line}".rstrip()

    def _beside(self, label: str, cells: Sequence[str]) -> str:
        row = (" " * GAP).join(cell.ljust(self._share) for cell in cells)
        return f"{label:>{self.margin - 2}}  {row}".rstrip()


@dataclass(frozen=True)
class Holders:
    """Who holds the kernel's locks, by name: `writer` and `readers` are sets of threads, `{threadid 1}`.

    Only those locks are meant that a step names among the locks held: a lock of the module has `readers` too, and counts them.
    """

    threads: tuple[str, ...] = ()
    locks: frozenset[str] = frozenset()

    @classmethod
    def of(cls, found: Counterexample) -> Holders:
        held = [lock for locks in (*(s.locks for s in found.steps), *(t.locks for t in found.threads)) for lock in locks]
        return cls(tuple(one.thread for one in found.threads), frozenset(lock.rpartition(" (")[0] for lock in held))

    def named(self, change: Change) -> Change:
        """`vm[1].mmu_lock.readers: {} -> {threadid 1}` as `vm[1].mmu_lock readers: none -> vCPU 1`."""
        lock, _, part = change.place.rpartition(".")
        if lock not in self.locks or part not in ("writer", "readers"):
            return change
        old, new = self._names(change.old), self._names(change.new)
        return Change(f"{lock} {part}", old, new) if old and new else change

    def _names(self, value: str) -> str:
        """Empty if the value is no set, or names a thread that there is not."""
        numbers = [int(number) for number in re.findall(r"\d+", value)]
        if not value.startswith("{") or any(number >= len(self.threads) for number in numbers):
            return ""
        return " and ".join(self.threads[number] for number in numbers) or "none"


@dataclass
class Trail:
    """What the diagram has said of a thread so far, so that it need not be said again."""

    stack: list[tuple[str, int]] = field(default_factory=list)
    locks: tuple[str, ...] = ()


@dataclass
class Numbers:
    """The numbers of lines in a diagram: each names its file where that is not the file of the one above."""

    file: str = ""

    def at(self, file: str, line: int) -> str:
        same, self.file = file == self.file, file
        return str(line) if same else f"{Path(file).name}:{line}"


def schedule(
    steps: Sequence[Step],
    holders: Holders = Holders(),
    loop: int | None = None,
    width: int = WIDTH,
    race: Race | None = None,
) -> list[str]:
    """Every step, in order; a rule stands where a loop begins, and where it ends; a race is drawn after the last."""
    if not steps and not race:
        return []
    layout = Layout.of(steps, width).of_both(race)
    trails: dict[str, Trail] = {}
    numbers = Numbers()
    lines = layout.heading()
    last = ""
    for number, step in enumerate(steps, 1):
        if number - 1 == loop:
            lines.append(rule("from here on, for ever", width))
        trail = trails.setdefault(step.thread, Trail())
        resumed = step.thread != last
        items = [*entered(step, trail, resumed=resumed), *happened(step, trail, holders, numbers, resumed=resumed)]
        lines += layout.rows(number, step.thread, [line for item in items for line in item.lines(layout.width, layout.indent)])
        last = step.thread
    if race:
        lines += meeting(race, layout)
    return lines if loop is None else [*lines, rule(f"again from step {loop + 1}", width)]


def meeting(race: Race, layout: Layout) -> list[str]:
    """The step that is no whole: what it touches first, what the other thread does in between, and what it touches then."""
    rows = ((thread, [line for item in items for line in item.lines(layout.width)]) for thread, items in met(race))
    return [line for thread, lines in rows for line in layout.rows("", thread, lines)]


def met(race: Race) -> Iterator[tuple[str, list[Item]]]:
    """Who touches what, in turn."""
    numbers = Numbers()
    first, then = race.accesses
    for standing, accesses in ((race.thread, [first]), (race.partner, list(race.partner_accesses)), (race.thread, [then])):
        items = [Item(0, f"{accesses[0].function}()")]
        for one in dict.fromkeys(accesses):
            items.append(Item(1, f"{numbers.at(one.file, one.line)} {'writes' if one.written else 'reads'} {one.place}"))
        yield standing.thread, items


def rule(text: str, width: int = WIDTH) -> str:
    """A text across all columns."""
    return f"--- {text} ".ljust(width, "-")


def entered(step: Step, trail: Trail, *, resumed: bool) -> Iterator[Item]:
    """The functions that were entered since the thread's last step; or, after another thread ran, the one it goes on in."""
    if step.takes:
        return
    stack = levels(step.stack)
    known = 0 if begins(step) else sum(1 for _ in _common(stack, trail.stack))
    trail.stack = stack
    for depth, call in enumerate(step.stack):
        if depth >= known:
            yield Item(depth, f"{call.function}({call.arguments}){instead(call)}")
    if resumed and known == len(stack):
        yield Item(known - 1, f"{step.call.function}() goes on", clip=True)


def begins(step: Step) -> bool:
    """The step is the first of a call that the thread makes: it stands at the def."""
    return step.call.source.startswith("def ")


def levels(stack: Sequence[Call]) -> list[tuple[str, int]]:
    """What tells one call from another: the function, and the line of the caller. Arguments may change while it runs."""
    callers = [0, *(call.line for call in stack)]
    return [(call.function, line) for call, line in zip(stack, callers, strict=False)]


def _common(left: Sequence[object], right: Sequence[object]) -> Iterator[object]:
    for one, other in zip(left, right, strict=False):
        if one != other:
            return
        yield one


def happened(step: Step, trail: Trail, holders: Holders, numbers: Numbers, *, resumed: bool) -> Iterator[Item]:
    """The line that ran, its choice, what it changed, the events, and the locks held after it; of a first step what it read."""
    depth = len(step.stack)
    if step.takes:
        yield Item(0, "-> memory")
    elif not begins(step):
        yield Item(depth, f"{numbers.at(step.call.file, step.call.line)} {step.call.source.strip()}", clip=True)
    for number, read in enumerate(step.begins):
        if number == 0:
            yield Item(depth, f"{numbers.at(read.file, read.line)} {read.source}", clip=True)
        yield Item(depth + 1, f"reads {read.place}:", read.value)
    if step.choice is not None:
        yield Item(depth + 1, f"choice {step.choice}")
    for change in shorter([holders.named(change) for change in step.changes]):
        yield Item(depth + 1, f"{change.place}:", f"{change.old} -> {change.new}")
    for event in step.events:
        yield Item(depth + 1, f"* {event}")
    if step.locks != trail.locks or (resumed and step.locks):
        yield Item(depth + 1, "holds", ", ".join(step.locks) or "no lock")
    trail.locks = step.locks


def places(steps: Sequence[Step], width: int = WIDTH) -> list[str]:
    """Which file each function stands in, in order of appearance; not of files of this directory, whose numbers say it."""
    files: dict[str, dict[str, None]] = {}
    for call in (call for step in steps if not step.takes for call in step.stack):
        files.setdefault(short(call.file), {})[call.function] = None
    lines = [f"{file}: {', '.join(functions)}" for file, functions in files.items() if Path(file).name != file]
    return ["Lines are those of", *(line for text in lines for line in paragraph(text, 1, width))] if lines else []


def conclusion(result: Result, width: int = WIDTH) -> list[str]:
    """What broke: the property, its clause, and after how many steps; or which event the schedule leads to."""
    clause = result.clause.removeprefix(f"{result.property}: ")
    what = ": ".join(filter(None, (result.property, clause))) or "a property"
    reached = result.verdict is Verdict.REACHED
    after = [f"  {length(result.counterexample)}"] if result.counterexample else []
    return ["What it leads to" if reached else "What broke", *paragraph(result.clause if reached else what, 1, width), *after]


def length(found: Counterexample) -> str:
    """After how many steps, and whether there are none shorter; of a replay, which did not look for any, the steps alone."""
    schedule, way = {True: (", the shortest schedule", ", the shortest way there"), None: ("", "")}.get(
        found.shortest, (", not proved shortest",) * 2
    )
    if found.loop is not None:
        stem, loop = (f"{n} step{'s' if n != 1 else ''}" for n in (found.loop, len(found.steps) - found.loop))
        return f"after {stem}{way}, in a loop of {loop}"
    return f"after {len(found.steps)} step{'s' if len(found.steps) != 1 else ''}{schedule}"


def replay(result: Result, found: Counterexample, width: int = WIDTH) -> list[str]:
    """The command that shows this again, unbroken if it fits."""
    whole = command(result, found)
    if len(whole) + 2 <= width:
        return ["Replay it with", f"  {whole}"]
    return ["Replay it with", "  septum explain \\", f"    {whole.removeprefix('septum explain ')}"]


def command(result: Result, found: Counterexample) -> str:
    """`septum explain TOKEN DESIGN`, and the patch that it needs."""
    patch = ["--patch", result.patch] if result.patch else []
    return shlex.join(["septum", "explain", found.token, result.design, *patch])
