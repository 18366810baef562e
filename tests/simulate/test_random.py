"""Whatever guests and VMMs do, in whatever order: every clause holds at each checkpoint, and nothing is left at the end."""

import random

import pytest

from septum.check.loading import load
from septum.simulate.costs import read_costs
from septum.simulate.hosts import FRAGMENTED, FRESH, host
from septum.simulate.machine import Machine, Shape
from septum.simulate.stage import Stage, Td, leaked

PAGES, TDS, VCPUS = 1536, 2, 2
WORKLOADS = 100  # on each host


@pytest.fixture(scope="module", params=[FRESH, FRAGMENTED])
def stage(request: pytest.FixtureRequest, quickly_compiled: None) -> Stage:
    on = host(request.param, 1 << 14)
    machine = Machine(load("dpamt_v5"), Shape(on.pages, PAGES, TDS, TDS * VCPUS, len(on.nodes)), read_costs())
    for number, (begin, end) in enumerate(on.nodes):
        machine.zone(number, begin, end)
    machine.give(on.free_at)
    return Stage(machine, PAGES, VCPUS, seed=1)


def play(stage: Stage, chance: random.Random) -> None:
    """Some TDs, each of which does a few things, in turns."""
    tds: list[Td] = []
    for _ in range(chance.randint(3, 9)):
        if len(tds) < TDS and chance.random() < 0.4:
            tds.append(stage.td(chance.randrange(32)))
        elif tds:
            act(chance.choice(tds), chance)
    for td in tds:
        td.destroy()


def act(td: Td, chance: random.Random) -> None:
    first = chance.randrange(PAGES)
    pages = chance.randint(1, min(PAGES - first, 96))
    what = chance.randrange(4)
    if what == 0:
        td.give_back(first, pages)
    elif what == 1:
        td.convert(first, pages, shared=True)
        td.convert(first, pages, shared=False)
    else:
        td.touch(first, pages, random=what == 3)


@pytest.mark.parametrize("tenth", range(10))
def test_a_random_workload_breaks_no_clause_and_leaks_nothing(stage: Stage, tenth: int) -> None:
    for seed in range(tenth * WORKLOADS // 10, (tenth + 1) * WORKLOADS // 10):
        play(stage, random.Random(seed))
        if seed % 10 == 0:
            stage.check()
        assert not leaked(stage.machine)


def test_all_memory_is_free_again_in_the_blocks_in_which_it_was(stage: Stage) -> None:
    play(stage, random.Random(0))
    zone = stage.machine.m.memory.zone[0]
    before = [zone.area[order].blocks for order in range(11)]
    play(stage, random.Random(1))
    assert [zone.area[order].blocks for order in range(11)] == before
