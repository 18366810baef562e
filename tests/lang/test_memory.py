"""x86-TSO: the litmus tests have exactly the final states that they should have, and what is reported of store buffers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.explain import explain
from septum.check.loading import load
from septum.check.result import Verdict
from septum.explore.build import build
from septum.lang.errors import UserError
from septum.report.diagram import diagram
from tests.lang import simulator
from tests.lang.litmus import Litmus, builds, cases, explored, run_in_python
from tests.lang.parity import assert_same

pytestmark = pytest.mark.usefixtures("quickly_compiled")

EVERY = frozenset({"symmetry", "fusion", "partial"})
SMALL = 4
"""Operations of a litmus test that the Python engine goes through in full."""

BUFFERING = '''
"""Store buffering, with a barrier or without."""
from septum.lang import *

BARRIER = Size("BARRIER", 0)

class World(Struct):
    x: u8
    y: u8
    read: u8[2]

@process
def left(m: World):
    WRITE_ONCE(m.x, 1)
    if BARRIER:
        smp_mb()
    yield
    m.read[0] = READ_ONCE(m.y)

@process
def right(m: World):
    WRITE_ONCE(m.y, 1)
    smp_mb()
    yield
    m.read[1] = READ_ONCE(m.x)

def start(setup):
    setup.thread("CPU 0", call(left))
    setup.thread("CPU 1", call(right))

def seen(m: World):
    assert m.read[0] + m.read[1] != 0, "seen: neither CPU saw the store of the other"

scenarios = tuple(Scenario(name, name, start, (), {BARRIER: value}) for name, value in (("without", 0), ("with", 1)))
model = Model("buffering", World, scenarios, (Property("seen", "one sees the other", seen, at_rest=True),))
'''


ALIKE = '''
"""Threads that are alike, of which each wants to be the only one inside."""
from septum.host.geometry import THREADS, ThreadId
from septum.lang import *

class World(Struct):
    flag: boolean[ThreadId]
    inside: boolean[ThreadId]

def others(m):
    found = False
    for other in each(ThreadId):
        if other != ThreadId(current()) and m.flag[other]:
            found = True
    return found

@process
def enter(m: World):
    m.flag[ThreadId(current())] = True
    yield
    if not others(m):
        m.inside[ThreadId(current())] = True
    yield

def exclusive(m: World):
    count = 0
    for cpu in each(ThreadId):
        if m.inside[cpu]:
            count += 1
    assert count <= 1, f"exclusion: {count} are inside"

def start(setup):
    for cpu in range(3):
        setup.thread(f"CPU {cpu}", call(enter))

model = Model("alike", World, (Scenario("three", "three", start, (), {THREADS: 3}),), (Property("exclusion", "", exclusive),))
'''


def as_litmus(number: int, init: dict[str, int], threads: list[list[simulator.Op]]) -> Litmus:
    observed = [f"{n}:{op[-1]}" for n, ops in enumerate(threads) for op in ops if op[0] in ("load", "xchg", "cmpxchg")]
    names = sorted([*observed, *init])
    sets = {
        memory: {tuple(value for _, value in final) for final in simulator.finals(init, threads, memory == "tso")}
        for memory in ("sc", "tso")
    }
    return Litmus(str(number), init, threads, names, sets)


def wrong(tests: list[Litmus], path: Path, memory: str) -> list[str]:
    """The tests that come to other final states than they should, with the reductions or without."""
    pairs = list(zip(builds(path, tests, memory), tests, strict=True))
    return [t.name for b, t in pairs for reduced in (False, True) if explored(b, t, reduced) != t.finals[memory]]


@pytest.mark.parametrize("memory", ["sc", "tso"])
def test_every_litmus_test_has_the_final_states_of_the_oracle_with_and_without_reductions(memory: str, tmp_path: Path) -> None:
    assert wrong(cases(), tmp_path / "all.py", memory) == []


@pytest.mark.parametrize("memory", ["sc", "tso"])
def test_random_programs_have_the_final_states_of_the_simulator(memory: str, tmp_path: Path) -> None:
    dice = random.Random(22)
    tests = [as_litmus(number, *simulator.program(dice)) for number in range(16)]
    assert wrong(tests, tmp_path / "random.py", memory) == []


def test_the_simulator_agrees_with_the_oracle() -> None:
    for test in cases():
        for memory in ("sc", "tso"):
            found = simulator.finals(test.init, test.threads, memory == "tso")
            assert {tuple(dict(final)[name] for name in test.observed) for final in found} == test.finals[memory], test.name


@pytest.mark.parametrize("memory", ["sc", "tso"])
def test_the_python_engine_comes_to_the_same_final_states(memory: str, tmp_path: Path) -> None:
    small = [test for test in cases() if sum(map(len, test.threads)) <= SMALL]
    assert len(small) > 10
    for built, test in zip(builds(tmp_path / "small.py", small, memory), small, strict=True):
        assert run_in_python(built, test) == test.finals[memory], test.name


def test_both_engines_leave_the_same_buffers(tmp_path: Path) -> None:
    for number, built in enumerate(builds(tmp_path / "some.py", cases()[::8], "tso")):
        assert assert_same(built, number) > 0


def test_a_barrier_left_out_is_found_under_x86_tso_alone(tmp_path: Path) -> None:
    model = written(tmp_path)
    verdicts = {(s, m): check(model, s, memory=m).verdict for s in ("without", "with") for m in ("sc", "x86-tso")}
    broken = [key for key, verdict in verdicts.items() if verdict is Verdict.VIOLATED]
    assert broken == [("without", "x86-tso")] and set(verdicts.values()) == {Verdict.HOLDS, Verdict.VIOLATED}


def test_threads_that_are_alike_are_judged_as_without_reductions(tmp_path: Path) -> None:
    path = tmp_path / "alike.py"
    path.write_text(ALIKE)
    for memory, verdict in (("sc", Verdict.HOLDS), ("x86-tso", Verdict.VIOLATED)):
        reduced, whole = (check(str(path), "three", memory=memory, races=False, reduce=r) for r in (EVERY, frozenset[str]()))
        assert reduced.verdict is whole.verdict is verdict
        assert (reduced.depth == whole.depth) or verdict is Verdict.HOLDS
        assert reduced.states < whole.states


def test_a_counterexample_says_when_a_store_reaches_memory_and_its_token_replays(tmp_path: Path) -> None:
    found = check(written(tmp_path), "without", memory="x86-tso")
    assert found.counterexample
    drawn = diagram(found)
    assert "x: 0 -> 1, buffered" in drawn and "-> memory" in drawn
    again = explain(found.counterexample.token, written(tmp_path))
    assert again.clause == found.clause and again.counterexample and again.counterexample.steps == found.counterexample.steps


def test_a_buffer_that_was_full_is_reported(tmp_path: Path) -> None:
    test = Litmus(
        "", {"x": 0, "y": 0}, [[["store", "x", 1], ["store", "y", 1]], [["load", "y", "r"], ["load", "x", "s"]]], [], {}
    )
    [built] = builds(tmp_path / "two.py", [test], "tso")
    for room, full in ((1, True), (2, False)):
        found = check(built.model, "s0", memory="x86-tso", store_buffer=room)
        assert (found.store_buffer, found.bound_met) == (room, full)


def test_a_full_buffer_takes_away_final_states_and_adds_none(tmp_path: Path) -> None:
    tests = [test for test in cases() if len(test.finals["tso"]) > 8]
    fewer = 0
    for built, test in zip(builds(tmp_path / "many.py", tests, "tso"), tests, strict=True):
        found = explored(build(built.model, built.scenario, {"MEMORY": 1, "STORE_BUFFER": 1}), test, True)
        assert found <= test.finals["tso"], test.name
        fewer += found < test.finals["tso"]
    assert fewer


ORDERED = """
from septum.lang import Model, Property, Scenario, Struct, call, process, u8

class World(Struct):
    x: u8
    y: u8
    seen: u8

@process
def writer(m: World):
    yield
    m.{first} = 1
    yield
    m.{second} = 1

@process
def reader(m: World):
    yield
    m.seen = m.x

def order(m: World):
    assert m.y == 0 or m.x == 1, "order: y is stored, and x is not"

def start(setup):
    setup.thread("W", call(writer))
    setup.thread("R", call(reader))

model = Model("ordered", World, (Scenario("s", "Two stores", start),), (Property("order", "x before y", order),))
"""


@pytest.mark.parametrize(("first", "second", "holds"), [("x", "y", True), ("y", "x", False)])
def test_a_property_sees_stores_in_the_order_of_their_thread_though_no_other_thread_touches_one(
    first: str, second: str, holds: bool, tmp_path: Path
) -> None:
    path = tmp_path / "ordered.py"
    path.write_text(ORDERED.format(first=first, second=second))
    for engine in ("c", "python"):
        assert check(str(path), "s", memory="x86-tso", engine=engine).holds is holds


def test_what_a_memory_model_has_not_is_refused(tmp_path: Path) -> None:
    model = written(tmp_path)
    for options, said in (
        ({"memory": "arm"}, "no memory model arm; there are sc, x86-tso"),
        ({"memory": "sc", "store_buffer": 2}, "sc has none; x86-tso has"),
        ({"memory": "x86-tso", "store_buffer": 65}, "1 to 64 stores"),
        ({"memory": "x86-tso", "property": "race"}, "race is judged under --memory sc"),
        ({"memory": "x86-tso", "livelocks": True}, "progress is judged under --memory sc"),
    ):
        with pytest.raises(UserError, match=said):
            check(model, "with", **options)  # type: ignore[arg-type]


def test_kvms_model_is_for_sequential_consistency_alone() -> None:
    with pytest.raises(UserError, match="upstream: KVM's model is explored under --memory sc"):
        check("upstream", "same_gfn", memory="x86-tso")


def written(directory: Path) -> str:
    path = directory / "buffering.py"
    path.write_text(BUFFERING)
    assert load(str(path)).name == "buffering"
    return str(path)
