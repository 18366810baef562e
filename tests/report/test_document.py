"""The JSON document has what docs/commands.md says, and nothing that JSON lacks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from septum.check.result import Access, Race
from septum.report.document import document
from tests.report.samples import ALL, FOUND, TOKEN, VIOLATED

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(json.dumps(document(ALL)))["results"]
    return found


def documented(heading: str) -> set[str]:
    """The field names in the first column of the table below a heading."""
    section = DOCS.read_text(encoding="utf-8").split(f"### {heading}\n")[1].split("\n#")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_a_result_for_each_design_and_scenario(results: list[dict[str, Any]]) -> None:
    assert [(one["design"], one["scenario"], one["verdict"]) for one in results] == [
        (one.design, one.scenario, one.verdict.value) for one in ALL
    ]


def test_every_field_is_documented(results: list[dict[str, Any]]) -> None:
    found = document([VIOLATED])["results"][0]
    assert set(results[0]) == documented("Result")
    assert set(found["counterexample"]) == documented("Counterexample")
    assert set(found["counterexample"]["steps"][0]) == documented("Step")
    assert set(found["counterexample"]["threads"][0]) == documented("Thread")


def test_only_a_violation_has_a_counterexample(results: list[dict[str, Any]]) -> None:
    assert [one["verdict"] for one in results if one["counterexample"]] == ["violated"]


def test_a_race_has_both_accesses_and_where_either_side_stands() -> None:
    looks = Access("count", False, "inc", "counter.py", 10, "m.count")
    race = Race(FOUND.threads[0], FOUND.threads[1], (looks, replace(looks, written=True)), (looks, looks))
    raced = replace(VIOLATED, counterexample=replace(FOUND, race=race))
    found = json.loads(json.dumps(document([raced])))["results"][0]["counterexample"]["race"]
    assert [one["written"] for one in found["accesses"]] == [False, True]
    assert (found["thread"]["thread"], found["partner"]["locks"]) == (FOUND.threads[0].thread, list(FOUND.threads[1].locks))


def test_a_step(results: list[dict[str, Any]]) -> None:
    step = results[1]["counterexample"]["steps"][1]
    assert (step["thread"], step["function"], step["file"], step["line"]) == ("CPU 0", "topup", "septum/host/pools.py", 31)
    assert step["changes"] == [{"place": "vcpu[0].pool.nobjs", "old": "0", "new": "4"}]
    assert [call["function"] for call in step["stack"]] == ["fault", "topup"]
    assert step["choice"] == 0


def test_the_end(results: list[dict[str, Any]]) -> None:
    counterexample = results[1]["counterexample"]
    assert (counterexample["token"], counterexample["shortest"]) == (TOKEN, True)
    assert counterexample["threads"][1]["waits_for"] == "vm[0].mmu_lock, held by CPU 0"
