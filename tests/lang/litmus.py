"""Litmus tests as models: straight-line threads, and every final state that an exploration finds."""

from __future__ import annotations

import ctypes
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septum.explore.build import Build, build
from septum.explore.explore import Outcome, explore
from septum.lang.engine import Engine
from septum.lang.types import scope
from tests.lang.parity import Step

CASES = Path(__file__).with_name("litmus.json")
MEMORIES = {"sc": 0, "tso": 1}
REGISTERS = 16

PRIME = 4_294_967_291
HEAD = """
from septum.lang import *

class World(Struct):
    place: atomic_t[8]
    reg: u8[REGISTERS]
    known: u8
    final: u32[FINALS]

def digest(m):
    digest = u64(0)
    for i in range(8):
        digest = (digest * 31 + m.place[i].counter) % PRIME
    for i in range(REGISTERS):
        digest = (digest * 31 + m.reg[i]) % PRIME
    return digest

def new(m: World):
    known = False
    this = digest(m)
    for number in range(m.known):
        if m.final[number] == this:
            known = True
    assert known, "new: a final state that is not known"

def make(name, init, threads):
    def start(setup):
        for place, value in init.items():
            setup.m.place[place].counter = value
        for number, thread in enumerate(threads):
            setup.thread(f"P{number}", call(thread))
    return Scenario(name, name, start)
"""


@dataclass(frozen=True)
class Litmus:
    """A test: first values, operations of each thread, and the final states by memory model, each as (name, value) pairs."""

    name: str
    init: dict[str, int]
    threads: list[list[list[Any]]]
    observed: list[str]
    finals: dict[str, set[tuple[int, ...]]]

    @property
    def places(self) -> list[str]:
        return sorted(self.init)

    @property
    def registers(self) -> list[str]:
        return [f"{n}:{word}" for n, thread in enumerate(self.threads) for op in thread for word in _written(op)]

    def values(self, m: Any) -> tuple[int, ...]:
        """What is observed of a world."""
        found = {name: int(m.place[at].counter) for at, name in enumerate(self.places)}
        found |= {name: int(m.reg[at]) for at, name in enumerate(self.registers)}
        return tuple(found[name] for name in self.observed)


def cases() -> list[Litmus]:
    """Those of the oracle."""
    return [
        Litmus(
            one["name"], one["init"], one["threads"], one["observed"],
            {memory: {tuple(state[name] for name in one["observed"]) for state in one[memory]} for memory in MEMORIES},
        )
        for one in json.loads(CASES.read_text())
    ]  # fmt: skip


def _written(op: Sequence[Any]) -> list[str]:
    """The register that an operation writes."""
    return [op[-1]] if op[0] in ("load", "xchg", "cmpxchg") else []


def text(tests: Sequence[Litmus]) -> str:
    """A file with a model of them, a scenario each."""
    finals = 1 + max(len(found) for test in tests for found in test.finals.values()) if tests[0].finals else 1
    lines, scenarios = [f"PRIME, REGISTERS, FINALS = {PRIME}, {REGISTERS}, {finals}", HEAD], []
    for number, test in enumerate(tests):
        for thread, ops in enumerate(test.threads):
            lines += ["@process", f"def t{number}_{thread}(m: World):"]
            body = [line for op in ops for line in [*_code(test, thread, op), "yield"]]
            lines += [f"    {line}" for line in body]
        init = {at: test.init[name] for at, name in enumerate(test.places)}
        names = ", ".join(f"t{number}_{thread}" for thread in range(len(test.threads)))
        scenarios.append(f'make("s{number}", {init}, ({names},))')
    lines.append(f"model = Model('litmus', World, ({', '.join(scenarios)},), (Property('new', '', new, at_rest=True),))")
    return "\n".join(lines)


def _code(test: Litmus, thread: int, op: Sequence[Any]) -> Iterator[str]:
    """The lines of an operation."""
    kind, *given = op
    place = f"m.place[{test.places.index(given[0])}]" if given else ""
    registers = test.registers

    def register(name: str) -> str:
        return f"m.reg[{registers.index(f'{thread}:{name}')}]"

    match kind:
        case "store":
            yield f"{place}.counter = {given[1]}"
        case "load":
            yield f"{register(given[1])} = u8(READ_ONCE({place}.counter))"
        case "store_reg":
            yield f"WRITE_ONCE({place}.counter, {register(given[1])} + {given[2]})"
        case "xchg":
            yield f"was = xchg({place}.counter, {given[1]})"
            yield f"{register(given[2])} = u8(was)"
        case "cmpxchg":
            yield f"was = cmpxchg({place}.counter, {given[1]}, {given[2]})"
            yield f"{register(given[3])} = u8(was)"
        case "lock_add":
            yield f"atomic_add({given[1]}, {place})"
        case "lock_or":
            yield f"atomic_or({given[1]}, {place})"
        case "mfence":
            yield "smp_mb()"
        case "sfence":
            yield "smp_wmb()"
        case "lfence":
            yield "smp_rmb()"


def builds(path: Path, tests: Sequence[Litmus], memory: str) -> list[Build]:
    """The tests, ready to run; `path` is where their model is written."""
    path.write_text(text(tests))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.model
    sizes = {"MEMORY": MEMORIES[memory]}
    return [build(model, scenario, sizes) for scenario in model.scenarios]


def explored(built: Build, test: Litmus, reduced: bool) -> set[tuple[int, ...]]:
    """Every final state that the C engine comes to: it looks for one that is not known yet until there is none."""
    found: set[tuple[int, ...]] = set()
    initial = bytearray(built.initial)
    with scope(built.bindings):
        library = built.reducible()
        world = built.translation.layout.from_buffer(initial)
        while True:
            came = explore(
                library, bytes(initial), len(built.threads), workers=1, symmetry=reduced, fusion=reduced, partial=reduced
            )
            if came.outcome is Outcome.COMPLETE:
                return found
            state = ctypes.create_string_buffer(bytes(initial), len(initial))
            for thread, choice in came.schedule:
                assert library.septum_step(state, thread, ctypes.byref(Step(choice, -1, 0))) == 0
            last = built.translation.layout.from_buffer(state)
            assert test.values(last) not in found
            found.add(test.values(last))
            world.final[world.known] = digest(last)
            world.known += 1


def digest(m: Any) -> int:
    """A final state as one number."""
    found = 0
    for value in [*(int(m.place[at].counter) for at in range(8)), *(int(m.reg[at]) for at in range(REGISTERS))]:
        found = (found * 31 + value) % PRIME
    return found


def run_in_python(built: Build, test: Litmus) -> set[tuple[int, ...]]:
    """Every final state that the Python engine comes to, by all schedules that lead to new states."""
    found: set[tuple[int, ...]] = set()
    seen, todo = set[bytes](), [()]
    with scope(built.bindings):
        while todo:
            path: tuple[tuple[int, int], ...] = todo.pop()
            engine = replayed(built, path)
            if engine.state() in seen:
                continue
            seen.add(engine.state())
            able = [n for n in range(len(built.threads)) if engine.can_step(n)]
            todo += [(*path, (n, choice)) for n in able for choice in range(engine.choices(n))]
            if not able:
                found.add(test.values(engine.m))
    return found


def replayed(built: Build, path: Sequence[tuple[int, int]]) -> Engine:
    engine = built.engine()
    for thread, choice in path:
        engine.step(thread, choice)
    return engine
