"""What the real TDX module answered to recorded sequences of calls, and how the emulator is asked the same.

The recordings are of the module 1.5.25, whose public source was run as an ordinary program; `corpus/` holds a part of them. A
file has a sequence a line: `world`, what is there before the first step, and `steps`. Of an answer only what is listed was seen.

    python -m tests.tdx.corpus [FILE or FOLDER ...]      compares, says which steps differ, and exits with 1 if any does
"""

from __future__ import annotations

import gzip
import json
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septum.lang import SeptumError
from septum.tdx import Answer, Geometry, Leaf, Module
from septum.tdx.module import REGISTERS, Call
from septum.tdx.versions import MAX_TDCX, MIN_TDCX, SEPT_ROOT_TDCX

FOLDER = Path(__file__).with_name("corpus")
VERSION = "1.5.25"
WORD = (1 << 64) - 1
Step = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """A step whose answer is another one than the module's."""

    sequence: str
    number: int
    step: Step
    parts: list[str]

    def __str__(self) -> str:
        given = {name: value for name, value in self.step.items() if name not in ("answer", "answer_add")}
        what = f"{self.sequence}, step {self.number}: {', '.join(self.parts)}"
        return f"{what}: {json.dumps(given)} -> {json.dumps(self.step['answer'])}"


def number(text: str) -> int:
    """A number of a recording, which is hexadecimal."""
    return int(text, 16)


def geometry_of(world: dict[str, Any]) -> Geometry:
    """The sizes of the platform that was recorded."""
    low, high = world["tdcs_pages"]
    sizes = ((MIN_TDCX, low), (MAX_TDCX, high), (SEPT_ROOT_TDCX, world["sept_root_tdcs_page"] - 1))
    return Geometry(
        levels=world["levels"], gfns=1 << (35 if world["levels"] == 4 else 39), lps=world["lps"], packages=world["packages"],
        more=() if world.get("default_geometry") else sizes,
    )  # fmt: skip


class Player:
    """A module in the state that a recording begins with, and its steps on it."""

    def __init__(self, world: dict[str, Any], engine: str = "c") -> None:
        cmrs = [(number(base), number(size)) for base, size in world["cmrs"]]
        dynamic = world["dynamic_pamt"]
        self.module = Module(geometry_of(world), version=VERSION, dynamic_pamt=dynamic, cmrs=cmrs, engine=engine,
                             cache_blocks=world["cache_wb_sub_blocks"])  # fmt: skip
        self.module.seamcall(Leaf.SYS_INIT)
        for lp in range(world["lps_initialised"]):
            self.module.seamcall(Leaf.SYS_LP_INIT, lp=lp)
        for at, words in world["memory"].items():
            self.store(at, words)
        self.calls: dict[int, Call] = {}

    def store(self, at: str, words: list[str]) -> None:
        """The host writes words to memory."""
        self.module.memory[number(at)] = struct.pack(f"<{len(words)}Q", *map(number, words)).ljust(512, b"\0")

    def answer(self, step: Step) -> Answer | None:
        """What the emulator answers to a step; None where a call is left half-way."""
        kind, module = step["call"], self.module
        if kind == "memory":
            return self.store(step["at"], step["words"])
        if kind == "access":
            return module.access(number(step["vp"]), number(step["gpa"]), write=step["write"])
        if kind == "interrupt":
            return module.interrupt(step["lp"])
        if kind == "resume":
            return self.calls.pop(step["lp"]).finish()
        call = self.begin(step)
        if step["answer"] is not None:
            return call.finish()
        for _ in range(step["steps"]):
            call.step()
        self.calls[step["lp"]] = call
        return None

    def begin(self, step: Step) -> Call:
        """A SEAMCALL or TDCALL before its first step."""
        rax = number(step["rax"]) if "rax" in step else step["leaf"] | step["version"] << 16
        given = {name: number(step[name]) for name in REGISTERS if name in step}
        if step.get("of", step["call"]) == "seamcall":
            return self.module.begin(rax, lp=step["lp"], **given)
        return self.module.begin_tdcall(number(step["vp"]), rax, **given)

    def differs(self, step: Step) -> list[str]:
        """In what the emulator's answer to a step is not the module's."""
        try:
            got = self.answer(step)
        except (SeptumError, KeyError) as error:
            return [f"refused: {error}"]
        want = step.get("answer")
        if want is None or got is None:
            return [] if want is None and got is None else ["ended"]
        rax = got.status | (got.exit_reason or 0)
        wrong = [] if rax == number(want["rax"]) else [f"rax={rax:#x}"]
        if step.get("of", step["call"]) != "seamcall":
            wrong += [] if got.event.name == want["event"] else [f"event={got.event.name}"]
        elif step["leaf"] == Leaf.VP_ENTER and (got.event.name == "EXIT") != (want.get("event") == "EXIT"):
            wrong.append(f"event={got.event.name}")
        registers = ((name, getattr(got, name)) for name in REGISTERS if name in want)
        return wrong + [f"{name}={value:#x}" for name, value in registers if number(want[name]) != value]


def plain(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps; those that were made `repeat` times one by one."""
    for step in steps:
        if "repeat" not in step:
            yield step
            continue
        for turn in range(step["repeat"]):
            yield {**later(step, step["add"], turn), "answer": later(step["answer"], step["answer_add"], turn)}


def later(values: Step, add: dict[str, str], turn: int) -> Step:
    """Registers of the turn-th repetition."""
    return {**values, **{name: hex((number(values[name]) + turn * number(by)) & WORD) for name, by in add.items()}}


def sequences(path: Path) -> Iterator[Step]:
    """The sequences of a file, or of all files of a folder."""
    for file in sorted(path.glob("*.jsonl.gz")) if path.is_dir() else [path]:
        with gzip.open(file, "rt") as lines:
            yield from map(json.loads, lines)


def differences(sequence: Step, engine: str = "c") -> Iterator[Difference]:
    """The steps of a sequence whose answers differ."""
    player = Player(sequence["world"], engine)
    for at, step in enumerate(plain(sequence["steps"])):
        parts = player.differs(step)
        if parts:
            yield Difference(sequence["id"], at, step, parts)


def main(paths: list[str]) -> int:
    """Compares all sequences of the files named; of each that differs it prints the first step that does."""
    count = wrong = 0
    for path in map(Path, paths or [str(FOLDER)]):
        for sequence in sequences(path):
            count += 1
            found = list(differences(sequence))
            if found:
                wrong += 1
                print(f"{found[0]}" + (f" (and {len(found) - 1} more)" if found[1:] else ""))
    print(f"{count} sequences, {count - wrong} answered as the module {VERSION} does")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
