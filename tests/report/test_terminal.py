"""The report of a check: pinned as a whole, then its parts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from septum.check.result import Result, Verdict
from septum.report.terminal import render
from tests.report.golden import pinned
from tests.report.samples import ALL, HOLDS, INCOMPLETE, NOT_APPLICABLE, NOT_STARTED, TOKEN, VACUOUS, VIOLATED

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def test_the_whole_report() -> None:
    pinned("report.txt", render(ALL))


def test_a_pass_alone() -> None:
    pinned("pass.txt", render([HOLDS]))


def test_plain_text_is_ascii_and_fits_80_columns() -> None:
    text = render(ALL)
    assert text.isascii()
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines() if TOKEN not in line)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_colour_changes_nothing_but_the_colour(width: int) -> None:
    coloured = render(ALL, width=width, colour=True)
    assert "\x1b[" in coloured
    plain = [line.rstrip() for line in ESCAPE.sub("", coloured).splitlines()]
    assert plain == render(ALL, width=width).splitlines()


def test_long_names_fit_80_columns() -> None:
    long = replace(
        HOLDS, design="dpamt_merged_split", scenario="neighbouring_gfns_alloc_failures", verdict=Verdict.NOT_APPLICABLE
    )
    violated = replace(VIOLATED, property="initial value", states=123_456_789, transitions=1_234_567_890, counterexample=None)
    assert all(len(line) <= 80 for line in render([long, violated]).splitlines())


def test_unexecuted_lines_are_those_that_no_scenario_executed() -> None:
    def with_lines(*lines: int) -> Result:
        return replace(HOLDS, unexecuted=lines)

    assert "  dpamt_v4: 3-4, 9\n" in render([with_lines(1, 3, 4, 9), with_lines(3, 4, 9, 12)])
    assert "no schedule executed" not in render([with_lines(1), with_lines(2)])


def test_what_did_not_run_says_nothing_about_lines() -> None:
    idle = [replace(NOT_STARTED, design="dpamt_v4"), replace(NOT_APPLICABLE, design="dpamt_v4")]
    assert "  dpamt_v4: 13-14, 20, 40\n" in render([HOLDS, *idle])


def test_a_witness_that_a_single_property_left_out_is_not_claimed() -> None:
    text = render([replace(HOLDS, witnesses={"lost_race": True, "busy": False})])
    assert "same_gfn: lost_race\n" in text
    assert "busy" not in text


def test_scenarios_that_do_not_apply_are_grouped_by_reason() -> None:
    text = render([NOT_APPLICABLE, replace(NOT_APPLICABLE, scenario="split_zap")])
    assert "upstream: split_fault, split_zap (the design has no split)\n" in text


def test_a_missed_witness_is_named() -> None:
    assert "upstream, same_gfn: busy\n" in render([VACUOUS])


def test_how_far_an_incomplete_check_came() -> None:
    text = " ".join(render([INCOMPLETE, NOT_STARTED]).split())
    assert "the time ended; 20,000,000 states, 99,000,000 transitions, depth 33 in 2 min 5 s" in text
    assert "fault_zap: not started" in text


def test_square_brackets_in_a_name_are_no_markup() -> None:
    assert "a[bold]b.py" in render([replace(HOLDS, design="a[bold]b.py")])
