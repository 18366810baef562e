"""`septum hunt`: what is run, what is printed, and the exit status."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from septum.hunt.hunt import NOTHING_FOUND, Found, Hunted
from septum.lang.errors import ModelError
from tests.report.samples import VIOLATED

NOTHING = Hunted(
    "upstream", "zap", NOTHING_FOUND, runs=120_000, plain_runs=30_000, steps=9_600_000, seconds=2.0, longest=110, length=120,
    longer=2, seed=7, depth=3, threads=2, chance=0.6471, witnesses={"page_mapped": True, "lost_race": False},
)  # fmt: skip
FAILS = replace(
    NOTHING, verdict="violated", property="custody", clause="custody: page 7 is freed twice", first_run=41, first_steps=80,
    longer=0, counterexample=VIOLATED.counterexample, witnesses={},
    failures=(Found("custody", "custody: page {page} is freed twice", 3), Found("deadlock", "threads wait for ever", 1)),
)  # fmt: skip
CANNOT = Hunted("upstream", "zap", "not applicable", reason="the design has no split_external_spte")


@pytest.fixture
def answers(checker: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the hunts of the two scenarios come to, and under "asked" what they were asked."""
    found: dict[str, Any] = {"same_gfn": NOTHING, "zap": NOTHING, "asked": []}

    def hunt(model: Any, scenario: str, **options: Any) -> Hunted:
        found["asked"].append((model.name, scenario, options))
        answer = found[scenario]
        if isinstance(answer, BaseException):
            raise answer
        return replace(answer(**options) if callable(answer) else answer, design=model.name, scenario=scenario)

    monkeypatch.setattr("septum.hunt.hunt.hunt", hunt)
    return found


@pytest.mark.parametrize(
    ("answer", "status"), [(NOTHING, 0), (CANNOT, 0), (FAILS, 1)], ids=["nothing", "not applicable", "found"]
)
def test_exit_status(septum: Any, answers: Any, answer: Any, status: int) -> None:
    answers["zap"] = answer
    assert septum("hunt", "upstream").status == status


def test_nothing_found_says_that_it_proves_nothing(septum: Any, answers: Any) -> None:
    found = septum("hunt", "upstream", "--scenario", "zap")
    text = " ".join(found.out.split())
    assert "zap nothing found 120,000 4.8 M 110 2.00" in text
    assert "Nothing was found, which proves nothing" in text
    assert "zap: 64.7 % (30,000 runs, each 1 in 2 x 120^2; somewhat less: 2 runs longer than was expected)" in text
    assert "the order of at most 3 pairs of steps" in text
    assert "Witnesses that no run reached: zap: lost_race" in text
    assert "Seed 7, 2.00 s; with --seed 7 --runs N the first N runs are the same again." in text
    assert "holds" not in text.replace("threads", "")
    assert found.err == ""
    assert max(map(len, found.out.splitlines())) <= 80


def test_what_is_found_is_told_and_drawn(septum: Any, answers: Any) -> None:
    answers["zap"] = FAILS
    found = septum("hunt", "upstream", "--scenario", "zap")
    text = " ".join(found.out.split())
    assert "violated: custody" in text
    assert "zap: 2 distinct failures; shown below is that of run 42, 80 steps, shrunk to" in text
    assert "3 of 120,000 runs: custody: page {page} is freed twice" in text
    assert "1 of 120,000 runs: threads wait for ever" in text
    assert "What broke custody: page 7 is freed twice" in text
    assert "septum explain" in text
    assert "proves nothing" not in text


def test_one_mistake_is_drawn_once(septum: Any, answers: Any) -> None:
    answers["zap"] = answers["same_gfn"] = FAILS
    shown = septum("hunt", "upstream").out
    assert shown.count("What broke") == 1
    assert "It fails at the same place in" in shown


def test_runs_without_an_end_are_told(septum: Any, answers: Any) -> None:
    answers["zap"] = replace(NOTHING, cut=3)
    assert "zap: 3 runs cut off: the threads may run for ever" in septum("hunt", "upstream").out


def test_options_reach_the_hunt(septum: Any, answers: Any) -> None:
    septum(
        *("hunt", "upstream", "--scenario", "zap", "--property", "custody", "--vcpus", "4", "--pages", "200", "--runs", "50"),
        *("--seed", "9", "--depth", "2", "--threads", "1", "--keep-going", "--memory", "x86-tso", "--store-buffer", "2"),
    )
    [(model, scenario, options)] = answers["asked"]
    assert (model, scenario) == ("upstream", "zap")
    assert options.pop("progress")
    assert options == {
        "property": "custody", "scope_name": "", "vcpus": 4, "pages": 200, "runs": 50, "seconds": None, "seed": 9, "depth": 2,
        "threads": 1, "keep_going": True, "memory": "x86-tso", "store_buffer": 2,
    }  # fmt: skip


def test_the_time_is_for_all_scenarios(septum: Any, answers: Any) -> None:
    answers["same_gfn"] = replace(NOTHING, seconds=0.5)
    septum("hunt", "upstream", "--for", "10s")
    assert [options["seconds"] for _, _, options in answers["asked"]] == [5, 9.5]
    assert len({options["seed"] for _, _, options in answers["asked"]}) == 1


def test_a_minute_and_another_seed_each_time(septum: Any, answers: Any) -> None:
    for _ in range(2):
        septum("hunt", "upstream", "--scenario", "zap")
    first, second = (options for _, _, options in answers["asked"])
    assert first["seconds"] == 60
    assert first["seed"] != second["seed"]


def test_json(septum: Any, answers: Any) -> None:
    answers["zap"] = FAILS
    nothing, fails = json.loads(septum("hunt", "upstream", "--json").out)["hunts"]
    assert (nothing["verdict"], nothing["counterexample"], nothing["rate"]) == ("nothing found", None, 4_800_000)
    assert (fails["verdict"], fails["property"], fails["runs"], fails["seed"]) == ("violated", "custody", 120_000, 7)
    assert fails["failures"][0] == {"property": "custody", "clause": "custody: page {page} is freed twice", "runs": 3}
    assert fails["counterexample"]["steps"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "lots"], "--for lots: write a duration (60s, 5m, 1h)"),
        (["--for", "4GiB"], "--for 4GiB: write a duration"),
        (["--for", "5s", "--runs", "5"], "--for and --runs: only one of them says when the hunt ends"),
        (["--runs", "0"], "--runs"),
        (["--depth", "17"], "--depth"),
        (["--scenario", "zpa"], "unknown scenario zpa of upstream; did you mean zap?"),
        (["--property", "custard"], "did you mean custody?"),
    ],
)
def test_bad_input(septum: Any, answers: Any, arguments: list[str], message: str) -> None:
    found = septum("hunt", "upstream", *arguments)
    assert (found.status, found.out) == (2, "")
    assert message in found.err
    assert answers["asked"] == []


def test_an_error_in_a_later_hunt_keeps_what_is_known(septum: Any, answers: Any) -> None:
    answers["zap"] = ModelError("mine.py:3: 300 does not fit u8 (0 .. 255)")
    found = septum("hunt", "upstream")
    assert "same_gfn" in found.out
    assert (found.status, found.err) == (2, "septum: mine.py:3: 300 does not fit u8 (0 .. 255)\n")


def interrupted(**_: Any) -> Hunted:
    os.kill(os.getpid(), signal.SIGINT)
    return NOTHING


def stopped(**_: Any) -> Hunted:
    """As the hunt does it: what is known so far."""
    try:
        return interrupted()
    except KeyboardInterrupt:
        return FAILS


@pytest.mark.parametrize(("answer", "status"), [(interrupted, 3), (stopped, 1)])
def test_control_c_shows_what_is_known(septum: Any, answers: Any, answer: Any, status: int) -> None:
    answers["same_gfn"] = answer
    found = septum("hunt", "upstream")
    assert [scenario for _, scenario, _ in answers["asked"]] == ["same_gfn"]
    assert "zap: not started" in found.out
    assert (found.status, found.err) == (status, "")


def test_a_hunt_of_a_real_design_replays(capfd: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from septum.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["hunt", "dpamt_v4_as_posted", "--scenario", "split_two_tds", "--seed", "1", "--runs", "20000"]) == 1
    printed = capfd.readouterr().out
    token = printed.split("septum explain ")[1].split()[0]
    assert main(["explain", token, "dpamt_v4_as_posted"]) == 1
    assert "PAMT.ADD" in capfd.readouterr().out
