"""A replay for a reader: how the trace was read, what the model followed, and where it could not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import accumulate, pairwise
from typing import Any

from septum.replay.result import Divergence, Group, Result, Sample, Verdict
from septum.replay.traced.events import Step
from septum.replay.words import STEPS
from septum.report.numbers import duration, memory
from septum.report.paragraphs import wrapped

PAGE = 4096
SIZES = (("4K", PAGE), ("2M", PAGE << 9), ("1G", PAGE << 18))
TABLE_STEPS = 8
ROWS = 12
NO_PROGRESS = 1000


def render(result: Result, *, width: int = 80) -> str:
    """The whole report; only lines of the trace may be longer than `width`."""
    parts = [head(result, width), reading(result, width), summary(result, width), mapped(result)]
    parts += [divergence(group, width, number, len(result.groups)) for number, group in enumerate(result.groups, 1)]
    return "\n".join(part for part in [*parts, verdict(result, width)] if part)


def head(result: Result, width: int) -> str:
    """What the trace was read as."""
    of = result.reading
    lasts = "" if not result.steps else f", {lasting(result)}"
    lines = [
        f"{result.trace}: {of.lines:,} lines, {of.events:,} events{lasts}",
        f"Kernel {result.kernel} ({result.kernel_from}); {result.format} ({result.format_from}); VMs: {result.vms}.",
        *(f"Note: {note}." for note in result.notes),
    ]
    return "".join(f"{wrapped(line, width)}\n" for line in lines)


def lasting(result: Result) -> str:
    """How long the trace is, by its clock."""
    lasts = result.ends - result.begins
    return duration(lasts) if result.clock == "seconds" else f"{lasts:,.0f} ticks"


def reading(result: Result, width: int) -> str:
    """What could not be used of the trace; empty if that is nothing."""
    of, lines = result.reading, []
    if of.losses:
        lines.append(
            f"events lost {of.losses:,} times, {f'{of.lost:,}' if of.lost else 'an unknown number'} in all; after each, "
            "entries are learned anew"
        )
    if of.unreadable:
        lines.append(
            f"{of.unreadable:,} lines of events of KVM could not be read (cut, or with numbers out of range); each counts as a "
            "loss"
        )
    if of.too_long:
        lines.append(f"{of.too_long:,} lines are longer than 64 KiB and were passed over")
    if of.twice:
        lines.append(f"{of.twice:,} samples were there twice, byte for byte; the second was dropped")
    other = {"of stacks": of.stacks, "of quotes": of.quotes, "of other text": of.other_text}
    if any(other.values()):
        counts = ", ".join(f"{count:,} {name}" for name, count in other.items() if count)
        lines.append(f"lines that are no events, passed over: {counts}")
    if of.unknown:
        names = ", ".join(f"{name} {count}" for name, count in sorted(of.unknown.items(), key=lambda item: -item[1])[:6])
        lines.append(f"{sum(of.unknown.values()):,} events of other kinds passed over: {names}")
    if of.shadow:
        lines.append(f"{of.shadow:,} events of shadow pages, which are not followed")
    if of.reordered:
        lines.append(f"{of.reordered:,} lines were put in order by time, by up to {of.worst_back * 1000:.3f} ms")
    if of.backwards:
        lines.append(f"{of.backwards} times the clock of one CPU went back; the order of its lines was kept")
    if of.truncated:
        lines.append(of.truncated)
    return "\n".join(["Reading:", *(wrapped(f"  {line}", width) for line in lines), ""]) if lines else ""


def summary(result: Result, width: int) -> str:
    """The steps that the events told of, and the rules that explained what no event shows."""
    if not result.steps:
        return ""
    rows = [("step", "times", "time in it")]
    for name in STEPS.values():
        if name in result.steps:
            spent = result.seconds_in.get(name, 0)
            rows.append((name, f"{result.steps[name]:,}", took(spent) if result.clock == "seconds" else f"{spent:,.0f} ticks"))
    rows += [(name, f"{count:,}", "") for name, count in races(result)]
    text = columns(rows) + spurious(result, width)
    if result.rules:
        rules = ", ".join(f"{name} {count:,}" for name, count in result.rules.items())
        text += "\n" + wrapped(f"Rules that explained what no event shows: {rules} (docs/replay.md).", width) + "\n"
    return text


def columns(rows: Sequence[Sequence[str]]) -> str:
    """A table without a frame: a rule below its heading, the first column at the left, the others at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(size) if i else cell.ljust(size) for i, (cell, size) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "".join(f"{line.rstrip()}\n" for line in (lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]))


def spurious(result: Result, width: int) -> str:
    """Faults that needed no fixing, by GFN; many on one GFN in a row are a guest that stands still."""
    of = result.spurious
    if not of.gfns:
        return ""
    counts = ", ".join(f"gfn {gfn:x} {count:,}" for gfn, count in of.gfns[:6])
    text = "\n" + wrapped(f"Spurious faults, for which the entry already allowed the access: {counts}.", width) + "\n"
    if of.run >= NO_PROGRESS:
        stuck = f"Thread {of.run_pid} took {of.run:,} of them in a row on gfn {of.run_gfn:x}: its guest makes no progress."
        text += wrapped(stuck, width) + "\n"
    return text


def races(result: Result) -> Iterator[tuple[str, int]]:
    """What the counts say of races: retries, spurious faults, events of two CPUs on one entry."""
    steps = result.steps
    if result.met:
        yield "races: two CPUs fault on one GFN", result.met
    asked, reported, spurious = (steps.get(name, 0) for name in ("ask for a page", "report what was mapped", SPURIOUS))
    if asked > reported + spurious:
        yield "races: a fault retried after the walk", asked - reported - spurious
    fast = steps.get("fix a fault without the lock", 0) + steps.get("fail to fix a fault without the lock", 0)
    early = steps.get("take a fault", 0) - asked - fast
    if asked and early > 0:
        yield "races: a fault retried before the walk", early
    for rule, name in (
        ("overtaken", "races: events of two CPUs in the wrong order"),
        ("read-ahead", "races: an entry read after the next change"),
        ("unlinked-page", "races: a table that was never linked"),
    ):  # fmt: skip
        if rule in result.rules:
            yield name, result.rules[rule]


SPURIOUS = "find the page mapped already"


def took(seconds: float) -> str:
    """A time with three figures: 12.3 us, 4.56 ms, 7.89 s."""
    if not seconds:
        return ""
    for unit, size in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def mapped(result: Result) -> str:
    """What was mapped by page size, where that changed, at a dozen times over the trace."""
    samples = telling(result.samples, ROWS)
    used = [n for n in range(len(SIZES)) if any(one.leaves[n] for one in samples)]
    if not used:
        return ""
    digits = 0 if result.clock == "ticks" else 3 if samples[-1].time - samples[0].time > 1 else 6
    rows = [("time", *(SIZES[n][0] for n in used), "mapped")]
    for one in samples:
        total = sum(count * size for count, (_, size) in zip(one.leaves, SIZES, strict=True))
        rows.append((f"{one.time:.{digits}f}", *(f"{one.leaves[n]:,}" for n in used), memory(total)))
    return "Mapped pages by size over time:\n" + columns(rows)


def telling(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` of the samples: the first, the last, of each size the first that has pages of it and the one with most, and
    those between which most changes."""
    kept = {0, len(samples) - 1} if samples else set()
    for level in range(len(SIZES)):
        counts = [one.leaves[level] for one in samples]
        if any(counts):
            kept |= {next(index for index, number in enumerate(counts) if number), counts.index(max(counts))}
    changed = _changed(samples)
    while len(kept) < min(count, len(samples)):
        gaps = list(pairwise(sorted(kept)))
        left, right = max(gaps, key=lambda gap: (gap[1] - gap[0] > 1, changed[gap[1]] - changed[gap[0]], gap[1] - gap[0]))
        if right - left <= 1:
            break
        kept.add(_middle(changed, left, right))
    return [samples[index] for index in sorted(kept)[:count]]


def _changed(samples: Sequence[Sample]) -> list[int]:
    """Of each sample how many bytes changed up to it."""
    changes = (
        sum(abs(size * (b - a)) for a, b, (_, size) in zip(one.leaves, two.leaves, SIZES, strict=True))
        for one, two in pairwise(samples)
    )
    return list(accumulate(changes, initial=0))


def _middle(changed: Sequence[int], left: int, right: int) -> int:
    """The sample between two by which half of the change between them has happened; of no change the one in the middle."""
    found = bisect_left(changed, (changed[left] + changed[right]) / 2, left + 1, right)
    return found if found < right else (left + right) // 2


def evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` of the samples, evenly by time, with the first and the last."""
    if len(samples) <= count:
        return list(samples)
    begin, end = samples[0].time, samples[-1].time
    wanted = [begin + (end - begin) * i / (count - 1) for i in range(count)]
    found: list[Sample] = []
    at = 0
    for time in wanted:
        while at + 1 < len(samples) and samples[at + 1].time <= time:
            at += 1
        if not found or found[-1] is not samples[at]:
            found.append(samples[at])
    return found


def divergence(group: Group, width: int, number: int, of: int) -> str:
    """A divergence with all that is known about it; further ones of its kind by line."""
    found = group.first
    title = f"Divergence at line {found.at.number}" + (
        f" ({number} of {of} kinds, {group.count:,} times)" if of > 1 or group.count > 1 else ""
    )
    lines = [title, "=" * len(title), "", found.at.text.strip(), ""]
    claim = "No step of the model explains it:" if found.step == STEPS[Step.NONE] else f"The model would {found.step}, but"
    lines.append(wrapped(f"{claim} {found.guard}.", width))
    if found.holds:
        lines.append(wrapped(f"It holds {found.holds} there.", width))
    lines.append(wrapped(f"{found.explained:,} events before it are explained.", width))
    lines += _path(found) + _before(found) + _alternatives(found, width)
    if group.count > 1:
        more = ", ".join(map(str, group.lines[1:])) + (", ..." if group.count > len(group.lines) else "")
        lines += ["", wrapped(f"The same at lines {more}.", width)]
    return "\n".join([*lines, ""])


def _path(found: Divergence) -> list[str]:
    if not found.path:
        return []
    shown = [f"  level {one.level}  [{one.index:3}]  gfn {one.gfn:<10x} {one.word}" for one in found.path]
    return ["", "The tree on the way to it:", *shown]


def _before(found: Divergence) -> list[str]:
    if not found.before:
        return []
    return ["", "Events before it on the same GFN:", *(f"  {one.number}: {one.text.strip()}" for one in found.before)]


def _alternatives(found: Divergence, width: int) -> list[str]:
    if not found.alternatives:
        return []
    reasons: dict[str, list[str]] = {}
    for step, guard in found.alternatives:
        reasons.setdefault(guard, []).append(step)
    shown = [wrapped(f"  {', '.join(steps)}: {guard}", width) for guard, steps in reasons.items()]
    return ["", "Other steps, and what stands in the way of each first:", *shown]


def verdict(result: Result, width: int) -> str:
    """The last line."""
    if result.verdict is Verdict.NOTHING:
        end = "" if result.reason.endswith("?") else "."
        return wrapped(f"Nothing to follow: {result.reason}{end}", width) + "\n"
    rate = f"{result.reading.events / result.seconds:,.0f} events/s" if result.seconds else ""
    if result.verdict is Verdict.FOLLOWED:
        claim = f"Every event{' that was read' if result.reading.truncated else ''} is explained"
        text = f"{claim}{trust(result)}: {result.followed:,} followed in {duration(result.seconds)} ({rate}). {left_over(result)}"
    else:
        count = sum(group.count for group in result.groups)
        went = "" if count > 1 else " (--keep-going lists all)"
        text = f"{count:,} divergence{'s' if count != 1 else ''}{went}; {result.followed:,} events explained ({rate})."
    return wrapped(text.strip(), width) + "\n" + wrapped(compared(result), width) + "\n"


def trust(result: Result) -> str:
    """What a reader must know of a pass that compared too little."""
    of = result.checked
    return f", but {of.learned:,} of {of.compared + of.learned:,} changes were taken on trust" if of.poorly else ""


def compared(result: Result) -> str:
    """How many changes the verdict is about."""
    of = result.checked
    return (
        f"Changes compared with what the entry held: {of.compared:,}; of entries of which nothing was known, and which were "
        f"learned: {of.learned:,}."
    )


def left_over(result: Result) -> str:
    """What is mapped at the end of the trace."""
    if not any(result.leaves):
        return "Nothing is left mapped."
    held = ", ".join(f"{count:,} x {size}" for count, (size, _) in zip(result.leaves, SIZES, strict=True) if count)
    return f"Mapped at the end: {held}."


def document(result: Result) -> dict[str, Any]:
    """Every field of the Result, for JSON; docs/replay.md describes it."""
    return {**asdict(result), "verdict": str(result.verdict)}


def sizes(samples: Iterable[Sample]) -> list[tuple[float, tuple[int, ...]]]:
    """Bytes mapped by page size over time."""
    return [(one.time, tuple(count * size for count, (_, size) in zip(one.leaves, SIZES, strict=True))) for one in samples]
