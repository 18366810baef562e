"""Scopes with a name: the sizes that they stand for, and how large they are said to be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.scopes import SCOPES
from septum.check.check import check
from septum.check.explain import explain
from septum.check.loading import load
from septum.check.result import Verdict
from septum.cli import main
from septum.explore.build import build, sizes_given
from septum.host.geometry import LEVELS, PAGES, VCPUS
from septum.lang import Model, UserError
from septum.lang.types import scope
from tests.progress.retries import model as retries

DOCUMENT = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
LINES = re.findall(r"^\| .* in .* s \|$", DOCUMENT, re.MULTILINE)
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES]


def sizes(scenario, **given):
    model = load("upstream")
    chosen = next(one for one in model.scenarios if one.name == scenario)
    with scope(build(model, chosen, sizes_given(model, chosen, **given)).bindings):
        return VCPUS.value, LEVELS.value, PAGES.value


def test_a_scope_gives_the_sizes_and_those_that_follow():
    assert sizes("same_gfn", name="", sizes={}) == sizes("same_gfn", name="small", sizes={}) == (2, 3, 28)
    assert sizes("same_gfn", name="tiny", sizes={})[:2] == (2, 2)
    vcpus, levels, pages = sizes("same_gfn", name="review", sizes={})
    assert (vcpus, levels) == (3, 3) and pages > 28


def test_what_is_given_beside_it_overrides_it():
    assert sizes("same_gfn", name="tiny", sizes={"VCPUS": 3, "PAGES": 90}) == (3, 2, 90)
    assert sizes("same_gfn", name="review", sizes={"VCPUS": 2, "PAGES": None}) == sizes("same_gfn", name="small", sizes={})


def test_in_the_wide_scope_each_scenario_is_as_large_as_it_says():
    assert sizes("same_gfn", name="wide", sizes={})[:2] == (3, 3)
    assert sizes("two_tds", name="wide", sizes={})[:2] == (2, 4)
    assert sizes("two_tds", name="small", sizes={})[:2] == (2, 3)


def test_a_scenario_keeps_what_it_cannot_do_without():
    assert sizes("zero_step", name="tiny", sizes={})[1] == 3


def test_a_model_without_it_is_refused(capsys):
    with pytest.raises(UserError, match="retries has no scope tiny; it has none with a name"):
        check(retries, "in_one_order", scope_name="tiny")
    assert main(["check", "upstream", "--scope", "tinny"]) == 2
    assert "did you mean tiny?" in capsys.readouterr().err


def test_the_scopes_of_a_model_are_scopes():
    with pytest.raises(UserError, match="scopes of a Model are a tuple of Scope"):
        Model("mine", retries.world, retries.scenarios, scopes=({"VCPUS": 3},))


def test_a_token_knows_its_scope(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = check("dpamt_v4_as_posted", "two_tds", scope_name="tiny")
    again = explain(result.counterexample.token)
    assert again.clause == result.clause
    assert len(again.counterexample.steps) == len(result.counterexample.steps)


@pytest.mark.parametrize(("row", "name"), [*((row, "tiny") for row in ROWS), (ROWS[0], "small")])
def test_every_witness_is_reached_and_the_documented_number_of_states_is_that_of_today(row, name):
    """`python benchmarks/scopes.py --write` makes the table anew."""
    design, *cells = row
    shown = dict(zip(SCOPES, cells, strict=True))[name]
    model = load(design)
    able = [one for one in model.scenarios if one.needs <= model.operations]
    found = [check(model, one.name, scope_name=name) for one in able]
    assert not [one.reason for one in found if one.verdict is Verdict.VACUOUS]
    assert shown.startswith(f"{sum(one.states for one in found):,} in")


def test_the_designs_that_most_rest_on_are_in_the_table():
    assert [row[0] for row in ROWS] == ["upstream", "dpamt_v4_as_posted", "dpamt_merged", "dpamt_merged_split"]
