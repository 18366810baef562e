"""The questions of the mailing-list thread that a check answers; designs.md 6.6."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.result import Verdict

THREE_SOURCES = str(Path(__file__).parent / "three_sources.py")


def test_pages_of_three_sources_freed_by_one_function_keep_single_custody():
    """designs.md 6.6, first row: the list, GFP_ATOMIC and the split; every page ends in tdp_mmu_free_sp()."""
    result = check(THREE_SOURCES, "split_teardown", property="custody")
    assert (result.verdict, result.unexecuted) == (Verdict.HOLDS, ())


def test_in_v4_itself_custody_holds_too():
    assert check("dpamt_v4", "split_teardown", property="custody").verdict == Verdict.HOLDS


@pytest.mark.parametrize("design", ["dpamt_v4", "dpamt_merged_split"])
@pytest.mark.parametrize("scenario", ["split", "two_splits"])
def test_no_walker_sees_an_entry_of_a_split_table_that_nobody_wrote(design, scenario):
    """designs.md 5.10: the table is zeroed (v4) or not even that, and every entry is written before the link."""
    assert check(design, scenario, property="initial value").verdict == Verdict.HOLDS


@pytest.mark.parametrize("design", ["upstream", "dpamt_merged"])
def test_a_td_has_no_split_in_what_is_merged(design):
    assert check(design, "split").verdict == Verdict.NOT_APPLICABLE


def test_the_list_of_v4_never_runs_dry_with_its_minimum():
    assert check("dpamt_v4", "neighbours_enomem", property="provision").verdict == Verdict.HOLDS


def test_v4_counts_outside_of_the_lock_and_removes_a_pair_twice():
    """designs.md 4.2, 4.4: a putter at zero, a getter that rescues the pair, and its put."""
    result = check("dpamt_v4_as_posted", "two_tds")
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "backing")
    assert "TDX_NO_PAMT_PAGE_PAIR" in result.clause


def test_demote_without_the_pamt_lock_meets_another_td():
    """designs.md 4.8, reported in June 2026: DEMOTE and PAMT.ADD of another TD make each other busy; the lock mends it."""
    result = check("dpamt_v4_as_posted", "split_two_tds")
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "asserts")
    assert "TDX_OPERAND_BUSY" in result.clause
    assert check("dpamt_merged_split", "split_two_tds").verdict == Verdict.HOLDS
