"""A counterexample as kernel change logs draw a race: a column for each CPU, time runs down.

      CPU 0                               CPU 1
      ----------------------------------  ----------------------------------
   1  tdp_mmu_link_sp(page 5)
        112 old = m.page[parent].spt[i]
   2                                      tdp_mmu_link_sp(page 6)
                                            ...

At most 75 columns, for a mail. Functions are named as they are entered, indented by depth; locks are named where they change.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from septum.check.result import Call, Change, Counterexample, Result, Standing, Step
from septum.report.changes import shorter

WIDTH = 75
NARROWEST = 30
"""A column for a thread is at least so wide; more threads than fit share one column, each line with its thread's name."""

GAP = 2
LEAST_ROOM = 20
SHALLOW = 4
"""Up to so many levels of calls are indented by two columns each, deeper schedules by one."""


def diagram(result: Result) -> str:
    """The schedule, where every thread stands at its end, what broke, and how to see it again."""
    found = result.counterexample
    if found is None:
        return "\n".join(conclusion(result)) + "\n"
    blocks = [
        schedule(found.steps, Holders.of(found), found.loop),
        places(found.steps),
        ending(found.threads),
        conclusion(result),
        replay(result, found),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


_JOINT = "\N{WORD JOINER}"
"""Stands where a long word may be broken, and goes where it was not."""


@dataclass(frozen=True)
class Item:
    """A piece of text below an indentation; clipped to one line, or wrapped. A `tail` goes on, or below where it does not fit."""

    depth: int
    text: str
    tail: str = ""
    clip: bool = False

    def lines(self, width: int, indent: int = 2) -> list[str]:
        room = width - min(indent * self.depth, max(width - LEAST_ROOM, 0))
        return [" " * (width - room) + line for line in self._texts(room)]

    def _texts(self, room: int) -> list[str]:
        if self.clip:
            return [self.text if len(self.text) <= room else f"{self.text[: room - 3]}..."]
        whole = f"{self.text} {self.tail}" if self.tail else self.text
        if not self.tail or len(whole) <= room:
            return wrapped(whole, room)
        *head, last = wrapped(self.text, room)
        if head and len(last) + 1 + len(self.tail) <= room:
            return [*head, f"{last} {self.tail}"]
        return [*head, last, *(f"  {line}" for line in wrapped(self.tail, room - 2))]


def wrapped(text: str, room: int) -> list[str]:
    """Lines of at most `room` columns. A number stays with its word; a word too long for a line breaks at a dot or a bracket."""
    whole = re.sub(r"(?<=\w) (?=\d)", "\N{NO-BREAK SPACE}", text)
    words = [re.sub(r"(?<=.)(?=\.)|(?<=\()", f" {_JOINT}", word) if len(word) > room - 2 else word for word in whole.split(" ")]
    lines = textwrap.wrap(" ".join(words), room, subsequent_indent="  ", break_on_hyphens=False)
    return [re.sub(rf"(?<=\S) {_JOINT}|{_JOINT}", "", line).replace("\N{NO-BREAK SPACE}", " ") for line in lines]


@dataclass(frozen=True)
class Layout:
    """Where the text of each thread goes: in its own column, or behind its name."""

    threads: tuple[str, ...]
    margin: int
    depth: int

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Layout:
        threads = tuple(dict.fromkeys(step.thread for step in steps))
        return cls(threads, len(str(len(steps))) + 3, max(len(step.stack) for step in steps))

    @property
    def columns(self) -> bool:
        return self._share >= NARROWEST

    @property
    def _share(self) -> int:
        count = len(self.threads)
        return (WIDTH - self.margin - GAP * (count - 1)) // max(count, 1)

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
        return self._share if self.columns else WIDTH - self.margin - self._prefix - 3

    def heading(self) -> list[str]:
        if not self.columns:
            return []
        rules = ["-" * self._share for _ in self.threads]
        return [self._beside("", self.threads), self._beside("", rules)]

    def rows(self, number: int, thread: str, lines: Sequence[str]) -> Iterator[str]:
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
    """Who holds the kernel's locks, by name: `writer` and `readers` are sets of threads, a bit each.

    Only those locks are meant that a step names among the locks held: a lock of the module has `readers` too, and counts them.
    """

    threads: tuple[str, ...] = ()
    locks: frozenset[str] = frozenset()

    @classmethod
    def of(cls, found: Counterexample) -> Holders:
        held = [lock for locks in (*(s.locks for s in found.steps), *(t.locks for t in found.threads)) for lock in locks]
        return cls(tuple(one.thread for one in found.threads), frozenset(lock.rpartition(" (")[0] for lock in held))

    def named(self, change: Change) -> Change:
        """`vm[1].mmu_lock.readers: 0 -> 2` as `vm[1].mmu_lock readers: none -> vCPU 1`."""
        lock, _, part = change.place.rpartition(".")
        if lock not in self.locks or part not in ("writer", "readers"):
            return change
        old, new = self._names(change.old), self._names(change.new)
        return Change(f"{lock} {part}", old, new) if old and new else change

    def _names(self, value: str) -> str:
        """Empty if the value names a thread that there is not."""
        mask = int(value) if value.isdecimal() else -1
        if mask < 0 or mask >> len(self.threads):
            return ""
        return " and ".join(name for index, name in enumerate(self.threads) if mask >> index & 1) or "none"


@dataclass
class Trail:
    """What the diagram has said of a thread so far, so that it need not be said again."""

    stack: list[tuple[str, int]] = field(default_factory=list)
    locks: tuple[str, ...] = ()


def schedule(steps: Sequence[Step], holders: Holders = Holders(), loop: int | None = None) -> list[str]:
    """Every step, in order; a rule stands where a loop begins, and where it ends."""
    if not steps:
        return []
    layout = Layout.of(steps)
    trails: dict[str, Trail] = {}
    lines = layout.heading()
    last = ""
    for number, step in enumerate(steps, 1):
        if number - 1 == loop:
            lines.append(rule("from here on, for ever"))
        trail = trails.setdefault(step.thread, Trail())
        resumed = step.thread != last
        items = [*entered(step, trail, resumed=resumed), *happened(step, trail, holders, resumed=resumed)]
        lines += layout.rows(number, step.thread, [line for item in items for line in item.lines(layout.width, layout.indent)])
        last = step.thread
    return lines if loop is None else [*lines, rule(f"again from step {loop + 1}")]


def rule(text: str) -> str:
    """A text across all columns."""
    return f"--- {text} ".ljust(WIDTH, "-")


def entered(step: Step, trail: Trail, *, resumed: bool) -> Iterator[Item]:
    """The functions that were entered since the thread's last step; or, after another thread ran, the one it goes on in."""
    stack = levels(step.stack)
    known = 0 if begins(step) else sum(1 for _ in _common(stack, trail.stack))
    trail.stack = stack
    for depth, call in enumerate(step.stack):
        if depth >= known:
            yield Item(depth, f"{call.function}({call.arguments})")
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


def happened(step: Step, trail: Trail, holders: Holders, *, resumed: bool) -> Iterator[Item]:
    """The line that ran, its choice, what it changed, the events, and the locks held after it."""
    depth = len(step.stack)
    if not begins(step):
        yield Item(depth, f"{step.call.line} {step.call.source.strip()}", clip=True)
    if step.choice is not None:
        yield Item(depth + 1, f"choice {step.choice}")
    for change in shorter([holders.named(change) for change in step.changes]):
        yield Item(depth + 1, f"{change.place}:", f"{change.old} -> {change.new}")
    for event in step.events:
        yield Item(depth + 1, f"* {event}")
    if step.locks != trail.locks or (resumed and step.locks):
        yield Item(depth + 1, "holds", ", ".join(step.locks) or "no lock")
    trail.locks = step.locks


def places(steps: Sequence[Step]) -> list[str]:
    """Which file each function stands in, in order of appearance."""
    files: dict[str, dict[str, None]] = {}
    for call in (call for step in steps for call in step.stack):
        files.setdefault(short(call.file), {})[call.function] = None
    lines = [f"{file}: {', '.join(functions)}" for file, functions in files.items()]
    return ["Lines are those of", *(line for text in lines for line in paragraph(text, 1))] if lines else []


def ending(threads: Sequence[Standing]) -> list[str]:
    """Where every thread stands, what it holds, whom it waits for."""
    return ["At the end", *(line for thread in threads for line in standing(thread))] if threads else []


def standing(thread: Standing) -> list[str]:
    where = thread.stack[-1] if thread.stack else None
    at = f", in {where.function}(), {short(where.file)}:{where.line}: {where.source.strip()}" if where else ""
    lines = paragraph(f"{thread.thread}: {thread.state}{at}", 1)
    if thread.locks:
        lines += paragraph(f"holds {', '.join(thread.locks)}", 3)
    if thread.waits_for:
        lines += paragraph(f"waits for {thread.waits_for}", 3)
    return lines


def paragraph(text: str, depth: int) -> list[str]:
    return Item(depth, text).lines(WIDTH)


def conclusion(result: Result) -> list[str]:
    """What broke: the property, its clause, and after how many steps."""
    clause = result.clause.removeprefix(f"{result.property}: ")
    what = ": ".join(filter(None, (result.property, clause))) or "a property"
    return ["What broke", *paragraph(what, 1), *([f"  {length(result.counterexample)}"] if result.counterexample else [])]


def length(found: Counterexample) -> str:
    """After how many steps, and whether there are none shorter; of a replay, which did not look for any, the steps alone."""
    schedule, way = {True: (", the shortest schedule", ", the shortest way there"), None: ("", "")}.get(
        found.shortest, (", not proved shortest",) * 2
    )
    if found.loop is not None:
        stem, loop = (f"{n} step{'s' if n != 1 else ''}" for n in (found.loop, len(found.steps) - found.loop))
        return f"after {stem}{way}, in a loop of {loop}"
    return f"after {len(found.steps)} step{'s' if len(found.steps) != 1 else ''}{schedule}"


def replay(result: Result, found: Counterexample) -> list[str]:
    """The command that shows this again, unbroken if it fits."""
    whole = command(result, found)
    if len(whole) + 2 <= WIDTH:
        return ["Replay it with", f"  {whole}"]
    return ["Replay it with", "  septum explain \\", f"    {whole.removeprefix('septum explain ')}"]


def command(result: Result, found: Counterexample) -> str:
    """`septum explain TOKEN DESIGN`."""
    return f"septum explain {shlex.quote(found.token)} {shlex.quote(result.design)}"


def short(file: str) -> str:
    """A file as seen from the working directory, or else from the directory that holds the septum package."""
    path = Path(file)
    for root in (Path.cwd(), Path(__file__).parents[2]):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return file
