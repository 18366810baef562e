"""A token is replayed if it is one that septum wrote, and is bad input otherwise: never a verdict, never a defect of septum."""

from __future__ import annotations

import os
import random
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from septum.check import tokens
from septum.check.check import check
from septum.check.explain import explain
from septum.check.loading import load
from septum.check.races import race_at
from septum.cli import main
from septum.explore.build import build
from septum.lang import UserError
from septum.lang.errors import EnginesDisagree
from septum.lang.types import scope

MODEL = """
    from septum.lang import *

    ROOM = Size("ROOM", 2)

    class World(Struct):
        n: u8[ROOM]
        a: bool
        b: bool

    @process
    def count(m: World):
        more = yield choose(2)
        n = m.n[0]
        yield
        m.n[0] = u8(n + more)
        assert m.n[0] < 2, "custody: two"
        yield
        warn_on(m.n[0] == 0, "order: none")

    @process
    def both(m: World, first: u8):
        yield when(lambda: not (m.a if first == 0 else m.b))
        if first == 0:
            m.a = True
        else:
            m.b = True
        yield when(lambda: not (m.b if first == 0 else m.a))

    @process
    def turn(m: World):
        while not m.b:
            yield
            m.a = not m.a

    def counts(s):
        s.thread("T0", call(count))
        s.thread("T1", call(count))

    def waits(s):
        s.thread("T0", call(both, 0))
        s.thread("T1", call(both, 1))

    def turns(s):
        s.thread("T0", call(turn))

    model = Model(
        "small", World, (Scenario("counts", "", counts), Scenario("waits", "", waits), Scenario("turns", "", turns)),
        (Property("custody", "one"), Property("order", "some")), {ROOM: 2},
    )
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.py"
    path.write_text(textwrap.dedent(MODEL))
    return str(path)


@pytest.fixture(scope="module")
def written(small):
    """`written(scenario, schedule, ...)`: a well-formed token of this schedule, whether septum would write it or not."""
    model = load(small)
    scenarios = {one.name: one for one in model.scenarios}

    def write(scenario, schedule, sizes=None, deadlock=False, loop=None, judged="", **kinds):
        built = build(model, scenarios[scenario], {}, judged)
        return tokens.write(built, tuple(schedule), sizes or {}, deadlock, Path("."), loop, **kinds)

    return write


def refused(capsys, token, path):
    assert main(["explain", token, path]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("septum: ") and err.count("\n") == 1
    assert "defect" not in err
    return err


def test_a_flipped_token_is_damaged(small):
    """Of 10,000 flips of one bit to three characters; `make fuzz` tries a hundred times as many."""
    token, chance = check(small, "counts").counterexample.token, random.Random(1)
    for _ in range(10_000):
        flipped = bytearray(token, "ascii")
        for _ in range(chance.randint(1, 3)):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        word = flipped.decode("latin-1")
        if word != token:
            with pytest.raises(UserError):
                tokens.read(word)


@pytest.mark.parametrize("more", [" ", "\n", "=", "A", "!", "\0", "é"])
def test_a_token_has_one_spelling(small, more):
    token = check(small, "counts").counterexample.token
    for place in (0, 3, 10, len(token)):
        with pytest.raises(UserError):
            tokens.read(token[:place] + more + token[place:])


@given(some.lists(some.tuples(some.integers(0, 31), some.integers(0, 1 << 19)), max_size=40), some.integers(0, 39))
def test_every_schedule_is_read_as_it_was_written(schedule, loop):
    packed = b"abcdefgh" + bytes([tokens.LOOPS if loop < len(schedule) else 0])
    packed += loop.to_bytes(4, "big") if loop < len(schedule) else b""
    read = tokens.read(tokens._spelled(packed + tokens._packed(tuple(schedule))))
    assert (read.schedule, read.loop) == (tuple(schedule), loop if loop < len(schedule) else None)


@given(some.binary(max_size=60))
def test_of_any_bytes_with_a_right_checksum_a_token_comes_or_bad_input(packed):
    with suppress(UserError):
        assert all(thread < 32 for thread, _ in tokens.read(tokens._spelled(packed)).schedule)


FORGED = {
    "nothing has happened": ("waits", [], {"deadlock": True}),
    "somebody can go on": ("waits", [(0, 0)], {"deadlock": True}),
    "no violation": ("counts", [(0, 0), (0, 1)], {}),
    "no violation, and all has ended": ("counts", [(0, 0), (0, 1), (0, 0), (0, 0), (1, 0), (1, 0), (1, 0), (1, 0)], {}),
    "no deadlock, since all has ended": (
        "counts", [(0, 0), (0, 1), (0, 0), (0, 0), (1, 0), (1, 0), (1, 0), (1, 0)], {"deadlock": True},
    ),
    "no such thread": ("waits", [(5, 0)], {}),
    "no such choice": ("counts", [(0, 0), (0, 2)], {}),
    "a choice where there is none": ("counts", [(0, 1)], {}),
    "a thread that waits": ("waits", [(0, 0), (0, 0), (1, 0), (1, 0), (1, 0)], {"deadlock": True}),
    "a thread that has ended": ("counts", [(0, 0), (0, 0), (0, 0), (0, 0), (0, 0)], {}),
    "a violation in place of the deadlock": ("counts", [(0, 0), (0, 0), (0, 0), (0, 0)], {"deadlock": True}),
    "steps after the violation": ("counts", [(0, 0), (0, 0), (0, 0), (0, 0), (1, 0)], {}),
    "a violation of what was not judged": ("counts", [(0, 0), (0, 0), (0, 0), (0, 0)], {"judged": "custody"}),
    "a property that is none": ("counts", [(0, 0)], {"judged": "custardy"}),
    "a size that is none": ("counts", [(0, 0)], {"sizes": {"WIDTH": 3}}),
    "a size of nothing": ("counts", [(0, 0)], {"sizes": {"ROOM": 0}}),
    "a size that fits no machine": ("counts", [(0, 0)], {"sizes": {"ROOM": 999_999_999}}),
    "no loop": ("turns", [(0, 0), (0, 0), (0, 0)], {"loop": 0}),
    "a loop beyond the end": ("turns", [(0, 0), (0, 0), (0, 0)], {"loop": 3}),
    "a loop that others could leave": ("counts", [(0, 0)], {"loop": 0}),
    "no race": ("counts", [(0, 0)], {"race": True}),
    "a race after no such thread": ("waits", [(5, 0)], {"race": True}),
    "a race after the last thread that a token can name": ("waits", [(0, 0), (31, 0)], {"race": True}),
    "a race after no such choice": ("counts", [(0, 0), (0, 2)], {"race": True}),
    "a race after a thread that waits": ("waits", [(0, 0), (0, 0), (1, 0), (1, 0), (1, 0)], {"race": True}),
    "a race after a thread that has ended": ("counts", [(0, 0), (0, 0), (0, 0), (0, 0), (0, 0)], {"race": True}),
    "no event": ("counts", [(0, 0)], {"event": True}),
    "an event of no such thread": ("waits", [(31, 0)], {"event": True}),
}  # fmt: skip


@pytest.mark.parametrize(("scenario", "schedule", "more"), FORGED.values(), ids=FORGED)
def test_a_token_that_does_not_end_as_it_claims_is_bad_input(capsys, small, written, scenario, schedule, more):
    refused(capsys, written(scenario, schedule, **more), small)


@pytest.mark.parametrize("last", [(31, 0), (1, 7), (1, 0)], ids=["no such thread", "no such choice", "it waits"])
def test_no_race_is_looked_for_after_a_step_that_cannot_be_taken(small, last):
    """In the C library, which takes numbers as they are."""
    model = load(small)
    built = build(model, next(one for one in model.scenarios if one.name == "waits"), {})
    with scope(built.bindings), pytest.raises(EnginesDisagree, match="step 5 cannot be taken"):
        race_at(built, [(0, 0), (0, 0), (1, 0), (1, 0), last])


def test_what_ends_as_it_claims_is_replayed(capsys, small, written):
    for scenario, schedule, more in (
        ("waits", [(0, 0), (1, 0), (0, 0), (1, 0)], {"deadlock": True}),
        ("counts", [(0, 0), (0, 0), (0, 0), (0, 0)], {}),
        ("turns", [(0, 0), (0, 0), (0, 0)], {"loop": 1}),
    ):
        assert main(["explain", written(scenario, schedule, **more), small]) == 1
        assert "What broke" in capsys.readouterr().out


def test_a_replay_does_not_say_that_a_schedule_is_the_shortest(capsys, small):
    result = check(small, "counts")
    assert result.counterexample.shortest
    assert explain(result.counterexample.token, small).counterexample.shortest is None
    main(["explain", result.counterexample.token, small])
    assert "shortest" not in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "s2-", "s1-NSfKMBjlXu5rAQ", "\x1b[2J", "s2-" + "W" * 10_000, "{" * 100_000])
def test_a_schedule_file_that_is_none_is_bad_input(capsys, small, tmp_path, content):
    path = tmp_path / "one.schedule"
    path.write_text(content)
    assert "\x1b" not in refused(capsys, str(path), small)


def test_a_schedule_file_that_cannot_be_read_is_bad_input(capsys, small, tmp_path):
    (tmp_path / "directory.schedule").mkdir()
    os.mkfifo(tmp_path / "pipe.schedule")
    with (tmp_path / "large.schedule").open("wb") as file:
        file.truncate(1 << 30)
    for name in ("directory", "pipe", "large", "none", "n" * 300):
        assert f"{name[:200]}" in refused(capsys, str(tmp_path / f"{name}.schedule"), small)
