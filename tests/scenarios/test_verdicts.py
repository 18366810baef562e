"""A larger scope: the frames that a scenario asks for suffice there too. The small one is tests/designs/test_compared.py."""

from __future__ import annotations

import pytest

from septum.check.check import Budget, check
from septum.check.result import Verdict


@pytest.mark.parametrize("design", ["upstream", "dpamt_v4", "dpamt_v5", "dpamt_merged_split"])
def test_a_third_vcpu_fits(design):
    """One design for each way to have pools."""
    result = check(design, "same_gfn_enomem", vcpus=3, budget=Budget(states=200_000))
    assert result.verdict in (Verdict.HOLDS, Verdict.INCOMPLETE), f"{result.property}: {result.clause}"
