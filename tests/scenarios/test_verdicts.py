"""A larger scope: the frames that a scenario asks for suffice there too. The small one is tests/designs/test_compared.py."""

from __future__ import annotations

import pytest

from septum.check.check import Budget, check
from septum.check.result import Verdict
from septum.designs import BUILT_IN


@pytest.mark.parametrize("design", BUILT_IN, ids=lambda value: value.name)
def test_a_third_vcpu_fits(design):
    result = check(design.name, "same_gfn_enomem", vcpus=3, budget=Budget(states=200_000))
    assert result.verdict in (Verdict.HOLDS, Verdict.INCOMPLETE), f"{result.property}: {result.clause}"
