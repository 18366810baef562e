"""Workloads: what the guests and VMMs of a host do. Each is short Python over a Stage; a file of a user's looks the same."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from septum.lang import SeptumError, UserError
from septum.simulate.stage import Stage, Td

LIVES = 24
CONVERTED = 16  # pages of one conversion, as a bounce buffer or a ring


@dataclass(frozen=True)
class Workload:
    """A workload by name, what it stands for, and what it does on a stage."""

    name: str
    title: str
    play: Callable[[Stage], None]


def workload(title: str) -> Callable[[Callable[[Stage], None]], Workload]:
    """`@workload("title")`: the function plays the workload on a stage."""
    return lambda play: Workload(play.__name__, title, play)


@workload("TDs boot: the initial image, then all memory in order")
def boot(stage: Stage) -> None:
    for td in all_tds(stage):
        td.touch()


@workload("TDs boot, and are destroyed")
def teardown(stage: Stage) -> None:
    tds = all_tds(stage)
    for td in tds:
        td.touch()
    for td in tds:
        td.destroy()


@workload("TDs boot, touching their memory at random, and are destroyed")
def touch_random(stage: Stage) -> None:
    tds = all_tds(stage)
    for td in tds:
        td.touch(random=True)
    for td in tds:
        td.destroy()


@workload("a TD that is full gives half of its memory back, takes it again, three times, and is destroyed")
def balloon(stage: Stage) -> None:
    td, half = stage.td(), stage.pages // 2
    td.touch()
    for _ in range(3):
        td.give_back(half, stage.pages - half)
        td.touch(half)
    td.destroy()


@workload("a TD that is full converts small pieces, here and there, to shared and back, and is destroyed")
def convert(stage: Stage) -> None:
    chance = random.Random(stage.seed)
    td = stage.td()
    td.touch()
    for _ in range(max(stage.pages // 4096, 1)):
        first = chance.randrange(max(stage.pages - CONVERTED, 1))
        many = min(CONVERTED, stage.pages)
        td.convert(first, many, shared=True)
        td.convert(first, many, shared=False)
        td.touch(first, many)
    td.destroy()


@workload("a day: TDs come and go, as many at a time as the host has room for, each touching a part of its memory")
def day(stage: Stage) -> None:
    chance = random.Random(stage.seed)
    running: list[Td] = []
    for _ in range(LIVES):
        if len(running) == stage.machine.shape.vms:
            running.pop(chance.randrange(len(running))).destroy()
        td = stage.td()
        td.touch(0, chance.randrange(1, stage.pages + 1), random=chance.random() < 0.5)
        running.append(td)
    for td in running:
        td.destroy()


WORKLOADS = {one.name: one for one in (boot, teardown, touch_random, balloon, convert, day)}


def all_tds(stage: Stage) -> list[Td]:
    """As many TDs as there is room for, one after another."""
    return [stage.td() for _ in range(stage.machine.shape.vms)]


def find_workload(name: str) -> Workload:
    """A workload by name, or the one in a Python file. UserError for anything else."""
    if name in WORKLOADS:
        return WORKLOADS[name]
    path = Path(name)
    if not name.endswith(".py") or not path.is_file():
        raise UserError(f"--workload {name}: no such workload and no Python file; there are {', '.join(WORKLOADS)}")
    spec = importlib.util.spec_from_file_location(f"septum_workload_{path.stem}", path.resolve())
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SeptumError:
        raise
    except Exception as error:
        raise UserError(f"{name}: {type(error).__name__}: {error}") from error
    own = [value for value in vars(module).values() if isinstance(value, Workload) and value.play.__module__ == spec.name]
    if len(own) != 1:
        raise UserError(f"{name}: has {len(own)} workloads; one is played: @workload(...) before a function of a Stage")
    return own[0]
