"""A schedule for other tools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from septum.check import tokens
from septum.check.explain import schedule_of
from septum.check.loading import load
from septum.check.result import Result
from septum.check.schedules import follow
from septum.cli import main
from septum.lang import Model
from septum.page.exports import as_itf, as_perfetto, as_pytest
from tests.page.conftest import MARKUP


def test_the_test_fails_as_the_schedule_does_and_passes_once_it_is_mended(
    found: Result, pool: Path, pool_model: Model, tmp_path: Path
) -> None:
    text = as_pytest(found, *schedule_of(pool_model, found.counterexample.token), {})
    mended = tmp_path / "mended.py"
    mended.write_text(pool.read_text().replace("    n = m.nobjs\n    yield", "    yield\n    n = m.nobjs\n   "))
    assert "def test_two_takers_custody() -> None:\n" in text
    assert f'property="{found.property}"' in text
    names: dict[str, Any] = {}
    exec(compile(text, "exported.py", "exec"), names)
    with pytest.raises(AssertionError, match=r"custody: page 1 .* taken twice"):
        names["test_schedule_two_takers_custody"]()
    exec(compile(text.replace(str(pool), str(mended)), "exported.py", "exec"), names)
    names["test_schedule_two_takers_custody"]()


def test_a_schedule_that_ends_in_a_deadlock_fails_too(tmp_path: Path) -> None:
    file = tmp_path / "stuck.py"
    file.write_text(
        "from septum.lang import Model, Scenario, Struct, call, process, when\n\n"
        "class World(Struct):\n    open: bool\n\n"
        "@process\ndef wait(m):\n    yield when(lambda: m.open)\n\n"
        'def start(setup):\n    setup.thread("A", call(wait))\n\n'
        'model = Model("stuck", World, (Scenario("s", "", start),))\n'
    )
    with pytest.raises(AssertionError, match="deadlock: A can never go on"):
        follow(str(file), "s", [("A", [0])])


def test_what_a_check_was_given_the_test_gives_it_too(found: Result, pool_model: Model) -> None:
    text = as_pytest(
        found, *schedule_of(pool_model, found.counterexample.token), {"VCPUS": 3, "PAGES": 20, "KERNEL": 618, "MODULE": 1}
    )
    assert 'vcpus=3, pages=20, kernel="6.18", module="1.5.25").holds' in text


def test_a_test_of_a_schedule_under_x86_tso_is_one_under_x86_tso(buffered: Result) -> None:
    token = buffered.counterexample.token
    text = as_pytest(buffered, *schedule_of(load(buffered.design), token), tokens.read(token).sizes)
    assert 'memory="x86-tso"' in text
    names: dict[str, Any] = {}
    exec(compile(text, "exported.py", "exec"), names)
    with pytest.raises(AssertionError, match="order: neither saw the other"):
        names["test_schedule_both_order"]()
    assert as_perfetto(buffered.counterexample.steps)["traceEvents"]


def test_itf_has_every_state_with_the_worlds_fields(found: Result, pool_model: Model) -> None:
    made = as_itf(*schedule_of(pool_model, found.counterexample.token))
    assert made["vars"] == ["thread", "nobjs", "taken", "lock"]
    assert [state["#meta"]["index"] for state in made["states"]] == [0, 1, 2, 3, 4]
    assert made["states"][3]["taken"] == [False, True]
    assert made["states"][3]["lock"]["writer"] == {"#set": []}
    assert [state["thread"] for state in made["states"][1:]] == [step.thread for step in found.counterexample.steps]
    assert all(set(state) == {"#meta", *made["vars"]} for state in made["states"])


def test_in_perfetto_calls_and_steps_nest(found: Result) -> None:
    events = as_perfetto(found.counterexample.steps)["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert list(names.values()) == [f"CPU {n} {MARKUP}" for n in range(2)]
    assert [event["ts"] for event in events if event["ph"] == "X"] == [0, 1000, 2000, 3000]
    for track in names:
        depth = 0
        for event in (event for event in events if event["tid"] == track):
            depth += {"B": 1, "E": -1}.get(event["ph"], 0)
            assert depth >= 0
            assert event["ph"] != "X" or depth > 0
        assert depth == 0
    changed = next(event for event in events if event["ph"] == "X" and event["ts"] == 2000)
    assert changed["args"]["taken[1]"] == "0 -> 1"


def test_the_command_prints_each(found: Result, pool: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "race.svg"
    for form in ("--itf", "--perfetto", "--pytest"):
        assert main(["explain", found.counterexample.token, str(pool), form, "--svg", str(picture)]) == 1
        out = capsys.readouterr().out
        assert "SCHEDULE = [" in out if form == "--pytest" else json.loads(out)
    assert picture.read_text().startswith("<svg ")
    assert tokens.read(found.counterexample.token).schedule


def test_nothing_of_the_page_is_imported_where_it_is_not_asked_for() -> None:
    code = "import sys, septum.cli.check, septum.cli.explain; assert not {'septum.page', 'starlette'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
