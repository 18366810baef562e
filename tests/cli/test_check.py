"""`septum check`: what is run, what is printed, and the exit status."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

import pytest

from septum.check.result import Result
from septum.explore.explore import Budget
from septum.lang.errors import EnginesDisagree, ModelError
from tests.cli.conftest import VERDICTS
from tests.report.samples import HOLDS


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        (["holds"], 0),
        (["holds", "not applicable"], 0),
        (["holds", "violated"], 1),
        (["vacuous"], 1),
        (["violated", "incomplete"], 1),
        (["incomplete", "holds"], 3),
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_status(septum: Any, checker: Any, verdicts: list[str], status: int) -> None:
    checker.answers = {verdict.replace(" ", "_"): VERDICTS[verdict] for verdict in verdicts}
    assert septum("check", "upstream").status == status


def test_every_scenario_unless_some_are_named(septum: Any, checker: Any) -> None:
    septum("check", "upstream")
    assert [scenario for _, scenario, _ in checker.asked] == ["same_gfn", "zap"]
    checker.asked.clear()
    septum("check", "upstream", "--scenario", "zap", "--scenario", "zap")
    assert [scenario for _, scenario, _ in checker.asked] == ["zap"]


def test_all_designs_and_a_file(septum: Any, checker: Any, tmp_path: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text("")
    found = septum("check", "--all", "upstream", str(file), "--scenario", "zap", "--json")
    assert [one["design"] for one in json.loads(found.out)["results"]] == ["dpamt_v4", "upstream", str(file)]


def test_options_reach_the_check(septum: Any, checker: Any) -> None:
    septum(
        *("check", "upstream", "--scenario", "zap", "--property", "custody", "--vcpus", "3", "--pages", "20"),
        *("--budget", "5m,2GiB", "--budget", "10M", "--engine", "python", "--threads", "1", "--reduce", "symmetry"),
        *("--progress", "--kernel", "6.18", "--inject", "MEM_TRACK"),
        *("--except", "custody", "--except", "asserts", "--keep-going"),
    )
    [(model, scenario, options)] = checker.asked
    assert (model, scenario) == ("upstream", "zap")
    assert options.pop("progress")
    assert options == {
        "property": "custody",
        "reduce": frozenset({"symmetry"}),
        "vcpus": 3,
        "pages": 20,
        "budget": Budget(seconds=300, bytes=2 << 30, states=10_000_000),
        "engine": "python",
        "threads": 1,
        "livelocks": True,
        "scope_name": "",
        "kernel": "6.18",
        "inject": "MEM_TRACK",
        "races": True,
        "memory": "sc",
        "fresh": False,
        "excepted": ("custody", "asserts"),
        "keep_going": True,
    }


def test_defaults(septum: Any, checker: Any) -> None:
    septum("check", "upstream", "--scenario", "zap")
    options = checker.asked[0][2]
    assert options["budget"] == Budget()
    assert (options["property"], options["engine"], options["races"]) == ("", "c", True)
    assert not {"vcpus", "pages", "threads"} & set(options)


def test_the_kernel_reaches_the_check(septum: Any, checker: Any) -> None:
    septum("check", "upstream", "--scenario", "zap", "--kernel", "6.18")
    assert checker.asked[0][2]["kernel"] == "6.18"


def test_a_pipe_gets_plain_text_and_no_progress(septum: Any, checker: Any) -> None:
    found = septum("check", "upstream")
    assert found.out.isascii()
    assert "\x1b" not in found.out
    assert found.err == ""
    assert "  same_gfn        holds" in found.out


def test_a_counterexample_is_replayed_by_the_name_that_the_user_gave(septum: Any, checker: Any, tmp_path: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text("")
    checker.answers = {"zap": VERDICTS["violated"]}
    assert str(file) in septum("check", str(file)).out.split("Replay it with")[1]


def interrupted(**_: Any) -> Result:
    os.kill(os.getpid(), signal.SIGINT)
    return HOLDS


def stopped(**_: Any) -> Result:
    """As the explorer does it: what is known so far."""
    try:
        return interrupted()
    except KeyboardInterrupt:
        return VERDICTS["incomplete"]


@pytest.mark.parametrize("answer", [interrupted, stopped])
def test_control_c_shows_what_is_known(septum: Any, checker: Any, answer: Any) -> None:
    checker.answers = {"first": HOLDS, "second": answer, "third": HOLDS}
    found = septum("check", "upstream", "--json")
    assert [one["verdict"] for one in json.loads(found.out)["results"]] == ["holds", "incomplete", "incomplete"]
    assert [scenario for _, scenario, _ in checker.asked] == ["first", "second"]
    assert found.status == 3
    assert found.err == ""


def twice(**_: Any) -> Result:
    try:
        return interrupted()
    finally:
        os.kill(os.getpid(), signal.SIGINT)


def test_an_impatient_control_c(septum: Any, checker: Any) -> None:
    checker.answers = {"first": twice, "second": HOLDS}
    found = septum("check", "upstream")
    assert (found.status, found.err) == (3, "")
    assert "upstream, second: not started" in found.out


def test_control_c_before_the_first_check(septum: Any, checker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("septum.cli.names.load", load)
    assert septum("check", "upstream").status == 3


def test_control_c_after_a_violation(septum: Any, checker: Any) -> None:
    checker.answers = {"first": VERDICTS["violated"], "second": interrupted}
    assert septum("check", "upstream").status == 1


def test_control_c_is_restored(septum: Any) -> None:
    before = signal.getsignal(signal.SIGINT)
    septum("check", "upstream")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_a_later_check_keeps_what_is_known(septum: Any, checker: Any) -> None:
    checker.answers = {"first": HOLDS, "second": ModelError("mine.py:3: 300 does not fit u8 (0 .. 255)")}
    found = septum("check", "upstream")
    assert "first" in found.out
    assert (found.status, found.err) == (2, "septum: mine.py:3: 300 does not fit u8 (0 .. 255)\n")


def test_a_defect_of_septum_is_called_one(septum: Any, checker: Any) -> None:
    checker.answers = {"first": EnginesDisagree("first: CPU 0 is blocked in the Python engine")}
    found = septum("check", "upstream")
    assert found.status == 2
    assert found.err.startswith("septum: a defect of septum, please report it: first")


def test_what_nobody_foresaw_is_a_defect_of_septum(septum: Any, checker: Any) -> None:
    checker.answers = {"first": HOLDS, "second": KeyError("nobody")}
    found = septum("check", "upstream")
    assert found.status == 2
    assert re.fullmatch(
        r"septum: a defect of septum, please report it: KeyError: 'nobody' \(septum/cli/runs\.py:\d+\)\n", found.err
    )
    assert "  first           holds" in found.out


def test_a_full_disk(septum: Any, checker: Any) -> None:
    checker.answers = {"first": OSError(28, "No space left on device", "log")}
    found = septum("check", "upstream")
    assert (found.status, found.err) == (2, "septum: [Errno 28] No space left on device: 'log'\n")


def test_json_has_an_entry_for_the_scenario_that_was_refused(septum: Any, checker: Any) -> None:
    checker.answers = {"first": HOLDS, "second": ModelError("mine.py:3: 300 does not fit u8 (0 .. 255)")}
    found = septum("check", "upstream", "--json")
    first, refused = json.loads(found.out)["results"]
    assert (first["scenario"], first["verdict"]) == ("first", "holds")
    assert (refused["scenario"], refused["verdict"]) == ("second", "refused")
    assert refused["reason"] == "mine.py:3: 300 does not fit u8 (0 .. 255)"
    assert found.status == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Not judged: progress (--progress).\n"),
        (["--no-races"], "Not judged: progress (--progress), race.\n"),
        (["--progress", "--engine", "python"], "Not judged: race.\n"),
        (["--property", "custody"], "Not judged: all but custody.\n"),
    ],
)
def test_a_line_below_the_table_says_what_was_not_judged(septum: Any, options: list[str], said: str) -> None:
    assert said in septum("check", "upstream", *options).out


def test_where_all_is_judged_there_is_no_such_line(septum: Any) -> None:
    assert "Not judged" not in septum("check", "upstream", "--progress").out
