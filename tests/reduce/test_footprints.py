"""What a step may touch is known before it is taken; real runs are watched for an access outside of that."""

from __future__ import annotations

import dataclasses

import pytest

from septum.check.loading import load
from septum.explore.build import build
from septum.lang import Index, Model, Scenario, Size, Struct, call, current, process, u8
from septum.lang.types import scope
from septum.reduce.footprint import Footprints
from tests.reduce.watched import assert_within_footprints

Cpu = Index("Cpu", Size("CPUS", 3))


class Own(Struct):
    count: u8
    home: u8


class World(Struct):
    own: Own[Cpu]
    shared: u8


def bump(own: Own):
    own.count += 1


@process
def mine(w: World, cpu: Cpu):
    yield
    bump(w.own[cpu])
    yield
    w.shared = w.own[Cpu(current())].count


@process
def by_way_of_a_constant_field(w: World, cpu: u8):
    home = w.own[Cpu(cpu)].home
    yield
    w.own[Cpu(home)].count = 1


@process
def anywhere(w: World):
    yield
    w.own[Cpu(w.shared)].count = 1


def footprints_of(*calls, homes=(2, 0, 1)):
    def start(setup):
        for number, home in enumerate(homes):
            setup.m.own[number].home = home
        for number, one in enumerate(calls):
            setup.thread(f"T{number}", one)

    built = build(Model("mine", World, (scenario := Scenario("s", "", start),)), scenario)
    with scope(built.bindings):
        return built.footprints()


def steps(footprints: Footprints, thread: int = 0):
    (context,) = footprints.programs[thread]
    return [(set(footprints.places(spot.step.reads)), set(footprints.places(spot.step.writes))) for spot in context.spots]


def test_an_index_that_follows_from_the_arguments_is_known():
    found = footprints_of(call(mine, 1), call(mine, 2))
    assert steps(found, 0)[1][1] == {("own", 1, "count")}
    assert steps(found, 1)[1][1] == {("own", 2, "count")}


def test_the_number_of_the_thread_is_known():
    found = footprints_of(call(mine, 1), call(mine, 2))
    assert ("own", 1, "count") in steps(found, 1)[2][0]
    assert steps(found, 1)[2][1] == {("shared",)}


def test_a_field_that_no_step_writes_is_a_constant():
    found = footprints_of(call(by_way_of_a_constant_field, 0))
    assert steps(found)[1][1] == {("own", 2, "count")}


def test_an_index_that_is_not_known_may_be_anything():
    found = footprints_of(call(anywhere), call(mine, 1))
    assert steps(found)[1][1] == {("own", None, "count")}


def test_what_is_later_holds_every_step():
    found = footprints_of(call(mine, 1))
    (context,) = found.programs[0]
    for spot in context.spots:
        assert spot.step.reads & ~context.total.reads == 0
        assert spot.step.writes & ~context.total.writes == 0


@pytest.mark.parametrize("design", ["upstream", "dpamt_v4", "dpamt_merged_split"])
def test_real_runs_stay_inside(design):
    model = load(design)
    for scenario in model.scenarios:
        if scenario.needs <= model.operations:
            built = build(model, scenario)
            assert assert_within_footprints(built, seed=1) > 30, scenario.name


def test_an_access_outside_of_a_footprint_is_seen():
    """With one field left out of the footprints, the watch fails."""
    model = load("upstream")
    built = build(model, model.scenarios[0])
    with scope(built.bindings):
        for _, spot in built.tables().stands:
            spot.step = dataclasses.replace(spot).step._replace(writes=0)
    with pytest.raises(AssertionError, match="is written"):
        assert_within_footprints(built, seed=1)
