"""The choices on which the language rests, each pinned."""

from __future__ import annotations

import ctypes
import re
from dataclasses import replace

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.check.search import Search
from septum.explore.build import build
from septum.explore.explore import explore
from septum.lang import Index, Model, Scenario, Size, Slot, Struct, call, each, process, u8
from septum.lang.errors import ModelError, UserError
from septum.lang.struct import allocate, realise
from septum.lang.types import scope

THINGS = Size("THREADS", 3)


def states(built, **options):
    with scope(built.bindings):
        return explore(built.library(), built.initial, len(built.threads), **{"symmetry": False, "fusion": False, **options})


def test_a_dead_local_is_not_part_of_the_state(program):
    built = program("""
        @process
        def p(m: World):
            x = yield choose(5)
            m.n = u8(x // 5)
            yield
            m.flag = True
    """)
    # before the choice, after it (one state although x was any of five), and at the end
    assert states(built).states == 4


def test_a_live_local_is_part_of_the_state(program):
    built = program("""
        @process
        def p(m: World):
            x = yield choose(5)
            yield
            m.n = u8(x)
    """)
    assert states(built).states == 2 + 5 + 5


def test_a_violated_assertion_ends_its_step_and_is_not_explored_further(program):
    built = program("""
        @process
        def p(m: World):
            x = yield choose(2)
            m.n = 7
            assert x == 0, "custody: odd"
            yield
            m.n = 8
    """)
    found = states(built)
    assert found.outcome.name == "VIOLATED"
    assert found.schedule == ((0, 0), (0, 1))


def test_a_condition_and_what_follows_are_one_step(program):
    built = program("""
        @process
        def p(m: World):
            yield when(lambda: m.n == 0)
            m.n += 1
            assert m.n == 1, "custody: two at once"
            yield
            m.n -= 1
    """)
    both = build(
        built.model, Scenario("both", "", lambda s: [s.thread(f"T{i}", built.threads[0].calls[0]) for i in range(2)] and None)
    )
    assert states(both).outcome.name == "COMPLETE"


def test_the_python_engine_counts_what_the_c_engine_counts(program):
    built = program("""
        @process
        def p(m: World):
            while m.n < 2:
                x = yield choose(2)
                m.n += 1
                m.small[x] += 1
            yield when(lambda: m.n == 2)
            m.flag = True
    """)
    fast = states(built)
    with scope(built.bindings):
        from septum.explore.explore import Budget

        slow = Search(built, Budget(), None).run()
    assert (slow.states, slow.transitions, slow.depth, slow.final_states) == (
        fast.states,
        fast.transitions,
        fast.depth,
        fast.final_states,
    )


class Inner(Struct):
    """What a design keeps."""

    count: u8


DESIGN = Slot("DESIGN")
Thing = Index("Thing", THINGS)


class Sized(Struct):
    """A world whose sizes and parts a scope gives."""

    thing: u8[Thing]
    design: DESIGN


@process
def touch_all(m: Sized):
    for thing in each(Thing):
        yield
        m.thing[thing] += 1
    m.design.count += 1


@pytest.mark.parametrize("things", [1, 4, 9])
def test_sizes_and_slots_are_constants_of_the_compiled_model(things):
    model = Model("sized", Sized, bindings={THINGS: things, DESIGN: Inner})
    found = states(build(model, Scenario("s", "", lambda s: s.thread("T", call(touch_all)))))
    assert found.states == things + 2


def test_a_size_that_the_model_does_not_have_is_refused():
    model = Model("sized", Sized, bindings={THINGS: 2, DESIGN: Inner})
    with pytest.raises(Exception, match="has no PAGES to set"):
        build(model, Scenario("s", "", lambda s: s.thread("T", call(touch_all))), {"PAGES": 3})


def test_every_store_in_python_is_checked():
    with scope({THINGS: 2, DESIGN: Inner}):
        m, _ = allocate(realise(Sized, {}))
        for wrong in (lambda: m.thing.__setitem__(0, 256), lambda: m.thing.__setitem__(2, 0), lambda: m.thing.__setitem__(-1, 0)):
            with pytest.raises(ModelError):
                wrong()
        with pytest.raises(ModelError, match="assign its fields"):
            m.design = m.design
        assert ctypes.sizeof(m) == 3


def test_a_shortest_counterexample_is_shortest_without_reductions(program):
    built = program("""
        @process
        def p(m: World):
            x = yield choose(2)
            if x == 0:
                for i in range(5):
                    y = yield choose(1)
            else:
                yield
            assert False, "custody: always"
    """)
    result = check(built.model.__class__(**{**built.model.__dict__, "scenarios": (built.scenario,)}), "s")
    assert result.verdict == "violated" and result.counterexample.shortest
    assert len(result.counterexample.steps) == 3


def test_a_property_holds_after_every_step_and_one_at_rest_only_at_the_end(program):
    text = """
        @process
        def p(m: World):
            yield
            m.n = 1
            yield
            m.n = 0

        def property_low(m):
            assert m.n == 0, "property_low: n is not 0"
    """
    built = program(text)
    model = built.model
    at_rest = Model(model.name, model.world, properties=(replace(model.properties[0], at_rest=True),))
    assert states(built).outcome.name == "VIOLATED"
    assert states(build(at_rest, built.scenario)).outcome.name == "COMPLETE"


def test_operations_are_resolved_when_the_model_is_built():
    code = build(load("upstream"), load("upstream").scenarios[0]).translation.code
    processes = code[code.index("typedef struct world_t") : code.index("static int enter(")]
    assert "(*v_" in processes
    assert "->*" not in processes
    assert not re.search(r"\(\*\w+\)\(", processes), "a call through a pointer"


def test_frames_are_separate_from_the_world(program):
    built = program("""
        @process
        def p(m: World):
            x = yield choose(3)
            yield
            m.n = u8(x)
    """)
    with scope(built.bindings):
        engine = built.engine()
        engine.step(0)
        before = engine.world()
        engine.step(0, 2)
        assert engine.world() == before
        assert engine.state()[built.translation.world_size :][:4] == bytes([0, 2, 2, 0])


def test_fewer_page_frames_than_a_scope_needs_are_refused():
    with pytest.raises(UserError, match=r"needs \d+ page frames and has 10"):
        check("upstream", "same_gfn", pages=10)


def test_a_scenario_takes_the_number_of_vcpus():
    assert check("upstream", "same_gfn", vcpus=1, property="custody").states < check("upstream", "same_gfn").states
    assert check("upstream", "same_gfn", vcpus=3).holds
