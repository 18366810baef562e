"""A branch that the scope decides is not part of the model: it is not translated, and keeps nothing alive."""

from __future__ import annotations

import pytest

from septum.explore.build import build
from septum.lang import Model, Scenario, Size, Struct, call, process, u8
from septum.lang.errors import LanguageError
from septum.lang.types import Unsigned

WHOLE = Size("WHOLE", 0)
BITS = Size("BITS", 8)
Count = Unsigned("Count", BITS)


class Thin(Struct):
    """A world without the field `more`."""

    n: u8
    count: Count


class Wide(Thin):
    """A world that has it."""

    more: u8


def both(m, x: u8):
    if WHOLE:
        return m.more
    return m.n + x if not WHOLE and x < 3 else m.n


@process
def steps(m):
    kept = both(m, u8(1))
    yield
    if WHOLE or m.n == 9:
        m.n = u8(kept)
    if WHOLE and m.more != 0:
        yield
        m.n = 7


def built(world, whole, bits=8):
    def run(setup):
        setup.thread("T", call(steps))

    return build(Model("fold", world, bindings={WHOLE: whole, BITS: bits}), Scenario("s", "", run))


def test_a_branch_that_is_ruled_out_may_name_what_is_not_there():
    assert "more" not in built(Thin, 0).translation.code.split("world_t;")[1].split("static int enter(")[0]


def test_a_branch_that_is_taken_is_translated_without_its_test():
    code = built(Wide, 1).translation.code
    assert "more" in code
    assert len(built(Wide, 1).translation.entries[0].pauses) == 2
    assert len(built(Thin, 0).translation.entries[0].pauses) == 1


def test_a_field_that_is_not_there_is_refused_where_the_branch_is_taken():
    with pytest.raises(LanguageError, match="no field more"):
        built(Thin, 1)


@pytest.mark.parametrize(("bits", "size"), [(8, 1), (16, 2), (32, 4)])
def test_a_number_is_as_wide_as_the_scope_says(bits, size):
    layout = built(Thin, 0, bits).translation.layout
    assert layout.count.size == size
