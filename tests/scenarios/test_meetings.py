"""Threads meet on what they share: the table of docs/scenarios.md, and what a meeting is."""

from __future__ import annotations

import re

import pytest

from benchmarks.families import PAGE, between, scenarios
from benchmarks.meetings import MODELS, NAMED, OBJECTS, meetings, object_of
from septum.check.loading import load
from septum.explore.build import build
from septum.lang import Model, Scenario, Struct, call, process, u8
from septum.lang.places import Places
from septum.lang.types import scope

ROWS = dict(re.findall(r"^\| (.+) \| (.+) \|$", between(PAGE.read_text(), "meetings"), re.MULTILINE))
LOCKS = re.compile(r"(_lock|\.lock)\.")
OF_NOBODY = (
    "cpu[].",
    "failures",
    "injection.",
    "signals",
    "vcpu[].run.",
    "vcpu[].vm",
    "vcpu[].direct.fault.",
    "vm[].direct.gfn_direct_bits",
    "vm[].direct.shadow_mmio_value",
)
"""What is a CPU's or a thread's own, the scenario's, or constant from the start."""


def test_the_page_has_a_row_of_each_object_which_names_a_scenario_or_says_why_none():
    for one in OBJECTS:
        named = re.findall(r"`(\w+)`", ROWS[one.name])
        assert (ROWS[one.name] == one.why_not and not named) or 1 <= len(named) <= NAMED
        assert {*named} <= {name for model in map(load, MODELS) for name in scenarios(model)}


@pytest.mark.parametrize("model", MODELS)
def test_each_place_of_the_world_is_a_part_of_an_object_a_lock_or_somebodys_own(model):
    made = load(model)
    built = build(made, next(iter(scenarios(made).values())))
    with scope(built.bindings):
        none, all_ones = (byte * built.translation.world_size for byte in (b"\0", b"\xff"))
        places = Places(made.world, built.translation.realised).differences(none, all_ones)
    spots = {re.sub(r"\[\d+\]", "[]", one.path) for one in places}
    assert spots
    assert [spot for spot in spots if not (object_of(spot) or LOCKS.search(spot) or spot.startswith(OF_NOBODY))] == []


@pytest.mark.parametrize(
    ("model", "scenario", "place"),
    [
        ("dpamt_merged_split", "split_punch_hole", "vm[].design.pamt_cache_lock.writer"),
        ("dpamt_merged_split", "two_tds", "range[].refcount"),
        ("kvm", "slot_move", "vm[].memslots.active.slot[]"),
    ],
)
def test_threads_meet_there(model, scenario, place):
    made = load(model)
    assert meetings(made, scenarios(made)[scenario])[place]


class World(Struct):
    read: u8
    written: u8
    own: u8[2]


@process
def touches(m: World, me: u8):
    yield
    assert m.read == 0
    m.own[me] = 1
    if me == 0:
        m.written = 1
    assert m.written <= 1


def test_a_meeting_is_a_place_that_one_writes_and_another_touches():
    def start(setup):
        for me in range(2):
            setup.thread(f"CPU {me}", call(touches, me))

    scenario = Scenario("s", "", start)
    assert {*meetings(Model("m", World, (scenario,)), scenario)} == {"written"}
