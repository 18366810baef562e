"""A verdict that was kept stands for the same check alone; whatever is another, or damaged, is explored again."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from septum.check import check as module
from septum.check import kept as keeping
from septum.check.check import check
from septum.check.result import Result, Verdict
from septum.explore.explore import Budget
from septum.translate import cache

pytestmark = pytest.mark.usefixtures("quickly_compiled")

MODEL = """
from septum.lang import *

HELD = Size("HELD", 1)
done = Witness("done", "a thread is done")

class World(Struct):
    n: u8
    other: u8
    locked: boolean[HELD]

@process
def count(m: World):
    {first}
    n = m.n
    yield
    m.n = u8(n + 1)
    {last}
    reached(done)

@process
def idle(m: World):
    yield
    assert m.other == 0, "custody: it is {word}"

def both(setup):
    for number in range(2):
        setup.thread(f"T{{number}}", call(count))

def none(setup):
    setup.thread("T", call(idle))

custody = Property("custody", "{word}")
model = Model("own", World, (Scenario("two", "", both, (done,)), Scenario("alone", "", none, bindings={{HELD: 2}})), (custody,))
"""
TAKE, COUNT = "yield when(lambda: not m.locked[0]); m.locked[0] = True", "    n = m.n\n    yield\n    m.n = u8(n + 1)\n"
LOCKED = {"first": TAKE, "last": "m.locked[0] = False", "word": "one"}
OPEN = {**LOCKED, "first": "yield", "last": "assert m.n < 2, 'custody: twice'"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def explored(monkeypatch: pytest.MonkeyPatch, directory: Path) -> list[str]:
    """A cache without verdicts; the scenarios that were explored."""
    monkeypatch.setenv("SEPTUM_CACHE", str(directory))
    for path in directory.glob("*.verdict"):
        path.unlink()
    found: list[str] = []
    result = module._Check.result
    monkeypatch.setattr(module._Check, "result", lambda self: (found.append(self.built.scenario.name), result(self))[1])
    return found


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., str]:
    def write(**parts: str) -> str:
        path = tmp_path / "own.py"
        path.write_text(textwrap.dedent(MODEL).format(**{**LOCKED, **parts}))
        return str(path)

    return write


def again(design: str, scenario: str = "two", **options: Any) -> Result:
    return check(design, scenario, fresh=False, **options)


def test_what_was_explored_to_the_end_is_not_explored_again(explored: list[str], own: Any) -> None:
    first = again(own())
    assert first.verdict is Verdict.HOLDS
    assert not first.kept
    second = again(own())
    assert second == replace(first, kept=True)
    assert explored == ["two"]


def test_a_violation_keeps_its_token_and_is_replayed(explored: list[str], own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = again(own(**OPEN))
    assert first.verdict is Verdict.VIOLATED
    assert again(own(**OPEN)) == replace(first, kept=True)
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "trace", lambda *_: (_ for _ in ()).throw(keeping.EnginesDisagree("it ends otherwise")))
        assert not again(own(**OPEN)).kept
    assert explored == ["two", "two"]


def test_races_and_livelocks_are_replayed_too(explored: list[str], tmp_path: Path) -> None:
    path, text = tmp_path / "racy.py", MODEL.replace(COUNT, "    m.n = u8(m.n + 1)\n")
    path.write_text(textwrap.dedent(text).format(**{**LOCKED, "first": "yield"}))
    first = again(str(path))
    assert first.property == "race"
    assert again(str(path)) == replace(first, kept=True)
    retries = str(Path(__file__).parents[1] / "progress" / "retries.py")
    first = again(retries, "feed_each_other", livelocks=True)
    assert first.property == "progress"
    assert again(retries, "feed_each_other", livelocks=True) == replace(first, kept=True)


@pytest.mark.parametrize(
    "other",
    [
        {"last": "m.locked[0] = True"},
        {"last": "m.locked[0] = False; m.other = 0"},
        {"last": "m.locked[0] = False\n"},
        {"last": "assert True, 'custody: a'"},
    ],
    ids=["a value alone", "a step", "a line further down", "a message"],
)
def test_another_design_is_explored(explored: list[str], own: Any, other: dict[str, str]) -> None:
    again(own())
    again(own(**other))
    assert explored == ["two", "two"]


@pytest.mark.parametrize(
    "options",
    [{"property": "deadlock"}, {"reduce": frozenset({"symmetry"})}, {"races": False}, {"livelocks": True}, {"resume": True},
     {"engine": "python"}, {"budget": Budget(states=10_000)}, {"budget": Budget(bytes=1 << 30)}],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_another_question_is_explored(explored: list[str], own: Any, options: dict[str, Any]) -> None:
    again(own())
    assert not again(own(), **options).kept
    assert explored == ["two", "two"]


def test_a_budget_of_time_does_not_matter_to_what_is_known(explored: list[str], own: Any) -> None:
    again(own())
    assert again(own(), budget=Budget(seconds=60)).kept


def test_another_septum_is_not_believed(explored: list[str], own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    again(own())
    monkeypatch.setattr(keeping, "package_digest", lambda: "another")
    assert not again(own()).kept


def test_other_flags_are_another_question(explored: list[str], own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    again(own())
    monkeypatch.setenv("CFLAGS", "-O0 -DOTHER")
    assert not again(own()).kept


def test_fresh_explores(explored: list[str], own: Any) -> None:
    again(own())
    check(own(), "two")
    assert explored == ["two", "two"]


def test_what_is_incomplete_is_not_kept(explored: list[str], own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def incomplete(self: Any) -> Result:
        return Result("own", "two", Verdict.INCOMPLETE, reason="the time ended")

    with monkeypatch.context() as patch:
        patch.setattr(module._Check, "result", incomplete)
        again(own(), budget=Budget(seconds=60))
    assert not again(own()).kept


def test_a_scenario_that_cannot_call_what_was_changed_is_kept(explored: list[str], own: Any) -> None:
    """Of the same file, with its lines where they were."""
    for last in ("m.locked[0] = False", "m.locked[0] = bool(0)"):
        again(own(last=last), "alone")
    assert explored == ["alone"]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[:-1],
    "empty": lambda whole: b"",
    "a flipped bit of the verdict": lambda whole: whole.replace(b"holds", b"hnlds"),
    "a flipped bit of the seal": lambda whole: bytes([whole[0] ^ 1]) + whole[1:],
    "longer": lambda whole: whole + b" ",
    "without a seal": lambda whole: whole[cache.SEAL :],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_not_believed(explored: list[str], own: Any, damage: Callable[[bytes], bytes]) -> None:
    again(own())
    [path] = cache.cache_directory().glob("*.verdict")
    path.write_bytes(damage(path.read_bytes()))
    assert not again(own()).kept
    assert again(own()).kept, "it is kept anew"


FORGED: list[dict[str, Any]] = [
    {"key": "0" * 64}, {"verdict": "sound"}, {"states": None, "key": 3},
    {"found": {"schedule": [[9, 9]], "deadlock": False, "loop": None, "race": False}},
]  # fmt: skip


@pytest.mark.parametrize("change", FORGED, ids=lambda change: next(iter(change)))
def test_what_is_sealed_and_not_of_this_check_is_not_believed(explored: list[str], own: Any, change: dict[str, Any]) -> None:
    again(own())
    [path] = cache.cache_directory().glob("*.verdict")
    said = json.loads(cache.kept(path.name) or b"")
    cache.keep(path.name, json.dumps(said | change).encode())
    assert not again(own()).kept


@pytest.mark.parametrize("change", [{"clause": "custody: thrice"}, {"property": "backing"}, {"depth": 1}], ids=str)
def test_a_schedule_that_ends_otherwise_than_it_says_is_not_believed(
    explored: list[str], own: Any, change: dict[str, Any]
) -> None:
    again(own(**OPEN))
    [path] = cache.cache_directory().glob("*.verdict")
    said = json.loads(cache.kept(path.name) or b"")
    cache.keep(path.name, json.dumps(said | change).encode())
    assert not again(own(**OPEN)).kept


def test_that_of_another_name_user_or_mode_is_not_believed(explored: list[str], own: Any) -> None:
    again(own())
    [path] = cache.cache_directory().glob("*.verdict")
    path.with_name("0.verdict").write_bytes(path.read_bytes())
    assert cache.kept("0.verdict") is None
    path.chmod(0o666)
    assert cache.kept(path.name) is None


def test_a_disk_that_fails_keeps_nothing(explored: list[str], own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(cache.os, "replace", fail)
    cache.keep("1.verdict", b"content")
    assert cache.kept("1.verdict") is None
