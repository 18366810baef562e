"""SPIN beside septum: models written in both languages have equal counts of states."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from dataclasses import dataclass

import pytest

from septum.check.check import check
from septum.check.loading import load

MODELS = 24
VARIABLES = ("x", "y", "z")


@dataclass(frozen=True)
class Statement:
    """One step of a process: it waits for a condition, and stores a number, which may be chosen."""

    waits: tuple[str, str, int] | None
    to: str
    value: tuple[str, int, int] | int

    def python(self) -> list[str]:
        place, value = f"m.{self.to}", self.value
        if isinstance(value, int):
            return [f"c = yield choose({value})", f"{place} = u8(c)"]
        wait = "yield" if self.waits is None else "yield when(lambda: m.{} {} {})".format(*self.waits)
        return [wait, f"{place} = u8((m.{value[0]} + {value[1]}) % {value[2]})"]

    def promela(self) -> str:
        if isinstance(self.value, int):
            return f"if {' '.join(f':: {self.to} = {way}' for way in range(self.value))} fi"
        guard = "true" if self.waits is None else "{} {} {}".format(*self.waits)
        name, more, modulus = self.value
        return f"d_step {{ ({guard}) -> {self.to} = ({name} + {more}) % {modulus} }}"


@dataclass(frozen=True)
class Process:
    """Some statements once, and then, if there are any, others for ever."""

    once: tuple[Statement, ...]
    forever: tuple[Statement, ...]

    def python(self, name: str) -> str:
        lines = [line for one in self.once for line in one.python()]
        lines += ["while True:", *(f"    {line}" for one in self.forever for line in one.python())] if self.forever else []
        return "\n".join(["@process", f"def {name}(m: World):", *(f"    {line}" for line in lines), ""])

    def promela(self, name: str) -> str:
        steps = ["skip", *(one.promela() for one in self.once)]
        loop = f"do :: {'; '.join(one.promela() for one in self.forever)} od" if self.forever else "end: false"
        return f"active proctype {name}() {{ {'; '.join([*steps, loop])} }}\n"


def statement(chance: random.Random) -> Statement:
    waits = (chance.choice(VARIABLES), chance.choice(["==", "!=", "<"]), chance.randint(0, 3)) if chance.random() < 0.5 else None
    if waits is None and chance.random() < 0.3:
        return Statement(None, chance.choice(VARIABLES), chance.randint(2, 3))
    return Statement(waits, chance.choice(VARIABLES), (chance.choice(VARIABLES), chance.randint(0, 3), chance.randint(2, 5)))


def processes(seed: int) -> list[Process]:
    chance = random.Random(seed)
    found = []
    for _ in range(chance.randint(2, 3)):
        once = [statement(chance) for _ in range(chance.randint(1, 4))]
        forever = [statement(chance) for _ in range(chance.randint(2, 3))] if chance.random() < 0.6 else []
        found.append(Process(tuple(once), tuple(forever)))
    return found


HEAD = "from septum.lang import *\n\nclass World(Struct):\n    x: u8\n    y: u8\n    z: u8\n\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """All of them as scenarios of one model, which is compiled once."""
    text, names = HEAD, []
    for seed in range(MODELS):
        calls = []
        for number, one in enumerate(processes(seed)):
            text += one.python(f"p{seed}_{number}")
            calls.append(f"    s.thread('{number}', call(p{seed}_{number}), daemon=True)")
        text += "\n".join([f"def start{seed}(s):", *calls, ""])
        names.append(f"Scenario('{seed}', '', start{seed}),")
    path = tmp_path_factory.mktemp("both") / "both.py"
    path.write_text(f"{text}\nmodel = Model('both', World, ({' '.join(names)}))\n")
    return load(str(path))


@pytest.mark.skipif(shutil.which("spin") is None, reason="SPIN is not installed; on Debian: apt install spin")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="SPIN wants gcc for its verifier")
@pytest.mark.parametrize("seed", range(MODELS))
def test_spin_counts_the_same_states(model, tmp_path, seed):
    text = "byte x, y, z;\n" + "".join(one.promela(f"p{number}") for number, one in enumerate(processes(seed)))
    (tmp_path / "model.pml").write_text(text)
    subprocess.run(["spin", "-a", "model.pml"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["gcc", "-w", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c"], cwd=tmp_path, check=True)
    said = subprocess.run(["./pan", "-E", "-m100000"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    [counted] = re.findall(r"(\d+) states, stored", said)
    result = check(model, str(seed), reduce=frozenset(), races=False)
    assert (result.verdict, result.states) == ("holds", int(counted)), text
