"""Scenarios in plain Python on random schedules: no translation and no reduction, every property after every step."""

from __future__ import annotations

import pytest

from septum.designs import BUILT_IN
from septum.host.geometry import PAGES
from septum.lang import UserError
from septum.lang.types import scope
from septum.scenarios import SCENARIOS, kvm_model
from tests.designs.test_compared import is_broken
from tests.scheduler import bindings_of, random_run

PAIRS = [(d, s) for d in BUILT_IN for s in SCENARIOS if s.needs <= d.operations and not is_broken(d.name)]


@pytest.mark.parametrize(("design", "scenario"), PAIRS, ids=lambda value: value.name)
def test_nothing_is_violated_on_random_schedules(design, scenario):
    model = kvm_model(design)
    for seed in range(4):
        assert random_run(model, scenario, seed).steps > 20


def test_a_scope_that_is_too_small_is_refused():
    model, scenario = kvm_model(BUILT_IN[0]), SCENARIOS[0]
    with scope({**bindings_of(model, scenario), PAGES: 10}), pytest.raises(UserError, match=r"needs .* page frames and has 10"):
        scenario.start(None)
