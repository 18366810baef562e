"""Arithmetic gives in C what it gives in Python, or is refused, or is a mistake of the model in both."""

from __future__ import annotations

import ctypes

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from septum.lang import LanguageError, ModelError
from septum.lang.engine import Status
from septum.lang.types import scope
from tests.lang.parity import Step

LEAVES = st.sampled_from(
    [
        "m.n",
        "m.wide",
        "m.small[0]",
        "m.per[1]",
        "m.page[1].word[0]",
        "m.flag",
        "0",
        "1",
        "7",
        "255",
        "65536",
        "(1 << 63)",
        "ENTRIES",
    ]
)
OPERATORS = st.sampled_from(["+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>"])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, OPERATORS, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"min({t[0]}, {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} < {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"(({t[0]} != 0) and not ({t[1]} == 2))"),
        inner.map(lambda text: f"u16({text})"),
    ),
    max_leaves=6,
)
VALUES = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 255)), min_size=4, max_size=4)


def test_every_expression_agrees_or_is_refused(program):
    agreed = []

    # not shrunk: each try compiles
    @settings(
        max_examples=15,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(EXPRESSIONS, min_size=8, max_size=8), VALUES, st.integers(0, 2**64 - 1))
    def run(expressions, values, wide):
        accepted = []
        for expression in expressions:
            try:
                program(f"@process\ndef p(m: World):\n    m.wide = u64({expression})\n    yield\n")
                accepted.append(expression)
            except LanguageError:
                continue
        body = "".join(f"    if which == {number}:\n        m.wide = u64({text})\n" for number, text in enumerate(accepted))
        for number in range(len(accepted)):
            built = program(f"@process\ndef p(m: World, which: u8):\n{body}    yield\n", number)
            assert_one_step_agrees(built, values, wide)
            agreed.append(number)

    run()
    assert len(agreed) > 20


def assert_one_step_agrees(built, values, wide):
    with scope(built.bindings):
        engine = built.engine()
        m = engine.m
        m.n, m.small[0], m.per[1], m.flag = values[0], values[1], values[2], values[3] & 1
        m.page[1].word[0] = m.wide = wide
        state = ctypes.create_string_buffer(engine.state(), built.translation.state_size)
        step = Step(0, -1, 0)
        outcome = built.library().septum_step(state, 0, ctypes.byref(step))
        try:
            failed = engine.step(0) is Status.FAILED
        except ModelError:
            failed = True
        if failed:
            assert outcome == 2 and not built.translation.sites[step.failure].is_assertion
            return
        assert outcome == 0, built.translation.sites[step.failure]
        assert state.raw == engine.state()
