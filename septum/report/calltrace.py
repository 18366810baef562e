"""Where every thread stands at the end: its calls, the innermost first, each with file and line, as a kernel prints a stack.

destroy: failed, holds pamt_lock (write), vm[1].mmu_lock (write)
    check_counted() septum/kvm/seam/pamt.py:135
      assert m.frame[page].role != Role.FREE, f"custody: page {page} is put after it was freed"
    pamt_put() septum/kvm/seam/pamt_always_lock.py:41
  > free_external_spt() order.py:21
      yield from ops.pamt_put(m, external)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from septum.check.result import Call, Standing
from septum.report.text import WIDTH, Item, paragraph

DESIGNS = str(Path("septum", "designs"))
PACKAGE = Path(__file__).parents[1]


def ending(threads: Sequence[Standing], width: int = WIDTH) -> list[str]:
    """Every thread, the failed one first, with what it holds, whom it waits for, and its calls."""
    if not threads:
        return []
    first = sorted(threads, key=lambda one: one.state != "failed")
    return [heading(threads), *(line for thread in first for line in standing(thread, width))]


def heading(threads: Sequence[Standing]) -> str:
    """What the marks mean, if there are any."""
    marked = [short(call.file) for one in threads for call in one.stack if own(call.file)]
    if not marked:
        return "At the end"
    whose = "the design's lines" if all(file.startswith(DESIGNS) for file in marked) else "your own lines"
    return f"At the end (innermost call first; > marks {whose})"


def standing(thread: Standing, width: int = WIDTH) -> Iterator[str]:
    """One thread."""
    holds = f"holds {', '.join(thread.locks)}" if thread.locks else ""
    yield from paragraph(f"{thread.thread}: {', '.join(filter(None, (thread.state, holds)))}", 1, width)
    if thread.waits_for:
        yield from paragraph(f"waits for {thread.waits_for}", 2, width)
    if thread.state != "not started":
        yield from calls(thread.stack, width)


def calls(stack: Sequence[Call], width: int = WIDTH) -> Iterator[str]:
    """A stack, the innermost call first; the source of that one and of those that are the reader's."""
    for number, call in enumerate(reversed(stack)):
        mark = ">" if own(call.file) else " "
        yield from Item(2, f"{mark} {call.function}(){instead(call)}", f"{short(call.file)}:{call.line}").lines(width)
        if number == 0 or own(call.file):
            yield from paragraph(call.source.strip(), 4, width)


def instead(call: Call) -> str:
    """` for set_external_spte() of the core`: a function that a design has put in its place."""
    return f" for {call.replaces}() of the core" if call.replaces else ""


def own(file: str) -> bool:
    """The file is a design, or a user's."""
    shown = short(file)
    return not shown.startswith("septum/") or shown.startswith(DESIGNS)


def short(file: str) -> str:
    """A file as seen from the working directory, or else from the directory that holds the septum package."""
    path = Path(file)
    for root in (Path.cwd(), PACKAGE.parent):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return file
