"""`septum diff`: which designs are compared in which scenarios, what is printed, and the exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from septum.check.differ import Comparer
from septum.check.result import Result
from septum.cli import diff as command
from tests.report.samples import HOLDS, INCOMPLETE, NOT_APPLICABLE, VIOLATED


@pytest.fixture
def differ(septum: Any, checker: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compares upstream, whose verdicts by scenario are given, with dpamt_v4, in which all holds."""

    def compare(*options: str, **answers: Result) -> Any:
        def run(jobs: Any, given: Any) -> Iterator[Result]:
            for job in jobs:
                found = answers[job.scenario] if job.design == "upstream" else HOLDS
                yield replace(found, design=job.design, scenario=job.scenario)

        checker.answers = answers
        monkeypatch.setattr(command, "run", run)
        return septum("diff", "upstream", "dpamt_v4", *options)

    return compare


@pytest.mark.parametrize(
    ("answer", "status"),
    [(HOLDS, 0), (VIOLATED, 1), (NOT_APPLICABLE, 1), (INCOMPLETE, 3)],
    ids=["same", "violated", "not applicable", "incomplete"],
)
def test_exit_status(differ: Any, answer: Result, status: int) -> None:
    assert differ(zap=answer).status == status


def test_where_all_that_is_known_is_the_same_but_not_all_is_known_it_is_3(differ: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = Comparer.compare
    monkeypatch.setattr(Comparer, "compare", lambda *sides: replace(compare(*sides), unknown=("the time ended",)))
    assert differ(zap=HOLDS).status == 3


def test_a_report_says_which_verdicts_changed_and_what_one_alone_does(differ: Any) -> None:
    found = differ(zap=VIOLATED, same_gfn=HOLDS)
    assert "zap       violated: custody  holds" in found.out
    assert "The same verdict:\n  same_gfn\n" in found.out
    assert f"septum explain {VIOLATED.counterexample.token} upstream" in found.out  # type: ignore[union-attr]


def test_what_was_not_explored_to_the_end_has_no_other_verdict(differ: Any) -> None:
    found = differ(zap=INCOMPLETE, same_gfn=HOLDS)
    assert "No scenario of those that were explored to the end changes its verdict." in found.out
    assert "The same verdict:\n  same_gfn\n" in found.out
    assert "0 of another verdict" in found.out


def test_a_document_says_the_same(differ: Any) -> None:
    found = json.loads(differ("--json", zap=VIOLATED).out)
    [scenario] = found["scenarios"]
    assert (found["designs"], scenario["scenario"], scenario["verdicts_differ"]) == (["upstream", "dpamt_v4"], "zap", True)


def test_one_scenario_can_be_named(differ: Any) -> None:
    found = differ("--scenario", "zap", zap=HOLDS, same_gfn=VIOLATED)
    assert (found.status, "same_gfn" in found.out) == (0, False)


def test_a_scenario_that_one_does_not_have_is_not_checked_there(
    differ: Any, checker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = checker.load

    def loaded(design: str) -> Any:
        model = load(design)
        return model if design == "upstream" else replace(model, scenarios=model.scenarios[:1])

    monkeypatch.setattr("septum.check.loading.load", loaded)
    found = differ(zap=HOLDS, same_gfn=VIOLATED)
    assert found.status == 1
    assert "same_gfn  violated: custody  not applicable" in found.out


@pytest.mark.parametrize(("words", "said"), [
    (("upstream", "upstream"), "upstream is compared with itself"), (("upstream", "upstraem"), "did you mean upstream?"),
    (("upstream", "dpamt_v4", "--scenario", "zapp"), "unknown scenario zapp; did you mean zap?"),
    (("upstream", "dpamt_v4", "--scope", "huge"), "unknown scope huge of upstream"),
    (("upstream", "dpamt_v4", "--budget", "much"), "much"),
])  # fmt: skip
def test_bad_input(septum: Any, words: tuple[str, ...], said: str) -> None:
    found = septum("diff", *words)
    assert (found.status, said in found.err) == (2, True)


def test_control_c_leaves_the_rest_uncompared(differ: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def compare(self: Comparer, one: Any, other: Any) -> Any:
        asked.append(one.result.scenario)
        raise KeyboardInterrupt

    monkeypatch.setattr(Comparer, "compare", compare)
    found = differ(zap=HOLDS, same_gfn=HOLDS)
    assert found.status == 3
    assert "interrupted: zap, same_gfn" in found.out
