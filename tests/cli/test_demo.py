"""`septum demo`, and a check of much that streams: rows as they come, and a report in a file."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from septum.check.result import Result, Verdict
from septum.cli import demo
from septum.cli.demo import STORY, Chapter
from septum.cli.streamed import Left
from tests.cli.conftest import VERDICTS
from tests.cli.test_check import interrupted
from tests.report.samples import HOLDS, NOT_APPLICABLE, VIOLATED

HELD, BROKEN = Chapter("This holds", "upstream", ("holds",)), Chapter("This breaks", "dpamt_v4", ("breaks",), Verdict.VIOLATED)


@pytest.fixture
def told(septum: Any, checker: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def tell(*story: Chapter, **answers: Any) -> Any:
        checker.answers = {"holds": HOLDS, "breaks": VIOLATED, **answers}
        monkeypatch.setattr(demo, "STORY", story)
        return septum("demo")

    return tell


def test_the_story_tells_what_holds_what_breaks_and_what_it_cost(told: Any) -> None:
    found = told(HELD, BROKEN)
    assert found.status == 0
    text = re.sub(r"\s+", " ", found.out)
    assert "1. This holds" in text
    assert "2. This breaks" in text
    assert "holds holds 1,234,567 7,654,321 3.21 0 s left" in text
    assert "What broke custody: page 9 is in use twice" in text
    assert "2 checks, 1,238,888 states, 7,666,666 transitions" in text
    assert f"septum explain {VIOLATED.counterexample.token} --whole" in text  # type: ignore[union-attr]


@pytest.mark.parametrize("answers", [{"holds": VIOLATED}, {"breaks": HOLDS}], ids=["breaks", "holds"])
def test_another_verdict_than_the_story_tells_is_a_failure(told: Any, answers: dict[str, Result]) -> None:
    assert told(HELD, BROKEN, **answers).status == 1


def test_control_c_ends_the_story(told: Any) -> None:
    found = told(HELD, BROKEN, holds=interrupted)
    assert found.status == 3
    assert "This breaks" not in found.out


def test_its_race_is_drawn_from_the_end(told: Any, checker: Any) -> None:
    long = replace(VIOLATED, counterexample=replace(VIOLATED.counterexample, steps=VIOLATED.counterexample.steps * 3))  # type: ignore[union-attr]
    found = told(BROKEN, breaks=long)
    assert "(18 steps come before)" in found.out
    assert re.findall(r"^ *(\d+)  ", found.out.split("come before)")[1], re.MULTILINE)[0] >= "19"


def test_the_designs_of_the_story_are_there_and_their_scenarios_apply() -> None:
    for chapter in STORY:
        jobs = chapter.jobs()
        assert jobs
        assert {job.scenario for job in jobs} >= set(chapter.scenarios)


def test_a_report_streams_its_rows_and_the_whole_goes_to_a_file(septum: Any, checker: Any, tmp_path: Any) -> None:
    checker.answers = {"first": VIOLATED, "second": HOLDS, "third": VIOLATED}
    file = tmp_path / "all.txt"
    found = septum("check", "upstream", "dpamt_v4", "--report", str(file))
    assert found.status == 1
    assert [line for line in found.out.splitlines() if line in ("upstream", "dpamt_v4")] == ["upstream", "dpamt_v4"]
    assert len(re.findall(r"^  first +violated: custody ", found.out, re.MULTILINE)) == 2
    assert found.out.count("What broke") == 2, "one counterexample a design"
    assert len(re.findall(r"also fails in\n  third, 8 steps: septum explain", found.out)) == 2
    assert found.out.endswith(f"6 checks: 2 hold, 4 violated\nThe whole report: {file}\n")
    assert found.out.count("custody: page 9 is in use twice\n") >= 4
    assert file.read_text().startswith("design, scenario")


def test_rows_stand_although_a_later_check_fails(septum: Any, checker: Any, tmp_path: Any) -> None:
    checker.answers = {"first": HOLDS, "second": KeyError("nobody")}
    file = tmp_path / "all.txt"
    found = septum("check", "upstream", "--report", str(file))
    assert found.status == 2
    assert "  first " in found.out
    assert "first" in file.read_text()


@pytest.mark.parametrize("form", ["--json", "--mail"])
def test_a_report_is_for_a_reader(septum: Any, checker: Any, form: str) -> None:
    assert septum("check", "upstream", "--report", "all.txt", form).status == 2


def test_what_is_left_is_told_from_what_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("septum.cli.streamed.time", SimpleNamespace(monotonic=lambda: now[0]))
    left = Left(5)
    now[0] = 110.0
    assert left.after(HOLDS) == "40 s left"
    assert left.after(NOT_APPLICABLE) == "40 s left"
    now[0] = 1300.0
    assert left.after(VERDICTS["violated"]) == "30 min left"
    assert [left.after(HOLDS) != "" for _ in range(3)] == [True, True, False]
    assert left.after(NOT_APPLICABLE) == ""
