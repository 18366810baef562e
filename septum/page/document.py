"""What the page is handed: results as one JSON document, with each counterexample a step a row and its states drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from septum.check.explain import schedule_of
from septum.check.result import Call, Counterexample, Result, Step, Touch
from septum.lang.model import Model
from septum.page.scene import Scene, scenes
from septum.report.calltrace import own, short
from septum.report.changes import shorter
from septum.report.diagram import Holders, Trail, begins, command, entered, length
from septum.report.document import entry
from septum.report.slice import touched
from septum.report.terminal import grouped


@dataclass(frozen=True)
class Shown:
    """A step as the diagram shows it: the calls that it enters, its line, what it read, chose and changed, new locks.

    `takes`: the memory took a store from the buffer of the thread.
    `touches` are the places by which the failed clause depends on it, if it does.
    """

    thread: str
    entered: tuple[tuple[int, str], ...]
    depth: int
    line: tuple[str, int, str] | None
    reads: tuple[tuple[str, str], ...]
    choice: int | None
    changes: tuple[tuple[str, str, str], ...]
    places: tuple[str, ...]
    events: tuple[str, ...]
    locks: tuple[str, ...] | None
    passed: tuple[str, ...]
    needed: bool
    takes: bool
    touches: tuple[tuple[str, str, bool, str], ...]


class Things:
    """Parts of states, each kept once: what a state has is the list of their numbers."""

    def __init__(self) -> None:
        self._known: dict[object, int] = {}

    def number(self, thing: object) -> int:
        return self._known.setdefault(thing, len(self._known))

    def all(self) -> list[Any]:
        return [asdict(thing) for thing in self._known if is_dataclass(thing) and not isinstance(thing, type)]


def document(results: Sequence[Result], models: dict[str, Model]) -> dict[str, Any]:
    """The results, and a finding for each place at which any fails; `models` has the model of each design that is named."""
    found = [finding(group[0], group[1:], models.get(group[0].design)) for group in grouped(results)]
    return {"results": [summary(result) for result in results], "findings": found}


def summary(result: Result) -> dict[str, Any]:
    """A row of the table."""
    return {name: value for name, value in entry(result).items() if name not in ("counterexample", "others")}


def finding(result: Result, others: Sequence[Result], model: Model | None) -> dict[str, Any]:
    """What broke, the schedule to it, and the scenarios in which it breaks at the same place."""
    found = result.counterexample
    again = [{"scenario": one.scenario, "command": commanded(one)} for one in others]
    made = {"design": result.design, "scenario": result.scenario, "property": result.property, "clause": result.clause,
            "reason": result.reason, "again": again}  # fmt: skip
    return (
        {
            **made,
            **drawn(found, scenes(*schedule_of(model, found.token)) if model else ()),
            "command": command(result, found),
            "length": length(found),
        }
        if found
        else made
    )


def commanded(result: Result) -> str:
    """The command that shows its counterexample, if it has one."""
    return command(result, result.counterexample) if result.counterexample else ""


def drawn(found: Counterexample, states: Sequence[Scene], threads: Sequence[str] = ()) -> dict[str, Any]:
    """The steps, and every state, if they are known; a column for each of the threads, or of those that are named in it."""
    things = Things()
    named = [*(one.thread for one in found.threads), *(step.thread for step in found.steps)]
    return {
        "threads": list(threads or dict.fromkeys(named)),
        "steps": [asdict(one) for one in shown(found.steps, Holders.of(found))],
        "scenes": [_scene(one, things) for one in states],
        "things": things.all(),
        "ends": [asdict(one) for one in found.threads],
        "own": sorted({call.file for call in _calls(found, states) if own(call.file)}),
        "loop": found.loop,
        "race": asdict(found.race) if found.race else None,
    }


def _calls(found: Counterexample, states: Sequence[Scene]) -> Iterator[Call]:
    yield from (call for step in found.steps if not step.takes for call in step.stack)
    yield from (call for one in found.threads for call in one.stack)
    yield from (call for scene in states for one in scene.threads for call in one.stack)


def _scene(scene: Scene, things: Things) -> dict[str, Any]:
    """Numbers of things, and numbers that are what they say."""
    made: dict[str, Any] = {}
    for field in fields(scene):
        value = getattr(scene, field.name)
        made[field.name] = [things.number(one) for one in value] if isinstance(value, tuple) else value
    return made


def shown(steps: Sequence[Step], holders: Holders) -> Iterator[Shown]:
    """The steps, in order; what a thread was said to be in and to hold is not said again."""
    trails: dict[str, Trail] = {}
    last = ""
    for step in steps:
        trail, resumed = trails.setdefault(step.thread, Trail()), step.thread != last
        calls = tuple((item.depth, item.text) for item in entered(step, trail, resumed=resumed))
        locks = step.locks if step.locks != trail.locks or (resumed and step.locks) else None
        trail.locks, last = step.locks, step.thread
        changes = shorter([holders.named(change) for change in step.changes])
        yield Shown(
            step.thread, calls, len(step.stack), _line(step), tuple((one.place, one.value) for one in step.begins), step.choice,
            tuple((one.place, one.old, one.new) for one in changes), tuple(one.place for one in step.changes), step.events, locks,
            step.passed, step.needed, step.takes, tuple(_touch(one) for one in touched(step)),
        )  # fmt: skip


def _line(step: Step) -> tuple[str, int, str] | None:
    """File, line and source from which the step ran; of the first of a call, the first line that read anything."""
    if step.takes:
        return None
    if not begins(step):
        return short(step.call.file), step.call.line, step.call.source.strip()
    first = step.begins[0] if step.begins else None
    return (short(first.file), first.line, first.source) if first else None


def _touch(one: Touch) -> tuple[str, str, bool, str]:
    return one.place, one.value, one.written, f"{short(one.file)}:{one.line} {one.source}"


def as_text(made: dict[str, Any]) -> str:
    """The document as JSON that may stand inside of HTML: no text in it ends the element that it is in."""
    text = json.dumps(made, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
