"""A race as kernel change logs draw it: a column a CPU, functions nested, and of what changed only what a reviewer looks for.

      vCPU 0                              destroy
      ----------------------------------  ----------------------------------
      pamt_put(page=12)
        range 3: refcount 1 -> 0
                                          pamt_get(page=15)
                                            ...

Steps that change nothing of that kind, take no lock and end nothing are left out, unless the failed clause depends on them; of
what one thread did alone at the start only that is shown. At most 75 columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import get_annotations

from septum.check.result import Call, Change, Counterexample, Result, Step
from septum.kvm.machine import Machine
from septum.report.calltrace import instead
from septum.report.changes import shorter
from septum.report.diagram import Holders, Layout, Trail, conclusion, levels, meeting, replay
from septum.report.text import Item, paragraph

DEEPEST = 3
"""So many of the innermost functions are named."""

TELLING: dict[str, Callable[[Change], str]] = {
    r"range\[([\d,-]+)\]\.refcount": lambda c: f"refcount {c.old} -> {c.new}",
    r"pamt\[([\d,-]+)\]\.type": lambda c: f"pair {pair(c.old)} -> {pair(c.new)}",
    r"frame\[([\d,-]+)\]\.role": lambda c: f"{c.old} -> {c.new}",
    r"frame\[([\d,-]+)\]\.type": lambda c: f"module: {c.old} -> {c.new}",
    r"table\[([\d,-]+)\]\.word\[([\d,-]+)\]": lambda c: f"{c.old} -> {c.new}",
}
POOLS = (".cnt", ".nobjs")
COUNTS = (*POOLS, ".count")
OWN = ".design."
"""Below it lies what a design keeps of its own; of its lists the counts tell enough."""

HOLDERS = (".writer", ".readers", ".waiting")
LONG_START = 4
"""So many steps of one thread before another's first are told in a line."""

NAMES = {"range": "range", "pamt": "range", "frame": "page", "table": "entry"}
DULL = {"FREE -> POOL", "FREE -> HAND", "POOL -> HAND", "HAND -> POOL", "POOL -> FREE", "0 -> uninitialised", "0 -> nonpresent"}


@dataclass
class Shown:
    """What the diagram has said of a thread."""

    stack: list[tuple[str, int]] = field(default_factory=list)
    trail: Trail = field(default_factory=Trail)


def race(result: Result) -> str:
    """The race of a counterexample; what broke, and how to see all of it."""
    found = result.counterexample
    if found is None or not (found.steps or found.race):
        return "\n".join(conclusion(result)) + "\n"
    blocks = [drawn(found), conclusion(result), replay(result, found)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def race_at_its_end(result: Result, steps: int = 6) -> str:
    """The last steps of the race alone, what broke, and how to see all of it; of a short schedule all of them."""
    found = result.counterexample
    if found is None or len(found.steps) <= 2 * steps:
        return race(result)
    blocks = [drawn(found, len(found.steps) - steps), conclusion(result), replay(result, found)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def drawn(found: Counterexample, before: int = 0) -> list[str]:
    """The diagram; of what comes `before` only how many steps that are."""
    layout = Layout.of(found.steps).of_both(found.race)
    lines = layout.heading() + ([f"     ({before} steps come before)"] if before else [])
    for number, thread, items in rows(found, before):
        lines += layout.rows(number, thread, [line for item in items for line in item.lines(layout.width)])
    return lines + (meeting(found.race, layout) if found.race else [])


def rows(found: Counterexample, before: int = 0) -> Iterator[tuple[int, str, list[Item]]]:
    """The steps that are shown, after those that come `before`: number, thread, and what is said of it."""
    holders, said, last = Holders.of(found), dict[str, Shown](), ""
    tells = telling if of_kvm(found) else plain
    alone = start(found)
    for number, step in enumerate(found.steps, 1):
        shown = said.setdefault(step.thread, Shown())
        items = list(told(step, shown, holders, tells))
        if number <= before:
            continue
        if number == len(found.steps) and not found.race:
            items.append(ending(found, step))
        if number <= alone and not step.needed:
            items = [Item(0, f"({alone} steps alone; only what matters is shown)", clip=True)] if number == 1 else []
        elif items:
            items = [*entered(step, shown, resumed=step.thread != last), *items]
        if items:
            yield number, step.thread, items
            last = step.thread


def start(found: Counterexample) -> int:
    """So many steps were taken before a second thread took one; 0 if they are few."""
    first = found.steps[0].thread if found.steps else ""
    alone = next((number for number, step in enumerate(found.steps) if step.thread != first), 0)
    return alone if alone >= LONG_START else 0


def of_kvm(found: Counterexample) -> bool:
    """The world is KVM's machine, of which not every change tells; and not that of a model of one's own."""
    roots = {re.split(r"[.\[]", change.place)[0] for step in found.steps for change in step.changes}
    return roots <= set(get_annotations(Machine))


def ending(found: Counterexample, step: Step) -> Item:
    """The line that fails, or what the last thread waits for."""
    depth = min(len(step.stack), DEEPEST)
    waits_for = next((one.waits_for for one in found.threads if one.thread == step.thread and one.state == "blocked"), "")
    if waits_for:
        return Item(depth, f"waits for {waits_for}")
    return Item(depth, step.call.source.strip().removeprefix("assert ").removesuffix(", ("), clip=True)


def told(step: Step, shown: Shown, holders: Holders, tells: Callable[[Change], str]) -> Iterator[Item]:
    """What changed that tells, and all by which the failed clause depends on the step; the locks if they changed."""
    depth = min(len(step.stack), DEEPEST)
    for touch in step.touches:
        if not touch.written and not touch.place.endswith(HOLDERS):
            yield Item(depth, f"reads {touch.place}:", touch.value)
    matters = {touch.place for touch in step.touches if touch.written and not touch.place.endswith(HOLDERS)}
    kept = [change for change in step.changes if change.place in matters or tells(change)]
    for change in shorter(kept):
        yield Item(depth, tells(change) or plain(change))
    taken = [lock for lock in step.locks if lock not in shown.trail.locks]
    left = [lock for lock in shown.trail.locks if lock not in step.locks]
    shown.trail.locks = step.locks
    for what, locks in (("takes and releases", step.passed), ("takes", taken), ("releases", left)):
        if locks:
            yield Item(depth, f"{what} {', '.join(short_lock(lock) for lock in locks)}")


def plain(change: Change) -> str:
    """A change as it is; of a lock's holders nothing, which are told as locks."""
    return "" if change.place.endswith(HOLDERS) else f"{change.place}: {change.old} -> {change.new}"


def telling(change: Change) -> str:
    """`range 3: refcount 1 -> 0`; nothing for a change of another kind."""
    if change.place.endswith(POOLS) or (OWN in change.place and not change.place.endswith("]")):
        return plain(change)
    for pattern, text in TELLING.items():
        match = re.fullmatch(pattern, change.place)
        if match:
            what = text(change)
            name = NAMES[pattern.partition("\\")[0]]
            of = f"{name} {match[1]}[{match[2]}]" if name == "entry" else f"{name} {match[1]}"
            return "" if what in DULL else f"{of}: {what}"
    return ""


def pair(kind: str) -> str:
    return {"PAMT": "installed", "NDA": "none", "REG": "2M page"}.get(kind, kind)


def short_lock(lock: str) -> str:
    """`vm[1].mmu_lock (write)` as `mmu_lock (write)`."""
    name, _, mode = lock.rpartition(" (")
    spelled = name if name.endswith(".lock") else name.rpartition(".")[2]
    return f"{spelled} ({mode}" if mode != "write)" or spelled == "mmu_lock" else spelled


def entered(step: Step, shown: Shown, *, resumed: bool) -> Iterator[Item]:
    """The innermost functions, as far as the diagram has not named them just before."""
    stack, calls = levels(step.stack)[-DEEPEST:], step.stack[-DEEPEST:]
    same = not resumed
    for depth, (level, call) in enumerate(zip(stack, calls, strict=True)):
        same = same and depth < len(shown.stack) and shown.stack[depth] == level
        if not same:
            yield Item(depth, call_text(call), clip=True)
    shown.stack = stack


def call_text(call: Call) -> str:
    return f"{call.function}({call.arguments}){instead(call)}"


def state_that_matters(found: Counterexample) -> list[str]:
    """Every telling place that the schedule changed, before the first step and after the last; and the locks held then."""
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for change in (change for step in found.steps for change in step.changes):
        first.setdefault(change.place, change.old)
        last[change.place] = change.new
    changed = [Change(place, old, last[place]) for place, old in first.items() if old != last[place]]
    telling_ones = [one for one in changed if telling(one) or one.place.endswith(COUNTS)]
    lines = [line for one in shorter(telling_ones) for line in paragraph(f"{one.place}: {one.old} -> {one.new}", 1)]
    for thread in found.threads:
        if thread.locks:
            lines += paragraph(f"{thread.thread} holds {', '.join(thread.locks)}", 1)
    return ["State that matters, before the first step -> after the last", *lines] if lines else []
