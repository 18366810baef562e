"""A shell completes the names of designs, and of the scenarios and properties of those on the line."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from septum.check.loading import designs
from septum.cli.app import app


def completed(*line: str) -> list[str]:
    """What the last word may become; "(file)" where files are offered too."""
    found = ShellComplete(app, {}, "septum", "_SEPTUM_COMPLETE").get_completions([*line[:-1]], line[-1])
    return ["(file)" if one.type == "file" else one.value for one in found]


@pytest.mark.parametrize("command", ["check", "compare", "lint", "show", "hunt", "diff", "explore", "simulate"])
def test_a_design_is_completed_or_a_file(command):
    assert completed(command, "dpamt_v5") == [*(name for name in designs() if name.startswith("dpamt_v5")), "(file)"]


def test_so_are_kvm_s_own_models():
    assert {"kvm", "kvm_upstream"} <= {*completed("check", "upstream", "kvm")}


def test_a_scenario_is_one_of_the_designs_on_the_line():
    assert completed("check", "dpamt_v4", "--scenario", "two_") == ["two_tds", "two_splits"]
    assert completed("check", "upstream", "--scenario", "two_") == ["two_tds"]
    assert completed("check", "dpamt_v4", "upstream", "--scenario", "two_t") == ["two_tds"]
    assert completed("explore", "kvm", "same_gfn") == []


def test_so_is_a_property():
    assert completed("check", "upstream", "--property", "cust") == ["custody"]


def test_a_design_that_is_none_completes_to_nothing():
    assert completed("check", "no_such_design", "--scenario", "") == []
