"""Every process of the model, on thousands of random schedules, leaves the same bytes in both engines."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import pytest

import septum.designs
import septum.host
import septum.kvm
import septum.tdx
from septum.check.build import build
from septum.check.loading import designs, load
from septum.lang.processes import is_process
from septum.lang.types import scope
from tests.lang.parity import assert_same

SCHEDULES = 60
PAIRS = [(design, scenario.name) for design in designs() for scenario in load(design).scenarios if scenario.needs <= load(design).operations]


@pytest.fixture(scope="module")
def seen():
    return set()


@pytest.mark.parametrize(("design", "scenario"), PAIRS, ids=lambda value: value)
def test_random_schedules_leave_the_same_bytes(design, scenario, seen):
    model = load(design)
    built = build(model, next(one for one in model.scenarios if one.name == scenario))
    steps = sum(assert_same(built, seed, 300, seen) for seed in range(SCHEDULES))
    assert steps > SCHEDULES * 10


def test_every_process_of_the_model_was_run(seen):
    assert len(PAIRS) * SCHEDULES >= 2000
    missing = {function.__qualname__ for function in processes()} - {function.__qualname__ for function in seen}
    assert not missing


def processes():
    """Every process of the model's rooms that has a yield of its own under some design."""
    for package in (septum.host, septum.tdx, septum.kvm, septum.designs):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            for function in vars(import_module(module.name)).values():
                if inspect.isfunction(function) and is_process(function) and function.__module__ == module.name:
                    yield function


def test_a_build_is_made_under_its_own_scope():
    model = load("upstream")
    built = build(model, model.scenarios[0])
    with scope(built.bindings):
        assert built.engine().state() == built.initial
