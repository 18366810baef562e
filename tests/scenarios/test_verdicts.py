"""Every row of the table: what applies is explored to the end, nothing is vacuous, and what is violated is a known finding."""

from __future__ import annotations

import pytest

from septum.check.check import Budget, check
from septum.check.result import Verdict
from septum.designs import BUILT_IN
from septum.scenarios import SCENARIOS

FINDINGS = {("dpamt_v4", "two_tds"): "backing", ("dpamt_v4", "split_two_tds"): "asserts"}
ROWS = [(design, scenario) for design in BUILT_IN for scenario in SCENARIOS]


@pytest.mark.parametrize(("design", "scenario"), ROWS, ids=lambda value: value.name)
def test_a_row_of_the_table(design, scenario):
    result = check(design.name, scenario.name)
    if not scenario.needs <= design.operations:
        assert result.verdict == Verdict.NOT_APPLICABLE
    elif (design.name, scenario.name) in FINDINGS:
        assert (result.verdict, result.property) == (Verdict.VIOLATED, FINDINGS[design.name, scenario.name])
    else:
        assert result.verdict == Verdict.HOLDS, f"{result.property}: {result.clause} {result.reason}"
        assert all(result.witnesses.values())


@pytest.mark.parametrize("design", BUILT_IN, ids=lambda value: value.name)
def test_a_third_vcpu_fits(design):
    result = check(design.name, "same_gfn_enomem", vcpus=3, budget=Budget(states=200_000))
    assert result.verdict in (Verdict.HOLDS, Verdict.INCOMPLETE), f"{result.property}: {result.clause}"
