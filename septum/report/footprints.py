"""Footprints as a reader wants them: by process, a step a line of the source, places by name."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from septum.lang.model import Thread
from septum.reduce.apart import Distinction
from septum.reduce.automorphism import Automorphisms
from septum.reduce.footprint import Footprints, Path


@dataclass(frozen=True)
class Step:
    """What the steps from one line of a process may touch, whatever it is called with."""

    process: str
    file: str
    line: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "process": self.process, "file": self.file, "line": self.line, "reads": list(self.reads), "writes": list(self.writes),
        }  # fmt: skip


def steps(footprints: Footprints) -> list[Step]:
    """The steps of a scenario, in the order of the source."""
    reads: dict[tuple[str, int, str], int] = {}
    writes: dict[tuple[str, int, str], int] = {}
    for context in footprints.contexts():
        source = context.function.source
        lines = {pause.number: pause.at.line for pause in context.function.pauses}
        for spot in context.spots:
            key = (source.file, lines.get(spot.number, source.tree.lineno), source.name)
            reads[key] = reads.get(key, 0) | spot.step.reads
            writes[key] = writes.get(key, 0) | spot.step.writes
    return [
        Step(name, file, line, _named(footprints, reads[file, line, name]), _named(footprints, writes[file, line, name]))
        for file, line, name in sorted(reads)
    ]


def _named(footprints: Footprints, paths: int) -> tuple[str, ...]:
    return tuple(sorted({_name(path) for path in footprints.places(paths)}))


def _name(path: Path) -> str:
    """`vm[1].mmu_lock.readers`, `frame[*].role`."""
    parts = [f".{step}" if isinstance(step, str) else f"[{'*' if step is None else step}]" for step in path]
    return "".join(parts).removeprefix(".")


@dataclass(frozen=True)
class Alike:
    """Which threads of a scenario are alike, and why values of a type that its programs name are not."""

    threads: tuple[tuple[str, ...], ...]
    reasons: tuple[Distinction, ...]

    @classmethod
    def of(cls, found: Automorphisms, threads: Sequence[Thread]) -> Alike:
        groups = tuple(tuple(threads[number].name for number in group) for group in found.alike())
        return cls(groups, tuple(found.reasons()))

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "alike": [list(group) for group in self.threads],
            "told_apart": [
                {"type": _type(one), "why": one.why, "file": one.file, "line": one.line} for one in self.reasons
            ],
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield f"alike: {'; '.join(', '.join(group) for group in self.threads) or 'no threads'}"
        for one in self.reasons:
            yield f"told apart: {_type(one)}: {one.why}  {one.file}:{one.line}"


def _type(one: Distinction) -> str:
    return one.index.name if one.index else "threads"


def text(found: list[Step], alike: Alike, columns: int) -> str:
    """Who is alike; then one paragraph a process."""
    lines = ["", *alike.lines()]
    process = ""
    for step in found:
        if step.process != process:
            process = step.process
            lines += ["", f"{process}  {step.file}"]
        lines.append(f"  {step.line}" + ("" if step.reads or step.writes else ": nothing"))
        for what, places in (("reads", step.reads), ("writes", step.writes)):
            if places:
                begin = f"    {what:<7}"
                lines += textwrap.wrap(
                    ", ".join(places), columns, initial_indent=begin, subsequent_indent=" " * len(begin), break_long_words=False
                )
    return "\n".join(lines[1:])
