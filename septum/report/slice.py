"""A counterexample cut down to the steps on which the failed clause depends, each with the lines and places by which it does.

    vCPU 0                              destroy
    ----------------------------------  ----------------------------------
14  init_sp()
      tdp_mmu.py:287 m.sp[sp].external_spt = external
        sp[16].external_spt: none -> pfn 7
80                                      free_external_spt()
                                          order.py:16 external = m.sp[spt].external_spt
                                            reads sp[16].external_spt: pfn 7
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from septum.check.result import Change, Counterexample, Result, Step, Touch
from septum.report.changes import shorter
from septum.report.diagram import Holders, Layout, Numbers, begins, framed, meeting, rule, whole
from septum.report.text import WIDTH, Item, paragraph


def slice_of(result: Result, width: int = WIDTH) -> str:
    """The slice, or the whole where no step can be left out; where all stand at the end, what broke, and how to see it again."""
    found = result.counterexample
    assert found is not None
    drawing = [drawn(found, width)] if has_slice(result) else whole(found, width)
    return framed(result, found, [*drawing, left_out(found, width)], width)


def has_slice(result: Result) -> bool:
    """Steps are left out of it, and what matters is not."""
    found = result.counterexample
    return found is not None and not all(step.needed for step in found.steps) and bool(found.race or needed(found))


def needed(found: Counterexample) -> list[tuple[int, Step]]:
    """The needed steps, with their numbers in the whole schedule."""
    return [(number, step) for number, step in enumerate(found.steps, 1) if step.needed]


def drawn(found: Counterexample, width: int = WIDTH) -> list[str]:
    """The needed steps; a rule stands where a loop begins, and where it ends; a race is drawn after the last."""
    holders, numbers, last = Holders.of(found), Numbers(), ("", "")
    layout = Layout.of([step for _, step in needed(found)], width, len(found.steps)).of_both(found.race)
    lines = layout.heading()
    for number, step in needed(found):
        if number - 1 == found.loop:
            lines.append(rule("from here on, for ever", width))
        items: list[Item] = []
        for function, touches in groupby(touched(step), lambda touch: touch.function):
            if (step.thread, function) != last:
                items.append(Item(0, f"{function}()"))
            last = (step.thread, function)
            items += lines_of(step, list(touches), holders, numbers)
        if not items:
            items = list(untouched(step, numbers))
            last = (step.thread, step.call.function)
        lines += layout.rows(number, step.thread, [line for item in items for line in item.lines(layout.width)])
    if found.race:
        lines += meeting(found.race, layout)
    return lines if found.loop is None else [*lines, rule(f"again from step {found.loop + 1}", width)]


def touched(step: Step) -> list[Touch]:
    """The places in the order of the run; what a line both reads and writes is written. What was waited for gets a line."""
    written = {(touch.place, touch.line, touch.file) for touch in step.touches if touch.written}
    kept = [touch for touch in step.touches if touch.written or (touch.place, touch.line, touch.file) not in written]
    return [touch if touch.file else _waited(touch, step) for touch in kept]


def _waited(touch: Touch, step: Step) -> Touch:
    """What a thread waits for is read at the line at which it waits."""
    call = step.call
    return Touch(touch.place, touch.value, touch.written, call.function, call.file, call.line, call.source.strip())


def lines_of(step: Step, touches: Sequence[Touch], holders: Holders, numbers: Numbers) -> Iterator[Item]:
    """Each line, with the places below it."""
    olds = {change.place: change.old for change in step.changes}
    for (file, line), group in groupby(touches, lambda touch: (touch.file, touch.line)):
        same = list(group)
        yield Item(1, f"{numbers.at(file, line)} {same[0].source}", clip=True)
        writes = [Change(one.place, olds.get(one.place, one.value), one.value) for one in same if one.written]
        for change in shorter([holders.named(one) for one in writes]):
            yield Item(2, f"{change.place}:", f"{change.old} -> {change.new}" if change.old != change.new else change.new)
        for one in same:
            if not one.written:
                named = holders.named(Change(one.place, one.value, one.value))
                yield Item(2, f"reads {named.place}:", named.new)


def untouched(step: Step, numbers: Numbers) -> Iterator[Item]:
    """A step that is needed for its choice, or as the last."""
    yield Item(0, f"{step.call.function}()")
    if not begins(step):
        yield Item(1, f"{numbers.at(step.call.file, step.call.line)} {step.call.source.strip()}", clip=True)
    if step.choice is not None:
        yield Item(2, f"choice {step.choice}")


def left_out(found: Counterexample, width: int = WIDTH) -> list[str]:
    """How many steps are not shown, and whose."""
    if not found.race and not needed(found):  # nothing is known
        return []
    counts: dict[str, int] = {}
    for step in found.steps:
        if not step.needed:
            counts[step.thread] = counts.get(step.thread, 0) + 1
    total, fails = sum(counts.values()), what_fails(found)
    if not total:
        return paragraph(f"No step is left out: {fails} depends on each.", 0, width) if found.steps else []
    of = ", ".join(f"{count} of {thread}" for thread, count in counts.items())
    verb, on = ("is", "it") if total == 1 else ("are", "them")
    text = f"{total} step{'s' if total != 1 else ''} {verb} left out ({of}): {fails} does not depend on {on}."
    return paragraph(text, 0, width)


def what_fails(found: Counterexample) -> str:
    if found.race:
        return "the race"
    return "the loop" if found.loop is not None else "the failed clause"
