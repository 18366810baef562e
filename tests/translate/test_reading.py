"""A function is read once for all scopes that answer what its reading asks alike."""

from __future__ import annotations

from septum.explore.build import Build, build
from septum.lang import Index, Model, Scenario, Size, Struct, call, each, process, u8
from septum.translate.tree import Function

THINGS, ROUNDS = Size("THINGS", 2), Size("ROUNDS", 2)
Thing = Index("Thing", THINGS)


class World(Struct):
    count: u8[Thing]
    sum: u8


def add(m, thing):
    m.sum = u8((m.sum + m.count[thing]) % 8)


def add_all(m):
    for thing in each(Thing):
        add(m, thing)


def more(m):
    m.sum = u8((m.sum + ROUNDS) % 8)


@process
def run(m: World, first: Thing):
    yield
    m.count[first] = 1
    add_all(m)
    more(m)


def start(setup):
    setup.thread("T", call(run, 1))


SIZES = {"small": {}, "wide": {THINGS: 4}, "long": {ROUNDS: 3}}
MODEL = Model("sums", World, tuple(Scenario(name, "", start, (), sizes) for name, sizes in SIZES.items()))


def built(name: str) -> Build:
    return build(MODEL, next(one for one in MODEL.scenarios if one.name == name))


def functions(name: str) -> dict[str, Function]:
    return {one.source.name: one for one in built(name).translation.functions}


def test_what_asks_for_other_sizes_is_read_once():
    small, wide, long = functions("small"), functions("wide"), functions("long")
    assert small["add"] is wide["add"] is long["add"]
    assert small["more"] is wide["more"]


def test_what_asks_for_a_size_that_differs_is_read_again_with_all_that_calls_it():
    small, long = functions("small"), functions("long")
    assert small["more"] is not long["more"]
    assert small["run"] is not long["run"]


def test_a_loop_over_an_index_type_asks_for_its_size_when_it_is_printed():
    assert functions("small")["add_all"] is functions("wide")["add_all"]
    assert "(int64_t)(2)" in built("small").translation.code
    assert "(int64_t)(4)" in built("wide").translation.code


def test_what_a_unit_has_read_it_knows_outside_of_its_scope_too():
    unit = built("long").translation
    assert unit.entry(run, 1) == 0
    assert len(unit.entries) == 1
