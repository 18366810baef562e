"""A schedule for other tools: a file for pytest, a trace in ITF (Apalache, Quint), one in the format that Perfetto opens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from septum.check.result import Result, Step
from septum.explore.build import PROGRESS, RACE, Build
from septum.kvm.versions import KERNEL, RELEASES
from septum.lang.memory import MEMORY, STORE_BUFFER
from septum.lang.places import Places
from septum.lang.types import Array, Boolean, EnumType, Packed, Scalar, SetOf, scope
from septum.report.diagram import levels
from septum.tdx.versions import MODULE, VERSIONS, version_number

Schedule = Sequence[tuple[int, int]]
EXACT = 1 << 53
"""From here on a reader of JSON may not keep a number exactly."""

STEP_MICROSECONDS = 1000
ITF = "https://apalache-mc.org/docs/adr/015adr-trace.html"


def as_pytest(result: Result, build: Build, schedule: Schedule, sizes: Mapping[str, int]) -> str:
    """Two tests that fail as long as the design lets the failure happen: one takes the schedule, one explores the scenario."""
    named = f"{_text(result.design)}, {_text(result.scenario)}"
    name = "".join(one if one.isalnum() else "_" for one in f"{result.scenario}_{result.property}").lower()
    lines = ['"""' + _quoted(f"{result.design}, {result.scenario}: {result.clause}") + '"""', "", "import septum"]
    given = f", {json.dumps(dict(sizes))}" if sizes else ""
    given += f", excepted={_excepted(build)}" if build.excepted else ""
    by_schedule = result.property not in (PROGRESS, RACE)
    if by_schedule:
        lines += ["from septum.check.schedules import follow", "", "SCHEDULE = ["]
        for thread, steps in groupby(schedule, lambda step: step[0]):
            choices = groupby(choice for _, choice in steps)
            taken = " + ".join(f"[{choice}]{_times(len(list(same)))}" for choice, same in choices)
            lines.append(f"    ({_text(build.threads[thread].name)}, {taken}),")
        lines += ["]", '"""Who runs, and the choice of each of its steps."""']
        lines += ["", "", f"def test_schedule_{name}() -> None:", f"    follow({named}, SCHEDULE{given})"]
    arguments = "".join(f", {one}" for one in _arguments(result, build, sizes))
    lines += ["", "", f"def test_{name}() -> None:", f"    assert septum.check({named}{arguments}).holds"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _times(count: int) -> str:
    return f" * {count}" if count > 1 else ""


def _text(text: str) -> str:
    """A string as Python and JSON both write it."""
    return json.dumps(text)


def _arguments(result: Result, build: Build, sizes: Mapping[str, int]) -> Iterator[str]:
    """What a check is given for what the schedule's was given."""
    if result.property:
        yield f"property={_text(result.property)}"
    scopes = {one.name: one.sizes_of(build.scenario) for one in build.model.scopes}
    yield from [f"scope_name={_text(name)}" for name, of in scopes.items() if of and of.items() <= sizes.items()][:1]
    names = {"VCPUS": "vcpus", "PAGES": "pages"}
    yield from (f"{names[size]}={value}" for size, value in sizes.items() if size in names)
    if build.excepted:
        yield f"excepted={_excepted(build)}"
    if sizes.get(MEMORY.name):
        yield 'memory="x86-tso"'
    if STORE_BUFFER.name in sizes:
        yield f"store_buffer={sizes[STORE_BUFFER.name]}"
    for size, known, name in ((KERNEL, RELEASES, "kernel"), (MODULE, {one: version_number(one) for one in VERSIONS}, "module")):
        if size.name in sizes:
            yield f"{name}={next(_text(text) for text, number in known.items() if number == sizes[size.name])}"


def _excepted(build: Build) -> str:
    """The clauses that are set aside, as they are written."""
    return json.dumps([build.translation.sites[number].message for number in sorted(build.excepted)])


def as_itf(build: Build, schedule: Schedule, loop: int | None = None) -> dict[str, Any]:
    """Every state as a record of the world's fields, and who brought it about; a schedule that goes round says where."""
    with scope(build.bindings):
        values = Values(build)
        engine = build.engine()
        states = [values.state(engine.world(), "", 0)]
        for number, (thread, choice) in enumerate(schedule, 1):
            engine.step(thread, choice)
            states.append(values.state(engine.world(), build.threads[thread].name, number))
        names = ["thread", *values.places.fields(build.model.world)]
    about = {"format": "ITF", "format-description": ITF, "description": f"{build.model.name}, {build.scenario.name}"}
    return {"#meta": about, "vars": names, "states": states, **({} if loop is None else {"loop": loop})}


class Values:
    """The bytes of a world as the values of ITF; the scope of the build must be active."""

    def __init__(self, build: Build) -> None:
        self.places, self.world = Places(build.model.world, build.translation.realised), build.model.world

    def state(self, world: bytes, thread: str, number: int) -> dict[str, Any]:
        return {"#meta": {"index": number}, "thread": thread, **self._value(self.world, 0, world)}

    def _value(self, of: object, offset: int, world: bytes) -> Any:
        if isinstance(of, Scalar):
            return _scalar(of, int.from_bytes(world[offset : offset + of.bits // 8], "little"))
        parts = [(path, self._value(part, at, world)) for part, path, at in self.places.parts(of, "", offset)]
        if isinstance(of, Array):
            return [value for _, value in parts]
        return dict(parts)


def _scalar(of: Scalar, value: int) -> Any:
    if isinstance(of, Boolean):
        return bool(value)
    if isinstance(of, EnumType | Packed):
        return of.show(value)
    if isinstance(of, SetOf):
        return {"#set": [bit for bit in range(value.bit_length()) if value >> bit & 1]}
    return value if value < EXACT else {"#bigint": str(value)}


def as_perfetto(steps: Sequence[Step]) -> dict[str, Any]:
    """A track for each thread: calls inside of calls, in them the steps, a millisecond each, and what they changed; locks."""
    threads = list(dict.fromkeys(step.thread for step in steps))
    events: list[dict[str, Any]] = [
        _event("M", "thread_name", number, 0, args={"name": name}) for number, name in enumerate(threads, 1)
    ]
    opened: dict[str, list[tuple[str, int]]] = {name: [] for name in threads}
    locks: dict[str, tuple[str, ...]] = dict.fromkeys(threads, ())
    for number, step in enumerate(steps):
        track, at = threads.index(step.thread) + 1, number * STEP_MICROSECONDS
        if step.takes:
            events.append(_event("X", f"{number + 1}: -> memory", track, at, dur=STEP_MICROSECONDS, args=_said(step)))
            continue
        stack = levels(step.stack)
        known = _same(stack, opened[step.thread])
        events += [_event("E", "", track, at) for _ in opened[step.thread][known:]]
        events += [_event("B", call.function, track, at, args={"arguments": call.arguments}) for call in step.stack[known:]]
        opened[step.thread] = stack
        events.append(
            _event("X", f"{number + 1}: {step.call.source.strip()}", track, at, dur=STEP_MICROSECONDS, args=_said(step))
        )
        events += [_event("i", event, track, at, s="t") for event in step.events]
        after = at + STEP_MICROSECONDS
        events += [_lock("e", lock, track, at) for lock in locks[step.thread] if lock not in step.locks]
        events += [_lock("b", lock, track, after) for lock in step.locks if lock not in locks[step.thread]]
        locks[step.thread] = step.locks
    end = len(steps) * STEP_MICROSECONDS
    for track, name in enumerate(threads, 1):
        events += [_event("E", "", track, end) for _ in opened[name]]
        events += [_lock("e", lock, track, end) for lock in locks[name]]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _event(phase: str, name: str, track: int, at: int, **more: Any) -> dict[str, Any]:
    return {"ph": phase, "name": name, "pid": 1, "tid": track, "ts": at, **more}


def _lock(phase: str, lock: str, track: int, at: int) -> dict[str, Any]:
    return _event(phase, lock, track, at, cat="lock", id=f"{lock}, {track}")


def _same(left: Sequence[object], right: Sequence[object]) -> int:
    """How many of the first are equal."""
    return next((n for n, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), min(len(left), len(right)))


def _said(step: Step) -> dict[str, Any]:
    changes = {change.place: f"{change.old} -> {change.new}" for change in step.changes}
    return {
        **({} if step.takes else {"line": f"{step.call.file}:{step.call.line}"}),
        **({"choice": step.choice} if step.choice is not None else {}),
        **changes,
    }
