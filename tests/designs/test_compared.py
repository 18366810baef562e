"""Every design in every scenario that applies to it, explored to the end and measured: what `septum compare --all` prints."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from septum.check.evidence import FAMILIES
from septum.check.result import Verdict
from septum.cli.compare import measure_all
from septum.designs import BUILT_IN
from septum.explore.explore import Budget
from septum.report.compare import FIGURES, as_csv, document, tables
from septum.scenarios import SCENARIOS

WRITE = os.environ.get("SEPTUM_GOLDEN") == "write"
PAGE = Path(__file__).parents[2] / "docs" / "compare.md"

BROKEN_ON_PURPOSE = {
    "dpamt_lazy": "designs.md 4.1: hints instead of counts",
    "dpamt_range_locks": "designs.md 4.9: AB-BA",
    "dpamt_v4_read_unchecked": "designs.md 5.9, 6.6: no second look",
    "dpamt_merged_split_try": "designs.md 4.8: DEMOTE outside of the lock makes PAMT.ADD busy",
}

THOROUGH = {
    "dpamt_rfc_as_posted", "dpamt_v2_as_posted", "dpamt_v3_as_posted", "dpamt_v4_read_unchecked", "dpamt_v5_put_only",
    "dpamt_merged_split_try",
}  # fmt: skip
"""Measured by make test-thorough: another design differs little from each."""


def measured(names):
    """The evidence of each design, by name."""
    return dict(zip(names, measure_all(names, Budget(), os.cpu_count() or 1, True), strict=True))


def is_broken(design):
    """Whether it was posted with a mistake, or is wrong on purpose."""
    return design.endswith("_as_posted") or design in BROKEN_ON_PURPOSE


@pytest.fixture(scope="module")
def compared():
    return measured([design.name for design in BUILT_IN if WRITE or design.name not in THOROUGH])


def test_every_scenario_that_applies_is_explored_to_the_end_and_none_is_vacuous(compared):
    operations = {design.name: design.operations for design in BUILT_IN}
    for name, one in compared.items():
        assert list(one.scenarios) == [s.name for s in SCENARIOS if s.needs <= operations[name]]
        assert set(one.scenarios.values()) <= {Verdict.HOLDS, Verdict.VIOLATED}
        assert one.incomplete == ()


def test_what_is_violated_was_posted_so_or_is_wrong_on_purpose(compared):
    broken = {name for name, one in compared.items() if Verdict.VIOLATED in one.scenarios.values()}
    assert broken == {name for name in compared if is_broken(name)}


def test_every_scenario_is_in_one_family():
    assert sorted(name for names in FAMILIES.values() for name in names) == sorted(one.name for one in SCENARIOS)


def lines(text, left_out=frozenset()):
    """The lines of a text with tables but for rows of these designs; how wide a column is depends on all rows."""
    return [" ".join(line.split()) for line in text.splitlines() if line.partition(" ")[0] not in left_out and line.strip("-")]


def on_the_page():
    """The tables of the page, and where they begin and end."""
    text = PAGE.read_text()
    begin, end = text.index("```\n"), text.index("```\n", text.index("```\n") + 4) + 4
    return text[begin:end], begin, end


def test_the_page_shows_what_was_measured(compared):
    shown = "```\n" + tables(list(compared.values())) + "```\n"
    page, begin, end = on_the_page()
    if WRITE:
        text = PAGE.read_text()
        PAGE.write_text(text[:begin] + shown + text[end:])
    else:
        assert lines(page, THOROUGH) == lines(shown)


@pytest.mark.thorough
def test_the_page_shows_what_is_measured_of_the_others():
    found = measured([design.name for design in BUILT_IN if design.name in THOROUGH])
    assert {name for name, one in found.items() if Verdict.VIOLATED in one.scenarios.values()} == set(filter(is_broken, found))
    rest = {design.name for design in BUILT_IN} - THOROUGH
    assert lines(on_the_page()[0], rest) == lines("```\n" + tables(list(found.values())) + "```\n")


def test_each_difference_from_the_reference_that_the_page_explains_is_what_was_measured(compared):
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \| `([^|]+)` \|", PAGE.read_text(), re.MULTILINE)
    rows = [row for row in rows if row[0] in compared]
    assert len(rows) > 5
    for design, column, reference, ours in rows:
        assert FIGURES[column](compared[design]) == ours, (design, column)
        assert reference.strip() != ours


@pytest.mark.parametrize(
    ("design", "column", "reference"),
    [
        ("upstream", "idle", "40"), ("upstream", "sources", "1+1"), ("upstream", "atomic", "(S)"), ("upstream", "splits", "no"),
        ("dpamt_rfc", "idle", "80"), ("dpamt_rfc", "hooks", "2"), ("dpamt_rfc", "atomic", "(S)(P)"),
        ("dpamt_v2", "idle", "80"), ("dpamt_v2", "hooks", "0"), ("dpamt_v2", "atomic", "(S)(P)"),
        ("dpamt_v2_split_as_posted", "sources", "2+1"), ("dpamt_v2_split_as_posted", "VM", "40"),
        ("dpamt_v2_split_as_posted", "locks", "-"), ("dpamt_v2_split_as_posted", "splits", "all"),
        ("dpamt_v3", "sources", "1"), ("dpamt_v3", "idle", "15"), ("dpamt_v3", "atomic", "never"),
        ("dpamt_v4", "sources", "2+1"), ("dpamt_v4", "idle", "15"), ("dpamt_v4", "VM", "4"), ("dpamt_v4", "locks", "spinlock"),
        ("dpamt_v4", "atomic", "(S)"),
        ("dpamt_carry", "VM", "0"), ("dpamt_carry", "locks", "-"), ("dpamt_carry", "splits", "all"),
        ("dpamt_v5_as_posted", "idle", "50"), ("dpamt_v5_as_posted", "pairs", "40"), ("dpamt_v5_as_posted", "VM", "2"),
        ("dpamt_v5_as_posted", "locks", "mutex"), ("dpamt_v5_as_posted", "atomic", "(S)(P)"),
        ("dpamt_v5_free_unused", "idle", "42"), ("dpamt_v5_free_unused", "pairs", "40"), ("dpamt_v5_free_unused", "VM", "2"),
        ("dpamt_v5_alt", "sources", "2+1"), ("dpamt_v5_alt", "idle", "52"), ("dpamt_v5_alt", "VM", "4"),
        ("dpamt_v5_alt", "to", "KVM TDX"), ("dpamt_v5_alt", "locks", "mutex"), ("dpamt_v5_alt", "atomic", "(S)"),
        ("seed_spin", "idle", "50"), ("seed_spin", "VM", "6"), ("seed_spin", "locks", "spinlock"),
        ("seed_mutex", "locks", "mutex"),
        ("dpamt_v6", "sources", "1+1"), ("dpamt_v6", "idle", "50"), ("dpamt_merged", "sources", "1+1"),
        ("dpamt_merged", "idle", "50"), ("dpamt_merged", "to", "KVM TDX"), ("dpamt_merged", "locks", "-"),
        ("dpamt_merged", "splits", "no"), ("dpamt_merged", "atomic", "(S)"),
    ],
)  # fmt: skip
def test_the_table_of_the_reference(compared, design, column, reference):
    """designs.md 7, "Comparison"."""
    assert FIGURES[column](compared[design]) == reference


def test_pairs_are_popped_by_every_fault_as_merged_and_by_v6_only_where_they_are_missing(compared):
    """designs.md 4.7: what it means for pools."""
    assert compared["dpamt_merged"].popped == compared["dpamt_merged"].popped_if_backed == compared["dpamt_v6"].popped
    assert compared["dpamt_v6"].popped_if_backed < compared["dpamt_v6"].popped


def test_seamcalls_that_add_a_pair_are_made_under_mmu_lock_and_pamt_lock_but_for_v5_which_may_sleep(compared):
    """designs.md 7, end."""

    def locks(design):
        return {frozenset(map(str, one.held)) for one in compared[design].seamcalls if one.leaf == "tdh_phymem_pamt_add"}

    assert {"vm.mmu_lock (read)", "pamt_lock"} in locks("dpamt_merged")
    assert {"pamt_lock"} in locks("dpamt_v5")
    assert {"pamt_lock"} not in locks("dpamt_merged")


def test_csv_and_json_have_a_row_for_each_design(compared):
    found = list(compared.values())
    assert as_csv(found).count("\n") == len(found) + 1
    assert [one["design"] for one in document(found)["designs"]] == list(compared)
