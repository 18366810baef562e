"""The families of scenarios: what docs/scenarios.md says of each, and that the small size is explored to its end.

Scenarios of KVM's own side are explored in tests/kvm/test_sides.py and tests/scenarios/test_direct.py.
"""

from __future__ import annotations

import re

import pytest

from benchmarks.families import DESIGNS, MODELS, PAGE, between, cell, documented, is_documented, scenarios, text
from septum.check.check import check
from septum.check.loading import load
from septum.scenarios.families import FAMILIES

CELLS = documented(PAGE.read_text())
NAMES = [name for names in FAMILIES.values() for name in names]
RUNS = [(model, name) for model in MODELS for name in scenarios(load(model)) if name in NAMES]


def test_no_scenario_is_in_two_families():
    assert len(NAMES) == len(set(NAMES)) == len({name for _, name in RUNS})


def test_the_page_says_of_each_scenario_what_its_docstring_says():
    """`python benchmarks/families.py --text` writes it."""
    assert between(PAGE.read_text(), "families") == text()
    assert " None |" not in text()


@pytest.mark.parametrize(("model", "scenario"), RUNS)
def test_the_page_has_each_scenario_in_the_larger_size_too_or_says_that_it_was_not_measured(model, scenario):
    size = r"([\d,]+|\w+ in \d+ steps)"
    assert re.fullmatch(f"{size}; ({size} in \\d+ s|not measured)", CELLS[scenario, model.removeprefix("kvm_")])


@pytest.mark.parametrize(("model", "scenario"), [run for run in RUNS if run[0] in DESIGNS])
def test_a_scenario_of_a_design_is_explored_to_the_end(model, scenario):
    result = check(model, scenario)
    assert result.holds, result.clause
    assert is_documented(model, result)


@pytest.mark.parametrize(
    ("model", "scenario"),
    [("upstream", "same_gfn"), ("kvm", "slot_move"), ("kvm", "plain_teardown"), ("kvm_upstream", "memslot_delete")],
)
def test_the_larger_size_is_what_the_page_says(model, scenario):
    """`python benchmarks/families.py` writes all of them."""
    result = check(model, scenario, scope_name="wide")
    assert result.holds, result.clause
    assert f"; {cell(result)} in " in CELLS[scenario, model.removeprefix("kvm_")]


def test_make_check_large_has_these_models():
    line = next(line for line in (PAGE.parents[1] / "Makefile").read_text().splitlines() if line.startswith("MERGED ="))
    assert line.split()[2:] == list(MODELS)
