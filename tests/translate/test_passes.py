"""Each pass over a typed tree alone, on trees written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from septum.lang import Index, Struct, Thread, Witness, call, process, u8
from septum.lang.frames import Frames, Point, Saved
from septum.lang.source import source_of
from septum.lang.types import Array, scope
from septum.lang.values import BOOL, NOTHING, Num, Of, Ref
from septum.reduce.apart import distinctions
from septum.reduce.footprint import Footprints
from septum.reduce.order import depends_on_order
from septum.translate.flow import Flow, flow
from septum.translate.print_c import print_function
from septum.translate.show import shown
from septum.translate.translation import Translation
from septum.translate.tree import (
    Assertion,
    Assign,
    At,
    Binary,
    Checked,
    Const,
    Convert,
    Element,
    Evaluate,
    Field,
    For,
    Function,
    If,
    Jump,
    Load,
    Local,
    Note,
    Register,
    Return,
    Site,
    Store,
    Unary,
    Wait,
    While,
    Yield,
    walk,
)

Cpu = Index("Cpu", 3)


class World(Struct):
    n: u8
    own: u8[Cpu]


@process
def nothing(m, cpu: Cpu):
    """What the hand-written trees take the name and the file of."""
    yield


AT = At("hand.py", 7)
BYTE, CPU, WORLD = Num(0, 255), Of(Cpu), Ref(World)
OWN: Any = Array(u8, Cpu)
M, X, ME = Local(AT, WORLD, "m"), Local(AT, BYTE, "x"), Local(AT, CPU, "cpu")
SITE = Site("range", "a value does not fit u8 (0 .. 255)", "hand.py", 7, "m.n = u8(x + 1)")


def field(name="n"):
    return Field(AT, BYTE if name == "n" else Ref(OWN), M, World, name)


def own(index):
    return Element(AT, BYTE, field("own"), OWN, index)


def number(value, kind=None):
    return Const(AT, kind or Num(value, value), value)


def function(*body, **more):
    kinds = {"m": WORLD, "cpu": CPU, "x": BYTE}
    of = Function(source_of(nothing), {"m": WORLD, "cpu": CPU}, kinds, more.pop("returns", NOTHING), body, **more)
    if of.is_process:
        of.frames = Frames(of.source, of.parameters, tuple(
            Point(pause.number, 7, 0, (Saved("x", BYTE, 1, 8),) if "x" in flow(of).live_at(pause) else (), 2, None)
            for pause in of.pauses
        ))  # fmt: skip
    return of


PLUS_ONE = Binary(AT, Num(1, 256), "+", X, number(1))
COUNTS = function(Assign(AT, "x", Load(AT, BYTE, field(), "m.n")), Yield(AT, 1),
                  Store(AT, field(), Checked(AT, BYTE, "fit", PLUS_ONE, 256, SITE), "m.n"), Yield(AT, 2),
                  Store(AT, own(ME), number(1), "m.own[cpu]"), is_process=True)  # fmt: skip


def test_a_walk_meets_every_node_in_the_order_of_the_source():
    found = [type(node).__name__ for node in walk(Store(AT, field(), PLUS_ONE))]
    assert found == ["Store", "Field", "Local", "Binary", "Local", "Const"]


def test_what_an_expression_does_follows_from_what_is_in_it():
    assert Binary(AT, BOOL, "==", Load(AT, BYTE, field()), X).reads
    assert not field("own").reads
    assert Note(AT, NOTHING, Witness("w", "")).changes
    assert not Note(AT, NOTHING, "atomic").changes
    assert not function(Evaluate(AT, Load(AT, BYTE, field()))).changes
    assert function(Store(AT, field(), X)).changes


def test_a_local_is_live_at_a_yield_where_it_is_read_behind_it():
    first, second = COUNTS.pauses
    assert flow(COUNTS).live_at(first) == {"m", "x", "cpu"}
    assert flow(COUNTS).live_at(second) == {"m", "cpu"}


def test_a_condition_is_read_after_its_yield():
    waits = function(Wait(AT, 1, Binary(AT, BOOL, "==", X, number(0))), is_process=True)
    assert flow(waits).live_at(waits.pauses[0]) == {"x"}


def test_a_loop_that_yields_turns_back_to_its_head():
    loop = While(AT, Binary(AT, BOOL, "==", X, number(0)), (Yield(AT, 1),), SITE)
    spins = function(loop, is_process=True)
    start = flow(spins).resumed[spins.pauses[0]]
    assert any(piece.turns for piece in flow(spins).region(start, lambda call: False))


def test_control_falls_through_a_block_unless_every_path_ends():
    both = If(AT, X, (Return(AT, X),), (Return(AT, X),))
    one = If(AT, X, (Return(AT, X),), ())
    ends, breaks = While(AT, X, (), SITE, for_ever=True), While(AT, X, (Jump(AT, "break"),), SITE, for_ever=True)
    assert [Flow((node,)).falls_through for node in (both, one, ends, breaks)] == [False, True, False, True]


def test_a_step_touches_what_its_statements_do_until_the_yield():
    unit: Any = SimpleNamespace(entries=[COUNTS], entry=lambda process, arguments: 0, always=[])
    found = Footprints(unit, [Thread("T", (call(nothing, 2),))], None)
    steps = [(found.places(spot.step.reads), found.places(spot.step.writes)) for spot in found.programs[0][0].spots]
    assert steps == [([("n",)], []), ([], [("n",)]), ([], [("own", 2)])]


@pytest.mark.parametrize(("node", "told"), [
    (Convert(AT, Num(0, 2), ME), Cpu), (number(1, CPU), Cpu), (Convert(AT, CPU, X), Cpu), (Binary(AT, BOOL, "<", ME, ME), Cpu),
    (Register(AT, BYTE, "thread"), None),
])  # fmt: skip
def test_what_tells_values_apart(node, told):
    assert [one.index for one in distinctions(function(Evaluate(AT, node)))] == [told]


@pytest.mark.parametrize("node", [
    Convert(AT, CPU, Register(AT, BYTE, "thread")), Unary(AT, BYTE, "only", ME), Load(AT, BYTE, own(ME)),
    Binary(AT, BOOL, "==", ME, ME),
])  # fmt: skip
def test_what_does_not(node):
    assert not distinctions(function(Evaluate(AT, node)))


def test_a_loop_over_places_of_its_own_has_no_order_and_one_that_keeps_the_last_has():
    def loop(*body):
        return For(AT, "cpu", number(0), number(3), 1, Cpu, False, body)

    assert not depends_on_order(loop(Store(AT, own(ME), number(1))), COUNTS)
    assert depends_on_order(loop(Store(AT, field(), Convert(AT, Num(0, 2), ME))), COUNTS)


def test_the_c_of_a_process_leaves_its_frame_at_a_yield_and_comes_back_to_it():
    with scope({}):
        unit = Translation(World, 1)
        text = print_function(unit, COUNTS)
    assert "v_x = (uint8_t)(READ((*w).n, 0));" in text
    assert "AT_YIELD(out[0] = 1; store8(out + 1, v_x););" in text
    assert "case 1: v_x = load8(in + 1); goto L1;" in text
    assert "WRITE((*w).n, 0) = fit(c, ((int64_t)(v_x) + (int64_t)(1)), 255, 0);" in text
    assert unit.sites == [SITE]


def test_a_number_is_computed_so_widely_that_it_does_not_wrap():
    wide = Num(0, (1 << 64) - 1)
    test = Binary(AT, BOOL, "==", Binary(AT, Num(-5, (1 << 64) - 1), "-", Local(AT, wide, "x"), X), number(0))
    with scope({}):
        text = print_function(Translation(World, 1), function(Evaluate(AT, Assertion(AT, NOTHING, test, SITE))))
    assert "holds(c, ((__int128)(((__int128)(v_x) - (__int128)(v_x))) == (__int128)(0)), 0);" in text


def test_a_tree_is_shown_with_lines_kinds_and_what_a_yield_keeps():
    assert shown(COUNTS).splitlines()[2:] == [
        "  local x: a number 0 .. 255",
        "     7    x = m.n",
        "     7    yield 1   keeps x",
        "     7    store m.n = ⟨fit (x + 1) < 256⟩",
        "     7    yield 2",
        "     7    store m.own[cpu] = 1",
    ]
