"""Which verdicts differ between releases: the command that makes the table of docs/fidelity.md."""

from __future__ import annotations

from argparse import Namespace

import pytest

from benchmarks.families import put
from benchmarks.releases import PAGE, Kept, count, digest, table, tabled, verdict, verdicts
from septum.check.check import check
from septum.check.loading import load
from septum.check.mutants import alone
from septum.explore.build import build
from septum.kvm.versions import RELEASES
from septum.lang import Scenario


def scenario(model: str, name: str) -> Scenario:
    return next(one for one in load(model).scenarios if one.name == name)


def test_the_row_of_a_scenario_has_a_verdict_for_each_release(tmp_path):
    """guest_memfd is taken off a memslot until 6.18."""
    said = Kept(tmp_path / "kept")
    found = list(
        verdicts(load("kvm_upstream"), [scenario("kvm_upstream", "close_toggle")], said, Namespace(threads=1, seconds=None))
    )
    assert found == [("violated: custody", "violated: custody", "holds", "holds", "holds", "holds")]
    assert dict(Kept(tmp_path / "kept")) == dict(said)


def test_releases_without_a_difference_are_the_same_build():
    only = alone(load("kvm"), "notifier")
    first, last = (build(only, only.scenarios[0], {"KERNEL": RELEASES[name]}) for name in ("7.2", "7.3"))
    assert digest(first) == digest(last)


def test_releases_with_a_difference_are_two_builds():
    only = alone(load("kvm"), "age_notifier")
    first, last = (build(only, only.scenarios[0], {"KERNEL": RELEASES[name]}) for name in ("7.1", "7.2"))
    assert digest(first) != digest(last)


def test_verdicts_are_counted_by_sort():
    rows = [("holds", "holds"), ("violated: asserts", "vacuous")]
    assert count("kvm", rows) == "Explored last: kvm. Of 4 verdicts, a scenario for a release, 2 holds, 1 violated, 1 vacuous.\n"


def test_only_rows_that_differ_are_in_the_table():
    alike, differs = ("holds",) * len(RELEASES), ("violated: asserts", *["holds"] * (len(RELEASES) - 1))
    rows = {("kvm", "one"): alike, ("kvm", "two"): differs}
    page = put("<!-- releases -->\n<!-- releases -->\n", "releases", table(rows))
    assert tabled(page) == {("kvm", "two"): differs}


@pytest.mark.parametrize(("model", "name"), [("kvm", "slot_delete_leaves")])
def test_a_cell_is_the_verdict_of_a_check(model, name):
    assert verdict(check(model, name)) == "holds"


def test_the_page_has_a_table_of_known_scenarios():
    rows = tabled(PAGE.read_text())
    assert rows
    for (model, name), row in rows.items():
        assert scenario(model, name)
        assert len(row) == len(RELEASES)
        assert len(set(row)) > 1
