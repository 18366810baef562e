"""Two designs beside each other, as text and as a document."""

from __future__ import annotations

import json
from dataclasses import replace

from septum.check.differ import Behaviour, Difference
from septum.check.result import Result, Verdict
from septum.report.diff import document, render
from tests.report.samples import HOLDS, INCOMPLETE, NOT_APPLICABLE, VIOLATED

DESIGNS = ("dpamt_v4", "mine.py")


def pair(scenario: str, one: Result, other: Result) -> tuple[Result, Result]:
    return replace(one, design="dpamt_v4", scenario=scenario), replace(other, design="mine.py", scenario=scenario)


def verdict(scenario: str) -> Difference:
    """The first design is violated there, the second holds."""
    results = pair(scenario, VIOLATED, HOLDS)
    return Difference(scenario, results, (Behaviour(results[0]),))


def event(scenario: str) -> Difference:
    """The second design reaches an event there."""
    results = pair(scenario, HOLDS, HOLDS)
    reached = replace(
        VIOLATED, verdict=Verdict.REACHED, property="busy", clause="busy: it met BUSY", design="mine.py", scenario=scenario
    )
    return Difference(scenario, results, (Behaviour(reached, ("lost_race",)),))


FOUND = [
    verdict("same_gfn"), verdict("zap"), event("split"),
    Difference("still", pair("still", HOLDS, HOLDS)),
    Difference("nowhere", pair("nowhere", NOT_APPLICABLE, NOT_APPLICABLE)),
    Difference("slow", pair("slow", HOLDS, INCOMPLETE), unknown=("not explored to the end in mine.py",)),
]  # fmt: skip


def test_scenarios_that_change_their_verdict_are_rows_and_the_others_are_named() -> None:
    text = render(DESIGNS, FOUND)
    assert text.startswith("scenario  dpamt_v4           mine.py\n---")
    assert "same_gfn  violated: custody  holds\n" in text
    assert "The same verdict:\n  split, still\n" in text
    assert "nowhere" not in text


def test_what_one_alone_does_is_drawn_once_with_the_command_that_explains_it() -> None:
    text = render(DESIGNS, FOUND)
    token = VIOLATED.counterexample.token
    assert f"dpamt_v4 violates {VIOLATED.clause}; mine.py does not\n\ndpamt_v4, same_gfn: violated: custody" in text
    assert f"Also in\n  zap, {len(VIOLATED.counterexample.steps)} steps: septum explain {token} dpamt_v4" in text
    assert "mine.py reaches busy; dpamt_v4 does not\nIt alone also reaches lost_race\n\nmine.py, split: reached: busy" in text
    assert "What it leads to\n  busy: it met BUSY" in text


def test_what_was_compared_and_what_not_is_said() -> None:
    text = render(DESIGNS, FOUND)
    assert "Not known:\n  not explored to the end in mine.py: slow\n" in text
    assert "Compared: the verdict" in text
    assert "Not compared: states" in text
    assert text.endswith("5 scenarios: 2 of another verdict, 3 in which one does more, 1 not wholly\n  compared\n")


def test_where_nothing_differs_that_is_said() -> None:
    assert render(DESIGNS, FOUND[3:4]).startswith("No scenario changes its verdict.\n")


def test_a_report_is_as_wide_as_it_may_be() -> None:
    long = [verdict("a_scenario_with_a_long_name")]
    lines = render(("dpamt_v4", "mine_with_a_name.py"), long, width=75).splitlines()
    assert max(len(line) for line in lines if "septum explain" not in line) <= 75


def test_a_document_has_the_same() -> None:
    found = json.loads(json.dumps(document(DESIGNS, FOUND)))
    assert (found["designs"], len(found["scenarios"])) == (list(DESIGNS), 6)
    first, _, third, *_, last = found["scenarios"]
    assert (first["verdicts_differ"], first["results"][0]["verdict"], first["behaviours"][0]["design"]) == (
        True,
        "violated",
        "dpamt_v4",
    )
    assert first["behaviours"][0]["counterexample"]["token"] == VIOLATED.counterexample.token
    assert (third["behaviours"][0]["property"], third["behaviours"][0]["also"]) == ("busy", ["lost_race"])
    assert last["unknown"] == ["not explored to the end in mine.py"]
